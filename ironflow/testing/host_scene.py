"""What the checks of a host share: the same story told twice, and what is compared.

A story is told to functions that the engine hosts itself, and to the same functions where the
host under check has them. Both begin with an empty journal and at the same virtual time.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Final, Literal, cast, final

import msgspec
import trio

from ironflow.authoring.app import App
from ironflow.authoring.definition import Function
from ironflow.engine.engine import Engine
from ironflow.engine.open import run_engine
from ironflow.journal.base import RunQuery
from ironflow.journal.memory import MemoryJournal
from ironflow.policy.duration import Duration
from ironflow.records import Entry, RunContinued, RunEnded
from ironflow.testing.checks_scene import expect
from ironflow.testing.virtual_clock import VirtualClock

OpenHost = Callable[
    [App, MemoryJournal, VirtualClock], AbstractAsyncContextManager[Engine]
]
"""Hosts the functions of an app for a block; gives an engine on the journal.

Opening again on the same journal is a host that comes back after an end in order.
"""
Compared = Literal["histories", "outcomes"]
"""Every record, or only how each run ended, with which output, after which steps."""

HostCheck = Callable[[OpenHost, Compared], Awaitable[None]]
Functions = Sequence[Function[Any, Any]]

_PATIENCE_S: Final = 60
_ID: Final = re.compile(r"(run|evt)_[0-9a-f]{32}")
# What must differ: names made of chance, and what is computed from these.
_OF_CHANCE: Final = frozenset(
    {
        "child_run",
        "continued_from",
        "event_id",
        "new_run",
        "parent_run",
        "payload_digest",
    }
)


@final
class World:
    """What the steps of a story have done, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def do(self, what: str) -> str:
        """Note that a step has been executed, and return its name."""
        self.done.append(what)
        return what

    def times(self, what: str) -> int:
        """Return how often it was done."""
        return self.done.count(what)


@final
class HostScene:
    """A host at work; what a story tells it."""

    def __init__(self, open_host: OpenHost, app: App) -> None:
        self.journal: Final = MemoryJournal()
        self.clock: Final = VirtualClock()
        self._open_host: Final = open_host
        self._app: Final = app
        self._open: Final = AsyncExitStack()
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The engine, while the host is open."""
        assert self._engine is not None
        return self._engine

    async def open(self) -> None:
        """Open the host, for the first time or again."""
        opened = self._open_host(self._app, self.journal, self.clock)
        self._engine = await self._open.enter_async_context(opened)
        await self.clock.settle()

    async def close(self) -> None:
        """Let the host end in order."""
        self._engine = None
        await self._open.aclose()

    async def emit(self, name: str, data: Any = None) -> Sequence[str]:
        """Emit an event, and return the runs that it started, when all has settled."""
        receipt = await self.engine.emit(name, data)
        await self.clock.settle()
        return receipt.run_ids

    async def advance(self, duration: Duration) -> None:
        """Let time pass, and all that is due happen."""
        await self.clock.advance(duration)

    async def cancel(self, run_id: str, reason: str) -> None:
        """Ask a run to cancel."""
        await self.engine.cancel(run_id, reason=reason)
        await self.clock.settle()


Story = Callable[[HostScene], Awaitable[None]]


async def agree(
    open_host: OpenHost,
    compared: Compared,
    functions: Callable[[World], Functions],
    story: Story,
    *,
    ends: str = "completed",
) -> None:
    """Tell a story to an engine with the functions and to the host; compare what came of it.

    `ends` is the status of the first run of the function `flow` at the end.

    Raises:
        AssertionError: it was not the same, or a run has not ended.
    """
    what = story.__qualname__.partition(".")[0].removeprefix("check_").replace("_", " ")
    wanted, wanted_done = await _told(_embedded, compared, functions, story)
    found, found_done = await _told(open_host, compared, functions, story)
    expect(wanted["flow 0"][0], ends, what=f"{what}: the status with an engine")
    expect([*found], [*wanted], what=f"{what}: the runs")
    for name, records in wanted.items():
        for here, there in zip(found[name], records, strict=False):
            expect(here, there, what=f"{what}: {name}")
        expect(len(found[name]), len(records), what=f"{what}: the length of {name}")
    expect(found_done, wanted_done, what=f"{what}: which steps were executed")


def _embedded(
    app: App, journal: MemoryJournal, clock: VirtualClock
) -> AbstractAsyncContextManager[Engine]:
    return run_engine(app, journal, clock=clock)


async def _told(
    open_host: OpenHost,
    compared: Compared,
    functions: Callable[[World], Functions],
    story: Story,
) -> tuple[dict[str, list[object]], list[str]]:
    world = World()
    scene = HostScene(open_host, App(functions=[*functions(world)]))
    with trio.fail_after(_PATIENCE_S):
        await scene.open()
        await story(scene)
        await scene.clock.settle()
        runs = await _runs(scene.journal, compared)
        await scene.close()
    # Branches may take turns in another order where they are elsewhere.
    return runs, sorted(world.done)


async def _runs(journal: MemoryJournal, compared: Compared) -> dict[str, list[object]]:
    """Return what every run has recorded, by function and number."""
    found: dict[str, list[object]] = {}
    summaries = await journal.find(RunQuery())
    for summary in reversed(summaries):
        function_id = summary.row.function_id
        number = sum(name.partition(" ")[0] == function_id for name in found)
        entries = await journal.history(
            summary.row.run_id, after=0, limit=summary.length
        )
        show = _history if compared == "histories" else _outcome
        found[f"{function_id} {number}"] = [summary.status, *show(entries)]
    return dict(sorted(found.items()))


def _history(entries: Sequence[Entry]) -> list[object]:
    return [_shown(entry) for entry in entries]


def _shown(entry: Entry) -> object:
    """Return a record as plain data, without what chance has in it."""
    fields = msgspec.structs.asdict(entry.record)
    kept = {name: fields[name] for name in fields if name not in _OF_CHANCE}
    return {"": type(entry.record).__name__, **kept, "value": _value(entry.payload)}


def _value(payload: bytes | msgspec.Raw) -> object:
    return _without_chance(msgspec.msgpack.decode(payload)) if payload else None


def _without_chance(value: Any) -> object:
    """Return a value without ids, also in sentences, and without tracebacks."""
    match value:
        case str():
            return _ID.sub("<id>", value)
        case list():
            members = cast("list[Any]", value)  # type: ignore[redundant-cast]  # pyright's
            return [_without_chance(each) for each in members]
        case dict():
            named = cast("dict[str, Any]", value)
            return {
                name: _without_chance(named[name])
                for name in named
                if name != "traceback"
            }
        case _:
            return value


def _outcome(entries: Sequence[Entry]) -> list[object]:
    last = entries[-1]
    if not isinstance(last.record, RunEnded | RunContinued):
        return []
    if isinstance(last.record, RunEnded) and last.record.status == "completed":
        return [_value(last.payload)]
    return []
