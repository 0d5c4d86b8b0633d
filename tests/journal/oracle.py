"""Who gets which event, the simple way: no index, no cursor, no budget.

An event goes at once, in each run, to the oldest wait that it fits; a new wait
looks at all events. `apply` must come to the same in the end.
"""

from dataclasses import dataclass, field


@dataclass
class Ask:
    """A wait that was asked; it takes one event, or times out."""

    step: str
    name: str
    value: int | None  # None: any
    after: int
    took: int = 0  # the position of its event
    is_open: bool = True

    def fits(self, name: str, value: int) -> bool:
        return self.name == name and self.value in {None, value}


@dataclass
class NaiveRun:
    """A run's waits, oldest first, and the events it took."""

    trigger: int
    asks: list[Ask] = field(default_factory=list[Ask])
    consumed: set[int] = field(default_factory=set[int])
    is_open: bool = True

    def offer(self, position: int, name: str, value: int) -> None:
        """Let the oldest wait have an event, if there is one for it."""
        if not self.is_open or position in self.consumed:
            return
        for ask in self.asks:
            if ask.is_open and position > ask.after and ask.fits(name, value):
                ask.took, ask.is_open = position, False
                self.consumed.add(position)
                return


@dataclass
class Oracle:
    """All runs and all events: (name, value), by position from 1."""

    log: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    runs: dict[str, NaiveRun] = field(default_factory=dict[str, NaiveRun])

    def emit(self, name: str, value: int) -> None:
        self.log.append((name, value))
        for run in self.runs.values():
            run.offer(len(self.log), name, value)

    def start(self, run_id: str) -> None:
        """The run's own event is the last one emitted."""
        self.runs[run_id] = NaiveRun(len(self.log))

    def wait(
        self, run_id: str, step: str, name: str, *, value: int | None, look_back: bool
    ) -> None:
        run = self.runs[run_id]
        after = run.trigger if look_back else len(self.log)
        run.asks.append(Ask(step, name, value, after))
        for position, event in enumerate(self.log, 1):
            run.offer(position, *event)

    def time_out(self, run_id: str, step: str) -> None:
        """A wait ends without an event."""
        for ask in self.runs[run_id].asks:
            ask.is_open &= ask.step != step

    def give_back(self, run_id: str, step: str) -> None:
        """A wait did not use its event: it is offered again."""
        run = self.runs[run_id]
        [ask] = [ask for ask in run.asks if ask.step == step]
        position, ask.took = ask.took, 0
        run.consumed.discard(position)
        run.offer(position, *self.log[position - 1])

    def taken(self, run_id: str) -> dict[str, int]:
        """The position of the event that each wait of a run took."""
        return {ask.step: ask.took for ask in self.runs[run_id].asks if ask.took}
