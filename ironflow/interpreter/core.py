"""The mutable state of one interpreter, and the smallest steps on it.

`asking`, `settling`, `cancelling` and `undoing` decide; this file only keeps what
they share: operations that are open, asks that have no record yet, fibers that
can run.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, final

import msgspec
from msgspec import field

from ironflow import limits, values
from ironflow.errors import UndeclaredPatch
from ironflow.interpreter.determinism import Generators
from ironflow.interpreter.fibers import Fiber, source_of
from ironflow.interpreter.operations import Invoke, Operation
from ironflow.interpreter.program import Program
from ironflow.interpreter.turn import LogLine, StopChild, StopStep
from ironflow.records import NO_PAYLOAD, Draft, EventData, Payload, Record


class Kind(Enum):
    """What an open operation waits for."""

    STEP = auto()
    UNDO = auto()
    SLEEP = auto()
    WAIT = auto()
    CHILD = auto()
    MARK = auto()  # nothing but its own command record


@final
class Pending(msgspec.Struct, eq=False):
    """An operation that was asked and is not settled.

    A Struct because one is made for every operation: its defaults cost nothing.
    """

    id: str
    kind: Kind
    operation: Operation[Any] | None
    fiber: Fiber | None
    asked_at: int
    asked: int = 0  # the record after which it was asked
    attempt: int = 1
    not_before: int = 0
    started: int = 0
    in_doubt: bool = False
    stopped: bool = False
    abandoned: bool = False
    last_error: Payload = NO_PAYLOAD
    child_run: str = ""
    joiners: list[Fiber] = []
    result: tuple[Any, BaseException | None] | None = None
    undo: "UndoEntry | None" = None
    record: Record | None = None  # of a sleep or wait that is open


@final
class Saga:
    """A saga that is open in some line of code, and the undos entered in it."""

    __slots__ = ("entries", "id", "outer")

    def __init__(self, id_: str, outer: "Saga | None") -> None:
        self.id = id_
        self.outer = outer
        self.entries: list[UndoEntry] = []


@final
class UndoEntry:
    """An undo that is owed: `id` and `number` are given when it is registered."""

    __slots__ = ("args", "fn", "id", "name", "number")

    def __init__(
        self, id_: str, name: str, fn: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        self.id = id_
        self.name = name
        self.fn = fn
        self.args = args
        self.number = 0


@final
class Ask:
    """A command record that the code asked for and the history does not hold yet."""

    __slots__ = ("draft", "pending", "recorded")

    def __init__(
        self,
        draft: Draft,
        pending: Pending | None,
        recorded: Callable[["Core", Record, Pending | None], None],
    ) -> None:
        self.draft = draft
        self.pending = pending
        self.recorded = recorded


@final
class Core(msgspec.Struct, eq=False):
    """Everything an interpreter knows. It implements `RunView`."""

    program: Program
    run_id: str
    root: Fiber | None = None  # made when RunStarted is fed
    event_data: EventData | None = None
    version: str = ""
    patches: frozenset[str] = frozenset()
    attempt_number: int = 1
    attributes: frozenset[str] = frozenset()  # names
    time: int = 0  # of the last record fed
    sequence: int = 0  # of the last record fed
    counted: int = 0  # records fed
    exempt: int = 0  # of them, those of undo: they do not count for history_limit
    decoders: dict[Callable[..., Any], Callable[[Payload], Any]] = {}
    fiber: Fiber | None = None  # whose code runs now
    closing: bool = False
    generators: Generators | None = None

    open: dict[str, Pending] = {}
    asks: deque[Ask] = field(default_factory=deque[Ask])
    to_perform: dict[str, Pending] = {}
    stops: dict[str, StopStep | StopChild] = {}
    abandoned: list[str] = []
    logs: list[LogLine] = []
    runnable: deque[tuple[Fiber, Any, BaseException | None]] = field(
        default_factory=deque[tuple[Fiber, Any, BaseException | None]]
    )
    in_hand: int = 0  # open operations that the host must settle
    children: dict[str, Pending] = {}
    end: Callable[[], None] | None = None  # once the children have ended

    run_saga: Saga = field(default_factory=lambda: Saga("", None))
    undos: int = 0  # registered so far
    undo_failures: list[str] = []
    cause: BaseException | None = None  # why the run is being cancelled
    finishing: bool = False  # the function's own code has ended
    ended: bool = False
    bug: Exception | None = None

    # --- RunView ----------------------------------------------------------------

    @property
    def function_id(self) -> str:
        """Return the function's id."""
        return self.program.id

    @property
    def attempt(self) -> int:
        """Return which attempt of the run this is; only RunRetried changes it."""
        return self.attempt_number

    @property
    def event(self) -> EventData:
        """Return the event that started the run."""
        assert self.event_data is not None
        return self.event_data

    def now(self) -> int:
        """Return the time of the last record fed."""
        return self.time

    def random(self) -> Any:
        """Return the generator of the scope of the code that runs now."""
        fiber = self.fiber
        if self.generators is None:
            self.generators = Generators(self.run_id)
        return self.generators.of("" if fiber is None else fiber.scope.prefix)

    def patched(self, patch: str) -> bool:
        """Say whether the run goes by the code with this patch."""
        if patch not in self.program.patches:
            declared = ", ".join(sorted(self.program.patches)) or "none"
            raise UndeclaredPatch(
                f"ctx.patched({patch!r}): function {self.program.id!r} declares no such"
                f" patch (declared: {declared}); add it to"
                f" @ironflow.function(patches=[{patch!r}])"
            )
        return patch in self.patches

    def log(
        self,
        level: int,
        message: str,
        args: tuple[Any, ...],
        error: BaseException | None,
    ) -> None:
        """Keep a line for the turn."""
        if not self.closing and len(self.logs) < limits.LOG_LINES_PER_TURN_MAX:
            self.logs.append(LogLine(self.sequence, level, message, args, error))

    def compensate(
        self, name: str, fn: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        """Register an undo in the saga of the code that runs now."""
        if self.closing or self.fiber is None:
            return
        id_ = self.fiber.scope.literal_id("compensate:", name)
        self.register_undo(self.fiber, UndoEntry(id_, f"compensate:{name}", fn, args))

    def enter_saga(self) -> object:
        """Open a saga in the line of code that runs now."""
        if self.closing or self.fiber is None:
            return Saga("", None)
        saga = Saga(self.fiber.scope.saga_id(), self.fiber.saga)
        self.fiber.saga = saga
        return saga

    def leave_saga(self, saga: object) -> None:
        """Close a saga; its undos pass to what encloses it."""
        assert isinstance(saga, Saga)
        if self.closing or self.fiber is None:
            return
        outer = saga.outer or self.run_saga
        outer.entries.extend(saga.entries)
        outer.entries.sort(key=lambda entry: entry.number)
        saga.entries.clear()
        self.fiber.saga = saga.outer

    # --- steps on the state -------------------------------------------------------

    def register_undo(self, fiber: Fiber, entry: UndoEntry) -> None:
        """Enter an undo where the fiber stands; newer ones are undone first."""
        self.undos += 1
        entry.number = self.undos
        (fiber.saga or self.run_saga).entries.append(entry)

    def ask(
        self,
        record: Record,
        recorded: Callable[["Core", Record, Pending | None], None],
        *,
        pending: Pending | None = None,
        payload: Payload = NO_PAYLOAD,
    ) -> None:
        """Ask for a command record; `recorded` is called when it is fed."""
        self.asks.append(Ask(Draft(record, payload), pending, recorded))

    def note(
        self, id_: str, kind: Kind, operation: Operation[Any] | None, fiber: Fiber
    ) -> Pending:
        """Note what a fiber waits for."""
        pending = Pending(id_, kind, operation, fiber, self.time, self.sequence)
        fiber.pending = pending
        return pending

    def perform(self, pending: Pending) -> None:
        """Open a step that the host shall perform; one that is stopped, to settle."""
        if pending.id not in self.open:
            self.open[pending.id] = pending
            self.in_hand += 1
        self.to_perform[pending.id] = pending
        if pending.stopped:
            assert pending.fiber is not None
            self.stops[pending.id] = StopStep(pending.id, pending.fiber.interrupt)

    def decoder_for(self, fn: Callable[..., Any]) -> Callable[[Payload], Any]:
        """Return what decodes the results of a step function, and remember it."""
        if len(self.decoders) >= limits.DECODERS_CACHED_MAX:
            self.decoders.clear()
        decoder = values.decoder_for(values.return_annotation(fn))
        decode = self.decoders[fn] = decoder.decode
        return decode

    def settle(self, pending: Pending) -> None:
        """Take an operation out of all books."""
        if self.open.pop(pending.id, None) is None:
            return
        if self.to_perform:
            self.to_perform.pop(pending.id, None)
        if self.stops:
            self.stops.pop(pending.id, None)
        if pending.kind is Kind.STEP or pending.kind is Kind.UNDO:
            self.in_hand -= 1

    def attached_children(self) -> list[Pending]:
        """Return the children that have not ended and end with this run."""
        return [
            child
            for child in self.children.values()
            if child.result is None
            and isinstance(child.operation, Invoke)
            and child.operation.attached
        ]

    def end_if_alone(self) -> None:
        """Ask for the end of a run that did not complete once it has no children."""
        if self.end is not None and not self.attached_children():
            end, self.end = self.end, None
            end()

    def schedule(
        self, fiber: Fiber, value: Any = None, error: BaseException | None = None
    ) -> None:
        """Let a fiber run on with a value or an error."""
        fiber.pending = None
        self.runnable.append((fiber, value, error))


def place(operation: Operation[Any] | None) -> str:
    """Return where in the source an operation was made, or ''."""
    return "" if operation is None else source_of(operation)
