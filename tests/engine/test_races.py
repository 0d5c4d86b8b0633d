"""News that comes at the worst moment: while a run parks, loads, pauses or works."""

from typing import Any

import pytest
import trio

import ironflow
from ironflow import Context, Retry
from ironflow.journal.base import AppendRecords, RequestCancel
from tests.engine.bench import Bench, Commands, TestJournal, parks, settle

ONCE = Retry(max_attempts=1)


@ironflow.function(triggers=["go"])
async def waits_twice(ctx: Context[Any]) -> list[Any]:
    first = await ctx.step.wait_for_event("first", "first")
    second = await ctx.step.wait_for_event("second", "second")
    return [first.data, second.data]


@pytest.mark.parametrize("cached", [0, 10])
async def test_a_run_woken_while_it_parks_goes_on(bench: Bench, cached: int) -> None:
    """Invariant 8: the event is stored after the commit that parks, before its answer."""
    hold = bench.journal.hold_after(parks)

    async with bench.engine(waits_twice, cached=cached) as engine:
        receipt = await engine.emit("go")
        await hold.reached.wait()
        await engine.emit("first", 1)
        await settle()
        hold.released.set()
        await settle()
        await engine.emit("second", 2)
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == [1, 2]


async def test_a_run_woken_before_its_claim_is_seen_goes_on(bench: Bench) -> None:
    """The run learns of its inbox first, and of its new claim later."""
    journal = SlowClaims(bench.journal)
    hold = bench.journal.hold_after(parks)

    async with bench.engine(waits_twice, on=journal) as engine:
        receipt = await engine.emit("go")
        await hold.reached.wait()
        journal.let = trio.Event()
        await engine.emit("first", 1)
        await settle()
        hold.released.set()
        await settle()
        journal.let.set()
        await settle()
        await engine.emit("second", 2)
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == [1, 2]


@pytest.mark.parametrize("cached", [0, 10])
@pytest.mark.parametrize("attempt", range(8))
async def test_a_claim_at_the_very_moment_of_parking_is_not_lost(
    bench: Bench, cached: int, attempt: int
) -> None:
    """The answer to the parking commit and the next claim come in the same instant."""
    del attempt  # Trio draws which of the two is first
    journal = SlowClaims(bench.journal)
    hold = bench.journal.hold_after(parks)

    async with bench.engine(waits_twice, on=journal, cached=cached) as engine:
        receipt = await engine.emit("go")
        await hold.reached.wait()
        journal.let = trio.Event()
        await engine.emit("first", 1)
        await settle()
        journal.let.set()
        hold.released.set()
        await settle()
        await engine.emit("second", 2)
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == [1, 2]


class SlowClaims(TestJournal):
    """A journal whose claims can be held back."""

    __test__ = False

    def __init__(self, journal: TestJournal) -> None:
        super().__init__(journal.store, yields=journal.yields)
        self._holds = journal._holds
        self.let = trio.Event()
        self.let.set()
        self.let_history = trio.Event()
        self.let_history.set()
        self.histories = trio.Event()

    async def claim(self, functions: frozenset[str], *, limit: int) -> Any:
        await self.let.wait()
        return await super().claim(functions, limit=limit)

    async def history(self, run_id: str, *, after: int = 0, limit: int = 10_000) -> Any:
        self.histories.set()
        await self.let_history.wait()
        return await super().history(run_id, after=after, limit=limit)


async def test_inbox_rows_that_come_while_a_run_is_loaded_are_not_lost(
    bench: Bench,
) -> None:
    """A cancel, for one, comes when it likes."""
    journal = SlowClaims(bench.journal)
    journal.let_history = trio.Event()

    async with bench.engine(waits_twice, on=journal, cached=0) as engine:
        receipt = await engine.emit("go")
        await settle()
        await engine.emit("first", 1)
        await journal.histories.wait()
        await bench.journal.commit([cancel_of(receipt.run_ids[0])])
        await settle()
        journal.let_history.set()
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "cancelled"


def cancel_of(run_id: str) -> RequestCancel:
    return RequestCancel(run_id, "somebody", "", 1)


