"""Lines of function code: start, resume, join and close. They know no records.

A *fiber* is one coroutine and the scope whose ids it uses. A run has one; each
branch of a parallel or map has one of its own, whose `join` says what waits for
it. Suspending is not resuming: nothing is thrown into a coroutine to suspend it.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from functools import lru_cache
from types import CodeType
from typing import Any, Final, final

from ironflow import ids, limits
from ironflow.errors import Cancelled, ForeignAwaitError, MisusedOperation
from ironflow.interpreter.operations import Fork, Operation
from ironflow.interpreter.program import Body


@final
class Scope:
    """Where ids are made: one counter per name, over all kinds of operation."""

    __slots__ = ("_begins", "_counters", "depth", "prefix")

    def __init__(self, prefix: str = "", *, depth: int = 0) -> None:
        self.prefix = prefix
        self.depth = depth
        self._counters: dict[str, int] = {}
        self._begins: dict[str, str] = {}  # of step ids, by name

    def use(self, name: str) -> int:
        """Count one more use of a name; return how many there were before."""
        counters = self._counters
        count = counters.get(name, 0)
        counters[name] = count + 1
        return count

    def step_id(self, name: str) -> str:
        """Return the id of the next operation of this name."""
        counters = self._counters  # as `use` does: every step comes here
        count = counters.get(name, 0)
        counters[name] = count + 1
        begin = self._begins.get(name)
        if begin is None:
            begin = self._begins[name] = f"{self.prefix}{ids.escaped(name)}:"
        return f"{begin}{count}"

    def literal_id(self, kind: str, name: str) -> str:
        """Return the next id of `kind` + escaped name; the kind stays as it is."""
        return f"{self.prefix}{kind}{ids.escaped(name)}:{self.use(kind + name)}"

    def saga_id(self) -> str:
        r"""Return the id of the next saga: `\#saga:n`, which no name can make."""
        return f"{self.prefix}\\#saga:{self.use(chr(0))}"

    def branch(self, name: str, use: int, index: int) -> "Scope":
        """Return the scope of a branch of the `use`-th parallel of this name."""
        segment = ids.scope_segment(name, use)
        return Scope(f"{self.prefix}{segment}:{index}:", depth=self.depth + 1)


@final
class Fiber:
    """One line of function code and what it waits for."""

    __slots__ = (
        "body",
        "cancelled",
        "done",
        "index",
        "interrupt",
        "join",
        "pending",
        "saga",
        "scope",
        "swallowed",
    )

    def __init__(
        self, body: Body, scope: Scope, *, join: "Join | None" = None, index: int = 0
    ) -> None:
        self.body = body
        self.scope = scope
        self.join = join
        self.index = index
        self.pending: Any = None  # what the machine has noted for it
        self.saga: Any = None if join is None else join.fiber.saga
        self.cancelled = False if join is None else join.cancelled
        self.interrupt = False
        self.swallowed = 0
        self.done = False


@final
class Join:
    """A parallel or map under way: branches to start, running, and their results."""

    __slots__ = (
        "cancelled",
        "failure",
        "fiber",
        "fork",
        "live",
        "results",
        "started",
        "use",
    )

    def __init__(self, fork: Fork[Any], fiber: Fiber, *, use: int) -> None:
        self.fork = fork
        self.fiber = fiber
        self.use = use
        self.results: list[Any] = [None] * len(fork.branches)
        self.live: dict[int, Fiber] = {}
        self.started = 0
        self.failure: BaseException | None = None
        self.cancelled = False

    def startable(self) -> Iterator[int]:
        """Yield the indexes of branches that may start now."""
        total = len(self.fork.branches)
        limit = self.fork.concurrency or total
        while self.started < total and len(self.live) < limit and not self.cancelled:
            self.started += 1
            yield self.started - 1

    def start(self, index: int) -> Fiber:
        """Make the fiber of a branch; its code does not run yet."""
        scope = self.fiber.scope.branch(self.fork.name, self.use, index)
        body = _branch_body(self.fork.branches[index])
        fiber = Fiber(body, scope, join=self, index=index)
        self.live[index] = fiber
        return fiber


async def _branch_body(branch: Callable[[], Awaitable[Any]]) -> Any:
    awaitable = branch()
    if not hasattr(awaitable, "__await__"):
        raise MisusedOperation(
            f"a branch returned {type(awaitable).__name__}, which cannot be awaited:"
            " give parallel and map functions that return an operation"
            " (lambda step: step.run(...)) or are declared with 'async def'"
        )
    return await awaitable


def foreign_await(body: Body, yielded: object) -> ForeignAwaitError:
    """Say which line awaited something that is not an operation of ironflow."""
    places = list(_lines_awaiting(body))
    where = places[0]
    if len(places) > 1:
        where += f", down to {places[-1]}"
    return ForeignAwaitError(
        f"{where}: function code awaited something that yields"
        f" {type(yielded).__name__}; it may await ironflow's operations only. Put the"
        " call into a step: await ctx.step.run('name', fn, ...)"
    )


def _lines_awaiting(body: Body) -> Iterator[str]:
    """Yield the lines at which a coroutine and all that it awaits stand, outside in."""
    inner: Any = body
    while inner is not None:
        frame = getattr(inner, "cr_frame", None) or getattr(inner, "gi_frame", None)
        if frame is not None and frame.f_code is not _branch_body.__code__:
            yield f"{short_path(frame.f_code.co_filename)}:{frame.f_lineno}"
        inner = getattr(inner, "cr_await", None) or getattr(inner, "gi_yieldfrom", None)


def close_quietly(body: Body) -> bool:
    """Close a coroutine that is dropped; say whether it let itself be closed.

    Its `finally` blocks run, but every operation they await raises GeneratorExit,
    so that nothing is done. After CLOSE_OPERATIONS_MAX operations we give up.
    """
    for _ in range(limits.CLOSE_OPERATIONS_MAX):
        if _closed(list(_awaiting(body))):
            return True
    return False


def _closed(chain: list[Any]) -> bool:
    """Close coroutines that await each other, innermost first; False: one yielded.

    Thrown into the outermost, GeneratorExit would become a RuntimeError where an inner
    one awaits in its `finally`, and `except Exception` around it would see it.
    """
    while chain:
        try:
            chain[-1].throw(GeneratorExit())
        except (Exception, GeneratorExit, Cancelled):  # noqa: BLE001  nobody can act on it
            chain.pop()
        else:
            return False
    return True


def _awaiting(body: Any) -> Iterator[Any]:
    """Yield a coroutine, the one that it awaits, and so on."""
    while hasattr(body, "throw") and hasattr(body, "close"):
        yield body
        body = getattr(body, "cr_await", None) or getattr(body, "gi_yieldfrom", None)


def finalize_quietly(generator: AsyncGenerator[Any, Any]) -> None:
    """Finalize an async generator of function code that was dropped.

    With the event loop's hook it would be finalized later, in a task of the loop,
    where its operations would reach nobody.
    """
    closing: Any = generator.aclose()
    for attempt in range(limits.CLOSE_OPERATIONS_MAX):
        try:
            closing.throw(GeneratorExit()) if attempt else closing.send(None)
        except (StopIteration, GeneratorExit):
            return
        except (Exception, Cancelled):  # noqa: BLE001  nobody can act on it
            return


_PATH_PARTS: Final = 2


def short_path(path: str) -> str:
    """Return the file's name with the folder that it lies in."""
    return "/".join(path.replace("\\", "/").split("/")[-_PATH_PARTS:])


@lru_cache(maxsize=4096)
def _line(code: CodeType, instruction: int) -> str:
    for start, end, line in code.co_lines():
        if start <= instruction < end and line is not None:
            return f"{short_path(code.co_filename)}:{line}"
    return f"{short_path(code.co_filename)}:{code.co_firstlineno}"


def source_of(operation: Operation[Any]) -> str:
    """Return `file:line` of the call that made the operation, or ''."""
    code = operation.code
    return "" if code is None else _line(code, operation.instruction)
