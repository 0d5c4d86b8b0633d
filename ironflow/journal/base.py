"""What a journal is: its commands, their answers, and what each call promises.

A journal has one write, `commit`. A command says what shall become true;
`journal/apply.py` expands it, inside the store's write transaction, into reads
and writes of a `View` (`journal/view.py`). So every store decides alike, and a
decision never rests on something read before the transaction began.

Only the holder of a run appends to its history. Everyone else (an event, a
timer, a child, a cancel) writes an *inbox* row and a *ready* row in the
transaction of its cause; the holder's next append moves inbox rows into the
history, in order. Deleting a wait or timer row decides a race, once.

What is made for every step is a Struct: a frozen dataclass costs six times as much.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import msgspec

from ironflow.errors import IronflowError
from ironflow.journal.deletions import DeleteEvents, DeleteRuns
from ironflow.journal.documents import (
    DeleteDocument,
    DocumentRow,
    ImportDocuments,
    PutDocument,
)
from ironflow.journal.imports import ImportEvents, ImportRun
from ironflow.journal.lists import RunCount, RunQuery, RunSummary, shown_status
from ironflow.journal.packings import Packing
from ironflow.journal.pauses import PauseRun, RequestPause, ResumeRun
from ironflow.journal.redactions import RedactEvent, RedactRecords
from ironflow.journal.rows import (
    CLOSED,
    Delivery,
    EventLog,
    FunctionRow,
    Hold,
    InboxRow,
    Lost,
    MatchPath,
    Pause,
    RunRow,
    RunStatus,
    StoredEvent,
    TimerKind,
    TimerRow,
    WaitRow,
)
from ironflow.journal.suspicions import (
    CountClaims,
    ForgiveClaims,
    NoteLost,
    NoteWorker,
)
from ironflow.records import Entry, EventData, Record

# Rows, lists and the commands of other files are part of the contract: import them
# from here.
__all__ = [
    "CLOSED",
    "CountClaims",
    "DeleteDocument",
    "DeleteEvents",
    "DeleteRuns",
    "Delivery",
    "DocumentRow",
    "EventLog",
    "ForgiveClaims",
    "FunctionRow",
    "Hold",
    "ImportDocuments",
    "ImportEvents",
    "ImportRun",
    "InboxRow",
    "Lost",
    "MatchPath",
    "NoteLost",
    "NoteWorker",
    "Packing",
    "Pause",
    "PauseRun",
    "PutDocument",
    "RedactEvent",
    "RedactRecords",
    "RequestPause",
    "ResumeRun",
    "RunCount",
    "RunQuery",
    "RunRow",
    "RunStatus",
    "RunSummary",
    "StoredEvent",
    "TimerKind",
    "TimerRow",
    "WaitRow",
    "shown_status",
]


# --- commands and their answers -----------------------------------------------


@dataclass(frozen=True, slots=True)
class RegisterFunctions:
    """Make these functions known; others stay as they are. Answer: `Done`.

    Runs that paused for a bug in another version of the code are ready again.
    """

    functions: tuple[FunctionRow, ...]
    now: int


class EmitEvents(msgspec.Struct, frozen=True, gc=False):
    """Store events, start the runs they trigger, wake the waits they match.

    All of them or none. Answer: `Emitted`, one receipt an event, in order. An
    idempotency key (scope: environment, event name, key) that was used before
    gives the first receipt with `duplicate=True`, whatever the payload. `only`: the
    events start this function, whatever its triggers, and no other; refused with
    `FunctionNotFound`. `attributes` are, for each event, those of the runs that it
    starts, encoded; without any, none have other ones than their function takes of the event.
    """

    events: tuple[EventData, ...]
    now: int
    only: str = ""
    attributes: tuple[bytes, ...] = ()


class DeliverEvents(msgspec.Struct, frozen=True, gc=False):
    """Go on with an unfinished delivery of events to waits. Answer: `Done`.

    An event wakes at most `limits.DELIVERIES_PER_COMMIT_MAX` waits in the commit
    that stores it, and a wait looks back at no more than
    `limits.LOOK_BACK_EVENTS_PER_COMMIT_MAX` events in the one that asks. Repeat this, also once at start, while it answers
    `changed=True`; `Hint.undelivered` says when to begin.
    """

    now: int


class AppendRecords(msgspec.Struct, frozen=True):
    """Append sealed records to a run; carry out what they mean.

    Answer: `Appended`. Refused with `LeaseLost` (epoch), `Conflict` (length), or
    `RunNotFound`. `inbox_through`: inbox rows up to this number are among the
    records and go. `park`: the run has nothing to do until a timer, event, child
    or cancel comes; it stays ready all the same if newer inbox rows wait.
    `headers` are the encoded headers, as `codec.seal` gave them.

    `abandoned`: sleeps and waits that a cancel has ended, also some that this very
    append asks. Their timer and wait rows go, and so do inbox rows for them (which are then not among the records): an
    event that only such a row had taken is no longer consumed, so that a later
    wait of the run can still have it.

    `awaited`: SleepStarted and WaitStarted records of the history before, whose
    answer the run waits for: the rows of those that have neither rows nor an answer
    in the inbox are put back. A wait that does not look back then counts from here.
    """

    run_id: str
    epoch: int
    expected_length: int
    entries: tuple[Entry, ...]
    headers: tuple[bytes, ...]
    inbox_through: int = 0
    park: bool = False
    abandoned: tuple[str, ...] = ()
    awaited: tuple[Record, ...] = ()


class FireTimer(msgspec.Struct, frozen=True, gc=False):
    """Let a due timer act. Answer: `Done`.

    Does nothing if exactly this timer is gone, or is not due at `now`. A wait's
    timer lets an unfinished delivery go on first, because an event stored before
    it fires wins; if that is not enough, the timer stays and is due again.
    """

    timer: TimerRow
    now: int


@dataclass(frozen=True, slots=True)
class RequestCancel:
    """Ask a run to cancel. Answer: `Done`; refused with `RunNotFound`.

    A run that has ended, or that has a cancel in its inbox, stays as it is
    (`Done(changed=False)`). A paused run is resumed, so that it can cancel.
    Of a chain made by continue_as_new it is the last run that is asked.
    """

    run_id: str
    actor: str
    reason: str
    now: int


JournalCommand = (
    RegisterFunctions
    | EmitEvents
    | DeliverEvents
    | AppendRecords
    | FireTimer
    | RequestCancel
    | RequestPause
    | PauseRun
    | ResumeRun
    | CountClaims
    | ForgiveClaims
    | NoteLost
    | NoteWorker
    | ImportRun
    | ImportEvents
    | DeleteRuns
    | DeleteEvents
    | RedactRecords
    | RedactEvent
    | PutDocument
    | DeleteDocument
    | ImportDocuments
)


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What became of an event. `run_ids` in the order of function ids."""

    event_id: str
    position: int
    run_ids: tuple[str, ...]
    duplicate: bool = False


