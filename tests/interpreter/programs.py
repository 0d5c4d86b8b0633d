"""Random programs: a tree of operations, compiled to a coroutine that tells what it saw.

What function code can see is its *trace*: results and errors of operations, the time,
random numbers. Two executions that leave the same trace cannot be told apart.
"""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, assert_never

from hypothesis import strategies as st

from ironflow.errors import Cancelled, NonRetryableError, RunFailure
from ironflow.interpreter.operations import MISSING, Child, Once
from ironflow.interpreter.program import Program
from ironflow.policy.retry import Retry
from tests.interpreter.language import Step
from tests.interpreter.world import program_of

Trace = list[tuple[str, object, int]]
POLICY: Final = Retry(max_attempts=2, initial_delay="1s", jitter=0)


@dataclass(frozen=True)
class Run:
    name: str
    undo: bool
    once: Once


@dataclass(frozen=True)
class Nap:
    name: str


@dataclass(frozen=True)
class Wait:
    name: str
    has_default: bool


@dataclass(frozen=True)
class Tell:
    topic: str


@dataclass(frozen=True)
class Call:
    """A child: awaited at once, or started and joined after `between`."""

    between: "tuple[Node, ...] | None"
    attached: bool


@dataclass(frozen=True)
class Fan:
    branches: "tuple[tuple[Node, ...], ...]"
    concurrency: int
    collect: bool


@dataclass(frozen=True)
class Saga:
    body: "tuple[Node, ...]"


@dataclass(frozen=True)
class Catch:
    """A body whose failures are caught; `also_cancel`: it swallows cancels too."""

    body: "tuple[Node, ...]"
    also_cancel: bool


@dataclass(frozen=True)
class Fail:
    pass


@dataclass(frozen=True)
class Compensate:
    name: str


@dataclass(frozen=True)
class Mark:
    """Sets an attribute."""

    name: str


Node = Run | Nap | Wait | Tell | Mark | Call | Fan | Saga | Catch | Fail | Compensate

_NAMES: Final = st.sampled_from(["a", "b", "compensate", "c:d"])
_ONCE: Final = st.sampled_from(["at_least", "at_most"])
_LEAVES: Final = st.one_of(
    st.builds(Run, _NAMES, undo=st.booleans(), once=_ONCE),
    st.builds(Nap, _NAMES),
    st.builds(Wait, _NAMES, has_default=st.booleans()),
    st.builds(Tell, st.sampled_from(["x", "y.z"])),
    st.builds(Mark, st.sampled_from(["stage", "total"])),
    st.builds(Call, st.none(), attached=st.just(value=True)),
    st.builds(Compensate, _NAMES),
    st.just(Fail()),
)


def _inner(nodes: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    body = st.lists(nodes, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(
            Fan,
            st.lists(body, min_size=1, max_size=3).map(tuple),
            concurrency=st.integers(0, 2),
            collect=st.booleans(),
        ),
        st.builds(Saga, body),
        st.builds(Catch, body, also_cancel=st.booleans()),
        st.builds(Call, body, attached=st.booleans()),
    )


BODIES: Final = st.lists(
    st.recursive(_LEAVES, _inner, max_leaves=12), min_size=1, max_size=6
).map(tuple)
# Steps, alone and side by side, with nothing to undo.
STEPS: Final = st.lists(
    st.builds(Run, _NAMES, undo=st.just(value=False), once=_ONCE)
    | st.builds(
        Fan,
        st.lists(
            st.tuples(st.builds(Run, _NAMES, undo=st.just(value=False), once=_ONCE)),
            min_size=1,
            max_size=3,
        ).map(tuple),
        concurrency=st.integers(0, 2),
        collect=st.booleans(),
    ),
    min_size=1,
    max_size=6,
).map(tuple)


def compiled(body: tuple[Node, ...], trace: Trace, **options: Any) -> Program:
    """Make a program of a tree; every execution appends to the trace."""

    async def workflow(step: Step) -> Any:
        return await _Execution(step, trace).body(body, "")

    options.setdefault("retry", POLICY)
    return program_of(workflow, **options)


class _Execution:
    """One execution of a tree."""

    def __init__(self, step: Step, trace: Trace) -> None:
        self._step = step
        self._trace = trace

    async def body(self, nodes: tuple[Node, ...], path: str) -> Any:
        """Do one after another; the result is that of the last."""
        seen: Any = None
        for index, node in enumerate(nodes):
            here = f"{path}/{index}"
            try:
                seen = await self._node(node, here)
            except (RunFailure, Cancelled) as error:
                self._saw(here, f"{type(error).__name__}: {error}")
                raise
            self._saw(here, repr(seen))
        return seen

    def _saw(self, path: str, what: str) -> None:
        number = self._step.random().randrange(1_000)
        self._trace.append((path, (what, number), self._step.view.now()))
        self._step.log("%s", path)

    async def _node(self, node: Node, path: str) -> Any:
        seen: Any
        match node:
            case Run() | Nap() | Wait() | Tell() | Mark():
                seen = await self._leaf(node)
            case Call():
                seen = await self._call(node, path)
            case Fan():
                seen = await self._fan(node, path)
            case Saga():
                async with self._step.saga():
                    seen = await self.body(node.body, path)
            case Catch():
                seen = await self._catch(node, path)
            case Compensate():
                seen = self._step.compensate(node.name)
            case Fail():
                raise NonRetryableError(path)
            case _:
                assert_never(node)
        return seen

    def _leaf(self, node: Run | Nap | Wait | Tell | Mark) -> Awaitable[Any]:
        step = self._step
        match node:
            case Run():
                retry = POLICY if node.once == "at_most" else None
                return step.run(node.name, undo=node.undo, once=node.once, retry=retry)
            case Nap():
                return step.sleep(node.name, 5)
            case Wait():
                default = 0 if node.has_default else MISSING
                return step.wait(node.name, "event", timeout=9, default=default)
            case Tell():
                return step.publish(node.topic, 1)
            case Mark():
                return step.set_attributes(**{node.name: 1})

    async def _call(self, node: Call, path: str) -> Any:
        if node.between is None:
            return await self._step.invoke("child", timeout=9)
        child: Child = await self._step.start_child("child", attached=node.attached)
        await self.body(node.between, path)
        return await self._step.result(child)

    async def _fan(self, node: Fan, path: str) -> Any:
        results = await self._step.parallel(
            "fan",
            *(
                self._branch(branch, f"{path}.{index}")
                for index, branch in enumerate(node.branches)
            ),
            concurrency=node.concurrency,
            collect=node.collect,
        )
        return [str(each) for each in results]

    def _branch(
        self, branch: tuple[Node, ...], path: str
    ) -> Callable[[], Coroutine[Any, Any, Any]]:
        return lambda: self.body(branch, path)

    async def _catch(self, node: Catch, path: str) -> Any:
        caught = (RunFailure, Cancelled) if node.also_cancel else RunFailure
        try:
            return await self.body(node.body, path)
        except caught as error:
            return f"caught {type(error).__name__}"
