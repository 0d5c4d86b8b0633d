"""What is in flight: a clock that is not real may move only when nothing is."""

from typing import final

import trio


@final
class Activity:
    """Counts steps, threads and commits that are under way."""

    __slots__ = ("_count", "_idle")

    def __init__(self) -> None:
        self._count = 0
        self._idle = trio.Event()
        self._idle.set()

    def begin(self) -> None:
        """Note that something is under way."""
        if self._count == 0:
            self._idle = trio.Event()
        self._count += 1

    def end(self) -> None:
        """Note that it is over."""
        self._count -= 1
        if self._count == 0:
            self._idle.set()

    @property
    def count(self) -> int:
        """Return how much is under way."""
        return self._count

    async def wait_idle(self) -> None:
        """Return when nothing is under way, be it for an instant."""
        await self._idle.wait()
