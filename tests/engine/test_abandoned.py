"""What code with a bug had abandoned, and the corrected code waits for again.

On a journal in memory and on LMDB: the rows are the store's, in the transaction of an
append.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

import ironflow
from ironflow import App, Context, Engine, NonRetryableError, StepError
from ironflow.authoring.definition import Function
from ironflow.authoring.step import StepClient
from ironflow.engine.open import run_engine
from ironflow.journal.base import AppendRecords, Journal
from ironflow.journal.lmdb.store import open_lmdb
from ironflow.journal.memory import MemoryJournal
from ironflow.testing.virtual_clock import VirtualClock

Open = Callable[[], AbstractAsyncContextManager[Journal]]


@dataclass
class Place:
    """A journal and a clock for engines that come one after the other."""

    open: Open
    clock: VirtualClock = field(default_factory=VirtualClock)
    appends: list[AppendRecords] = field(default_factory=list[AppendRecords])

    @asynccontextmanager
    async def engine(self, function: Function[Any, Any]) -> AsyncGenerator[Engine]:
        app = App(functions=[function])
        async with (
            self.open() as journal,
            run_engine(
                app, self._heard(journal), clock=self.clock, shutdown=0
            ) as engine,
        ):
            yield engine

    def _heard(self, journal: Journal) -> Journal:
        commit = journal.commit

        async def heard(commands: Any) -> Any:
            found = [each for each in commands if isinstance(each, AppendRecords)]
            self.appends += found
            return await commit(commands)

        return cast("Journal", _Heard(journal, heard))


class _Heard:
    """A journal whose commits are listened to."""

    def __init__(self, journal: Journal, commit: Any) -> None:
        self._journal = journal
        self.commit = commit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


@pytest.fixture(params=["memory", "lmdb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    stores = [MemoryJournal()]

    @asynccontextmanager
    async def in_memory() -> AsyncGenerator[Journal]:
        stores.append(MemoryJournal.restored(stores[-1].snapshot()))
        yield stores[-1]

    @asynccontextmanager
    async def in_lmdb() -> AsyncGenerator[Journal]:
        journal = await open_lmdb(tmp_path / "data")
        try:
            yield journal
        finally:
            await journal.close()

    return Place(in_memory if request.param == "memory" else in_lmdb)


def refuse() -> None:
    raise NonRetryableError("out of stock")


async def sleeps(step: StepClient) -> str:
    await step.sleep("nap", "1h")
    return "slept"


async def waits(step: StepClient) -> Any:
    return (await step.wait_for_event("answer", "answer")).data


async def waits_for_an_hour(step: StepClient) -> Any:
    event = await step.wait_for_event("answer", "answer", timeout="1h", default=None)
    return "late" if event is None else event.data


class Flow:
    """A function of three branches: one fails, one waits, one takes ten minutes."""

    def __init__(self, place: Place, other: Callable[[StepClient], Any]) -> None:
        self.clock = place.clock
        self.other = other

    async def pack(self) -> str:
        await self.clock.sleep("10m")
        return "packed"

    def wrong(self) -> Function[Any, Any]:
        """The failure cancels the branch that waits, and later comes the bug."""

        @ironflow.function(id="flow", triggers=["go"], version="1")
        async def flow(ctx: Context[Any]) -> Any:
            try:
                await self._branches(ctx.step, lambda step: step.run("book", refuse))
            except StepError:
                raise ZeroDivisionError("a bug") from None

        return flow

    def right(self) -> Function[Any, Any]:
        """The failure is caught in its own branch, so nothing is cancelled."""

        async def book(step: StepClient) -> str:
            try:
                await step.run("book", refuse)
            except StepError:
                return "out of stock"
            return "booked"

        @ironflow.function(id="flow", triggers=["go"], version="2")
        async def flow(ctx: Context[Any]) -> Any:
            return await self._branches(ctx.step, book)

        return flow

    def _branches(self, step: StepClient, first: Callable[[StepClient], Any]) -> Any:
        return step.parallel(
            "all", [first, self.other, lambda step: step.run("pack", self.pack)]
        )


async def paused(place: Place, flow: Flow, *, emitted: str = "") -> str:
    """Run the code with the bug until it pauses; return the run's id."""
    async with place.engine(flow.wrong()) as engine:
        receipt = await engine.emit("go")
        await place.clock.settle()
        if emitted:
            await engine.emit(emitted, "early")
        await place.clock.advance("10m")
        run = await engine.get_run(receipt.run_ids[0])
    assert run.status == "paused"
    return run.id


