"""How a run stands in the index of runs: its row there, and the lists that have it.

A row of `STATES` is `[state, function, length of the parent, length of the attributes,
parent, attributes, time in ENDED]`, without what the run does not have.
"""

from collections.abc import Iterator, Mapping
from typing import Final, Protocol

import msgspec

from ironflow.journal.base import CLOSED
from ironflow.journal.lmdb import keys, rows, segments
from ironflow.journal.lmdb._lmdb import Snapshot
from ironflow.journal.lmdb.attribute_blocks import ATTRIBUTES, BLOCKS
from ironflow.journal.lmdb.layers import Layered
from ironflow.journal.row_codec import Decoder
from ironflow.policy.attributes import keys_of

META: Final = "meta"  # what the index is of, and how far it goes
STATES: Final = "states"  # run -> state, function, parent, attributes, time in `ENDED`
LISTS: Final = "lists"  # see `list_keys`; then run -> nothing
COUNTS: Final = "counts"  # function, state -> count, function id
ENDED: Final = "ended"  # time of the end, run -> nothing, until the run is packed
INDEX_TABLES: Final = (META, STATES, LISTS, COUNTS, ENDED, ATTRIBUTES, BLOCKS)
INDEX_LAYOUT: Final = 4

BY_STATE: Final = b"s"
BY_FUNCTION: Final = b"f"
BY_PARENT: Final = b"p"

QUEUED: Final = b"q"
STATES_OF: Final[Mapping[str, bytes]] = {
    "queued": QUEUED,
    "running": b"r",
    "waiting": b"w",
    "paused": b"p",
    "completed": b"c",
    "failed": b"f",
    "cancelled": b"x",
    "continued": b"n",
}
CLOSED_STATES: Final = frozenset(STATES_OF[status] for status in CLOSED)
STATUS_OF: Final = {state: status for status, state in STATES_OF.items()}

_PIECE_BYTES: Final = 1 + keys.DIGEST_BYTES
_LENGTH_BYTES: Final = 2
_NIL: Final = msgspec.Raw(b"\xc0")


class _RunHead(msgspec.Struct, array_like=True):
    """What of a `RunRow` the index has; the rest is only passed over."""

    run_id: str
    function_id: str
    status: str
    event_id: str
    event_name: str
    trigger_position: int
    created_at: int
    attempt: int = 1
    parent_run: str = ""
    parent_step: msgspec.Raw = _NIL
    attached: bool = False
    continued_from: msgspec.Raw = _NIL
    continued_to: msgspec.Raw = _NIL
    first_run: msgspec.Raw = _NIL
    ended_at: int = 0
    pause: msgspec.Raw = _NIL
    lane: msgspec.Raw = _NIL
    claims: int = 0
    claimed_at: int = 0
    lost: msgspec.Raw = _NIL
    asked: msgspec.Raw = _NIL
    redacted_at: int = 0
    attributes: bytes = b""


_decode_head: Final[Decoder] = msgspec.msgpack.Decoder(_RunHead).decode


class Tables(Protocol):
    """Where a run is read: a snapshot of LMDB, or that with the layers above."""

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return the value of a key."""
        ...


def standing(tables: Snapshot | Layered, key: bytes) -> tuple[bytes, str] | None:
    """Return the row of a run in `STATES` and its function id; None: no such run.

    Holds play no part: a run that has only begun is queued here while it is held.
    """
    data = tables.get(keys.RUNS, key)
    if data is None:
        return None
    head: _RunHead = rows.decoded(_decode_head, data, name="a RunRow")
    status = head.status
    if status == "open":
        if tables.get(keys.READY, key) is None:
            status = "waiting"
        else:
            status = "queued" if _length(tables, key) == 1 else "running"
    parent = keys.run(head.parent_run) if head.parent_run else b""
    parts: list[bytes] = []
    for name, value in keys_of(head.attributes) if head.attributes else ():
        parts += keys.text(name), _length_of(value), value
    attributes = b"".join(parts)
    sizes = bytes([len(parent)]) + _length_of(attributes)
    row = (STATES_OF[status], keys.text(head.function_id), sizes, parent, attributes)
    return b"".join(row), head.function_id


def ended(store: Snapshot, run: bytes) -> bytes:
    """Return when a closed run ended, the end of its row; nothing if it is packed."""
    last = store.last(keys.LOG, run, width=keys.NUMBER_BYTES)
    if last is None or segments.is_place(last[1]):
        return b""
    data = store.get(keys.RUNS, run) or b""
    head: _RunHead = rows.decoded(_decode_head, data, name="a RunRow")
    return keys.number(max(0, head.ended_at))


def _length(tables: Snapshot | Layered, key: bytes) -> int:
    if isinstance(tables, Layered):
        return tables.length(key)
    last = tables.last_key(keys.LOG, key, width=keys.NUMBER_BYTES)
    return 0 if last is None else keys.to_number(last[len(key) :])


def _length_of(data: bytes) -> bytes:
    return len(data).to_bytes(_LENGTH_BYTES, "big")


def piece(state: bytes) -> bytes:
    """Return the state and function in a row."""
    return state[:_PIECE_BYTES]


def _parts(state: bytes) -> tuple[int, int, int]:
    """Where the parent, the attributes and what follows them begin in a row."""
    parent = _PIECE_BYTES + 1 + _LENGTH_BYTES
    attributes = parent + state[_PIECE_BYTES]
    length = int.from_bytes(state[_PIECE_BYTES + 1 : parent], "big")
    return parent, attributes, attributes + length


def parent_in(state: bytes) -> bytes:
    """Return the parent in a row; empty if it has none."""
    first, end, _ = _parts(state)
    return state[first:end]


def attributes_in(state: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield what stands for the names of attributes in a row, and their key bytes."""
    _, at, end = _parts(state)
    while at < end:
        name = state[at : (at := at + keys.DIGEST_BYTES)]
        length = int.from_bytes(state[at : (at := at + _LENGTH_BYTES)], "big")
        yield name, state[at : (at := at + length)]


def value_in(state: bytes, name: bytes) -> bytes:
    """Return the key bytes of an attribute in a row; empty if it has none of the name."""
    _, at, end = _parts(state)
    while at < end:
        size_at = at + keys.DIGEST_BYTES
        value_at = size_at + _LENGTH_BYTES
        value_end = value_at + int.from_bytes(state[size_at:value_at], "big")
        if state[at:size_at] == name:
            return state[value_at:value_end]
        at = value_end
    return b""


def list_keys(run: bytes, state: bytes) -> list[bytes]:
    """Return where a run is listed: by state, by function and state, and by parent.

    Where it is by its attributes depends on others: see `attribute_blocks`.
    """
    prefix, place = run[: keys.ENVIRONMENT_BYTES], run[keys.ENVIRONMENT_BYTES :]
    both = piece(state)
    found = [
        prefix + BY_STATE + both[:1] + place,
        prefix + BY_FUNCTION + both[1:] + both[:1] + place,
    ]
    parent = parent_in(state)
    if parent:
        found.append(prefix + BY_PARENT + parent + place)
    return found


def ended_keys(run: bytes, state: bytes) -> list[bytes]:
    """Return the key of a run in `ENDED`, if it has one."""
    prefix, place = run[: keys.ENVIRONMENT_BYTES], run[keys.ENVIRONMENT_BYTES :]
    time = state[_parts(state)[2] :]
    return [prefix + time + place] if time else []
