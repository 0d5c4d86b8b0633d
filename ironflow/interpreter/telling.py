"""What a turn tells the host: the state of the run, and what has to be done for it."""

from ironflow.interpreter.core import Core, Pending, place
from ironflow.interpreter.operations import RunStep
from ironflow.interpreter.turn import PerformStep, Turn, TurnState
from ironflow.policy.retry import NO_RETRY
from ironflow.records import Draft


def turn_of(core: Core) -> Turn:
    """Take what is to be told out of the core: asks, steps, stops, log lines."""
    if core.bug is not None:
        return Turn("broken", bug=core.bug, logs=tuple(core.logs))
    asks: tuple[Draft, ...] = ()
    if core.asks:
        asks = tuple([ask.draft for ask in core.asks])
    perform: tuple[PerformStep, ...] = ()
    if core.to_perform:
        perform = tuple([_perform(core, each) for each in core.to_perform.values()])
        core.to_perform.clear()
    state: TurnState
    state = "ended" if core.ended else "working" if core.in_hand else "waiting"
    if not (core.stops or core.abandoned or core.logs):
        return Turn(state, asks, perform)
    turn = Turn(
        state,
        asks,
        perform,
        tuple(core.stops.values()),
        tuple(core.abandoned),
        tuple(core.logs),
    )
    core.stops.clear()
    core.abandoned.clear()
    core.logs.clear()
    return turn


def _perform(core: Core, pending: Pending) -> PerformStep:
    program, operation, undo = core.program, pending.operation, pending.undo
    if undo is not None:
        name, fn, args = undo.name, undo.fn, undo.args
        retry, timeout_us, once = program.retry, program.step_timeout_us, False
    else:
        assert isinstance(operation, RunStep)
        name, fn, args = operation.name, operation.fn, operation.args
        once = operation.once == "at_most"
        retry = operation.retry or (NO_RETRY if once else program.retry)
        timeout_us = operation.timeout_us or program.step_timeout_us
    return PerformStep(
        pending.id,
        name,
        fn,
        args,
        pending.attempt,
        retry,
        timeout_us,
        pending.not_before,
        pending.asked_at,
        place(operation),
        pending.started,
        once,
        pending.in_doubt,
        pending.last_error,
    )
