"""New inputs of old ones, drawn from a seeded generator: changed, cut, doubled, spliced."""

import random

from tests.fuzz.target import Target

_CHANGES_MAX = 6


def made(rng: random.Random, target: Target) -> bytes:
    """Return an input that begins as one of the target's seeds."""
    data = bytearray(rng.choice(target.seeds))
    for _ in range(rng.randint(1, _CHANGES_MAX)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0:
                data[at:at] = rng.randbytes(rng.randint(1, 4))
            case 1:
                data[at:at] = rng.choice(target.tokens or [b"\xff"])
            case 2:
                del data[at : at + rng.randint(1, 8)]
            case 3:
                data[at : at + 1] = rng.randbytes(1)
            case 4:
                other = rng.choice(target.seeds)
                data[at:] = other[rng.randrange(len(other) + 1) :]
            case 5:
                data[at:at] = data[at : at + rng.randint(1, 16)]
            case _:
                data[at : at + 1] = bytes([rng.choice([0, 1, 0x7F, 0x80, 0xFF])])
    return bytes(data)
