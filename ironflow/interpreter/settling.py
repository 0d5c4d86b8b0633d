"""What records do to open operations: one function per record.

`recorded` functions are called for a command record that an ask has caused; the
functions in `OUTCOMES` for a record that settles an operation. Both let fibers run
on by scheduling them; no function code runs here.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ironflow import ids, values
from ironflow.errors import (
    Cancelled,
    RunTimedOut,
    WaitTimedOut,
)
from ironflow.interpreter import cancelling, failures, undoing
from ironflow.interpreter.core import Core, Kind, Pending, UndoEntry, place
from ironflow.interpreter.operations import (
    MISSING,
    Child,
    Invoke,
    RunStep,
    StepOutcome,
    WaitForEvent,
)
from ironflow.interpreter.turn import StopChild
from ironflow.records import (
    COMPLETED,
    CancelRequested,
    ChildEnded,
    ChildStarted,
    DeadlinePassed,
    Entry,
    ErrorInfo,
    EventData,
    EventReceived,
    Published,
    Record,
    SleepFired,
    StepCompleted,
    StepFailed,
    StepInDoubt,
    StepStarted,
)
from ironflow.records import (
    WaitTimedOut as WaitTimedOutRecord,
)

_decode_event = msgspec.msgpack.Decoder(EventData).decode

# --- command records that were asked for -----------------------------------------


def ask_start(core: Core, pending: Pending) -> None:
    """Ask for the start record without which this attempt may not be made."""
    record = StepStarted(
        id=pending.id,
        attempt=pending.attempt,
        asked_at=core.time,
        source=place(pending.operation),
    )
    core.ask(record, step_started, pending=pending)


def step_started(core: Core, record: Record, pending: Pending | None) -> None:
    """Perform the step now that its start is on record."""
    assert pending is not None
    pending.started = record.sequence
    core.perform(pending)


def attempt_started(core: Core, entry: Entry) -> None:
    """Perform a later attempt: its host has recorded that its time has come."""
    step_started(core, entry.record, core.open[entry.record.id])


def waiting(core: Core, record: Record, pending: Pending | None) -> None:
    """Open a sleep or wait, unless a cancel has ended it in the same turn."""
    assert pending is not None
    if not pending.abandoned:
        pending.record = record
        core.open[pending.id] = pending


def published(core: Core, record: Record, pending: Pending | None) -> None:
    """Give the message's event id to the code that published it."""
    assert isinstance(record, Published)
    assert pending is not None
    assert pending.fiber is not None
    core.schedule(pending.fiber, record.event_id)


def attributes_set(core: Core, record: Record, pending: Pending | None) -> None:
    """Let the code go on: its attributes are on record."""
    assert pending is not None
    assert pending.fiber is not None
    core.schedule(pending.fiber)


def child_started(core: Core, record: Record, pending: Pending | None) -> None:
    """Open the child; code that does not wait for it goes on with its handle."""
    assert isinstance(record, ChildStarted)
    assert pending is not None
    assert pending.fiber is not None
    pending.child_run = record.child_run
    core.open[pending.id] = pending
    core.children[pending.id] = pending
    if pending.stopped:
        core.stops[pending.id] = StopChild(
            pending.id, record.child_run, "the parent's scope was cancelled"
        )
    if not record.awaited:
        child = Child(record.child_run, record.function_id, pending.id)
        core.schedule(pending.fiber, child)


def run_ended(core: Core, record: Record, pending: Pending | None) -> None:
    """The run is over; nothing it waits for matters any more."""
    core.ended = True
    core.to_perform.clear()
    core.stops.clear()


# --- outcomes of steps -------------------------------------------------------------


def step_completed(core: Core, entry: Entry) -> None:
    """Record the undo, then give the result to the code."""
    pending = core.open[entry.record.id]
    core.settle(pending)
    if pending.kind is Kind.UNDO:
        core.exempt += 1
        undoing.settled(core, pending, None)
        return
    operation, fiber = pending.operation, pending.fiber
    assert isinstance(operation, RunStep)
    assert fiber is not None
    value = values.decode(entry.payload, values.return_annotation(operation.fn))
    _register(core, pending, value=value, in_doubt=False)
    core.schedule(fiber, value)


