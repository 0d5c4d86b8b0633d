"""Attempts that nobody waits for any more, until they have really ended.

A thread cannot be stopped, a step may shield itself from a cancel, and even one that does
not learns of its cancel at its next look at Trio. Until the last of them has ended no other
attempt of their step begins in this engine.
"""

from dataclasses import dataclass, field
from typing import final

import trio

Key = tuple[str, str]  # a run and a step of it


@final
@dataclass(slots=True, eq=False)
class _Left:
    """What is left behind of one step."""

    running: set[object] = field(default_factory=set[object])
    over: trio.Event = field(default_factory=trio.Event)


@final
class LeftBehind:
    """What is left behind in one engine: nothing, nearly always."""

    def __init__(self) -> None:
        self._left: dict[Key, _Left] = {}

    def __bool__(self) -> bool:
        return bool(self._left)

    def __contains__(self, key: Key) -> bool:
        return key in self._left

    def add(self, key: Key, running: object) -> None:
        """Remember something that runs for a step, until it is removed."""
        self._left.setdefault(key, _Left()).running.add(running)

    def remove(self, key: Key, running: object) -> None:
        """Note that it has ended, if it was remembered."""
        left = self._left.get(key)
        if left is None:
            return
        left.running.discard(running)
        if not left.running:
            del self._left[key]
            left.over.set()

    async def wait(self, key: Key) -> None:
        """Return when nothing of a step is left."""
        while (left := self._left.get(key)) is not None:
            await left.over.wait()