async def test_a_sleep_ends_at_its_time(place: Place) -> None:
    flow = Flow(place, sleeps)
    run_id = await paused(place, flow)
    async with place.engine(flow.right()) as engine:
        await place.clock.advance("49m")
        before = await engine.get_run(run_id)
        await place.clock.advance("1m")
        run = await engine.get_run(run_id)

    assert before.status == "waiting"
    assert run.unwrap() == ["out of stock", "slept", "packed"]


async def test_a_sleep_that_is_over_ends_at_once(place: Place) -> None:
    flow = Flow(place, sleeps)
    run_id = await paused(place, flow)
    await place.clock.advance("2h")
    async with place.engine(flow.right()) as engine:
        await place.clock.settle()
        run = await engine.get_run(run_id)

    assert run.unwrap() == ["out of stock", "slept", "packed"]


@pytest.mark.parametrize("other", [waits, waits_for_an_hour])
async def test_a_wait_gets_its_event(place: Place, other: Any) -> None:
    flow = Flow(place, other)
    run_id = await paused(place, flow)
    async with place.engine(flow.right()) as engine:
        await place.clock.settle()
        await engine.emit("answer", "yes")
        await place.clock.settle()
        run = await engine.get_run(run_id)

    assert run.unwrap() == ["out of stock", "yes", "packed"]


async def test_a_wait_finds_the_event_that_came_meanwhile(place: Place) -> None:
    flow = Flow(place, waits)
    run_id = await paused(place, flow, emitted="answer")
    async with place.engine(flow.right()) as engine:
        await place.clock.settle()
        run = await engine.get_run(run_id)

    assert run.unwrap() == ["out of stock", "early", "packed"]


async def test_a_wait_times_out(place: Place) -> None:
    flow = Flow(place, waits_for_an_hour)
    run_id = await paused(place, flow)
    async with place.engine(flow.right()) as engine:
        await place.clock.advance("1h")
        run = await engine.get_run(run_id)

    assert run.unwrap() == ["out of stock", "late", "packed"]


async def test_what_is_put_back_survives_a_restart(place: Place) -> None:
    """Once it has its rows, a run that parks is like any other."""
    flow = Flow(place, sleeps)
    run_id = await paused(place, flow)
    for _ in range(2):
        async with place.engine(flow.right()):
            await place.clock.settle()
    async with place.engine(flow.right()) as engine:
        await place.clock.advance("1h")
        run = await engine.get_run(run_id)

    assert run.unwrap() == ["out of stock", "slept", "packed"]


async def test_code_that_abandons_again_leaves_no_row(place: Place) -> None:
    """The same code is tried again by hand; it does not wait, and nothing is due."""
    flow = Flow(place, sleeps)
    run_id = await paused(place, flow)
    async with place.engine(flow.wrong()) as engine:
        await engine.resume(run_id)
        await place.clock.settle()
        run = await engine.get_run(run_id)
    async with place.open() as journal:
        timers = await journal.timers(run_id)

    assert run.status == "paused"
    assert not timers


async def test_nothing_is_committed_for_rows_that_are_there(place: Place) -> None:
    """A run that was only interrupted says so with an append that it makes anyway."""
    flow = Flow(place, sleeps)
    async with place.engine(flow.right()) as engine:
        await engine.emit("go")
        await place.clock.settle()
    before = len(place.appends)
    async with place.engine(flow.right()):
        await place.clock.settle()
        after = len(place.appends)
        await place.clock.advance("10m")

    [command] = place.appends[after:]
    assert before == after
    assert [record.id for record in command.awaited] == ["all:1:nap:0"]
    assert command.park
