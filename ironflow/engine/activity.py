"""What is in flight: a clock that is not real may move only when nothing is."""

from typing import final

import trio


@final
class Activity:
    """Counts steps, threads and commits that are under way."""

    __slots__ = ("_idle", "count")

    def __init__(self) -> None:
        self.count = 0  # how much is under way
        self._idle: trio.Event | None = None  # made when somebody waits

    def begin(self) -> None:
        """Note that something is under way."""
        self.count += 1

    def end(self) -> None:
        """Note that it is over."""
        self.count -= 1
        if self.count == 0 and self._idle is not None:
            self._idle.set()
            self._idle = None

    async def wait_idle(self) -> None:
        """Return when nothing is under way, be it for an instant."""
        if self.count:
            if self._idle is None:
                self._idle = trio.Event()
            await self._idle.wait()
