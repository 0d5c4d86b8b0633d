"""What a test may change in an engine: how an attempt of a step is made.

An engine without hooks pays for none of it.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from ironflow.interpreter.turn import PerformStep

Call = Callable[[Callable[..., Any]], Awaitable[Any]]


class Hooks(Protocol):
    """Stands between an engine and the step functions that it calls."""

    async def make(self, run_id: str, perform: PerformStep, call: Call) -> Any:
        """Make an attempt and return its value: usually `await call(perform.fn)`.

        `call` gives a function the step's arguments, in the place where it belongs: a
        thread, Trio or asyncio. What is returned must fit the step's own annotation.
        """
        ...

    def broke(self, run_id: str, bug: Exception) -> None:
        """Learn of a bug in function code, before its run is paused or ended."""
        ...
