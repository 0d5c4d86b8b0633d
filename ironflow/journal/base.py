"""What a journal is: its commands, its rows, and what each call promises.

A journal has one write, `commit`. A command says what shall become true;
`journal/apply.py` expands it, inside the store's write transaction, into reads
and writes of a `View`. So every store decides alike, and a decision never
rests on something read before the transaction began.

Only the holder of a run appends to its history. Everyone else (an event, a
timer, a child, a cancel) writes an *inbox* row and a *ready* row in the
transaction of its cause; the holder's next append moves inbox rows into the
history, in order. Deleting a wait or timer row decides a race, once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ironflow.errors import IronflowError
from ironflow.records import Draft, Entry, EventData

RunStatus = Literal["open", "paused", "completed", "failed", "cancelled", "continued"]
CLOSED: frozenset[str] = frozenset({"completed", "failed", "cancelled", "continued"})
TimerKind = Literal["sleep", "wait", "invoke", "retry", "run", "start"]


# --- rows ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FunctionRow:
    """A function as the registry knows it; matching uses it at commit time.

    `triggers` are event patterns. Durations are microseconds, 0 for none.
    """

    id: str
    version: str
    triggers: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()
    run_timeout_us: int = 0
    start_timeout_us: int = 0


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a run stands still, and which code version would not go on.

    `reason` is one of `code` (a bug or a mismatch), `step` (a step with
    on_exhausted="pause"), `poison` (claims without progress).
    """

    reason: str
    message: str
    version: str
    paused_at: int


@dataclass(frozen=True, slots=True)
class RunRow:
    """The durable state of a run that is not in its history.

    It is written when the run starts, pauses and ends, never by a step.
    `trigger_position` is the place of the run's event in the event log: a wait
    looks back to it. A child's and a continued run's is the log's length when it
    was made.
    """

    run_id: str
    function_id: str
    status: RunStatus
    event_id: str
    event_name: str
    trigger_position: int
    created_at: int
    attempt: int = 1
    parent_run: str = ""
    parent_step: str = ""
    attached: bool = False
    continued_from: str = ""
    continued_to: str = ""
    ended_at: int = 0
    pause: Pause | None = None


@dataclass(frozen=True, slots=True)
class WaitRow:
    """A wait: `path` and `match_key` are empty where any event of the name fits.

    `sequence` is its WaitStarted record's. Of two waits of one run that an event
    fits, the older takes it: a run consumes an event once.
    """

    run_id: str
    step: str
    sequence: int
    event: str
    path: str
    match_key: bytes


@dataclass(frozen=True, slots=True)
class TimerRow:
    """Something that is due at `due` (microseconds)."""

    run_id: str
    step: str
    kind: TimerKind
    due: int


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event in its place in the log; `run_ids` are the runs it started."""

    position: int
    event: EventData
    run_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InboxRow:
    """A record on its way into a history; `number` counts within the run."""

    number: int
    draft: Draft


# --- commands and their answers -----------------------------------------------


@dataclass(frozen=True, slots=True)
class RegisterFunctions:
    """Make these functions known; others stay as they are. Answer: `Done`."""

    functions: tuple[FunctionRow, ...]
    now: int


@dataclass(frozen=True, slots=True)
class EmitEvents:
    """Store events, start the runs they trigger, wake the waits they match.

    All of them or none. Answer: `Emitted`, one receipt an event, in order. An
    idempotency key (scope: environment, event name, key) that was used before
    gives the first receipt with `duplicate=True`, whatever the payload.
    """

    events: tuple[EventData, ...]
    now: int


@dataclass(frozen=True, slots=True)
class AppendRecords:
    """Append sealed records to a run; carry out what they mean.

    Answer: `Appended`. Refused with `LeaseLost` (epoch), `Conflict` (length), or
    `RunNotFound`. `inbox_through`: inbox rows up to this number are among the
    records and go. `park`: the run has nothing to do until a timer, event, child
    or cancel comes; it stays ready all the same if newer inbox rows wait.
    `headers` are the encoded headers, as `codec.seal` gave them.
    """

    run_id: str
    epoch: int
    expected_length: int
    entries: tuple[Entry, ...]
    headers: tuple[bytes, ...]
    inbox_through: int = 0
    park: bool = False


@dataclass(frozen=True, slots=True)
class FireTimer:
    """Let a due timer act. Does nothing if the timer is gone. Answer: `Done`."""

    timer: TimerRow
    now: int


@dataclass(frozen=True, slots=True)
class RequestCancel:
    """Ask a run to cancel. Answer: `Done`; refused with `RunNotFound`.

    A run that has ended stays as it is (`Done(changed=False)`).
    """

    run_id: str
    actor: str
    reason: str
    now: int


@dataclass(frozen=True, slots=True)
class PauseRun:
    """The holder gives a run up until somebody resumes it. Answer: `Done`."""

    run_id: str
    epoch: int
    pause: Pause


@dataclass(frozen=True, slots=True)
class ResumeRun:
    """Make a paused run ready again. Answer: `Done`."""

    run_id: str


JournalCommand = (
    RegisterFunctions
    | EmitEvents
    | AppendRecords
    | FireTimer
    | RequestCancel
    | PauseRun
    | ResumeRun
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an event. `run_ids` in the order of function ids."""

    event_id: str
    position: int
    run_ids: tuple[str, ...]
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Emitted:
    """The receipts of `EmitEvents`."""

    receipts: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class Appended:
    """The run's length now, its waiting inbox rows, and whether it is parked."""

    length: int
    inbox: tuple[InboxRow, ...]
    parked: bool


