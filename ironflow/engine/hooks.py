"""What may stand between an engine and the code that it calls: tests, and tracing.

An engine without hooks pays for none of it.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ironflow.interpreter.turn import PerformStep

Call = Callable[[Callable[..., Any]], Awaitable[Any]]


class Hooks:
    """Does nothing; derive from it, and say what shall be done."""

    def emitting(self, metadata: Mapping[str, str]) -> Mapping[str, str]:
        """Return the metadata that an event of this engine is stored with."""
        return metadata

    async def make(self, run_id: str, perform: PerformStep, call: Call) -> Any:
        """Make an attempt and return its value: usually `await call(perform.fn)`.

        `call` gives a function the step's arguments, in the place where it belongs: a
        thread, Trio or asyncio. What is returned must fit the step's own annotation.
        """
        del run_id
        return await call(perform.fn)

    def broke(self, run_id: str, bug: Exception) -> None:
        """Learn of a bug in function code, before its run is paused or ended."""

    async def ended(self, run_id: str) -> None:
        """Learn that a run that was carried on here has ended; it is durable."""
