"""Runs that are open when their code changes."""

from typing import Any

import ironflow
from ironflow import Context
from ironflow.records import CodeChanged
from tests.engine.bench import Bench, settle


async def step(name: str) -> str:
    return name


async def first(ctx: Context[Any]) -> list[str]:
    names = [await ctx.step.run("a", step, "a")]
    await ctx.step.sleep("nap", "1m")
    return [*names, await ctx.step.run("b", step, "b")]


async def longer(ctx: Context[Any]) -> list[str]:
    names = [await ctx.step.run("a", step, "a")]
    await ctx.step.sleep("nap", "1m")
    names.append(await ctx.step.run("b", step, "b"))
    return [*names, await ctx.step.run("c", step, "c")]


async def other(ctx: Context[Any]) -> list[str]:
    names = [await ctx.step.run("renamed", step, "a")]
    await ctx.step.sleep("nap", "1m")
    return names


def flow(body: Any, version: str, **options: Any) -> Any:
    decorate = ironflow.function(id="flow", triggers=["go"], version=version, **options)
    return decorate(body)


async def test_code_that_agrees_takes_an_open_run_over(bench: Bench) -> None:
    """And says so in its history, before it does anything new."""
    async with bench.crashing(flow(first, "1")) as engine:
        receipt = await engine.emit("go")
        await settle()
    async with bench.engine(flow(longer, "2")) as engine:
        await bench.clock.advance(60)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.unwrap() == ["a", "b", "c"]
    kinds = bench.kinds(run.id)
    assert kinds.index("CodeChanged") < kinds.index("SleepFired")
    [change] = [each for each in bench.records(run.id) if isinstance(each, CodeChanged)]
    assert change.version == "2"


async def test_code_that_disagrees_pauses_the_run_and_shows_both_lines(
    bench: Bench,
) -> None:
    """Nothing is done, nothing undone, no attempt used up."""
    async with bench.crashing(flow(first, "1")) as engine:
        receipt = await engine.emit("go")
        await settle()
    async with bench.engine(flow(other, "2")) as engine:
        await bench.clock.advance(60)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.status == "paused"
    assert run.error is not None
    assert "'a:0' (engine/test_code_changes.py:" in run.error.message
    assert "'renamed:0' (engine/test_code_changes.py:" in run.error.message
    assert bench.kinds(run.id) == ["RunStarted", "StepCompleted", "SleepStarted"]


async def test_a_run_refused_by_new_code_goes_on_with_the_old(bench: Bench) -> None:
    """By itself, when a version comes back that agrees."""
    async with bench.crashing(flow(first, "1")) as engine:
        receipt = await engine.emit("go")
        await settle()
    async with bench.crashing(flow(other, "2")):
        await bench.clock.advance(60)
    async with bench.engine(flow(first, "1")) as engine:
        await bench.clock.advance(60)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.unwrap() == ["a", "b"]


async def test_a_paused_run_is_not_tried_again_by_the_same_code(bench: Bench) -> None:
    """A restart alone does not mend a bug."""
    tries: list[int] = []

    async def buggy(ctx: Context[Any]) -> None:
        tries.append(1)
        raise ZeroDivisionError("a bug")

    for _ in range(3):
        async with bench.crashing(flow(buggy, "1")) as engine:
            if not tries:
                await engine.emit("go")
            await settle()
    async with bench.engine(flow(first, "2")) as engine:
        await bench.clock.advance(60)
        [run] = await engine.list_runs()

    assert tries == [1]
    assert run.unwrap() == ["a", "b"]


async def test_a_resume_tries_the_same_code_again(bench: Bench) -> None:
    """The bug may have been outside of the code."""
    healthy = False

    async def depends(ctx: Context[Any]) -> str:
        if not healthy:
            raise ZeroDivisionError("a bug")
        return await ctx.step.run("a", step, "a")

    async with bench.engine(flow(depends, "1")) as engine:
        [paused] = await engine.emit_sync("go")
        healthy = True
        await engine.resume(paused.id)
        run = await engine.result(paused.id)

    assert paused.status == "paused"
    assert run.unwrap() == "a"


async def test_a_run_keeps_to_the_patches_that_it_began_with(bench: Bench) -> None:
    """Until newer code that agrees with its history takes it over."""

    async def unpatched(ctx: Context[Any]) -> str:
        await ctx.step.sleep("nap", "1m")
        return "old"

    async def patched(ctx: Context[Any]) -> list[bool]:
        before = ctx.patched("new")
        await ctx.step.sleep("nap", "1m")
        return [before, ctx.patched("new")]

    async with bench.crashing(flow(unpatched, "1")) as engine:
        receipt = await engine.emit("go")
        await settle()
    async with bench.engine(flow(patched, "2", patches=["new"])) as engine:
        await bench.clock.advance(60)
        run = await engine.get_run(receipt.run_ids[0])
        fresh = await engine.emit("go")
        await bench.clock.advance(60)
        newer = await engine.get_run(fresh.run_ids[0])

    assert run.unwrap() == [False, True]
    assert newer.unwrap() == [True, True]


async def test_a_child_without_a_function_is_taken_up_when_it_has_one(
    bench: Bench,
) -> None:
    """The registry remembers what other apps have."""

    @ironflow.function(id="child")
    async def child(ctx: Context[Any]) -> str:
        return "child"

    async def parent(ctx: Context[Any]) -> str:
        await ctx.step.sleep("nap", "1m")
        return str(await ctx.step.invoke("child"))

    async with bench.crashing(child, flow(parent, "1")) as engine:
        receipt = await engine.emit("go")
        await settle()
    async with bench.crashing(flow(parent, "1")) as engine:
        await bench.clock.advance(60)
        waiting = await engine.get_run(receipt.run_ids[0])
    async with bench.engine(child, flow(parent, "1")) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert waiting.status == "waiting"
    assert run.unwrap() == "child"