class Emitted(msgspec.Struct, frozen=True, gc=False):
    """The receipts of `EmitEvents`."""

    receipts: tuple[Receipt, ...]


class Appended(msgspec.Struct, frozen=True, gc=False):
    """The run's length now, its waiting inbox rows, and whether it is parked.

    `asked` is a pause that somebody asks for (`RequestPause`), None for none.
    """

    length: int
    inbox: tuple[InboxRow, ...]
    parked: bool
    asked: Pause | None = None


class Done(msgspec.Struct, frozen=True, gc=False):
    """The command holds; `changed` says whether it had to do anything."""

    changed: bool = True


@dataclass(frozen=True, slots=True)
class Counted:
    """The claims were counted; these runs are paused and not held any more."""

    paused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """The document is stored, with this revision."""

    revision: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The command changed nothing; raise `error`."""

    error: IronflowError


Answer = Emitted | Appended | Done | Counted | Kept | Refused


# --- what a commit leaves behind for those who wait ------------------------------


@dataclass(slots=True)
class Hint:
    """What may be worth a look after a commit: never data, may be too much.

    `ready`: runs were made ready. `inbox`: runs that got inbox rows.
    `ended`: runs that ended, or were paused. `due`: the earliest timer set, 0 for none.
    `undelivered`: `DeliverEvents` has work. `room`: a lane that was full may have
    room for runs that are ready. `everything`: hints were lost; look at all there is.
    """

    ready: set[str] = field(default_factory=set[str])
    inbox: set[str] = field(default_factory=set[str])
    ended: set[str] = field(default_factory=set[str])
    due: int = 0
    undelivered: bool = False
    room: bool = False
    everything: bool = False


# --- the journal -------------------------------------------------------------------


class Claim(msgspec.Struct, frozen=True, gc=False):
    """The right to carry a run on. `epoch` goes into every append.

    `entries` is the history of a run, if that is short, which spares reading it; else
    it is empty.

    `asked` is a pause that somebody asked a holder before for (`RequestPause`).

    `is_recovered`: the run may have been held by a process that died, so the claim is
    to be counted first (`CountClaims`). A process that closed its journal held nothing.
    """

    run_id: str
    function_id: str
    epoch: int
    length: int
    inbox: tuple[InboxRow, ...]
    entries: Sequence[Entry] = ()
    is_recovered: bool = False
    asked: Pause | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A run at one moment: with its history up to `summary.length`, all there is of it.

    What it waits for is in the history, and `timers` say until when.
    """

    summary: RunSummary
    inbox: tuple[InboxRow, ...]
    timers: tuple[TimerRow, ...]


