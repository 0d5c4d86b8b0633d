"""Where the index of runs has attributes: by name, in blocks of time.

A block has the runs with an attribute of one name whose ids are in a span, in the order of
their values. So a range of values is one look in each block, newest first, however many
runs are in it; and what is new is written where what is new was written before.

A block goes from its *first*, the leading bytes of a run id, to that of the next one. New
ones begin where the last run of a full one has an older id; what runs with older ids make
too large is cut in two.
"""

from collections import defaultdict
from typing import Final, final

import msgspec

from ironflow.journal.lmdb import keys
from ironflow.journal.lmdb._lmdb import Snapshot
from ironflow.journal.lmdb.rows import decoded

ATTRIBUTES: Final = "attributes"  # name, first of the block, key bytes, run -> nothing
BLOCKS: Final = "blocks"  # name, first of the block -> how many runs, the last of them

BLOCK_RUNS: Final = 4_096  # then a new one may begin
BLOCK_RUNS_MAX: Final = 2 * BLOCK_RUNS  # then it is cut in two
FIRST_BYTES: Final = 8  # of a run id: the time and what follows it
GROUP_BYTES: Final = keys.ENVIRONMENT_BYTES + keys.DIGEST_BYTES
_HEAD_BYTES: Final = GROUP_BYTES + FIRST_BYTES
_OLDEST: Final = bytes(FIRST_BYTES)

Edits = dict[str, dict[bytes, bytes | None]]


class _Block(msgspec.Struct, array_like=True):
    """`last` is the last run that it ever had, its newest one at least."""

    runs: int
    last: bytes


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Block).decode


def group_of(prefix: bytes, name: bytes) -> bytes:
    """Return how keys of an attribute begin, by what stands for its name."""
    return prefix + name


def block_at(snapshot: Snapshot, group: bytes, place: bytes) -> bytes | None:
    """Return the first of the block that has a place; None: there is none."""
    before = group + place[:FIRST_BYTES] + b"\0"
    for key, _ in snapshot.scan_back(BLOCKS, group, before=before):
        return key[GROUP_BYTES:]
    return None


@final
class BlockEdits:
    """What one write changes of attributes: runs that come, and runs that go."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot: Final = snapshot
        self._rows: Final[dict[bytes, bytes | None]] = {}
        self._blocks: Final[dict[bytes, _Block]] = {}  # by name and first
        self._new: Final[defaultdict[bytes, list[bytes]]] = defaultdict(list)
        self._spans: Final[dict[bytes, tuple[bytes, bytes]]] = {}  # that was looked at

    def add(self, group: bytes, value: bytes, place: bytes) -> None:
        """Let a run have a value, as key bytes."""
        first = self._first(group, place)
        block = self._block(group + first)
        if block.runs >= BLOCK_RUNS and place[:FIRST_BYTES] > block.last[:FIRST_BYTES]:
            first = place[:FIRST_BYTES]
            self._new[group].append(first)
            block = self._blocks[group + first] = _Block(0, place)
        block.runs += 1
        block.last = max(block.last, place)
        self._rows[b"".join((group, first, value, place))] = b""

    def remove(self, group: bytes, value: bytes, place: bytes) -> None:
        """Let a run have it no more."""
        first = self._first(group, place)
        self._block(group + first).runs -= 1
        self._rows[b"".join((group, first, value, place))] = None

    def edits(self) -> Edits:
        """Return all of it as rows. A block without runs goes: its span is the older one's."""
        blocks = {
            key: _encode(block) if block.runs > 0 else None
            for key, block in self._blocks.items()
        }
        return {ATTRIBUTES: self._rows, BLOCKS: blocks}

    def large(self) -> list[bytes]:
        """Return the keys of blocks that have to be cut."""
        return [
            key for key, block in self._blocks.items() if block.runs > BLOCK_RUNS_MAX
        ]

    def _block(self, key: bytes) -> _Block:
        block = self._blocks.get(key)
        if block is None:
            data = self._snapshot.get(BLOCKS, key)
            if data is None:
                block = _Block(0, b"")
            else:
                block = decoded(_decode, data, name="a block of an index")
            self._blocks[key] = block
        return block

    def _first(self, group: bytes, place: bytes) -> bytes:
        """The first of the block that a run belongs to."""
        lead = place[:FIRST_BYTES]
        first, beyond = self._spans.get(group, (b"", b""))
        if not first <= lead < beyond:
            first, beyond = self._span(group, place)
            self._spans[group] = first, beyond
        later = (each for each in self._new[group] if first < each <= lead)
        return max(later, default=first)

    def _span(self, group: bytes, place: bytes) -> tuple[bytes, bytes]:
        """From where to where a stored block goes that has a place."""
        first = block_at(self._snapshot, group, place) or _OLDEST
        start = group + place[:FIRST_BYTES] + b"\0"
        for key, _ in self._snapshot.scan(BLOCKS, group, start=start):
            return first, key[GROUP_BYTES:]
        return first, b"\xff" * (FIRST_BYTES + 1)


def cut(snapshot: Snapshot, key: bytes) -> Edits:
    """Return the rows by which a block becomes two, of as many runs each.

    One whose runs have ids that begin alike cannot be cut: there are none.
    """
    group, old = key[:GROUP_BYTES], key[GROUP_BYTES:]
    found = [row for row, _ in snapshot.scan(ATTRIBUTES, key)]
    places = sorted(row[-keys.RUN_BYTES :] for row in found)
    leads = [place[:FIRST_BYTES] for place in places]
    first = leads[len(leads) // 2] if leads else old
    if not leads or first == leads[0]:
        first = leads[-1] if leads else old
    if not leads or first == leads[0]:
        return {}
    older = leads.index(first)
    rows: dict[bytes, bytes | None] = {}
    for row in found:
        if row[-keys.RUN_BYTES :][:FIRST_BYTES] >= first:
            rows[row] = None
            rows[group + first + row[_HEAD_BYTES:]] = b""
    return {
        ATTRIBUTES: rows,
        BLOCKS: {
            key: _encode(_Block(older, places[older - 1])),
            group + first: _encode(_Block(len(places) - older, places[-1])),
        },
    }
