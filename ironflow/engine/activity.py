"""What is in flight: a clock that is not real may move only when nothing is."""

from typing import final

import trio


@final
class Activity:
    """Counts steps, threads and commits that are under way."""

    __slots__ = ("_count", "_idle")

    def __init__(self) -> None:
        self._count = 0
        self._idle: trio.Event | None = None  # made when somebody waits

    def begin(self) -> None:
        """Note that something is under way."""
        self._count += 1

    def end(self) -> None:
        """Note that it is over."""
        self._count -= 1
        if self._count == 0 and self._idle is not None:
            self._idle.set()
            self._idle = None

    @property
    def count(self) -> int:
        """Return how much is under way."""
        return self._count

    async def wait_idle(self) -> None:
        """Return when nothing is under way, be it for an instant."""
        if self._count:
            if self._idle is None:
                self._idle = trio.Event()
            await self._idle.wait()
