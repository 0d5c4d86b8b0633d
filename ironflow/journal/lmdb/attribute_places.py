"""The runs whose attribute passes a filter, block by block, newest first.

A block without such a run is passed over by one look. Of others all that pass are
gathered; who only asks about the runs of another list has some of these looked at first.
"""

from typing import Final, final

from ironflow.journal.lmdb import keys
from ironflow.journal.lmdb._lmdb import Snapshot
from ironflow.journal.lmdb.attribute_blocks import (
    ATTRIBUTES,
    FIRST_BYTES,
    block_at,
    group_of,
)
from ironflow.journal.lmdb.intersect import Gathered, below
from ironflow.journal.lmdb.run_states import STATES, value_in
from ironflow.policy.attributes import AttributeFilter

# Runs of another list that do not pass, in one block; then the block is gathered.
MISSES_MAX: Final = 8


@final
class Passing:
    """The runs of an environment that pass a filter.

    `leads`: it finds runs by itself; else it is asked about those of another list.
    """

    def __init__(
        self, index: Snapshot, wanted: AttributeFilter, prefix: bytes, *, leads: bool
    ) -> None:
        self._index: Final = index
        self._wanted: Final = wanted
        self._prefix: Final = prefix
        self._name: Final = keys.text(wanted.name)
        self._group: Final = group_of(prefix, self._name)
        self._misses_max: Final = 0 if leads else MISSES_MAX
        self._first: bytes | None = None  # of the block where it is
        self._gathered: Gathered | None = None  # what passes in there
        self._misses = 0

    def last_to(self, place: bytes) -> bytes | None:
        """Return `place` if it passes, else where to go on."""
        at: bytes | None = place
        while at is not None:
            if self._first is None or at[:FIRST_BYTES] < self._first:
                at = self._enter(at)
                if at is None or at != place:
                    return at
            assert self._first is not None
            found = self._in_block(at)
            if found is not None:
                return found
            at = _before(self._first)
        return None

    def _enter(self, place: bytes) -> bytes | None:
        """Go to the last block up to a place that has what passes; return where it may be."""
        at: bytes | None = place
        while at is not None:
            first = block_at(self._index, self._group, at)
            if first is None:
                return None
            if self._has_some(first):
                self._first, self._gathered = first, None
                self._misses = 0
                return at
            at = _before(first)
        return None

    def _in_block(self, place: bytes) -> bytes | None:
        """As `last_to`, but None means that no older run of this block passes."""
        if self._gathered is None:
            if self._misses < self._misses_max:
                if self._passes(place):
                    return place
                self._misses += 1
                return below(place)
            self._gathered = self._gather()
        return self._gathered.last_to(place)

    def _passes(self, place: bytes) -> bool:
        state = self._index.get(STATES, self._prefix + place)
        value = value_in(state, self._name) if state else b""
        return any(first <= value < end for first, end in self._wanted.ranges)

    def _has_some(self, block: bytes) -> bool:
        head = self._group + block
        for first, beyond in self._wanted.ranges:
            key = self._index.next_key(ATTRIBUTES, head + first)
            if key is not None and key < head + beyond:
                return True
        return False

    def _gather(self) -> Gathered:
        assert self._first is not None
        head = self._group + self._first
        found: list[bytes] = []
        for first, beyond in self._wanted.ranges:
            found += self._index.tails(
                ATTRIBUTES, head + first, head + beyond, width=keys.RUN_BYTES
            )
        return Gathered(found)


def _before(first: bytes) -> bytes | None:
    """The last place before a block; None: it is the oldest."""
    lead = below(first)
    if lead is None:
        return None
    return lead + b"\xff" * (keys.RUN_BYTES - FIRST_BYTES)