@dataclass(frozen=True, slots=True)
class Done:
    """The command holds; `changed` says whether it had to do anything."""

    changed: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """The command changed nothing; raise `error`."""

    error: IronflowError


Answer = Emitted | Appended | Done | Refused


# --- what a commit leaves behind for those who wait ------------------------------


@dataclass(slots=True)
class Hint:
    """What may be worth a look after a commit: never data, may be too much.

    `ready`: runs were made ready. `inbox`: runs that got inbox rows.
    `ended`: runs that ended. `due`: the earliest timer set, 0 for none.
    """

    ready: set[str] = field(default_factory=set[str])
    inbox: set[str] = field(default_factory=set[str])
    ended: set[str] = field(default_factory=set[str])
    due: int = 0


class View(Protocol):
    """A store's tables inside one write transaction, as `apply` sees them.

    Reads see the writes before them. Keys are the environment of the journal and
    what the arguments say. No method decides anything.
    """

    hint: Hint

    def functions(self) -> Mapping[str, FunctionRow]: ...
    def put_function(self, row: FunctionRow) -> None: ...

    def log_length(self) -> int: ...
    def put_event(self, stored: StoredEvent) -> None: ...
    def event_at(self, position: int) -> StoredEvent: ...
    def events_named(
        self, name: str, *, after: int, limit: int
    ) -> Sequence[StoredEvent]: ...
    def event_by_key(self, name: str, key: str) -> int | None: ...
    def put_event_key(self, name: str, key: str, position: int) -> None: ...

    def run(self, run_id: str) -> RunRow | None: ...
    def put_run(self, row: RunRow) -> None: ...
    def length(self, run_id: str) -> int: ...
    def epoch(self, run_id: str) -> int: ...
    def append(
        self, run_id: str, entries: Sequence[Entry], headers: Sequence[bytes]
    ) -> None: ...

    def inbox(self, run_id: str) -> Sequence[InboxRow]: ...
    def put_inbox(self, run_id: str, draft: Draft) -> None: ...
    def drop_inbox(self, run_id: str, *, through: int) -> None: ...
    def put_ready(self, run_id: str, function_id: str) -> None: ...
    def drop_ready(self, run_id: str) -> None: ...

    def timer(self, run_id: str, step: str) -> TimerRow | None: ...
    def put_timer(self, row: TimerRow) -> None: ...
    def drop_timer(self, row: TimerRow) -> None: ...
    def put_wait(self, row: WaitRow) -> None: ...
    def drop_wait(self, run_id: str, step: str) -> WaitRow | None: ...
    def waits_for(self, event: EventData) -> Sequence[WaitRow]: ...
    def put_consumed(self, run_id: str, position: int) -> None: ...
    def consumed(self, run_id: str) -> frozenset[int]: ...
    def drop_run_tables(self, run_id: str) -> None: ...


# --- the journal -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to carry a run on. `epoch` goes into every append."""

    run_id: str
    function_id: str
    epoch: int
    length: int
    inbox: tuple[InboxRow, ...]


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs: newest first, those after `cursor` (a run id, exclusive).

    `status` takes the words of `RunSummary.status`.
    """

    status: str = ""
    function_id: str = ""
    parent_run: str = ""
    cursor: str = ""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run as lists show it.

    `status` is what users see: `queued` (no record but the first, and ready),
    `running` (ready or held), `waiting` (parked), or the row's own.
    """

    row: RunRow
    status: str
    length: int


class Journal(Protocol):
    """One environment of a journal. Opened by `journal.url.open_journal`."""

    environment: str

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
        """Return records `after+1 .. after+limit` with their payloads, in order."""
        ...

    async def find(self, query: RunQuery) -> Sequence[RunSummary]:
        """Return a page of runs, newest first."""
        ...

    async def run(self, run_id: str) -> RunSummary | None:
        """Return one run, or None."""
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


