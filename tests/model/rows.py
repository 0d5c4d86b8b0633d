"""What a run's rows and its host must hold for what is open in its model."""

from typing import Final

from tests.model import grammar as g
from tests.model.model import Ask, Model

# What the timers of a run put into its inbox; one for a retry only wakes it.
FIRED: Final = {
    "sleep": "SleepFired",
    "wait": "WaitTimedOut",
    "invoke": "DeadlinePassed",
    "run": "DeadlinePassed",
}


def running(model: Model) -> dict[str, tuple[int, str]]:
    """Return the steps under way: attempt, and how they are to be stopped."""
    asks = model.code.open.values()
    steps = [ask for ask in asks if isinstance(ask.node, g.Step)]
    return {step.id: (step.attempt, step.stop) for step in steps}


def stopping(model: Model) -> set[str]:
    """Return the steps and children that are to be stopped."""
    asks = model.code.open.values()
    if model.code.broken and model.state == "ended":  # its code cannot be asked
        children = [ask for ask in asks if isinstance(ask.node, g.Invoke | g.Spawn)]
        return {child.id for child in children if child.recorded}
    return {ask.id for ask in asks if ask.stop}


def taken(model: Model) -> set[str]:
    """Return the events that the run has taken."""
    facts = (*model.history, *model.inbox)
    return {fact[2] for fact in facts if fact[0] == "EventReceived"}


def timers_of(model: Model) -> set[tuple[str, str]]:
    """Return the timers that are or were set, by operation and kind."""
    if model.state == "ended":
        return set()
    answered = {name for _, name, *_ in model.inbox}
    asks = [ask for ask in model.code.open.values() if ask.id not in answered]
    timers = {(ask.id, timer_of(ask)) for ask in asks}
    if model.rules.run_timeout:
        timers.add(("", "run"))
    return {timer for timer in timers if timer[1]}


def timer_of(ask: Ask) -> str:
    """Return the kind of timer that an operation has set."""
    match ask.node:
        case g.Sleep() if ask.recorded:
            return "sleep"
        case g.Wait(limit) if limit and ask.recorded:
            return "wait"
        case g.Invoke(_, True) if ask.recorded:
            return "invoke"
        case g.Step() if ask.attempt > 1:
            return "retry"
    return ""
