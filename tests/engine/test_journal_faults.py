"""A journal that refuses, is full, or fails: what the engine does then."""

import logging
from typing import Any

import pytest
import trio

import ironflow
from ironflow import Conflict, Context, JournalFailed, JournalFull, LeaseLost
from ironflow.errors import IronflowError
from ironflow.journal.base import AppendRecords, EmitEvents, FireTimer, JournalCommand
from tests.engine.bench import Bench, Commands, settle

# ruff: noqa: PT012  an engine is a block, and so is what makes it fail


class Fault:
    """Fails a number of commits that have a command of one kind."""

    def __init__(
        self, error: IronflowError, kind: type[JournalCommand], *, times: int = 1
    ) -> None:
        self.error = error
        self.kind = kind
        self.times = times

    def __call__(self, commands: Commands) -> IronflowError | None:
        if not self.times or not any(type(each) is self.kind for each in commands):
            return None
        self.times -= 1
        if isinstance(self.error, JournalFull | JournalFailed):
            raise self.error
        return self.error


def counted() -> tuple[Any, list[str]]:
    calls: list[str] = []

    async def step(name: str) -> str:
        calls.append(name)
        return name

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> list[str]:
        first = await ctx.step.run("first", step, "first")
        ctx.logger.info("after the first")
        await ctx.step.sleep("nap", "1m")
        return [first, await ctx.step.run("second", step, "second")]

    return flow, calls


@pytest.mark.parametrize("kind", [AppendRecords, FireTimer])
async def test_a_full_journal_is_waited_for(bench: Bench, kind: Any) -> None:
    """Nothing is lost and nothing is done twice when there is space again."""
    flow, calls = counted()

    async with bench.engine(flow) as engine:
        bench.journal.refuse = Fault(JournalFull("no space"), kind, times=3)
        receipt = await engine.emit("go")
        await bench.clock.advance(120)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.unwrap() == ["first", "second"]
    assert calls == ["first", "second"]


async def test_a_caller_is_told_that_the_journal_is_full(bench: Bench) -> None:
    """Only the caller knows whether to wait; the engine goes on."""
    flow, _ = counted()

    async with bench.engine(flow) as engine:
        bench.journal.refuse = Fault(JournalFull("no space"), EmitEvents)
        with pytest.raises(JournalFull):
            await engine.emit("go")
        receipt = await engine.emit("go")
        await settle()
        kinds = bench.kinds(receipt.run_ids[0])

    assert kinds[:2] == ["RunStarted", "StepCompleted"]


@pytest.mark.parametrize("kind", [AppendRecords, FireTimer])
async def test_a_failed_journal_stops_the_engine(bench: Bench, kind: Any) -> None:
    """That very error comes out of the block, not a group of them."""
    flow, _ = counted()
    error = JournalFailed("the disk is gone")

    with pytest.raises(JournalFailed) as caught:
        async with bench.engine(flow) as engine:
            bench.journal.refuse = Fault(error, kind, times=99)
            await engine.emit("go")
            await bench.clock.advance(60)
            await trio.sleep_forever()

    assert caught.value is error


async def test_a_failed_journal_stops_many_runs_with_one_error(bench: Bench) -> None:
    """However many of them notice."""
    gate = trio.Event()

    async def step() -> None:
        await gate.wait()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("step", step)

    with pytest.raises(JournalFailed):
        async with bench.engine(flow) as engine:
            for _ in range(20):
                await engine.emit("go")
            await settle()
            bench.journal.refuse = Fault(
                JournalFailed("the disk is gone"), AppendRecords, times=99
            )
            gate.set()
            await trio.sleep_forever()


async def test_a_failed_journal_while_a_step_runs_does_not_wait_for_it(
    bench: Bench,
) -> None:
    """What it does cannot be recorded any more."""
    cancelled: list[int] = []

    async def slow() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(1)

    async def step() -> None:
        await settle()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.parallel(
            "both",
            [lambda step_: step_.run("slow", slow), lambda s: s.run("step", step)],
        )

    with pytest.raises(JournalFailed), trio.fail_after(1):
        async with bench.engine(flow) as engine:
            bench.journal.refuse = Fault(
                JournalFailed("the disk is gone"), AppendRecords, times=99
            )
            await engine.emit("go")
            await trio.sleep_forever()

    assert cancelled == [1]


async def test_a_failed_journal_is_seen_in_the_block_too(bench: Bench) -> None:
    """The user's own call and the engine's tasks fail alike; one error comes out."""
    flow, _ = counted()

    def fail(commands: Commands) -> None:
        raise JournalFailed("the disk is gone")

    with pytest.raises(JournalFailed):
        async with bench.engine(flow) as engine:
            await engine.emit("go")
            bench.journal.refuse = fail
            await engine.emit("go")


@pytest.mark.parametrize("error", [LeaseLost("gone"), Conflict("longer")])
async def test_a_run_that_was_lost_is_given_up_and_read_afresh(
    bench: Bench, error: IronflowError, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariant 7: nothing of the refused append is kept, in memory or elsewhere."""
    flow, calls = counted()
    caplog.set_level(logging.INFO)

    async with bench.engine(flow) as engine:
        bench.journal.refuse = Fault(error, AppendRecords)
        receipt = await engine.emit("go")
        await bench.clock.advance(60)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.unwrap() == ["first", "second"]
    assert calls == ["first", "first", "second"]
    assert "was given up here" in caplog.text
    assert caplog.text.count("after the first") == 1


async def test_a_run_held_elsewhere_is_left_alone(bench: Bench) -> None:
    """Its steps in flight are stopped; the one who holds it does the rest."""
    cancelled: list[int] = []

    async def slow() -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            cancelled.append(1)
            raise

    @ironflow.function(id="flow", triggers=["go"])
    async def busy(ctx: Context[Any]) -> None:
        await ctx.step.parallel(
            "both",
            [
                lambda step: step.run("slow", slow),
                lambda step: step.wait_for_event("news", "news"),
            ],
        )

    async with bench.engine(busy) as engine:
        receipt = await engine.emit("go")
        await settle()
        # Somebody has a newer claim: the hold of this engine has ended.
        bench.journal.store._view.queue.holds[receipt.run_ids[0]] += 1000
        await engine.emit("news")
        await settle()
        kinds = bench.kinds(receipt.run_ids[0])
        again = await bench.journal.claim(frozenset({"flow"}), limit=9)

    assert cancelled == [1]
    assert kinds == ["RunStarted", "WaitStarted"]
    assert again == []


async def test_nothing_is_shown_of_a_commit_that_was_refused(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """A log line is shown when the record behind it is durable, not before."""
    caplog.set_level(logging.INFO)

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        ctx.logger.info("a line")
        await ctx.step.sleep("nap", "1m")

    with pytest.raises(JournalFailed):
        async with bench.engine(flow) as engine:
            bench.journal.refuse = Fault(
                JournalFailed("the disk is gone"), AppendRecords, times=99
            )
            await engine.emit("go")
            await trio.sleep_forever()

    assert "a line" not in caplog.text
