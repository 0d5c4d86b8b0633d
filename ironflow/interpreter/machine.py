"""The interpreter: feed it records, and it says what the function asks for.

Records are taken one at a time, in order, and function code runs as far as it can
between two of them. So what a function sees is decided by the order of its history
alone, never by how that history is cut into batches (invariant 1).
"""

import sys
from collections import deque
from collections.abc import Iterable
from typing import Any, final

import msgspec

from ironflow import limits
from ironflow.errors import (
    Cancelled,
    HistoryLimitExceeded,
    MisusedOperation,
    RunFailure,
)
from ironflow.interpreter import asking, cancelling, ending, mismatch, settling
from ironflow.interpreter.core import Core, Pending
from ironflow.interpreter.fibers import (
    Fiber,
    Join,
    Scope,
    close_quietly,
    finalize_quietly,
    foreign_await,
)
from ironflow.interpreter.operations import Operation, RunStep, UndoSaga, is_operation
from ironflow.interpreter.program import Program
from ironflow.interpreter.telling import turn_of
from ironflow.interpreter.turn import StopChild, Turn
from ironflow.policy import attributes
from ironflow.records import (
    COMMANDS,
    CodeChanged,
    Entry,
    EventData,
    Record,
    Rewound,
    RunEnded,
    RunRetried,
    RunStarted,
    StepCompleted,
    StepStarted,
)

# Looked up once: they are used for every operation.
_SUSPENDED = asking.SUSPENDED
_RunStep: type[RunStep[Any]] = RunStep
_open_step = asking.open_step
_decode_event = msgspec.msgpack.Decoder(EventData).decode


