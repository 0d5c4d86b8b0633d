"""Cancel reaches a run wherever it stands, and never leaves it half undone."""

from contextlib import suppress
from typing import Any

import pytest
import trio

import ironflow
from ironflow import Context, Retry, RunNotFound, StepOutcome
from tests.engine.bench import SECOND, Bench, settle
from tests.engine.test_timeouts import Threads


class Shop:
    """Steps that are undone, and a list of what was done."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def book(self, what: str) -> str:
        self.done.append(f"book {what}")
        return what

    async def unbook(self, outcome: StepOutcome[Any]) -> None:
        await trio.lowlevel.checkpoint()
        self.done.append(f"unbook {outcome.args[0]}")


async def test_an_async_step_is_interrupted(bench: Bench) -> None:
    """Its clean-up runs; it is in doubt and so it is undone."""
    cleaned: list[str] = []
    shop = Shop()

    async def slow(what: str) -> None:
        try:
            await trio.sleep_forever()
        finally:
            cleaned.append("up")

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("first", shop.book, "first", undo=shop.unbook)
        await ctx.step.run("slow", slow, "slow", undo=shop.unbook)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        await engine.cancel(receipt.run_ids[0], reason="enough")
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "cancelled"
    assert run.error is not None
    assert "enough" in run.error.message
    assert cleaned == ["up"]
    assert shop.done == ["book first", "unbook slow", "unbook first"]


async def test_a_thread_is_left_behind(bench: Bench) -> None:
    """It cannot be stopped: the step is in doubt and the run ends without it."""
    threads = Threads()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("block", threads.block)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await threads.wait_begun()
        await engine.cancel(receipt.run_ids[0])
        run = await engine.result(receipt.run_ids[0])
        threads.release()

    assert run.status == "cancelled"
    assert "StepInDoubt" in bench.kinds(run.id)


async def test_a_backoff_ends_at_once(bench: Bench) -> None:
    """No attempt follows; the step failed as it last did."""
    attempts: list[int] = []

    async def fails() -> None:
        attempts.append(1)
        raise OSError("no")

    @ironflow.function(triggers=["go"], retry=Retry(initial_delay="4s"))
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("fail", fails)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(1)
        await engine.cancel(receipt.run_ids[0])
        run = await engine.result(receipt.run_ids[0])
        await bench.clock.advance(60)

    assert run.status == "cancelled"
    assert attempts == [1]


async def test_a_parked_backoff_ends_at_once(bench: Bench) -> None:
    """Also when the run is not in memory."""
    attempts: list[int] = []

    async def fails() -> None:
        attempts.append(1)
        raise OSError("no")

    @ironflow.function(triggers=["go"], retry=Retry(initial_delay="4m"))
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("fail", fails)

    async with bench.engine(flow, cached=0) as engine:
        receipt = await engine.emit("go")
        await settle()
        await engine.cancel(receipt.run_ids[0])
        run = await engine.result(receipt.run_ids[0])
        await bench.clock.advance(600)

    assert run.status == "cancelled"
    assert attempts == [1]


async def sleeping(ctx: Context[Any]) -> None:
    await ctx.step.sleep("night", "8h")


async def waiting(ctx: Context[Any]) -> None:
    await ctx.step.wait_for_event("news", "news", timeout=None)


async def side_by_side(ctx: Context[Any]) -> None:
    await ctx.step.parallel(
        "both",
        [
            lambda step: step.sleep("night", "8h"),
            lambda step: step.wait_for_event("news", "news"),
            lambda step: step.run("slow", trio.sleep_forever),
        ],
    )


async def one_at_a_time(ctx: Context[Any]) -> None:
    await ctx.step.map(
        "all",
        range(3),
        lambda item, step, index: step.sleep("night", "8h"),
        concurrency=1,
    )


@pytest.mark.parametrize("body", [sleeping, waiting, side_by_side, one_at_a_time])
@pytest.mark.parametrize("cached", [0, 9])
async def test_whatever_a_run_waits_for_ends(
    bench: Bench, body: Any, cached: int
) -> None:
    """Sleeping, waiting, in parallel: nothing of it is left in the journal."""
    flow = ironflow.function(id="flow", triggers=["go"])(body)

    async with bench.engine(flow, cached=cached) as engine:
        receipt = await engine.emit("go")
        await settle()
        await engine.cancel(receipt.run_ids[0])
        run = await engine.result(receipt.run_ids[0])
        left = await bench.journal.timers(run.id)

    assert run.status == "cancelled"
    assert left == []


async def test_a_cancelled_run_stays_cancelled_if_its_code_swallows_it(
    bench: Bench,
) -> None:
    """Code may clean up, but not go on."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        with suppress(ironflow.Cancelled):
            await ctx.step.sleep("night", "8h")
        return "completed after all"

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        await engine.cancel(receipt.run_ids[0])
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "cancelled"


async def test_attached_children_are_cancelled_before_their_parent_ends(
    bench: Bench,
) -> None:
    """A detached one goes on."""
    shop = Shop()

    @ironflow.function
    async def child(ctx: Context[str]) -> None:
        await ctx.step.run("book", shop.book, ctx.event.data, undo=shop.unbook)
        await ctx.step.sleep("night", "8h")

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.invoke_async(child, "detached", detached=True)
        await ctx.step.invoke_async(child, "attached")
        await ctx.step.invoke(child, "awaited")

    async with bench.engine(flow, child) as engine:
        receipt = await engine.emit("go")
        await settle()
        await engine.cancel(receipt.run_ids[0])
        run = await engine.result(receipt.run_ids[0])
        below = await engine.list_runs(function_id="child")

    assert run.status == "cancelled"
    assert sorted(run.status for run in below) == ["cancelled", "cancelled", "waiting"]
    assert "unbook attached" in shop.done
    assert "unbook awaited" in shop.done
    assert "unbook detached" not in shop.done