def step_failed(core: Core, entry: Entry) -> None:
    """Try again, or give the failure to the code."""
    record = entry.record
    assert isinstance(record, StepFailed)
    pending = core.open[record.id]
    pending.in_doubt = pending.in_doubt or record.in_doubt
    if pending.kind is Kind.UNDO:
        core.exempt += 1
    if not record.final:
        _next_attempt(core, pending, entry)
        return
    core.settle(pending)
    info = failures.decode(entry.payload)
    if pending.kind is Kind.UNDO:
        undoing.settled(core, pending, info)
        return
    if pending.in_doubt:
        _register(core, pending, value=None, in_doubt=True)
    fiber = pending.fiber
    assert fiber is not None
    error: BaseException = failures.step_error(_name(pending), record.attempt, info)
    if fiber.cancelled and info.code == failures.NEVER_BEGUN:
        error = Cancelled(info.message)
    core.schedule(fiber, error=error)


def _next_attempt(core: Core, pending: Pending, entry: Entry) -> None:
    record = entry.record
    assert isinstance(record, StepFailed)
    pending.attempt = record.attempt + 1
    pending.not_before = record.retry_at
    pending.last_error = entry.payload
    pending.started = 0
    core.perform(pending)


def step_in_doubt(core: Core, entry: Entry) -> None:
    """Nobody knows what the step did: it is undone like a completed one."""
    record = entry.record
    pending = core.open[record.id]
    core.settle(pending)
    info = failures.decode(entry.payload)
    if pending.kind is Kind.UNDO:
        core.exempt += 1
        undoing.settled(core, pending, info)
        return
    _register(core, pending, value=None, in_doubt=True)
    fiber = pending.fiber
    assert fiber is not None
    error: BaseException = failures.step_in_doubt(_name(pending), record.attempt, info)
    if fiber.cancelled:
        error = Cancelled(str(error))
    core.schedule(fiber, error=error)


def _register(core: Core, pending: Pending, *, value: Any, in_doubt: bool) -> None:
    operation, fiber = pending.operation, pending.fiber
    assert isinstance(operation, RunStep)
    assert fiber is not None
    if operation.undo is None:
        return
    outcome = StepOutcome(
        step=operation.name,
        args=operation.args,
        value=value,
        in_doubt=in_doubt,
        idempotency_key=ids.idempotency_key(core.run_id, pending.id),
    )
    id_ = fiber.scope.literal_id("compensate:", operation.name)
    name = f"compensate:{operation.name}"
    core.register_undo(fiber, UndoEntry(id_, name, operation.undo, (outcome,)))


def _name(pending: Pending) -> str:
    return pending.id if pending.operation is None else pending.operation.name


# --- outcomes of waits ---------------------------------------------------------------


def sleep_fired(core: Core, entry: Entry) -> None:
    """The sleep is over."""
    pending = core.open[entry.record.id]
    core.settle(pending)
    assert pending.fiber is not None
    core.schedule(pending.fiber)


def event_received(core: Core, entry: Entry) -> None:
    """Give the event to the code that waits for it."""
    pending = core.open[entry.record.id]
    core.settle(pending)
    operation, fiber = pending.operation, pending.fiber
    assert isinstance(operation, WaitForEvent)
    assert fiber is not None
    core.schedule(fiber, operation.convert(_decode_event(entry.payload)))


def wait_timed_out(core: Core, entry: Entry) -> None:
    """Give the default, or raise WaitTimedOut."""
    pending = core.open[entry.record.id]
    core.settle(pending)
    operation, fiber = pending.operation, pending.fiber
    assert isinstance(operation, WaitForEvent)
    assert fiber is not None
    if operation.default is not MISSING:
        core.schedule(fiber, operation.default)
        return
    error = WaitTimedOut(
        f"step {operation.name!r}: no event {operation.event!r} came in time; catch"
        " WaitTimedOut or give wait_for_event a default=",
        step=operation.name,
        event=operation.event,
    )
    core.schedule(fiber, error=error)


