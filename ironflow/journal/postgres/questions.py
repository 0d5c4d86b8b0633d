"""What a commit may need to read: questions and their answers, as values.

An answer holds from the moment the commit has its lock to its end: nobody else writes
meanwhile. So answers are kept by question, whoever asked it.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, final

from ironflow.journal.base import (
    DocumentRow,
    FunctionRow,
    InboxRow,
    MatchPath,
    RunRow,
    StoredEvent,
    WaitRow,
)

# --- questions ------------------------------------------------------------------


class RunOf(NamedTuple):
    """The row of a run and what else there is of it."""

    run: bytes


class InboxOf(NamedTuple):
    """The inbox of a run."""

    run: bytes


class HistoryOf(NamedTuple):
    """All records of a run, as they are stored."""

    run: bytes


class RecordOf(NamedTuple):
    """One record of a run, as it is stored."""

    run: bytes
    sequence: int


class PayloadOf(NamedTuple):
    """A payload that lies beside its record."""

    digest: bytes


class TimerOf(NamedTuple):
    """When a timer of a run is due."""

    run: bytes
    step: bytes
    kind: str


class WaitOf(NamedTuple):
    """A wait of a run."""

    run: bytes
    step: bytes


class ConsumedBy(NamedTuple):
    """Whether a run took an event."""

    run: bytes
    position: int


class EventAt(NamedTuple):
    """The event at a position, if it is there."""

    position: int


class EventsNamed(NamedTuple):
    """The next events of a name after a position, some at a time."""

    name: str
    after: int


class EventByKey(NamedTuple):
    """The position of an event by the digest of name and idempotency key."""

    key: bytes


class PathsOf(NamedTuple):
    """The paths at which waits for this event look."""

    event: str


class WaitsFor(NamedTuple):
    """The next waits for this event, path and key, after a run and sequence."""

    event: str
    path: bytes
    key: bytes
    run: bytes
    sequence: int


class Seeking(NamedTuple):
    """The next waits that still look back, after a run and sequence."""

    run: bytes
    sequence: int


class MatchPathsOf(NamedTuple):
    """The paths by which events of this name are indexed."""

    event: str


class MatchesOf(NamedTuple):
    """The next events of a name with this key at a path, some at a time."""

    event: str
    path: bytes
    key: bytes
    after: int


class PausedOf(NamedTuple):
    """The paused runs of a function."""

    function: str


class OldestEvents(NamedTuple):
    """The first events there are."""

    limit: int


class GoingOf(NamedTuple):
    """Whether a run has no row, and records that are still to be deleted."""

    run: bytes


class RecordsGone(NamedTuple):
    """How many records of runs without a row there are, counted up to a limit."""

    limit: int


class DocumentOf(NamedTuple):
    """A document."""

    kind: str
    id: str


class Registry(NamedTuple):
    """Every function."""


Question = (
    RunOf
    | InboxOf
    | HistoryOf
    | RecordOf
    | PayloadOf
    | TimerOf
    | WaitOf
    | ConsumedBy
    | EventAt
    | EventsNamed
    | EventByKey
    | PathsOf
    | WaitsFor
    | Seeking
    | MatchPathsOf
    | MatchesOf
    | PausedOf
    | OldestEvents
    | RecordsGone
    | GoingOf
    | DocumentOf
    | Registry
)


# --- answers --------------------------------------------------------------------


@final
@dataclass(slots=True)
class Run:
    """What is stored of a run. Without a row there is no such run.

    `epoch` is 0 if nobody holds it. The flags say whether there may be such rows.
    """

    row: RunRow | None = None
    length: int = 0
    epoch: int = 0
    is_ready: bool = False
    has_timers: bool = False
    has_waits: bool = False
    has_consumed: bool = False


@final
@dataclass(slots=True)
class Answers:
    """Answers so far, by kind and question."""

    runs: dict[RunOf, Run] = field(default_factory=dict[RunOf, Run])
    inboxes: dict[InboxOf, list[InboxRow]] = field(
        default_factory=dict[InboxOf, list[InboxRow]]
    )
    histories: dict[HistoryOf, list[bytes]] = field(
        default_factory=dict[HistoryOf, list[bytes]]
    )
    records: dict[RecordOf, bytes] = field(default_factory=dict[RecordOf, bytes])
    payloads: dict[PayloadOf, bytes] = field(default_factory=dict[PayloadOf, bytes])
    timers: dict[TimerOf, int] = field(default_factory=dict[TimerOf, int])
    waits: dict[WaitOf, WaitRow | None] = field(
        default_factory=dict[WaitOf, WaitRow | None]
    )
    consumed: dict[ConsumedBy, bool] = field(default_factory=dict[ConsumedBy, bool])
    events: dict[EventAt, StoredEvent | None] = field(
        default_factory=dict[EventAt, StoredEvent | None]
    )
    pages: dict[EventsNamed, list[StoredEvent]] = field(
        default_factory=dict[EventsNamed, list[StoredEvent]]
    )
    keys: dict[EventByKey, int | None] = field(
        default_factory=dict[EventByKey, int | None]
    )
    paths: dict[PathsOf, dict[str, bytes]] = field(
        default_factory=dict[PathsOf, dict[str, bytes]]
    )
    fitting: dict[WaitsFor, list[WaitRow]] = field(
        default_factory=dict[WaitsFor, list[WaitRow]]
    )
    seeking: dict[Seeking, list[WaitRow]] = field(
        default_factory=dict[Seeking, list[WaitRow]]
    )
    match_paths: dict[MatchPathsOf, dict[str, MatchPath]] = field(
        default_factory=dict[MatchPathsOf, dict[str, MatchPath]]
    )
    matches: dict[MatchesOf, list[int]] = field(
        default_factory=dict[MatchesOf, list[int]]
    )
    paused: dict[PausedOf, list[RunRow]] = field(
        default_factory=dict[PausedOf, list[RunRow]]
    )
    oldest: dict[OldestEvents, list[StoredEvent]] = field(
        default_factory=dict[OldestEvents, list[StoredEvent]]
    )
    going: dict[GoingOf, bool] = field(default_factory=dict[GoingOf, bool])
    gone: dict[RecordsGone, int] = field(default_factory=dict[RecordsGone, int])
    documents: dict[DocumentOf, DocumentRow | None] = field(
        default_factory=dict[DocumentOf, DocumentRow | None]
    )
    registry: dict[str, FunctionRow] | None = None
