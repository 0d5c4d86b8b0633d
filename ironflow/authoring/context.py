"""What a function is given: its event, its run, and everything it may ask for."""

from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Generic, NoReturn, TypeVar, final
from uuid import UUID

from ironflow.authoring.event import Event, moment
from ironflow.authoring.frames import frame_at, placed
from ironflow.authoring.logger import RunLogger
from ironflow.authoring.saga import Saga
from ironflow.authoring.step import StepClient
from ironflow.interpreter.operations import (
    ContinueAsNew,
    Operation,
    SetAttributes,
)
from ironflow.interpreter.program import RunView
from ironflow.policy.attributes import AttributeValue, check_values

PayloadT = TypeVar("PayloadT")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """A run as its own code knows it.

    `attempt` is 1, and one more each time somebody retries the failed run.
    `max_attempts` is how often each step is tried by the function's `retry=`.
    """

    id: str
    function_id: str
    attempt: int
    max_attempts: int


@final
class Context(Generic[PayloadT]):
    """A run, seen from its own code: the same live and on every replay.

    Function code must come to the same steps each time it is executed, so it asks
    here for the time, for chance and for ids, and puts everything that reaches
    outside into steps.
    """

    __slots__ = ("_max_attempts", "_view", "event", "logger", "step")

    event: Event[PayloadT]
    step: StepClient
    logger: RunLogger

    def __init__(
        self, view: RunView, event: Event[PayloadT], *, max_attempts: int
    ) -> None:
        self._view = view
        self._max_attempts = max_attempts
        self.event = event
        self.step = StepClient(view)
        self.logger = RunLogger(view)

    @property
    def run(self) -> RunInfo:
        """The run as it is now."""
        return RunInfo(
            id=self._view.run_id,
            function_id=self._view.function_id,
            attempt=self._view.attempt,
            max_attempts=self._max_attempts,
        )

    def now(self) -> datetime:
        """Return the time in UTC: when the last thing that the run saw was recorded.

        It stands still until the run waits for something.
        """
        return moment(self._view.now())

    def random(self) -> Random:
        """Return the run's generator of random numbers: `ctx.random().choice(...)`.

        It is seeded by the run, and each branch of a parallel or map has its own.
        Never use it for secrets.
        """
        return self._view.random()

    def uuid(self) -> UUID:
        """Return a new UUID in the shape of version 4, the same on every replay.

        Never use it as a secret.
        """
        return UUID(int=self._view.random().getrandbits(128), version=4)

    def patched(self, patch: str) -> bool:
        """Say whether this run goes by the code that has this patch.

        A run that was open when the patch was deployed may say False, and takes
        the old way to its end.

        Raises:
            UndeclaredPatch: `@ironflow.function(patches=[...])` lacks it.
        """
        return self._view.patched(patch)

    def saga(self) -> Saga:
        """Return a part to be undone as a whole: `async with ctx.saga():`."""
        return Saga(self._view)

    def set_attributes(self, **changes: AttributeValue | None) -> Operation[None]:
        """Change what lists find the run by: `await ctx.set_attributes(stage="paid")`.

        A value is a str, int, float, bool or datetime with a time zone; None removes the
        attribute. They are changed by the commit that records it, without a step. A run
        that goes on by `continue_as_new` keeps them, a child run does not get them.

        Raises:
            ConfigurationError: a name is none, or the run would have too many.
            ValueRejected: a value cannot be kept; the message names the attribute.
        """
        check_values(changes, option="set_attributes")
        return placed(SetAttributes(changes), frame_at(1))

    def continue_as_new(self, data: PayloadT) -> Operation[NoReturn]:
        """End this run and go on in a new one, started with `data`.

        Awaiting it never returns. The new run has a history of its own, so a loop
        may go on for years. Who waits for this run waits for the new one.

        Raises:
            MisusedOperation: when awaited inside a parallel, a map or a saga, while
                undo is registered or an attached child run is open.
        """
        return placed(ContinueAsNew(data), frame_at(1))
