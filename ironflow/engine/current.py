"""`ironflow.current_step()`: what a step function may know about itself."""

from contextvars import ContextVar  # noqa: TID251  a step function takes no context argument
from dataclasses import dataclass
from typing import Final, Protocol

from ironflow import ids
from ironflow.engine.activity import Activity
from ironflow.errors import EngineError
from ironflow.interpreter.turn import PerformStep


@dataclass(frozen=True, slots=True)
class CurrentStep:
    """The attempt that is being made.

    `idempotency_key` is the same for every attempt, restart and machine: give it to
    the outside world, so that a repeated effect is noticed there. `deadline` is in
    microseconds since the epoch, None without a timeout.
    """

    id: str
    name: str
    run_id: str
    attempt: int
    deadline: int | None
    idempotency_key: str


class Attempting(Protocol):
    """What `current_step` is made of when it is asked for: an attempt."""

    run_id: str
    perform: PerformStep
    deadline: int

    @property
    def activity(self) -> Activity:
        """Return what counts it."""
        ...


ATTEMPTING: Final[ContextVar[Attempting]] = ContextVar("ironflow_attempt")


def current_step() -> CurrentStep:
    """Return the step whose function calls this, in its task or thread.

    Raises:
        EngineError: the caller does not run inside a step.
    """
    try:
        attempting = ATTEMPTING.get()
    except LookupError:
        raise EngineError(
            "current_step() was called outside of a step; call it in a function that"
            " ctx.step.run(...) runs"
        ) from None
    perform = attempting.perform
    return CurrentStep(
        id=perform.id,
        name=perform.name,
        run_id=attempting.run_id,
        attempt=perform.attempt,
        deadline=attempting.deadline or None,
        idempotency_key=ids.idempotency_key(attempting.run_id, perform.id),
    )
