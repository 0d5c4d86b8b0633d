"""Cancel: what happens to every line of code in a scope that is cancelled.

As in Trio a cancel is a level, not an edge: once set, every later operation of the
scope raises `Cancelled`. A scope ends only when every step in flight is settled.
"""

from collections import deque

from ironflow.errors import Cancelled
from ironflow.interpreter.core import Core, Kind, Pending, Saga
from ironflow.interpreter.fibers import Fiber, Join
from ironflow.interpreter.operations import Invoke
from ironflow.interpreter.turn import StopChild, StopStep


def cancel_run(core: Core, cause: BaseException) -> None:
    """Cancel the whole run, unless its own code has ended or a cause came before."""
    if core.finishing or core.cause is not None:
        return
    core.cause = cause
    assert core.root is not None
    cancel_fiber(core, core.root, interrupt=True)


def cancel_join(core: Core, join: Join, *, interrupt: bool) -> None:
    """Cancel the branches of a parallel or map; queued ones never start."""
    join.cancelled = True
    for fiber in list(join.live.values()):
        cancel_fiber(core, fiber, interrupt=interrupt)


def cancel_fiber(core: Core, fiber: Fiber, *, interrupt: bool) -> None:
    """Set the level for one line of code, and end what it waits for."""
    if fiber.cancelled and fiber.interrupt >= interrupt:
        return
    fiber.cancelled = True
    fiber.interrupt = interrupt
    waiting_for = fiber.pending
    if isinstance(waiting_for, Join):
        cancel_join(core, waiting_for, interrupt=interrupt)
    elif isinstance(waiting_for, Pending):
        _cancel_operation(core, fiber, waiting_for, interrupt=interrupt)
    else:
        # It runs on in this turn, or its saga is being undone, which is shielded.
        assert waiting_for is None or isinstance(waiting_for, Saga)


def _cancel_operation(
    core: Core, fiber: Fiber, pending: Pending, *, interrupt: bool
) -> None:
    if fiber in pending.joiners:  # it only waits for the result of a child
        pending.joiners.remove(fiber)
        core.schedule(fiber, error=Cancelled(_sentence(pending)))
        return
    if pending.kind is Kind.STEP and pending.asked == core.sequence:
        # Asked and cancelled by one record: no host has ever heard of it.
        core.asks = deque(ask for ask in core.asks if ask.pending is not pending)
        core.settle(pending)
        core.schedule(fiber, error=Cancelled(_sentence(pending)))
    elif pending.kind is Kind.STEP:
        pending.stopped = True
        core.stops[pending.id] = StopStep(pending.id, interrupt)
    elif isinstance(pending.operation, Invoke):
        if pending.operation.awaited:  # the others end with the run, not with a scope
            stop_child(core, pending, "its parent's scope was cancelled")
    elif pending.kind in {Kind.SLEEP, Kind.WAIT}:
        pending.abandoned = True
        core.settle(pending)
        core.abandoned.append(pending.id)
        core.schedule(fiber, error=Cancelled(_sentence(pending)))


def stop_child(core: Core, pending: Pending, reason: str) -> None:
    """Ask a child to cancel; what waits for it goes on when it has ended."""
    pending.stopped = True
    if pending.child_run and pending.result is None:
        core.stops[pending.id] = StopChild(pending.id, pending.child_run, reason)


def _sentence(pending: Pending) -> str:
    return f"cancelled while waiting for {pending.id!r}"