async def test_a_run_woken_by_two_things_at_once_sees_both(bench: Bench) -> None:
    """One wake-up may bring several inbox rows, in order."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> list[Any]:
        return await ctx.step.map(
            "all",
            range(50),
            lambda item, step, index: step.wait_for_event("wait", f"news.n{item}"),
        ) and [1]

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(engine.emit, f"news.n{number}")
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == [1]
    assert bench.kinds(run.id).count("EventReceived") == 50


async def test_inbox_rows_that_come_while_a_step_runs_are_seen_at_once(
    bench: Bench,
) -> None:
    """A run that works need not wait for its step to be told."""
    release = trio.Event()

    async def slow() -> None:
        await release.wait()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> Any:
        results = await ctx.step.parallel(
            "both",
            (
                lambda step: step.run("slow", slow),
                lambda step: step.wait_for_event("news", "news"),
            ),
        )
        return results[1].data

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        await engine.emit("news", 7)
        await settle()
        kinds = bench.kinds(receipt.run_ids[0])
        release.set()
        run = await engine.result(receipt.run_ids[0])

    assert kinds == ["RunStarted", "WaitStarted", "EventReceived"]
    assert run.unwrap() == 7


async def test_an_event_and_a_timeout_at_once_are_one_of_the_two(bench: Bench) -> None:
    """Whichever is committed first wins, and the other leaves no trace."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> Any:
        event = await ctx.step.wait_for_event(
            "news", "news", timeout="10s", default=None
        )
        return "late" if event is None else event.data

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        bench.clock.time += 10_000_000
        await engine.emit("news", "in time")
        await bench.clock.advance(1)
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == "in time"
    assert bench.kinds(run.id)[2:] == ["EventReceived", "RunEnded"]


async def test_a_cancel_that_comes_just_before_a_pause_is_not_lost(
    bench: Bench,
) -> None:
    """A run with a bug ends cancelled rather than to be held for ever."""

    async def step() -> None:
        pass

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("step", step)
        raise ZeroDivisionError("a bug")

    hold = bench.journal.hold_after(appends)
    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await hold.reached.wait()
        await engine.cancel(receipt.run_ids[0])
        hold.released.set()
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "cancelled"


def appends(commands: Commands) -> bool:
    return any(
        isinstance(command, AppendRecords) and command.entries for command in commands
    )


@pytest.mark.parametrize("order", ["cancel first", "failure first"])
async def test_a_cancel_beside_an_exhausted_step_ends_the_run(
    bench: Bench, order: str
) -> None:
    """on_exhausted="pause" holds a run that goes on, not one that is to end."""
    hold_retry = Retry(max_attempts=1, on_exhausted="pause")
    fail = trio.Event()

    async def fails() -> None:
        await fail.wait()
        raise OSError("no")

    @ironflow.function(triggers=["go"], retry=hold_retry)
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.parallel(
            "both",
            [
                lambda step: step.run("fail", fails),
                lambda step: step.run("slow", trio.sleep_forever),
            ],
        )

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        if order == "failure first":
            fail.set()
            await settle()
        cancelled = engine.cancel(receipt.run_ids[0])
        if order == "cancel first":
            fail.set()
        await cancelled
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "cancelled"


async def test_a_cancel_in_the_commit_of_an_exhausted_step_ends_the_run(
    bench: Bench,
) -> None:
    """The pause is refused, and the cancel is seen."""
    hold_retry = Retry(max_attempts=1, on_exhausted="pause")

    async def fails() -> None:
        raise OSError("no")

    @ironflow.function(triggers=["go"], retry=hold_retry)
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("fail", fails)

    hold = bench.journal.hold_after(appends)
    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await hold.reached.wait()
        await engine.cancel(receipt.run_ids[0])
        hold.released.set()
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "cancelled"


async def test_many_events_for_one_wait_serve_it_once(bench: Bench) -> None:
    """The first in the log is the one."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> Any:
        return (await ctx.step.wait_for_event("news", "news")).data

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        for number in range(20):
            await engine.emit("news", number)
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == 0
    assert bench.kinds(run.id).count("EventReceived") == 1
