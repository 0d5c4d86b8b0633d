"""Hints that were lost cost time: one that says "everything" makes good for all."""

from collections.abc import Callable
from typing import Any

import trio

import ironflow
from ironflow import Context
from ironflow.journal.base import Hint
from tests.engine.bench import Bench, TestJournal, settle


class Deaf(TestJournal):
    """A journal whose hints are lost while `lost` is set."""

    __test__ = False

    def __init__(self, journal: TestJournal) -> None:
        super().__init__(journal.store, yields=journal.yields)
        self.lost = False
        self.tell: Callable[[Hint], None] = lambda _: None

    def watch(self, callback: Callable[[Hint], None]) -> Callable[[], None]:
        self.tell = callback
        return super().watch(lambda hint: None if self.lost else callback(hint))


@ironflow.function(triggers=["go"])
async def waits_and_sleeps(ctx: Context[Any]) -> Any:
    found = await ctx.step.wait_for_event("news", "news")
    await ctx.step.sleep("nap", "1s")
    return found.data


async def test_nothing_is_stuck_after_hints_were_lost(bench: Bench) -> None:
    """Ready runs, due timers, inboxes of held runs, and those who wait for an end."""
    journal = Deaf(bench.journal)

    async with bench.engine(waits_and_sleeps, on=journal) as engine:
        receipt = await engine.emit("go")
        await settle()
        results: list[Any] = []

        async def wait_for_the_end() -> None:
            results.append((await engine.result(receipt.run_ids[0])).output)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_the_end)
            await settle()
            journal.lost = True
            await engine.emit("news", 1)
            await settle()
            assert bench.kinds(receipt.run_ids[0])[-1] == "WaitStarted"
            for _ in range(4):
                journal.tell(Hint(everything=True))
                await settle()
                await bench.clock.advance(1)

    assert results == [1]


async def test_a_held_run_looks_into_its_inbox(bench: Bench) -> None:
    """A cancel whose hint was lost stops a step that is in flight."""
    journal = Deaf(bench.journal)
    stopped = trio.Event()

    async def step() -> None:
        try:
            await trio.sleep_forever()
        finally:
            stopped.set()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("step", step)

    async with bench.engine(flow, on=journal) as engine:
        receipt = await engine.emit("go")
        await settle()
        journal.lost = True
        await engine.cancel(receipt.run_ids[0])
        await settle()
        assert not stopped.is_set()

        journal.tell(Hint(everything=True))
        with trio.fail_after(5):
            await stopped.wait()
        journal.lost = False
