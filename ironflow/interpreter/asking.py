"""What happens when function code awaits an operation: one function per class.

Each is called with the fiber whose code awaits. It returns `SUSPENDED`, or a value
that the code gets at once, or raises what the code shall get.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ironflow import limits, values
from ironflow.errors import MatchPathMissing, MisusedOperation
from ironflow.interpreter import ending, settling, undoing
from ironflow.interpreter.core import Core, Kind, Pending, Saga
from ironflow.interpreter.fibers import Fiber, Join, source_of
from ironflow.interpreter.operations import (
    ContinueAsNew,
    Fork,
    Invoke,
    JoinChild,
    Operation,
    Publish,
    RunStep,
    SetAttributes,
    Sleep,
    UndoSaga,
    WaitForEvent,
)
from ironflow.policy import attributes, match
from ironflow.policy.envelope import envelope_of
from ironflow.records import (
    AttributesSet,
    ChildStarted,
    Draft,
    Published,
    Record,
    RunContinued,
    SleepStarted,
    WaitStarted,
)

SUSPENDED: Final = object()
_STEP: Final = Kind.STEP


def open_step(core: Core, fiber: Fiber, operation: RunStep[Any], id_: str) -> object:
    """A plain step leaves no start record: its outcome is its only record."""
    pending = Pending(id_, _STEP, operation, fiber, core.time, core.sequence)
    fiber.pending = pending
    if operation.once == "at_most":
        settling.ask_start(core, pending)
    else:  # as core.perform does for one that is new
        core.open[id_] = core.to_perform[id_] = pending
        core.in_hand += 1
    return SUSPENDED


def ask_sleep(core: Core, fiber: Fiber, operation: Sleep) -> object:
    """The end of a sleep is computed from the run's own time, so it is the same."""
    pending = core.note(
        fiber.scope.step_id(operation.name), Kind.SLEEP, operation, fiber
    )
    until = operation.until or core.time + operation.duration_us
    record = SleepStarted(
        id=pending.id, until=until, asked_at=core.time, source=source_of(operation)
    )
    core.ask(record, settling.waiting, pending=pending)
    return SUSPENDED


def ask_wait(core: Core, fiber: Fiber, operation: WaitForEvent[Any]) -> object:
    """The value to match is read from the run's own event when the wait is asked."""
    key = _match_key(core, operation) if operation.path else b""
    pending = core.note(
        fiber.scope.step_id(operation.name), Kind.WAIT, operation, fiber
    )
    timeout_at = core.time + operation.timeout_us if operation.timeout_us else 0
    record = WaitStarted(
        id=pending.id,
        event=operation.event,
        path=operation.path,
        match_key=key,
        timeout_at=timeout_at,
        look_back=operation.look_back,
        asked_at=core.time,
        source=source_of(operation),
    )
    core.ask(record, settling.waiting, pending=pending)
    return SUSPENDED


def _match_key(core: Core, operation: WaitForEvent[Any]) -> bytes:
    path = match.parse_path(operation.path, option="match")
    value = match.value_at(envelope_of(core.event), path)
    key = None if value is match.MISSING else match.match_key(value)
    if key is None:
        found = "has no value" if value is match.MISSING else "is null"
        raise MatchPathMissing(
            f"wait_for_event({operation.name!r}, match={operation.path!r}): the path"
            f" {found} in the event {core.event.name!r} that started this run, so no"
            " event could ever match; correct the path or the event"
        )
    return key


def ask_publish(core: Core, fiber: Fiber, operation: Publish) -> object:
    """A message is published by the commit that records it."""
    payload = values.encode(operation.data)
    pending = core.note(
        fiber.scope.literal_id("publish:", operation.topic), Kind.MARK, operation, fiber
    )
    record = Published(
        id=pending.id,
        topic=operation.topic,
        event_id="",
        asked_at=core.time,
        source=source_of(operation),
    )
    core.ask(record, settling.published, pending=pending, payload=payload)
    return SUSPENDED


def ask_attributes(core: Core, fiber: Fiber, operation: SetAttributes) -> object:
    """Attributes are changed by the commit that records it."""
    changes = operation.changes
    after = core.attributes.union(changes).difference(
        name for name, value in changes.items() if value is None
    )
    attributes.check_count(len(after))
    core.attributes = after
    pending = core.note(
        fiber.scope.step_id(operation.name), Kind.MARK, operation, fiber
    )
    record = AttributesSet(
        id=pending.id, asked_at=core.time, source=source_of(operation)
    )
    payload = attributes.encode(changes)
    core.ask(record, settling.attributes_set, pending=pending, payload=payload)
    return SUSPENDED


