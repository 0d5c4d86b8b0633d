"""The runs whose attribute passes a filter, by the block, newest first.

A block without such a run costs one look. Of others all that pass are gathered, unless
they are more than was asked for; what was gathered is kept until all is below it.
"""

from typing import Final, final

from ironflow.journal.lmdb import keys
from ironflow.journal.lmdb._lmdb import Snapshot
from ironflow.journal.lmdb.attribute_blocks import (
    ATTRIBUTES,
    BLOCKS,
    FIRST_BYTES,
    group_of,
)
from ironflow.journal.lmdb.intersect import LOOK_PLACES, LOWEST, Looks, Stretch
from ironflow.journal.lmdb.run_states import value_in
from ironflow.policy.attributes import AttributeFilter

BLOCKS_MAX: Final = 32  # in one stretch
_REST: Final = bytes(keys.RUN_BYTES - FIRST_BYTES)  # of the first place in a block


@final
class Passing:
    """The runs of an environment that pass a filter."""

    def __init__(
        self, index: Snapshot, wanted: AttributeFilter, prefix: bytes, looks: Looks
    ) -> None:
        self._index: Final = index
        self._wanted: Final = wanted
        self._looks: Final = looks
        self._name: Final = keys.text(wanted.name)
        self._group: Final = group_of(prefix, self._name)
        self._inside: dict[bytes, list[bytes]] = {}  # by the first of the block
        self._more: dict[bytes, int] = {}  # pass in a block than so many

    def newest(self, place: bytes, most: int) -> Stretch | None:
        """Return what passes in the last blocks up to a place: `most` in all, or fewer."""
        firsts = self._firsts(place)
        found: list[bytes] = []
        low = LOWEST
        for number, first in enumerate(firsts):
            inside = self._in_block(first, most - len(found))
            if inside is None:
                return Stretch(found, low) if number else None
            found += inside if number else [each for each in inside if each <= place]
            low = first + _REST
        return Stretch(found, low if len(firsts) == BLOCKS_MAX else LOWEST)

    def among(self, low: bytes, place: bytes, most: int) -> set[bytes] | None:
        """Return what passes in the blocks from `low` to `place`."""
        found: set[bytes] = set()
        firsts = self._firsts(place)
        for first in firsts:
            most -= LOOK_PLACES
            inside = self._in_block(first, most)
            if inside is None:
                return None
            found.update(inside)
            most -= len(inside)
            if first + _REST <= low:
                return found
        return None if len(firsts) == BLOCKS_MAX else found

    def takes(self, state: bytes) -> bool:
        """Say whether the attribute in this row passes."""
        value = value_in(state, self._name)
        return any(first <= value < end for first, end in self._wanted.ranges)

    def _firsts(self, place: bytes) -> list[bytes]:
        """Return the firsts of the last blocks up to a place."""
        end = self._group + place[:FIRST_BYTES] + b"\0"
        firsts = self._index.tails_back(
            BLOCKS, self._group, end, width=FIRST_BYTES, most=BLOCKS_MAX
        )
        self._looks.read(firsts)
        if firsts:
            for newer in [each for each in self._inside if each > firsts[0]]:
                del self._inside[newer]
        return firsts

    def _in_block(self, block: bytes, most: int) -> list[bytes] | None:
        """Return what passes in a block, last first; None: more than `most`."""
        known = self._inside.get(block)
        if known is not None:
            return known if len(known) <= most else None
        if most <= self._more.get(block, -1):
            return None
        head = self._group + block
        found: list[bytes] = []
        for first, beyond in self._wanted.ranges:
            found += self._index.tails(
                ATTRIBUTES,
                head + first,
                head + beyond,
                width=keys.RUN_BYTES,
                most=most + 1 - len(found),
            )
        self._looks.read(found)
        if len(found) > most:
            self._more[block] = most
            return None
        found.sort(reverse=True)
        self._inside[block] = found
        return found
