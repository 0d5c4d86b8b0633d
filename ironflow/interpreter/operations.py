"""What function code may await: one class per operation.

An operation is a value that yields itself to the interpreter when awaited. It
knows where in the source it was made (a code object and an offset; the line is
looked up only when somebody wants to read it) and nothing of its run: its id is
given when it is asked, from the scope of the line of code that awaits it.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final, Generic, Literal, TypeVar, final

import msgspec

from ironflow.policy.retry import Retry
from ironflow.records import EventData

T = TypeVar("T")

MISSING: Final = object()
Once = Literal["at_least", "at_most"]
OnError = Literal["fail_fast", "collect"]


class Operation(Generic[T]):
    """Something durable to wait for. Await it once, in function code only."""

    __slots__ = ()

    name: str
    code: CodeType | None
    instruction: int

    def __await__(self) -> Generator["Operation[Any]", Any, T]:
        """Hand the operation to the interpreter; return what it gives back."""
        result: T = yield self
        return result

    def at(self, code: CodeType, instruction: int) -> None:
        """Remember the place in the source that made this operation."""
        self.code = code  # type: ignore[misc]  # each class has the slot
        self.instruction = instruction  # type: ignore[misc]  # as above


def is_operation(awaited: object) -> bool:
    """Say whether what function code awaits is one of ours."""
    return isinstance(awaited, Operation)


@final
class RunStep(msgspec.Struct, Operation[T], eq=False):
    """Run `fn(*args)` once and record what it returns.

    A Struct because a run may ask for millions: its defaults cost nothing.
    """

    name: str
    fn: Callable[..., Any]
    args: tuple[Any, ...] = ()
    code: CodeType | None = None
    instruction: int = 0
    retry: Retry | None = None
    timeout_us: int = 0
    once: Once = "at_least"
    undo: Callable[..., Any] | None = None


@final
class Sleep(Operation[None]):
    """Sleep for `duration_us` after now, or until `until`."""

    __slots__ = ("code", "duration_us", "instruction", "name", "until")

    def __init__(self, name: str, *, duration_us: int = 0, until: int = 0) -> None:
        self.name = name
        self.duration_us = duration_us
        self.until = until
        self.code = None
        self.instruction = 0


@final
class WaitForEvent(Operation[T]):
    """Wait for an event; `convert` makes what the function gets of it.

    `path` is a value path in the run's own event and in the other. `default` is
    returned on timeout; without it (`MISSING`) WaitTimedOut is raised.
    """

    __slots__ = (
        "code",
        "convert",
        "default",
        "event",
        "instruction",
        "look_back",
        "name",
        "path",
        "timeout_us",
    )

    def __init__(
        self,
        name: str,
        event: str,
        *,
        path: str = "",
        timeout_us: int = 0,
        look_back: bool = True,
        default: Any = MISSING,
        convert: Callable[[EventData], Any],
    ) -> None:
        self.name = name
        self.event = event
        self.path = path
        self.timeout_us = timeout_us
        self.look_back = look_back
        self.default = default
        self.convert = convert
        self.code = None
        self.instruction = 0


@final
class Publish(Operation[str]):
    """Publish a message; gives its event id."""

    __slots__ = ("code", "data", "instruction", "name", "topic")

    def __init__(self, topic: str, data: Any) -> None:
        self.name = f"publish:{topic}"
        self.topic = topic
        self.data = data
        self.code = None
        self.instruction = 0


@final
class SetAttributes(Operation[None]):
    """Change the run's attributes, which are checked; None removes one."""

    __slots__ = ("changes", "code", "instruction", "name")

    def __init__(self, changes: Mapping[str, Any]) -> None:
        self.name = "attributes"
        self.changes = changes
        self.code = None
        self.instruction = 0


@dataclass(frozen=True, slots=True)
class Child:
    """A child run that was started: its run id and the id of the operation."""

    run_id: str
    function_id: str
    step: str


@final
class Invoke(Operation[Any]):
    """Start a child run. `awaited`: give its output; otherwise a `Child`."""

    __slots__ = (
        "attached",
        "awaited",
        "code",
        "data",
        "function_id",
        "instruction",
        "name",
        "timeout_us",
    )

    def __init__(
        self,
        function_id: str,
        data: Any,
        *,
        timeout_us: int = 0,
        awaited: bool = True,
        attached: bool = True,
    ) -> None:
        self.name = function_id
        self.function_id = function_id
        self.data = data
        self.timeout_us = timeout_us
        self.awaited = awaited
        self.attached = attached
        self.code = None
        self.instruction = 0


@final
class JoinChild(Operation[Any]):
    """Wait for the end of a child that was started before; gives its output."""

    __slots__ = ("child", "code", "instruction", "name")

    def __init__(self, child: Child) -> None:
        self.name = child.function_id
        self.child = child
        self.code = None
        self.instruction = 0


@final
class Fork(Operation[T]):
    """Run branches side by side, at most `concurrency` at once (0: all).

    Each branch is called when its turn comes and returns something to await.
    `collect`: failures are returned in their places; otherwise the first is
    raised when all branches have ended.
    """

    __slots__ = (
        "branches",
        "code",
        "collect",
        "concurrency",
        "finish",
        "instruction",
        "name",
    )

    def __init__(
        self,
        name: str,
        branches: Sequence[Callable[[], Awaitable[Any]]],
        *,
        concurrency: int = 0,
        collect: bool = False,
        finish: Callable[[list[Any]], T],
    ) -> None:
        self.name = name
        self.branches = branches
        self.concurrency = concurrency
        self.collect = collect
        self.finish = finish
        self.code = None
        self.instruction = 0


@final
class UndoSaga(Operation[None]):
    """Undo the steps of a saga that an exception is leaving."""

    __slots__ = ("code", "error", "instruction", "name", "saga")

    def __init__(self, saga: object, error: BaseException) -> None:
        self.name = ""
        self.saga = saga
        self.error = error
        self.code = None
        self.instruction = 0


@final
class ContinueAsNew(Operation[Any]):
    """End this run and start a new one with other data. Never returns."""

    __slots__ = ("code", "data", "instruction", "name")

    def __init__(self, data: Any) -> None:
        self.name = ""
        self.data = data
        self.code = None
        self.instruction = 0


@final
class StepOutcome(Generic[T]):
    """What an undo function is told about the step that it undoes.

    `in_doubt`: the step was stopped from outside or its process died with its
    attempts used up, so its effect may or may not have happened; `value` is then
    None. `idempotency_key` is the step's own: look it up in the outside world.
    """

    __slots__ = ("args", "idempotency_key", "in_doubt", "step", "value")

    def __init__(
        self,
        *,
        step: str,
        args: tuple[Any, ...],
        value: T | None,
        in_doubt: bool,
        idempotency_key: str,
    ) -> None:
        self.step = step
        self.args = args
        self.value = value
        self.in_doubt = in_doubt
        self.idempotency_key = idempotency_key

    def __repr__(self) -> str:
        """Show the step and what is known of it."""
        known = "in doubt" if self.in_doubt else repr(self.value)
        return f"StepOutcome({self.step!r}, {known})"
