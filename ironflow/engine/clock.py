"""Where time enters: every other file takes a `Clock`."""

import time
from typing import Final, Protocol, final

import trio

from ironflow.engine.activity import Activity

_SLEEP_MAX_S: Final = 60.0  # a wall clock may be set while we sleep


class Clock(Protocol):
    """The time of an engine, in microseconds since the epoch."""

    def now(self) -> int:
        """Return the time. It may go backwards when the machine's clock is set."""
        ...

    async def wait_until(self, time_us: int) -> None:
        """Return when `now()` is at least `time_us`."""
        ...

    def attach(self, activity: Activity) -> None:
        """Learn what is in flight in an engine that goes by this clock."""
        ...


@final
class SystemClock:
    """The wall clock of the machine."""

    def now(self) -> int:
        """Return the time of day."""
        return time.time_ns() // 1000

    async def wait_until(self, time_us: int) -> None:
        """Sleep until then, looking at the clock at least once a minute."""
        while (left := time_us - self.now()) > 0:  # noqa: ASYNC110  a clock has no event
            await trio.sleep(min(left / 1_000_000, _SLEEP_MAX_S))

    def attach(self, activity: Activity) -> None:
        """Do nothing: time passes whatever is in flight."""
