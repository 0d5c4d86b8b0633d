"""A target: a function of any bytes, and what to begin with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """`run` raises when ironflow is wrong; `seeds` are inputs that get far.

    `tokens` are what an input may well hold, for those who make new ones. `many` is how many
    made inputs a test run tries: fewer where one takes long.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: Sequence[bytes]
    tokens: Sequence[bytes] = ()
    many: int = 400


def pieces(data: bytes, size: int) -> list[bytes]:
    """Return the bytes in pieces of a size, the last one as it comes."""
    return [data[at : at + size] for at in range(0, len(data), size)]
