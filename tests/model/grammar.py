"""Programs small enough to write down all of them: what they are and how many.

A program is a tree of frozen values. `compiled.py` makes a real function of it,
`walked.py` the same for the model; `model.py` says what must happen when it runs, and
`explorer.py` compares the two.

All operations of a program have the same name, so that their counters meet.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any, ClassVar, Final, Literal
from zlib import crc32

from hypothesis import strategies
from hypothesis.strategies import SearchStrategy

NAME: Final = "s"
TOPIC: Final = "news"
EVENT: Final = "go"
ATTEMPTS: Final = 2
# The names of errors; all others are failures of a run.
BUG: Final = "ValueError"
CANCELLED: Final = "Cancelled"

# The record that code asks for with an operation: its kind, and what it says.
Asked = tuple[Any, ...]
Does = Literal["ok", "flaky", "fails", "refuses", "hangs", "late"]
ChildKind = Literal["good", "bad", "slow"]


@dataclass(frozen=True, slots=True)
class Rules:
    """The options of a function, and how often somebody may cancel its run."""

    cancels: int = 1
    run_timeout: bool = False
    undo_on_cancel: bool = True
    bugs_fail: bool = False


RULES: Final = Rules()


@dataclass(frozen=True, slots=True)
class Step:
    """A step of at most two attempts.

    `flaky` fails once, `fails` always, `refuses` raises NonRetryableError. Every
    attempt of `hangs` is stopped by its timeout, so that it is in doubt; only the
    first of `late` is, and its second fails.
    """

    does: Does = "ok"
    once: bool = False
    undo: Literal["", "ok", "fails"] = ""
    name: ClassVar[str] = NAME

    def records(self, given: str) -> list[Asked]:
        """A plain step has no record of its start."""
        return [("StepStarted", 1)] if self.once else []

    def comes_to(self, attempt: int) -> str:
        """Return how an attempt ends by itself: ok, fails, refuses or hangs."""
        by_attempt = {"flaky": ("fails", "ok"), "late": ("hangs", "fails")}
        first, then = by_attempt.get(self.does, (self.does, self.does))
        return first if attempt == 1 else then


@dataclass(frozen=True, slots=True)
class Sleep:
    """A sleep."""

    name: ClassVar[str] = NAME

    def records(self, given: str) -> list[Asked]:
        """It ends by itself."""
        return [("SleepStarted", True)]


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait for an event; on timeout it raises or gives its default."""

    limit: Literal["", "raises", "default"] = ""
    name: ClassVar[str] = NAME

    def records(self, given: str) -> list[Asked]:
        """Say whether it has a timeout."""
        return [("WaitStarted", self.limit != "")]

    @property
    def error(self) -> str:
        """What it raises on timeout, if anything."""
        return "" if self.limit == "default" else "WaitTimedOut"


@dataclass(frozen=True, slots=True)
class Invoke:
    """A child run, its result awaited; `limit`: at most so long."""

    child: ChildKind = "good"
    limit: bool = False

    @property
    def name(self) -> str:
        """The step is called as the function."""
        return self.child

    def records(self, given: str) -> list[Asked]:
        """Say whether it has a timeout, of what it is a run, that it is awaited."""
        return [("ChildStarted", self.limit, self.child, True, given)]


@dataclass(frozen=True, slots=True)
class Spawn:
    """A child run that nobody waits for."""

    child: ChildKind = "good"

    @property
    def name(self) -> str:
        """The step is called as the function."""
        return self.child

    def records(self, given: str) -> list[Asked]:
        """It is not awaited."""
        return [("ChildStarted", False, self.child, False, given)]


@dataclass(frozen=True, slots=True)
class Publish:
    """A message."""

    name: ClassVar[str] = f"publish:{TOPIC}"

    def records(self, given: str) -> list[Asked]:
        """What is published is all that the program has seen."""
        return [("Published", given)]


@dataclass(frozen=True, slots=True)
class Compensate:
    """An undo that belongs to no step."""


@dataclass(frozen=True, slots=True)
class Raise:
    """The function itself raises: a failure of the run, or a bug."""

    bug: bool = False


Leaf = Step | Sleep | Wait | Invoke | Spawn | Publish | Compensate | Raise


@dataclass(frozen=True, slots=True)
class Seq:
    """One after the other."""

    parts: tuple["Program", ...]


@dataclass(frozen=True, slots=True)
class Parallel:
    """Side by side, at most `concurrency` at once (0: all)."""

    branches: tuple["Program", ...]
    concurrency: int = 0
    collect: bool = False


@dataclass(frozen=True, slots=True)
class Saga:
    """A body that is undone when an exception leaves it."""

    body: "Program"


@dataclass(frozen=True, slots=True)
class Catch:
    """A body whose RunFailure is caught."""

    body: "Program"


@dataclass(frozen=True, slots=True)
class Swallow:
    """A body of which everything is caught, cancels too."""

    body: "Program"


@dataclass(frozen=True, slots=True)
class Finally:
    """`try: body finally: last`."""

    body: "Program"
    last: "Program"


