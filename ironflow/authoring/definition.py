"""A function as a value: what was decorated, and what the engine takes of it."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, final

from ironflow.interpreter.program import Program

PayloadT = TypeVar("PayloadT")
OutputT = TypeVar("OutputT")


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Function(Generic[PayloadT, OutputT]):
    """A function that survives a crash, as `@ironflow.function` makes it.

    It belongs to no registry: give it to an `ironflow.App`. `fn` is what was
    decorated, `triggers` the names and patterns of the events that start it,
    `program` all of it as the engine takes it.
    """

    id: str
    triggers: tuple[str, ...]
    fn: Callable[[Any], Coroutine[Any, Any, OutputT]]
    program: Program

    def __repr__(self) -> str:
        """Show the id."""
        return f"<ironflow.Function {self.id!r}>"