def ask_invoke(core: Core, fiber: Fiber, operation: Invoke) -> object:
    """A child run is made by the commit that records it."""
    payload = values.encode(operation.data)
    pending = core.note(
        fiber.scope.step_id(operation.name), Kind.CHILD, operation, fiber
    )
    timeout_at = core.time + operation.timeout_us if operation.timeout_us else 0
    record = ChildStarted(
        id=pending.id,
        function_id=operation.function_id,
        child_run="",
        attached=operation.attached,
        awaited=operation.awaited,
        timeout_at=timeout_at,
        asked_at=core.time,
        source=source_of(operation),
    )
    core.ask(record, settling.child_started, pending=pending, payload=payload)
    return SUSPENDED


def ask_join(core: Core, fiber: Fiber, operation: JoinChild) -> object:
    """The child's end may have come before anybody waits for it."""
    pending = core.children.get(operation.child.step)
    if pending is None:
        raise MisusedOperation(
            f"result() of child run {operation.child.run_id}: this run did not start it"
        )
    if pending.result is None:
        pending.joiners.append(fiber)
        fiber.pending = pending
        return SUSPENDED
    value, error = pending.result
    if error is not None:
        raise error
    return value


def ask_fork(core: Core, fiber: Fiber, operation: Fork[Any]) -> object:
    """Branches start in the order of their index, as many as may run at once."""
    if fiber.scope.depth >= limits.SCOPE_DEPTH_MAX:
        raise MisusedOperation(
            f"{operation.name!r}: parallels and maps are nested more than"
            f" {limits.SCOPE_DEPTH_MAX} deep; start child runs instead"
        )
    use = fiber.scope.use(operation.name)
    join = Join(operation, fiber, use=use)
    fiber.pending = join
    for index in join.startable():
        core.schedule(join.start(index))
    if not join.live:
        return operation.finish(join.results)
    return SUSPENDED


def ask_undo(core: Core, fiber: Fiber, operation: UndoSaga) -> object:
    """Only what fails a run undoes a saga; a bug pauses the run as it stands."""
    saga, error = operation.saga, operation.error
    assert isinstance(saga, Saga)
    if ending.pauses(core, error):
        return SUSPENDED
    fiber.saga = saga.outer
    entries, saga.entries = saga.entries, []
    if not entries:
        return None
    reason = type(error).__name__
    undoing.start(
        core,
        entries,
        saga_id=saga.id,
        reason=reason,
        done=lambda: core.schedule(fiber),
    )
    fiber.pending = saga
    return SUSPENDED


def ask_continue(core: Core, fiber: Fiber, operation: ContinueAsNew) -> object:
    """The run ends here; its code is never resumed."""
    _check_may_continue(core, fiber)
    payload = values.encode(operation.data)
    record = RunContinued(
        id="", new_run="", asked_at=core.time, source=source_of(operation)
    )
    core.finishing = True
    core.ask(record, settling.run_ended, payload=payload)
    return SUSPENDED


def _check_may_continue(core: Core, fiber: Fiber) -> None:
    hindrance = ""
    if fiber.join is not None:
        hindrance = "it is called inside a parallel or map"
    elif core.run_saga.entries or _owes_undo(fiber.saga):
        hindrance = "undo is registered, which would be forgotten"
    elif core.attached_children():
        hindrance = "an attached child run is still open"
    if hindrance:
        raise MisusedOperation(f"continue_as_new is refused here: {hindrance}")


def _owes_undo(saga: Saga | None) -> bool:
    while saga is not None:
        if saga.entries:
            return True
        saga = saga.outer
    return False


# --- a rewind ---------------------------------------------------------------------


def ask_later(core: Core) -> None:
    """What is asked and has no record is asked at this time: sleeps count from here.

    After a rewind the code stands where it stood long ago, and so do its waits.
    """
    for ask in core.asks:
        pending, draft = ask.pending, ask.draft
        ask.draft = Draft(_asked_at(core.time, draft.record, pending), draft.payload)
    for pending in core.open.values():
        if pending.id in core.to_perform and pending.attempt == 1:
            pending.asked_at = core.time


def _asked_at(time: int, record: Record, pending: Pending | None) -> Record:
    later = time - record.asked_at
    record = msgspec.structs.replace(record, asked_at=time)
    match record:
        case SleepStarted():
            assert pending is not None
            operation = pending.operation
            assert isinstance(operation, Sleep)
            until = operation.until or record.until + later
            return msgspec.structs.replace(record, until=until)
        case WaitStarted() | ChildStarted() if record.timeout_at:
            timeout_at = record.timeout_at + later
            return msgspec.structs.replace(record, timeout_at=timeout_at)
        case _:
            return record


Handler = Callable[[Core, Fiber, Any], object]

# Of all operations but RunStep, which the machine asks for itself.
HANDLERS: Final[dict[type[Operation[Any]], Handler]] = {
    Sleep: ask_sleep,
    WaitForEvent: ask_wait,
    Publish: ask_publish,
    SetAttributes: ask_attributes,
    Invoke: ask_invoke,
    JoinChild: ask_join,
    Fork: ask_fork,
    UndoSaga: ask_undo,
    ContinueAsNew: ask_continue,
}