@dataclass(frozen=True, slots=True)
class Beside:
    """A child run is started, the body runs, then the child is joined."""

    child: ChildKind
    body: "Program"


Node = Seq | Parallel | Saga | Catch | Swallow | Finally | Beside
Program = Leaf | Node

# Every kind of leaf once, the common ones first.
LEAVES: Final[tuple[Leaf, ...]] = (
    Step(),
    Step(undo="ok"),
    Step("fails"),
    Sleep(),
    Wait(),
    Raise(),
    Step("flaky"),
    Step("flaky", once=True, undo="ok"),
    Step("refuses"),
    Step("hangs", undo="fails"),
    Step("late", undo="ok"),
    Wait("raises"),
    Wait("default"),
    Invoke("good"),
    Invoke("bad"),
    Invoke("slow", limit=True),
    Spawn("slow"),
    Publish(),
    Compensate(),
    Raise(bug=True),
)
# The leaves that differ most: what larger programs are made of.
FEW_LEAVES: Final[tuple[Leaf, ...]] = (
    Step(undo="ok"),
    Step("fails"),
    Sleep(),
    Wait("default"),
)


def short(seen: list[str]) -> str:
    """Return four digits that stand for all that a program has seen."""
    return f"{crc32(' '.join(seen).encode()) & 0xFFFF:04x}"


def parts_of(program: Program) -> tuple[Program, ...]:
    """Return the programs that a program is made of."""
    match program:
        case Seq(parts):
            return parts
        case Parallel(branches):
            return branches
        case Saga(body) | Catch(body) | Swallow(body) | Beside(body=body):
            return (body,)
        case Finally(body, last):
            return (body, last)
        case _:
            return ()


def corrected(program: Program) -> Program:
    """Return the program without its bugs."""
    whole = program
    match program:
        case Raise(bug=True):
            whole = Seq(())
        case Seq(parts):
            whole = Seq(tuple(map(corrected, parts)))
        case Parallel(branches):
            whole = replace(program, branches=tuple(map(corrected, branches)))
        case Finally(body, last):
            whole = Finally(corrected(body), corrected(last))
        case Saga() | Catch() | Swallow() | Beside():
            whole = replace(program, body=corrected(program.body))
        case _:
            pass
    return whole


def leaves_of(program: Program) -> Iterator[Leaf]:
    """Yield the leaves of a program, in the order in which it is written."""
    if isinstance(program, Leaf):
        yield program
    for part in parts_of(program):
        yield from leaves_of(part)


def children_of(program: Program) -> list[ChildKind]:
    """Return the kinds of children that a program starts, in order, once for each."""
    own = [program.child] if isinstance(program, Invoke | Spawn | Beside) else []
    return own + [kind for part in parts_of(program) for kind in children_of(part)]


@cache
def programs(size: int, leaves: tuple[Leaf, ...] = LEAVES) -> tuple[Program, ...]:
    """Return all programs of exactly this size over these leaves.

    A leaf counts one, and so does all that is put around one; that programs stand
    one after the other costs nothing.
    """
    if size == 1:
        return leaves
    return (*_single(size, leaves), *_sequences(size, leaves))


def _single(size: int, leaves: tuple[Leaf, ...]) -> Sequence[Program]:
    """All programs of this size that are not a sequence."""
    if size == 1:
        return leaves
    bodies = programs(size - 1, leaves)
    found: list[Program] = [
        kind(body) for body in bodies for kind in (Saga, Catch, Swallow)
    ]
    found += [Beside("slow", body) for body in bodies]
    for left in range(1, size - 1):
        for pair in product(programs(left, leaves), programs(size - 1 - left, leaves)):
            found += _pairs(pair)
    return found


def _pairs(pair: tuple[Program, Program]) -> Iterator[Program]:
    yield Parallel(pair)
    yield Parallel(pair, concurrency=1)
    yield Parallel(pair, collect=True)
    yield Finally(*pair)


def _sequences(size: int, leaves: tuple[Leaf, ...]) -> Iterator[Program]:
    """All sequences of this size; their parts are no sequences themselves."""
    for head in range(1, size):
        for first in _single(head, leaves):
            for rest in programs(size - head, leaves):
                tail = rest.parts if isinstance(rest, Seq) else (rest,)
                yield Seq((first, *tail))


def random_programs() -> SearchStrategy[Program]:
    """Return a strategy for programs of up to about ten leaves."""
    leaves: SearchStrategy[Program] = strategies.sampled_from(LEAVES)
    return strategies.recursive(leaves, _larger, max_leaves=8)


def _larger(inner: SearchStrategy[Program]) -> SearchStrategy[Program]:
    parts = strategies.lists(inner, min_size=1, max_size=3).map(tuple)
    return strategies.one_of(
        strategies.builds(Seq, parts),
        strategies.builds(
            Parallel,
            parts,
            concurrency=strategies.integers(0, 2),
            collect=strategies.booleans(),
        ),
        strategies.builds(Finally, inner, inner),
        strategies.builds(Saga, inner),
        strategies.builds(Catch, inner),
        strategies.builds(Swallow, inner),
        strategies.builds(Beside, strategies.just("slow"), inner),
    )
