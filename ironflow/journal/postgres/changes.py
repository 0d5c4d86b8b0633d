"""What a commit will write, while it is decided; nothing is sent yet."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar, final

from ironflow.journal.base import (
    Delivery,
    DocumentRow,
    FunctionRow,
    InboxRow,
    MatchPath,
    RunRow,
    StoredEvent,
    TimerRow,
    WaitRow,
)

Key = TypeVar("Key")
Value = TypeVar("Value")


@final
class RunTable(Generic[Key, Value]):
    """Changes of a table whose rows belong to runs.

    They are made in this order: all rows of the `emptied` runs go, then those in
    `drops`, then those in `puts` come.
    """

    __slots__ = ("drops", "emptied", "puts")

    def __init__(self) -> None:
        self.puts: Final[dict[bytes, dict[Key, Value]]] = {}
        self.drops: Final[dict[bytes, set[Key]]] = {}
        self.emptied: Final[set[bytes]] = set()

    def put(self, run: bytes, key: Key, value: Value) -> None:
        """Put a row that is not there."""
        self.puts.setdefault(run, {})[key] = value

    def drop(self, run: bytes, key: Key) -> None:
        """Drop a row, stored or put."""
        self.puts.get(run, {}).pop(key, None)
        self.drops.setdefault(run, set()).add(key)

    def empty(self, run: bytes, *, stored: bool = True) -> None:
        """Drop all rows of a run; without stored ones, those that were put."""
        self.puts.pop(run, None)
        self.drops.pop(run, None)
        self.emptied.add(run)
        if not stored:
            self.emptied.discard(run)

    def value(self, run: bytes, key: Key) -> Value | None:
        """Return a row that was put."""
        return self.puts.get(run, {}).get(key)

    def hides(self, run: bytes, key: Key) -> bool:
        """Say whether what is stored under this key does not count any more."""
        return run in self.emptied or key in self.drops.get(run, ())

    def runs(self) -> set[bytes]:
        """Return the runs whose rows change."""
        return {*self.puts, *self.drops, *self.emptied}

    def is_touched(self) -> bool:
        """Say whether anything was asked to change."""
        return bool(self.puts or self.drops or self.emptied)

    def is_empty(self) -> bool:
        """Say whether nothing changes."""
        return not (any(self.puts.values()) or self.drops or self.emptied)


class RecordRow(NamedTuple):
    """A record as it is stored."""

    run: bytes
    sequence: int
    kind: str
    step: str
    recorded_at: int
    data: bytes


@final
@dataclass(frozen=True, slots=True)
class ReadyRow:
    """A run that becomes ready, or goes to the end of the queue."""

    function_id: str
    lane: bytes
    place: int


@final
@dataclass(frozen=True, slots=True)
class Released:
    """A hold that its holder gives up."""

    run: bytes
    epoch: int
    place: int


@final
@dataclass(slots=True)
class Changes:
    """All that one commit changes."""

    functions: list[FunctionRow] = field(default_factory=list[FunctionRow])
    events: list[StoredEvent] = field(default_factory=list[StoredEvent])
    delivery: Delivery | None = None
    is_delivery_changed: bool = False
    runs: dict[bytes, RunRow] = field(default_factory=dict[bytes, RunRow])
    # Of the runs whose attributes change, all they then have.
    attributes: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    records: list[RecordRow] = field(default_factory=list[RecordRow])
    blobs: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    blob_runs: set[tuple[bytes, bytes]] = field(
        default_factory=set[tuple[bytes, bytes]]
    )
    # Keys: nothing, a number, (step key, kind), a step key, a position.
    ready: RunTable[None, ReadyRow] = field(default_factory=RunTable[None, ReadyRow])
    inbox: RunTable[int, InboxRow] = field(default_factory=RunTable[int, InboxRow])
    timers: RunTable[tuple[bytes, str], TimerRow] = field(
        default_factory=RunTable[tuple[bytes, str], TimerRow]
    )
    waits: RunTable[bytes, WaitRow] = field(default_factory=RunTable[bytes, WaitRow])
    # By event name and path; None: the path is forgotten.
    match_paths: dict[tuple[str, str], MatchPath | None] = field(
        default_factory=dict[tuple[str, str], MatchPath | None]
    )
    # By event name, key of the path and match key: positions.
    matches: dict[tuple[str, bytes, bytes], set[int]] = field(
        default_factory=dict[tuple[str, bytes, bytes], set[int]]
    )
    # Rows of runs that are deleted, events up to a position, and how many records of
    # deleted runs.
    runs_gone: list[bytes] = field(default_factory=list[bytes])
    events_gone: list[StoredEvent] = field(default_factory=list[StoredEvent])
    matches_gone: list[tuple[str, bytes, bytes, int]] = field(
        default_factory=list[tuple[str, bytes, bytes, int]]
    )
    records_gone: int = 0
    # What is put in the place of events and records; payloads that runs have no more.
    redacted_events: dict[int, StoredEvent] = field(
        default_factory=dict[int, StoredEvent]
    )
    redacted_records: dict[tuple[bytes, int], bytes] = field(
        default_factory=dict[tuple[bytes, int], bytes]
    )
    blobs_left: set[tuple[bytes, bytes]] = field(
        default_factory=set[tuple[bytes, bytes]]
    )
    consumed: RunTable[int, bool] = field(default_factory=RunTable[int, bool])
    released: dict[bytes, Released] = field(default_factory=dict[bytes, Released])

    # By kind and id; None: it is deleted.
    documents: dict[tuple[str, str], DocumentRow | None] = field(
        default_factory=dict[tuple[str, str], DocumentRow | None]
    )

    def inbox_of(self, run: bytes, stored: Sequence[InboxRow]) -> list[InboxRow]:
        """Return what an inbox is after these changes."""
        left = [row for row in stored if not self.inbox.hides(run, row.number)]
        return left + list(self.inbox.puts.get(run, {}).values())

    def is_empty(self) -> bool:
        """Say whether there is nothing to write."""
        lists = (self.functions, self.events, self.runs, self.records, self.released)
        gone = (self.runs_gone, self.events_gone, self.records_gone)
        redacted = (self.redacted_events, self.redacted_records)
        indexes = (self.match_paths, self.matches, self.documents)
        tables = (self.ready, self.inbox, self.timers, self.waits, self.consumed)
        return not (
            any(lists)
            or any(gone)
            or any(redacted)
            or any(indexes)
            or self.is_delivery_changed
            or not all(table.is_empty() for table in tables)
        )
