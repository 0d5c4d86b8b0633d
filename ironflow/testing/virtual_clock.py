"""A clock that moves only when it is told to, and never past work that is under way.

Trio's own test clock jumps as soon as every task waits, also for a thread that needs
another 50 ms under a timeout of 30 s. This one asks the engine what is in flight.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Final, final

import trio
from trio.testing import wait_all_tasks_blocked

from ironflow.engine.activity import Activity
from ironflow.engine.current import ATTEMPTING, Attempting
from ironflow.errors import ConfigurationError
from ironflow.policy.duration import Duration, parse_duration

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
START: Final = datetime(2030, 1, 1, tzinfo=UTC)


@final
class _WakeUp:
    """A task that waits for a time."""

    __slots__ = ("due", "reached")

    def __init__(self, due: int) -> None:
        self.due = due
        self.reached = trio.Event()


@final
class VirtualClock:
    """The time of engines under test; it begins at midnight UTC, 1 January 2030.

    Give it to `open_engine(app, url, clock=clock)`, then `await clock.advance("1d")`.
    It stands still while a step, a thread or a commit is under way, so what happens in
    a test does not depend on how fast the machine is.
    """

    def __init__(self, start: datetime = START) -> None:
        if start.tzinfo is None:
            raise ConfigurationError(
                f"start={start!r} has no time zone; give an aware datetime"
            )
        self._now = (start - _EPOCH) // _US
        self._activities: list[Activity] = []
        self._waiting: set[_WakeUp] = set()
        self._sleeping: Counter[Attempting] = Counter()

    # --- what an engine asks of it ------------------------------------------------------

    def now(self) -> int:
        """Return the time in microseconds since the epoch."""
        return self._now

    async def wait_until(self, time_us: int) -> None:
        """Return when `now()` is at least `time_us`."""
        if time_us <= self._now:
            await trio.lowlevel.checkpoint()
            return
        wake_up = _WakeUp(time_us)
        self._waiting.add(wake_up)
        try:
            await wake_up.reached.wait()
        finally:
            self._waiting.discard(wake_up)

    def attach(self, activity: Activity) -> None:
        """Stand still while something is under way in this engine too."""
        self._activities.append(activity)

    # --- what a test asks of it ----------------------------------------------------------

    async def settle(self) -> None:
        """Return when nothing more can happen without an event or a later time."""
        while True:
            await wait_all_tasks_blocked()
            busy = [each for each in self._activities if each.count]
            if not busy:
                return
            await busy[0].wait_idle()

    async def advance(self, duration: Duration) -> None:
        """Move on by `duration`, from one wake-up to the next, in their order.

        At each the clock stands still until everything that it set off has settled.
        """
        target = self._now + parse_duration(duration, option="duration")
        await self.settle()
        while (due := self._next_due()) is not None and due <= target:
            await self._move_to(due)
        await self._move_to(target)

    async def sleep(self, duration: Duration) -> None:
        """Sleep in virtual time; the clock may move although the calling step runs.

        For the stand-in of a slow step: a real sleep would hold the clock.
        """
        until = self._now + parse_duration(duration, option="duration")
        attempting = ATTEMPTING.get(None)
        if attempting is None:
            await self.wait_until(until)
            return
        # A step may sleep in several tasks at once; it is counted once.
        self._sleeping[attempting] += 1
        if self._sleeping[attempting] == 1:
            attempting.activity.end()
        try:
            await self.wait_until(until)
        finally:
            self._sleeping[attempting] -= 1
            if not self._sleeping[attempting]:
                del self._sleeping[attempting]
                attempting.activity.begin()

    def _next_due(self) -> int | None:
        return min((wake_up.due for wake_up in self._waiting), default=None)

    async def _move_to(self, time_us: int) -> None:
        self._now = time_us
        for wake_up in self._waiting:
            if wake_up.due <= time_us:
                wake_up.reached.set()
        await self.settle()
