"""One heap and one task for everything that is due later in this process."""

import heapq
from collections.abc import Callable
from itertools import count
from typing import Final, final

import trio

from ironflow.engine.clock import Clock

_SWEEP_MIN: Final = 1_000  # alarms in the heap before cancelled ones are swept out


@final
class Alarm:
    """A call that is due; `cancel` takes it back."""

    __slots__ = ("action", "due")

    def __init__(self, due: int, action: Callable[[], None]) -> None:
        self.due = due
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Forget it. Harmless when it has rung."""
        self.action = None


@final
class Alarms:
    """Rings alarms in the order of their times; `run` is its task."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, Alarm]] = []
        self._numbers = count()
        self._sleep: trio.CancelScope | None = None
        self._earlier = trio.Event()
        self._sweep_at = _SWEEP_MIN

    def set(self, due: int, action: Callable[[], None]) -> Alarm:
        """Call `action` at `due` (microseconds); it must not block or raise."""
        alarm = Alarm(due, action)
        first = not self._heap or due < self._heap[0][0]
        heapq.heappush(self._heap, (due, next(self._numbers), alarm))
        if first:
            self._wake()
        if len(self._heap) > self._sweep_at:
            self._sweep()
        return alarm

    async def run(self) -> None:
        """Ring alarms for ever."""
        while True:
            self._ring()
            self._earlier = trio.Event()
            if not self._heap:
                await self._earlier.wait()
                continue
            with trio.CancelScope() as self._sleep:
                await self._clock.wait_until(self._heap[0][0])
            self._sleep = None

    def _ring(self) -> None:
        now = self._clock.now()
        while self._heap and (
            self._heap[0][0] <= now or self._heap[0][2].action is None
        ):
            alarm = heapq.heappop(self._heap)[2]
            action, alarm.action = alarm.action, None
            if action is not None:
                action()

    def _wake(self) -> None:
        self._earlier.set()
        if self._sleep is not None:
            self._sleep.cancel()

    def _sweep(self) -> None:
        self._heap = [item for item in self._heap if item[2].action is not None]
        heapq.heapify(self._heap)
        self._sweep_at = max(_SWEEP_MIN, 2 * len(self._heap))
