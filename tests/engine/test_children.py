"""Child runs and continued runs, through the engine."""

from typing import Any

import ironflow
from ironflow import Context, InvokeError
from ironflow.journal.base import AppendRecords
from ironflow.records import CancelRequested
from tests.engine.bench import Bench, Commands, settle


@ironflow.function
async def double(ctx: Context[int]) -> int:
    return ctx.event.data * 2


@ironflow.function
async def fails(ctx: Context[Any]) -> None:
    raise ironflow.NonRetryableError("never")


async def test_an_invoke_gives_the_childs_output(bench: Bench) -> None:
    """The parent waits without being in memory."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[int]) -> int:
        return await ctx.step.invoke(double, ctx.event.data)

    async with bench.engine(flow, double, cached=0) as engine:
        [run] = await engine.emit_sync("go", 21)

    assert run.unwrap() == 42


async def test_a_child_that_fails_is_an_error_of_the_parent(bench: Bench) -> None:
    """It names the child's run and says why."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        try:
            await ctx.step.invoke("fails")
        except InvokeError as error:
            return f"{error.run_id} {error}"
        return "fine"

    async with bench.engine(flow, fails) as engine:
        [run] = await engine.emit_sync("go")
        [child] = await engine.list_runs(function_id="fails")

    assert child.id in run.unwrap()
    assert "never" in run.unwrap()


async def test_an_invoke_of_a_function_that_nobody_knows_fails(bench: Bench) -> None:
    """The message says what to do."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> Any:
        return await ctx.step.invoke("unknown")

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.status == "failed"
    assert run.error is not None
    assert "unknown" in run.error.message


async def test_children_run_beside_their_parent(bench: Bench) -> None:
    """Their results may be asked for later, and more than once."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> list[int]:
        children = [await ctx.step.invoke_async(double, n) for n in range(5)]
        await ctx.step.sleep("nap", "1m")
        results = [await child.result() for child in children]
        return results + [await child.result() for child in children]

    async with bench.engine(flow, double) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(60)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.unwrap() == [0, 2, 4, 6, 8] * 2


async def test_a_detached_child_outlives_its_parent(bench: Bench) -> None:
    """Nobody waits for it, and a failure of the parent does not reach it."""

    @ironflow.function
    async def slow(ctx: Context[Any]) -> str:
        await ctx.step.sleep("night", "8h")
        return "rested"

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.invoke_async(slow, detached=True)
        raise ironflow.NonRetryableError("never")

    async with bench.engine(flow, slow) as engine:
        [run] = await engine.emit_sync("go")
        await bench.clock.advance(8 * 3600)
        [child] = await engine.list_runs(function_id="slow")

    assert run.status == "failed"
    assert child.unwrap() == "rested"


async def test_a_child_goes_on_after_a_crash(bench: Bench) -> None:
    """And tells its parent, which is another run to the engine."""

    @ironflow.function
    async def slow(ctx: Context[Any]) -> str:
        await ctx.step.sleep("nap", "1m")
        return "rested"

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.invoke(slow)

    async with bench.crashing(flow, slow) as engine:
        receipt = await engine.emit("go")
        await settle()
    async with bench.engine(flow, slow) as engine:
        await bench.clock.advance(60)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.unwrap() == "rested"


async def test_many_children_of_children(bench: Bench) -> None:
    """Parents that wait take no room from their children."""

    @ironflow.function
    async def tree(ctx: Context[int]) -> int:
        depth = ctx.event.data
        if depth == 0:
            return 1
        results = await ctx.step.map(
            "below", range(3), lambda n, step, index: step.invoke(tree, depth - 1)
        )
        return sum(results)

    root = ironflow.function(id="root", triggers=["go"])(tree.fn)

    async with bench.engine(root, tree) as engine:
        [run] = await engine.emit_sync("go", 5)

    assert run.unwrap() == 3**5


async def test_a_continued_run_is_followed_to_its_end(bench: Bench) -> None:
    """result() and emit_sync give the last run of the chain."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[int]) -> str:
        if ctx.event.data < 5:
            await ctx.step.sleep("nap", "1m")
            await ctx.continue_as_new(ctx.event.data + 1)
        return f"after {ctx.event.data}"

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go", 1)
        await bench.clock.advance(5 * 60)
        run = await engine.result(receipt.run_ids[0])
        first = await engine.get_run(receipt.run_ids[0])

    assert run.unwrap() == "after 5"
    assert first.status == "continued"
    assert run.continued_from


async def test_a_parent_waits_for_the_whole_chain_of_its_child(bench: Bench) -> None:
    """A child that continues as new is one child."""

    @ironflow.function
    async def counts(ctx: Context[int]) -> int:
        if ctx.event.data < 5:
            await ctx.continue_as_new(ctx.event.data + 1)
        return ctx.event.data

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> int:
        return await ctx.step.invoke(counts, 1)

    async with bench.engine(flow, counts) as engine:
        [run] = await engine.emit_sync("go")

    assert run.unwrap() == 5


async def test_a_cancel_of_the_first_reaches_the_last_of_a_chain(bench: Bench) -> None:
    """Who holds an old id need not know of the new one."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[int]) -> None:
        if ctx.event.data < 3:
            await ctx.continue_as_new(ctx.event.data + 1)
        await ctx.step.sleep("night", "8h")

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go", 1)
        await settle()
        await engine.cancel(receipt.run_ids[0])
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "cancelled"


async def test_a_crash_after_a_cancel_still_reaches_the_child(bench: Bench) -> None:
    """It is asked in the commit that records why: a parked parent asks nobody again."""

    @ironflow.function
    async def sleeps(ctx: Context[Any]) -> None:
        await ctx.step.sleep("night", "8h")

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.invoke(sleeps)

    def cancels(commands: Commands) -> bool:
        return any(
            isinstance(entry.record, CancelRequested)
            for command in commands
            if isinstance(command, AppendRecords)
            for entry in command.entries
        )

    held = bench.journal.hold_after(cancels)
    async with bench.crashing(flow, sleeps) as engine:
        receipt = await engine.emit("go")
        await settle()
        await engine.cancel(receipt.run_ids[0])
        await held.reached.wait()
        bench.crash()
        held.released.set()
    async with bench.engine(flow, sleeps) as engine:
        await settle()
        run = await engine.get_run(receipt.run_ids[0])
        [child] = await engine.list_runs(function_id="sleeps")

    assert (run.status, child.status) == ("cancelled", "cancelled")
