"""What a host gives the interpreter: the function, and the run's own view.

`Program` is a function with its options in the machine's terms. `RunView` is what
function code may learn about its run; the machine implements it.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Literal, Protocol

from ironflow import limits
from ironflow.interpreter.operations import Operation
from ironflow.interpreter.player import Player
from ironflow.policy.retry import Retry
from ironflow.records import EventData

DEFAULT_RETRY: Final = Retry()

Body = Coroutine[Operation[Any], Any, Any]


class RunView(Protocol):
    """A run as its own code may see it: the same live and on every replay."""

    @property
    def run_id(self) -> str:
        """Return the run's id."""
        ...

    @property
    def function_id(self) -> str:
        """Return the function's id."""
        ...

    @property
    def attempt(self) -> int:
        """Return which attempt of the run this is; only RunRetried changes it."""
        ...

    @property
    def event(self) -> EventData:
        """Return the event that started the run."""
        ...

    def now(self) -> int:
        """Return the time of the last record seen, in microseconds."""
        ...

    def random(self) -> Random:
        """Return the generator of the current scope, seeded by run and scope."""
        ...

    def patched(self, patch: str) -> bool:
        """Say whether the run goes by the code with this patch."""
        ...

    def log(
        self,
        level: int,
        message: str,
        args: tuple[Any, ...],
        error: BaseException | None,
    ) -> None:
        """Log a line once: it leaves when the turn is durable, never on replay."""
        ...

    def compensate(
        self, name: str, fn: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        """Register an undo that is not bound to a step."""
        ...

    def enter_saga(self) -> object:
        """Open a saga in the current line of code; return its handle."""
        ...

    def leave_saga(self, saga: object) -> None:
        """Close a saga without undoing: its undos pass to what encloses it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A function as the machine sees it. Durations are microseconds, 0 for none.

    `start` makes the coroutine of the function for a run; it may raise
    PayloadRejected. `output` is the annotation that the result must fit. The
    interpreter takes no notice of `concurrency`, its key, `retention_us` and `attributes`
    (names, and paths into the event): hosts tell the journal. `player` makes what carries a run on (program, run id, environment),
    where that is not a `Session`; `start` is then not called. `durable` is called with
    the run's id, on the engine's loop, each time a move of it is durable.
    """

    id: str
    start: Callable[[RunView], Body]
    version: str = ""
    patches: frozenset[str] = frozenset()
    retry: Retry = DEFAULT_RETRY
    step_timeout_us: int = 0
    run_timeout_us: int = 0
    start_timeout_us: int = 0
    concurrency: int = 0
    concurrency_key: str = ""
    retention_us: int = 0
    history_limit: int = limits.HISTORY_RECORDS_DEFAULT
    undo_on_cancel: bool = True
    on_bug: Literal["pause", "fail"] = "pause"
    attributes: tuple[tuple[str, str], ...] = ()
    output: Any = Any
    player: "Callable[[Program, str, str], Player] | None" = None
    durable: Callable[[str], None] | None = None