@final
class Interpreter:
    """One run of one function. Synchronous; owned by one caller at a time.

    Feed it the *effective* history (`effective.effective`): amendments are folded
    before. After a turn that is `broken` it can only be closed.
    """

    def __init__(self, program: Program, run_id: str) -> None:
        self._core = Core(program, run_id)
        self._waiting: deque[Entry] = deque()

    # --- the caller's side ----------------------------------------------------------

    def feed(self, entries: Iterable[Entry]) -> None:
        """Take what the journal holds, in order. Nothing runs yet."""
        self._waiting.extend(entries)

    def advance(self) -> Turn:
        """Let function code run as far as the records fed allow; say what it asks.

        Never blocks and never raises what function code did wrong: a bug or a
        disagreement with the history is in the turn. Call it with no Trio task
        current (`engine.guard`), since it runs user code.
        """
        self.play()
        return turn_of(self._core)

    def play(self) -> None:
        """Let function code run, as `advance` does; the next turn says what it asks.

        For a history that is fed in pages. Nothing runs after `close`.
        """
        core, waiting = self._core, self._waiting
        if core.closing:
            return
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, finalize_quietly)
        try:
            while waiting and core.bug is None:
                self._take_results()
                if waiting and core.bug is None:
                    self._take(waiting.popleft())
        finally:
            core.fiber = None
            sys.set_asyncgen_hooks(*hooks)

    def take(self, entry: Entry) -> Turn:
        """Feed one record and advance."""
        self._waiting.append(entry)
        return self.advance()

    def expects(self, record: Record) -> bool:
        """Say whether an outcome still names something that is open."""
        kinds = settling.SETTLES.get(type(record))
        if kinds is None or not record.id:
            return (not self._core.ended and not self._core.finishing) or kinds is None
        pending = self._core.open.get(record.id)
        if pending is None or pending.kind not in kinds:
            return False
        return type(record) is not StepStarted or _may_start(pending, record)

    def close(self) -> bool:
        """Drop the coroutines; say whether all of them let themselves be closed.

        Their `finally` blocks run, but no operation in them does anything. Idempotent.
        """
        core = self._core
        core.closing = True
        if core.root is None or core.root.done:
            return True
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, finalize_quietly)
        try:
            closed = [close_quietly(fiber.body) for fiber in _fibers(core.root)]
            return all(closed)
        finally:
            sys.set_asyncgen_hooks(*hooks)

    def attached_children(self) -> tuple[StopChild, ...]:
        """Return how to stop the children that end with this run."""
        reason = "its parent was cancelled"
        return tuple(
            StopChild(child.id, child.child_run, reason)
            for child in self._core.attached_children()
        )

    def awaited(self) -> tuple[Record, ...]:
        """Return the records of the sleeps and waits that the code waits for."""
        found = [each.record for each in self._core.open.values() if each.record]
        return tuple(sorted(found, key=lambda record: record.sequence))

    @property
    def version(self) -> str:
        """Return the code version that the history names last."""
        return self._core.version

    # --- records in -------------------------------------------------------------------

    def _take_results(self) -> None:
        """Take results of plain steps straight to the code that awaits them.

        Nearly every record is one, and a long run has nothing else, so this does in one
        loop what `_take` and `settling` do for all in several places. It stops at the
        first record that is no such result, or whose value does not fit.
        """
        core, waiting = self._core, self._waiting
        limit = core.program.history_limit
        open_, to_perform, decoders = core.open, core.to_perform, core.decoders
        while waiting and not core.asks and core.bug is None:
            entry = waiting[0]
            record = entry.record
            pending = open_.get(id_ := record.id)
            if pending is None or type(record) is not StepCompleted:
                return
            operation: Operation[Any] | None = pending.operation
            fiber = pending.fiber
            if fiber is None or not isinstance(operation, RunStep) or operation.undo:
                return
            try:
                decode = decoders.get(operation.fn) or core.decoder_for(operation.fn)
                value = decode(entry.payload)
            except Exception:
                return
            waiting.popleft()
            core.sequence, core.time = record.sequence, record.recorded_at
            del open_[id_]
            core.in_hand -= 1
            to_perform.pop(id_, None)
            if core.stops:
                core.stops.pop(id_, None)
            fiber.pending = None
            self._resume(fiber, value, None)
            if core.runnable:
                self._run_fibers()
            core.counted += 1
            if core.counted - core.exempt >= limit:
                self._limit()

    def _take(self, entry: Entry) -> None:
        core, record = self._core, entry.record
        core.sequence = record.sequence
        core.time = record.recorded_at
        self._take_other(entry)
        if core.runnable:
            self._run_fibers()
        core.counted += 1
        if core.counted - core.exempt >= core.program.history_limit:
            self._limit()

    def _take_other(self, entry: Entry) -> None:
        core, record = self._core, entry.record
        kind = type(record)
        if kind is RunStarted and core.event_data is None:
            self._start(entry)
        elif kind is CodeChanged or kind is RunRetried or kind is Rewound:
            self._change(record)
        elif kind in COMMANDS and (kind is not StepStarted or record.attempt == 1):
            self._take_command(record)
        elif core.asks:
            core.bug = mismatch.not_asked_yet(core, record)
        elif self.expects(record):
            self._settle(entry)
        else:
            core.bug = mismatch.unexpected(core, record)

    def _start(self, entry: Entry) -> None:
        core, record = self._core, entry.record
        assert isinstance(record, RunStarted)
        core.version = record.version
        core.patches = frozenset(record.patches)
        try:
            core.attributes = frozenset(attributes.decode(record.attributes))
            core.event_data = _decode_event(entry.payload)
            body = core.program.start(core)
        except RunFailure as error:
            ending.root_done(core, None, error)
        except Exception as error:
            core.bug = error
        else:
            core.root = Fiber(body, Scope())
            core.schedule(core.root)

    def _change(self, record: Record) -> None:
        core = self._core
        if isinstance(record, CodeChanged):
            core.version = record.version
            core.patches = frozenset(record.patches)
        elif isinstance(record, Rewound):
            asking.ask_later(core)
        else:
            core.attempt_number = record.attempt

    def _take_command(self, record: Record) -> None:
        core = self._core
        if isinstance(record, RunEnded) and record.broken:
            core.asks.clear()  # what code that is not broken would do here
            settling.run_ended(core, record, None)
            return
        if not core.asks:
            core.bug = mismatch.unexpected(core, record)
            return
        ask = core.asks[0]
        if not mismatch.agrees(ask.draft.record, record):
            core.bug = mismatch.differs(core, ask.draft.record, record)
            return
        core.asks.popleft()
        ask.recorded(core, record, ask.pending)

    def _settle(self, entry: Entry) -> None:
        try:
            settling.OUTCOMES[type(entry.record)](self._core, entry)
        except Exception as error:
            self._core.bug = error

    def _limit(self) -> None:
        core = self._core
        if core.bug is not None or core.finishing or core.cause is not None:
            return
        error = HistoryLimitExceeded(
            f"the run has {core.counted - core.exempt} records, which is its history_limit; let long"
            " loops end with ctx.continue_as_new(data), or raise history_limit"
        )
        cancelling.cancel_run(core, error)
        self._run_fibers()

    # --- function code -------------------------------------------------------------------

    def _run_fibers(self) -> None:
        core = self._core
        runnable = core.runnable
        while runnable:
            if core.bug is not None:
                return
            self._resume(*runnable.popleft())

    def _resume(self, fiber: Fiber, value: Any, error: BaseException | None) -> None:
        core, body = self._core, fiber.body
        core.fiber = fiber
        try:
            while True:
                operation = body.send(value) if error is None else body.throw(error)
                if type(operation) is _RunStep and not fiber.cancelled:
                    value, error = self._ask_step(fiber, operation), None
                else:
                    value, error = self._ask(fiber, operation)
                if value is _SUSPENDED:
                    return
        except StopIteration as stop:
            self._done(fiber, stop.value, None)
        except (Exception, Cancelled) as caught:  # user code; recorded or in the turn
            self._done(fiber, None, caught)

    def _ask_step(self, fiber: Fiber, operation: RunStep[Any]) -> Any:
        """Return the step's result where the history has it next, or leave it open.

        So a replay goes through a long run without a note of what is open. Only what
        `_take_results` would take next is taken: nothing else is to run or to be asked
        before it, and the run's limit is not near.
        """
        core, waiting = self._core, self._waiting
        id_ = fiber.scope.step_id(operation.name)
        if not waiting:
            return _open_step(core, fiber, operation, id_)
        entry = waiting[0]
        record = entry.record
        if (
            record.id != id_
            or type(record) is not StepCompleted
            or operation.undo
            or operation.once == "at_most"
            or core.runnable
            or core.asks
            or core.bug
            # This record, and the one that is being taken now.
            or core.counted + 2 - core.exempt >= core.program.history_limit
        ):
            return _open_step(core, fiber, operation, id_)
        try:
            decode = core.decoders.get(operation.fn) or core.decoder_for(operation.fn)
            value = decode(entry.payload)
        except Exception:  # settling tells what does not fit
            return _open_step(core, fiber, operation, id_)
        waiting.popleft()
        core.sequence, core.time = record.sequence, record.recorded_at
        core.counted += 1
        return value

    def _ask(self, fiber: Fiber, operation: Any) -> tuple[Any, BaseException | None]:
        core = self._core
        if not is_operation(operation):
            core.bug = foreign_await(fiber.body, operation)
            return _SUSPENDED, None
        if fiber.cancelled and type(operation) is not UndoSaga:
            return self._refuse(fiber)
        try:
            ask = asking.HANDLERS[type(operation)]
            return ask(core, fiber, operation), None
        except (Exception, Cancelled) as error:  # what the code gets
            return None, error

    def _refuse(self, fiber: Fiber) -> tuple[Any, BaseException | None]:
        fiber.swallowed += 1
        if fiber.swallowed > limits.CLOSE_OPERATIONS_MAX:
            self._core.bug = MisusedOperation(
                f"function code swallowed Cancelled {limits.CLOSE_OPERATIONS_MAX} times"
                " and went on; clean up and let it pass"
            )
            return _SUSPENDED, None
        return None, Cancelled("this line of the run is cancelled")

    def _done(self, fiber: Fiber, value: Any, error: BaseException | None) -> None:
        fiber.done = True
        if fiber.join is None:
            ending.root_done(self._core, value, error)
        else:
            self._branch_done(fiber, fiber.join, value, error)

    def _branch_done(
        self, fiber: Fiber, join: Join, value: Any, error: BaseException | None
    ) -> None:
        core = self._core
        fails = error is not None and not join.fork.collect
        if error is not None and fails and ending.pauses(core, error):
            return  # nothing is cancelled: the other branches stay as they are
        del join.live[fiber.index]
        join.results[fiber.index] = value if error is None else error
        if fails and join.failure is None:
            join.failure = error
            cancelling.cancel_join(core, join, interrupt=False)
        elif isinstance(error, Cancelled) and join.failure is None:
            join.failure = error
        for index in join.startable():
            core.schedule(join.start(index))
        if join.live:
            return
        parent = join.fiber
        if join.failure is not None:
            core.schedule(parent, error=join.failure)
        elif join.started < len(join.results):
            core.schedule(parent, error=Cancelled("this line of the run is cancelled"))
        else:
            core.schedule(parent, join.fork.finish(join.results))


def _may_start(pending: Pending, record: Record) -> bool:
    """Say whether this attempt is the one that waits for its start to be recorded."""
    operation = pending.operation
    return (
        isinstance(operation, RunStep)
        and operation.once == "at_most"
        and pending.attempt == record.attempt
        and not pending.started
    )


def _fibers(fiber: Fiber) -> list[Fiber]:
    """Return the fiber and all below it, innermost first."""
    found: list[Fiber] = []
    if isinstance(fiber.pending, Join):
        for branch in fiber.pending.live.values():
            found.extend(_fibers(branch))
    found.append(fiber)
    return found