async def test_undo_is_shielded_from_a_second_cancel(bench: Bench) -> None:
    """Invariant 9: each undo is made once, newest first, whoever cancels again."""
    shop = Shop()
    release = trio.Event()

    async def slow_unbook(outcome: StepOutcome[str]) -> None:
        await release.wait()
        await shop.unbook(outcome)

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("a", shop.book, "a", undo=shop.unbook)
        await ctx.step.run("b", shop.book, "b", undo=slow_unbook)
        await ctx.step.sleep("night", "8h")

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        await engine.cancel(receipt.run_ids[0])
        await settle()
        await engine.cancel(receipt.run_ids[0])
        await settle()
        release.set()
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "cancelled"
    assert shop.done == ["book a", "book b", "unbook b", "unbook a"]


async def test_a_crash_during_undo_goes_on_with_what_is_left(bench: Bench) -> None:
    """Invariant 9: an undo whose end is recorded is not made again."""
    shop = Shop()
    stuck = True

    async def unbook(outcome: StepOutcome[str]) -> None:
        if outcome.args[0] == "a" and stuck:
            await trio.sleep_forever()
        await shop.unbook(outcome)

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("a", shop.book, "a", undo=unbook)
        await ctx.step.run("b", shop.book, "b", undo=unbook)
        await ctx.step.sleep("night", "8h")

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        await engine.cancel(receipt.run_ids[0])
        await settle()
    stuck = False
    async with bench.engine(flow) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "cancelled"
    assert shop.done == ["book a", "book b", "unbook b", "unbook a"]


async def test_a_run_cancelled_twice_is_cancelled_once(bench: Bench) -> None:
    """The second request finds the first."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.sleep("night", "8h")

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(engine.cancel, receipt.run_ids[0])
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "cancelled"
    assert bench.kinds(run.id).count("CancelRequested") == 1


async def test_a_run_that_is_paused_by_a_bug_ends_cancelled(bench: Bench) -> None:
    """Its code cannot be asked what to undo, and the error says so."""
    shop = Shop()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("a", shop.book, "a", undo=shop.unbook)
        raise ZeroDivisionError("a bug")

    async with bench.engine(flow) as engine:
        [paused] = await engine.emit_sync("go")
        await engine.cancel(paused.id)
        run = await engine.result(paused.id)

    assert paused.status == "paused"
    assert run.status == "cancelled"
    assert run.error is not None
    assert "nothing was undone" in run.error.message


@pytest.mark.parametrize("again", [True, False])
async def test_a_run_whose_time_is_over_while_it_is_paused_ends_failed(
    bench: Bench, *, again: bool
) -> None:
    """As by a cancel, without undo; also if the code was corrected meanwhile, with it."""
    shop = Shop()
    healthy: list[bool] = []

    @ironflow.function(triggers=["go"], run_timeout="10m")
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("a", shop.book, "a", undo=shop.unbook)
        if not healthy:
            raise ZeroDivisionError("a bug")
        await ctx.step.sleep("nap", "1h")

    async with bench.engine(flow) as engine:
        [paused] = await engine.emit_sync("go")
        healthy += [True] * again
        await bench.clock.advance(10 * 60)
        run = await engine.get_run(paused.id)

    assert paused.status == "paused"
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.code == "RUN_TIMEOUT"
    assert ("nothing was undone" in run.error.message) != again
    assert shop.done == (["book a", "unbook a"] if again else ["book a"])


async def test_a_run_that_waits_for_a_person_undoes_and_ends_cancelled(
    bench: Bench,
) -> None:
    """A step with on_exhausted="pause" is given up."""
    shop = Shop()

    async def fails() -> None:
        raise OSError("no")

    @ironflow.function(
        triggers=["go"], retry=Retry(max_attempts=1, on_exhausted="pause")
    )
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("a", shop.book, "a", undo=shop.unbook)
        await ctx.step.run("fail", fails)

    async with bench.engine(flow) as engine:
        [paused] = await engine.emit_sync("go")
        await engine.cancel(paused.id)
        run = await engine.result(paused.id)

    assert paused.status == "paused"
    assert run.status == "cancelled"
    assert shop.done == ["book a", "unbook a"]


async def test_a_run_that_has_ended_stays_as_it_is(bench: Bench) -> None:
    """A cancel that comes too late changes nothing."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        return "done"

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")
        cancelled = await engine.cancel(run.id)

    assert cancelled.unwrap() == "done"


async def test_a_run_that_does_not_exist_cannot_be_cancelled(bench: Bench) -> None:
    """The error names the id."""
    unknown = "run_" + "0" * 32

    async with bench.engine() as engine:
        with pytest.raises(RunNotFound, match=unknown):
            await engine.cancel(unknown)


async def test_a_cancel_survives_a_crash(bench: Bench) -> None:
    """It is a record like any other, or an inbox row until then."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.sleep("night", "8h")

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        await engine.cancel(receipt.run_ids[0])
    async with bench.engine(flow) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "cancelled"


async def test_a_result_that_comes_after_the_cancel_is_recorded(bench: Bench) -> None:
    """What has happened has happened: it is known, and undone."""
    shop = Shop()

    async def stubborn(what: str) -> str:
        with trio.CancelScope(shield=True):
            await bench.clock.wait_until(bench.clock.now() + 9 * SECOND)
        return await shop.book(what)

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("a", stubborn, "a", undo=shop.unbook)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        await engine.cancel(receipt.run_ids[0])
        await bench.clock.advance(9)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.status == "cancelled"
    assert "StepCompleted" in bench.kinds(run.id)
    assert shop.done == ["book a", "unbook a"]