# --- outcomes of children ---------------------------------------------------------------


def child_ended(core: Core, entry: Entry) -> None:
    """Keep the child's result, and give it to whoever waits."""
    record = entry.record
    assert isinstance(record, ChildEnded)
    pending = core.open[record.id]
    core.settle(pending)
    operation, fiber = pending.operation, pending.fiber
    assert isinstance(operation, Invoke)
    assert fiber is not None
    pending.result = _child_result(pending, entry)
    value, error = pending.result
    if operation.awaited and not core.finishing:
        if error is not None and fiber.cancelled:
            error = Cancelled(f"child run {record.child_run} was cancelled")
        core.schedule(fiber, value, error)
    for joiner in pending.joiners:
        core.schedule(joiner, value, error)
    pending.joiners.clear()
    core.end_if_alone()


def _child_result(pending: Pending, entry: Entry) -> tuple[Any, BaseException | None]:
    record = entry.record
    assert isinstance(record, ChildEnded)
    operation = pending.operation
    assert isinstance(operation, Invoke)
    if record.status == COMPLETED:
        return values.decode(entry.payload), None
    if pending.in_doubt:  # its deadline passed before
        info = ErrorInfo(
            type="TimeoutError",
            message="it did not end within its timeout and was cancelled",
            code="TIMEOUT",
        )
    elif entry.payload:
        info = failures.decode(entry.payload)
    else:
        info = ErrorInfo(type="Cancelled", message="it was cancelled")
    return None, failures.invoke_error(operation.function_id, record.child_run, info)


def deadline_passed(core: Core, entry: Entry) -> None:
    """A child that takes too long is cancelled; so is a run."""
    record = entry.record
    if record.id:
        pending = core.open[record.id]
        pending.in_doubt = True
        cancelling.stop_child(core, pending, "its timeout passed")
        return
    assert isinstance(record, DeadlinePassed)
    did = "begin" if record.timer == "start" else "end"
    error = RunTimedOut(
        f"run {core.run_id} of {core.program.id!r} did not {did} within its"
        f" {record.timer}_timeout"
    )
    cancelling.cancel_run(core, error)


def cancel_requested(core: Core, entry: Entry) -> None:
    """Cancel every line of code; the run ends cancelled whatever it does then."""
    record = entry.record
    assert isinstance(record, CancelRequested)
    reason = record.reason or "no reason was given"
    cancelling.cancel_run(core, Cancelled(f"the run was cancelled: {reason}"))


Handler = Callable[[Core, Entry], None]

OUTCOMES: Final[dict[type[Record], Handler]] = {
    StepCompleted: step_completed,
    StepStarted: attempt_started,
    StepFailed: step_failed,
    StepInDoubt: step_in_doubt,
    SleepFired: sleep_fired,
    EventReceived: event_received,
    WaitTimedOutRecord: wait_timed_out,
    ChildEnded: child_ended,
    DeadlinePassed: deadline_passed,
    CancelRequested: cancel_requested,
}

# Which kinds of open operation an outcome record may settle.
SETTLES: Final[dict[type[Record], tuple[Kind, ...]]] = {
    StepCompleted: (Kind.STEP, Kind.UNDO),
    StepStarted: (Kind.STEP,),
    StepFailed: (Kind.STEP, Kind.UNDO),
    StepInDoubt: (Kind.STEP, Kind.UNDO),
    SleepFired: (Kind.SLEEP,),
    EventReceived: (Kind.WAIT,),
    WaitTimedOutRecord: (Kind.WAIT,),
    ChildEnded: (Kind.CHILD,),
    DeadlinePassed: (Kind.CHILD,),
}
