"""Waits for the attempts of a run that have begun."""

from collections.abc import Mapping
from typing import final

import trio

from ironflow.engine.steps import Attempt


@final
class UnderWay:
    """What is under way of a run; `changed` is told of whatever may end the wait."""

    def __init__(self, attempts: Mapping[str, Attempt]) -> None:
        self._attempts = attempts
        self._change: trio.Event | None = None

    @property
    def is_over(self) -> bool:
        """Say whether no function of a step is running."""
        return not any(attempt.running for attempt in self._attempts.values())

    async def change(self) -> None:
        """Wait for the next change."""
        self._change = trio.Event()
        await self._change.wait()

    def changed(self) -> None:
        """Wake who waits: an attempt has ended, or there is news for its run."""
        if self._change is not None:
            self._change.set()
