"""The clock of a worker: that of its server, as far as it is known."""

from typing import Final, final

from ironflow.engine.activity import Activity
from ironflow.engine.clock import Clock

_TOLERANCE_US: Final = 250_000  # of what a message takes on its way


@final
class ServerClock:
    """Goes by the machine's clock, set by what the server says.

    Sleeps and deadlines are computed by workers and kept by the server: with two clocks
    they would be early or late by what lies between them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._ahead_us = 0

    def told(self, now: int) -> None:
        """Take the time that the server has just sent."""
        if abs(now - self.now()) > _TOLERANCE_US:
            self._ahead_us = now - self._clock.now()

    def now(self) -> int:
        """Return the server's time in microseconds."""
        return self._clock.now() + self._ahead_us

    async def wait_until(self, time_us: int) -> None:
        """Return when `now()` is at least `time_us`."""
        await self._clock.wait_until(time_us - self._ahead_us)
        while self.now() < time_us:  # it was set back meanwhile
            await self._clock.wait_until(time_us - self._ahead_us)

    def attach(self, activity: Activity) -> None:
        """Let the clock below know what is in flight."""
        self._clock.attach(activity)