class Journal(Protocol):
    """One environment of a journal. Opened by `journal.url.open_journal`."""

    @property
    def environment(self) -> str:
        """The name of the environment."""
        ...

    async def commit(self, commands: Sequence[JournalCommand]) -> Sequence[Answer]:
        """Carry out the commands, in order, in one transaction.

        On return everything survives kill -9 and power loss. After a crash
        before that, all of the call holds or nothing. A refused command changes
        nothing and does not touch the others: its answer is `Refused`.

        Raises:
            JournalFull: no space; nothing was stored, the journal goes on.
            JournalFailed: the disk failed; the journal takes no more commits.
        """
        ...

    async def history(
        self, run_id: str, *, after: int = 0, limit: int = 10_000
    ) -> Sequence[Entry]:
        """Return records `after+1 .. after+limit` with their payloads, in order.

        None of a run that there is not.
        """
        ...

    async def find(self, query: RunQuery) -> Sequence[RunSummary]:
        """Return a page of runs, newest first."""
        ...

    async def run(self, run_id: str) -> RunSummary | None:
        """Return one run, or None."""
        ...

    async def standing(self, run_id: str) -> Standing | None:
        """Return one run with its inbox and timers, of one moment, or None."""
        ...

    async def functions(self) -> Sequence[FunctionRow]:
        """Return the registry: all functions that were made known, by id."""
        ...

    async def events(
        self, pattern: str = ">", *, after: int = 0, limit: int = 100
    ) -> Sequence[StoredEvent]:
        """Return events by pattern, in commit order, after a position.

        Who has seen position n has seen all up to n.
        """
        ...

    async def claim(self, functions: frozenset[str], *, limit: int) -> Sequence[Claim]:
        """Take ready runs of these functions that nobody holds.

        A run is held until its append says `park`, it ends, is paused or
        released, or the journal closes. A crash ends every hold.

        Of the runs of one function and `RunRow.lane`, at most `concurrency` (of the
        function as it is registered now) are held at once; lowering it takes no run
        away from its holder. Among all lanes with room, who was ready first comes
        first; runs of full lanes wait, and their number does not matter to the cost.
        """
        ...

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give runs back, still ready; others may claim them at once."""
        ...

    async def due(self, now: int, *, limit: int) -> tuple[Sequence[TimerRow], int]:
        """Return timers due at `now`, earliest first, and when the next is due.

        The second value is 0 if no timer remains.
        """
        ...

    async def timers(self, run_id: str) -> Sequence[TimerRow]:
        """Return the timers of one run: what it waits for and until when."""
        ...

    def watch(self, callback: Callable[[Hint], None]) -> Callable[[], None]:
        """Call back after each commit that changed something; return a stop.

        On the thread of the event loop. A hint may be lost: look once at start.
        """
        ...

    async def close(self) -> None:
        """Finish the commits under way and give everything back. Idempotent."""
        ...


@runtime_checkable
class CountedJournal(Journal, Protocol):
    """A journal that also counts its runs, for lists: no engine needs that."""

    async def counts(self) -> Sequence[RunCount]:
        """Return how many runs there are of each function and status, in this order."""
        ...


@runtime_checkable
class PackingJournal(Journal, Protocol):
    """A journal that packs histories of runs that ended long ago."""

    async def pack(
        self, *, ended_before: int, go_on: Callable[[], bool], at_once: bool = False
    ) -> Packing:
        """Pack histories of runs that ended before a time; 0: none. Return how much.

        Delete as well what nobody needs any more of what was packed. It is one round,
        beside the commits of others, and nothing is read differently after it. It ends
        early when `go_on` is false, which another thread may ask. A few runs of a day
        may wait until the day is over, unless all shall be packed `at_once`.

        Raises:
            JournalError: it cannot be done now; nothing is lost, try again later.
        """
        ...
