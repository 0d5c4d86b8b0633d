"""A run that is held: its code, and how the steps that are under way may end."""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from ironflow.interpreter.player import Move
from ironflow.interpreter.session import Session
from ironflow.interpreter.turn import PerformStep, StopStep
from ironflow.journal.base import Claim
from ironflow.journal.memory_durable import TimerKey
from ironflow.records import Draft

How = Literal["ends", "in doubt", "given up", "begins"]


@dataclass(frozen=True, slots=True)
class News:
    """What the model of a run is told, and the draft with which the run is."""

    verb: str
    about: tuple[Any, ...] = ()
    draft: Draft | None = None
    number: int = 0  # in the inbox


@dataclass(slots=True)
class Host:
    """A run that is held: its code, and the steps that are under way.

    Code that was left to be loaded anew is loaded when it is asked for.
    """

    claim: Claim
    load: Callable[[], Session]
    loaded: int  # how many records its code was loaded with
    code: Session | None = None
    performing: dict[str, PerformStep] = field(default_factory=dict)
    stopping: dict[str, str] = field(default_factory=dict)  # gently, or now
    unbegun: set[str] = field(default_factory=set)  # stopped in the move that asked
    left: list[News] = field(default_factory=list)  # what a full move did not take

    @property
    def session(self) -> Session:
        """Return the code of the run."""
        if self.code is None:
            self.code = self.load()
        return self.code

    def close(self) -> bool:
        """Drop the code quietly; say whether it let itself be closed."""
        return self.code is None or self.code.close()

    def is_lost(self, step: PerformStep) -> bool:
        """Say whether somebody who is gone recorded the start of this attempt."""
        return 0 < step.started <= self.loaded

    def unstopped(self) -> Iterator[PerformStep]:
        """Yield the steps that nothing keeps from ending by themselves."""
        for step in self.performing.values():
            may_end = step.started or not step.at_most_once
            if may_end and step.id not in self.stopping and not self.is_lost(step):
                yield step

    def may_rest(self, timers: Container[TimerKey]) -> bool:
        """Say whether timers of the journal will wake all that is under way."""
        names = self.performing
        return (
            bool(names)
            and not self.stopping
            and not any(step.started for step in names.values())
            and all((name, "retry") in timers for name in names)
        )

    def ways(self, step: PerformStep) -> Iterator[How]:
        """Yield how this attempt may end."""
        if self.is_lost(step):
            yield "in doubt"
            return
        if step.id in self.unbegun:
            yield "given up"
            return
        yield "ends" if step.started or not step.at_most_once else "begins"
        if self.stopping.get(step.id) == "now":
            yield "in doubt"
        if step.id in self.stopping and step.attempt > 1:
            yield "given up"

    def saved(self) -> "SavedHost":
        """Return what is needed to hold the run again."""
        steps = tuple(self.performing.values())
        stopping, unbegun = self.stopping.copy(), frozenset(self.unbegun)
        return SavedHost(self.loaded, steps, stopping, unbegun, self.left)

    def take(self, move: Move) -> None:
        """Note what the move asks of us."""
        for step in move.perform:
            self.performing[step.id] = step
        for stop in move.stops:
            if isinstance(stop, StopStep) and stop.id in self.performing:
                self.stopping[stop.id] = stop_word(stop)
        ours = [
            step for step in move.perform if not self.session.may_have_begun(step.id)
        ]
        self.unbegun |= {step.id for step in ours if step.id in self.stopping}


@dataclass(frozen=True, slots=True)
class SavedHost:
    """A host without its code."""

    loaded: int
    performing: tuple[PerformStep, ...]
    stopping: dict[str, str]
    unbegun: frozenset[str]
    left: list[News]


def stop_word(stop: StopStep) -> str:
    """Return how a step is to be stopped, as the model says it."""
    return "now" if stop.interrupt else "gently"
