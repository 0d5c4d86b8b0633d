"""Why a run stands as it does: what it waits for and until when, in words."""

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import UNSET

from ironflow.commands import output
from ironflow.interpreter import states
from ironflow.interpreter.fold import OperationState, RunState
from ironflow.policy.duration import format_duration
from ironflow.wire.answers import CircuitDocument, LostDocument, RunDocument

SHARED: Final = 0  # in place of an owner: any engine may carry the runs on
IN_BUNDLE: Final = -1  # nobody can
SERVED: Final = -2  # a server, and the workers that it has


def reasons(
    run: RunDocument, state: RunState, *, now: int, owner: int | None
) -> Iterator[str]:
    """Yield why a run that has not ended is not further; nothing for one that has.

    `owner` is the process that owns the data directory, None if there is none.
    """
    pause = run.pause
    if pause is not None:
        since = output.local(output.microseconds(pause.paused_at))
        yield f"paused ({pause.reason}) since {since}: {pause.message}"
        return
    if run.pause_requested is not UNSET:
        yield (
            "it is asked to pause, and will when the steps that run have ended;"
            " 'ironflow runs resume' takes that back"
        )
    if run.status == "waiting":
        for operation in state.operations:
            waits_for = waiting(operation, now=now)
            if waits_for:
                yield f"{operation.kind} {operation.id}: {waits_for}"
        return
    if run.status in {"queued", "running"}:
        yield from _going_on(run, now=now, owner=owner)


def _going_on(run: RunDocument, *, now: int, owner: int | None) -> Iterator[str]:
    """Yield who is at a run that waits for nothing, or why nobody is."""
    if run.circuit is not UNSET:
        yield _left_alone(run.circuit, now=now)
    if run.carried_by:
        yield f"{output.plain(run.carried_by)} carries it on now"
    elif run.circuit is UNSET:
        yield _ready(run, owner)


def _left_alone(circuit: CircuitDocument, *, now: int) -> str:
    """Return why the endpoint of a run is not called, and until when."""
    why = f" ({output.plain(circuit.last_error)})" if circuit.last_error else ""
    opens = output.microseconds(circuit.open_until or None)
    return (
        f"its endpoint {output.plain(circuit.endpoint)} failed"
        f" {circuit.consecutive_fails} times in a row{why}; it is left alone"
        f" {until(opens, now=now)}, then one run tries it"
    )


def moved(lost: LostDocument) -> str:
    """Return which worker lost a run, and what became of it."""
    if lost.by:
        then = f"carried on by {lost.by}"
    elif lost.went_on:
        then = "carried on since"
    else:
        then = "it waits for another"
    when = output.local(output.microseconds(lost.at))
    return f"worker {lost.worker} was lost at {when} ({lost.why}): {then}"


def _ready(run: RunDocument, owner: int | None) -> str:
    """Who carries on a run that waits for nothing."""
    verb = "start" if run.status == "queued" else "go on"
    function_id = run.function_id
    match owner:
        case _ if owner == IN_BUNDLE:
            return "it stood so when the bundle was written"
        case _ if owner == SHARED:
            return (
                f"it will {verb} in an engine that has the function {function_id}, as"
                " soon as one has room"
            )
        case _ if owner == SERVED:
            return (
                f"it will {verb} in the server, or in a worker of it, that has the"
                f" function {function_id}, as soon as one has room"
            )
        case None:
            return (
                f"no process owns the data directory: it will {verb} when an engine"
                f" that has the function {function_id} opens it"
            )
        case _:
            return f"process {owner} owns the data directory and carries its runs on"


def waiting(operation: OperationState, *, now: int) -> str:
    """Return what an open operation waits for, or nothing."""
    describe = _WAITS.get(operation.state)
    return "" if describe is None else describe(operation, now)


def _sleep(operation: OperationState, now: int) -> str:
    return until(operation.until, now=now)


def _event(operation: OperationState, now: int) -> str:
    same = f" with the same {operation.path}" if operation.path else ""
    event = output.plain(operation.event)
    return f"event {event}{same}{_limit(operation, now)}"


def _child(operation: OperationState, now: int) -> str:
    function_id = output.plain(operation.function_id)
    limit = _limit(operation, now)
    return f"child {operation.child_run} of {function_id}{limit}"


def _retry(operation: OperationState, now: int) -> str:
    number = len(operation.attempts) + 1
    return f"attempt {number} waits {until(operation.retry_at, now=now)}"


def _held(_operation: OperationState, _now: int) -> str:
    return "its attempts are used up; 'ironflow runs retry' tries again"


def _limit(operation: OperationState, now: int) -> str:
    limit = operation.timeout_at
    return f", {until(limit, now=now)}" if limit else ""


_WAITS: Final[dict[str, Callable[[OperationState, int], str]]] = {
    states.SLEEPING: _sleep,
    states.WAITING: _event,
    states.RUNNING: _child,
    states.STOPPING: _child,
    states.BACKING_OFF: _retry,
    states.HELD: _held,
}


def until(time_us: int, *, now: int) -> str:
    """Return `until ... (in 3h)` for a time."""
    left = time_us - now
    distance = f"in {format_duration(left)}" if left > 0 else "due"
    return f"until {output.local(time_us)} ({distance})"
