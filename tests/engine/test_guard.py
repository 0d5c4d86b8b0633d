"""Function code that awaits what is not ours: stopped at its own line, nothing harmed."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

import ironflow
from ironflow import Context, Engine
from tests.engine.bench import Bench

done: list[str] = []


async def effect() -> None:
    done.append("effect")


async def sleeps(ctx: Context[Any]) -> None:
    await trio.sleep(1)  # here


async def opens_a_scope(ctx: Context[Any]) -> None:
    with trio.move_on_after(5):  # here
        await ctx.step.run("effect", effect)


async def opens_a_nursery(ctx: Context[Any]) -> None:
    async with trio.open_nursery() as nursery:  # here
        nursery.start_soon(effect)


async def takes_a_lock(ctx: Context[Any]) -> None:
    async with trio.Lock():  # here
        await ctx.step.run("effect", effect)


async def uses_a_thread(ctx: Context[Any]) -> None:
    await trio.to_thread.run_sync(done.append, "thread")  # here


async def waits_for_an_event(ctx: Context[Any]) -> None:
    await trio.Event().wait()  # here


async def takes_a_checkpoint(ctx: Context[Any]) -> None:
    await trio.lowlevel.checkpoint()  # here


async def sleeps_on_asyncio(ctx: Context[Any]) -> None:
    await asyncio.sleep(1)  # here


async def yields_to_asyncio(ctx: Context[Any]) -> None:
    await asyncio.sleep(0)  # here


class Stranger:
    """Something that can be awaited, of no library."""

    def __await__(self) -> Any:
        yield "strange"


async def awaits_a_stranger(ctx: Context[Any]) -> None:
    await Stranger()  # here


async def helper() -> None:
    await Stranger()


async def awaits_in_a_helper(ctx: Context[Any]) -> None:
    await helper()  # here


async def in_a_branch(ctx: Context[Any]) -> None:
    async def branch(step: ironflow.StepClient) -> None:
        await trio.sleep(1)  # here

    await ctx.step.parallel("both", [branch, lambda step: step.run("e", effect)])


BODIES = [
    sleeps,
    opens_a_scope,
    opens_a_nursery,
    takes_a_lock,
    uses_a_thread,
    waits_for_an_event,
    takes_a_checkpoint,
    sleeps_on_asyncio,
    yields_to_asyncio,
    awaits_a_stranger,
    awaits_in_a_helper,
]


def line_of(body: Callable[..., Awaitable[Any]]) -> int:
    lines, start = inspect.getsourcelines(body)
    [offset] = [number for number, line in enumerate(lines) if "# here" in line]
    return start + offset


@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(body.__name__))
async def test_a_foreign_await_pauses_the_run_and_names_the_line(
    bench: Bench, body: Any
) -> None:
    """Before any effect; and the engine goes on with other runs."""
    done.clear()
    flow = ironflow.function(id="flow", triggers=["go"])(body)
    well = ironflow.function(id="well", triggers=["well"])(well_behaved)

    async with bench.engine(flow, well) as engine:
        [run] = await engine.emit_sync("go")
        before = list(done)
        [after] = await engine.emit_sync("well")

    assert run.status == "paused"
    assert run.error is not None
    assert f"test_guard.py:{line_of(body)}" in run.error.message
    assert before == []
    assert after.unwrap() == "well"


async def well_behaved(ctx: Context[Any]) -> str:
    await ctx.step.run("effect", effect)
    return "well"


async def test_a_foreign_await_in_a_branch_names_its_line(bench: Bench) -> None:
    """The branch beside it has begun and is let go."""
    flow = ironflow.function(id="flow", triggers=["go"])(in_a_branch)

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.status == "paused"
    assert run.error is not None
    assert f"test_guard.py:{line_of(in_a_branch)}" in run.error.message


async def test_a_bug_names_its_line_in_the_function(bench: Bench) -> None:
    """Where function code called something that raised, not deep inside of that."""

    async def buggy(ctx: Context[Any]) -> None:
        int("three")
        sorted([1, "two"], key=inspect.signature)  # type: ignore[arg-type]  # here

    flow = ironflow.function(id="flow", triggers=["go"])(buggy)

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.error is not None
    assert "ValueError" in run.error.message
    assert f"test_guard.py:{line_of(buggy) - 1}" in run.error.message


async def test_a_method_of_the_engine_is_no_operation(bench: Bench) -> None:
    """Function code that emits would emit again in each replay."""
    engines: list[Engine] = []

    async def emits(ctx: Context[Any]) -> None:
        await engines[0].emit("other")

    flow = ironflow.function(id="flow", triggers=["go"])(emits)

    async with bench.engine(flow) as engine:
        engines.append(engine)
        [run] = await engine.emit_sync("go")
        events = await engine.list_events("other")

    assert run.status == "paused"
    assert events == []


async def test_a_step_may_await_whatever_it_likes(bench: Bench) -> None:
    """The guard is about function code only; also in the step after it."""

    async def step() -> str:
        with trio.move_on_after(5):
            await trio.lowlevel.checkpoint()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.checkpoint)
        return await trio.to_thread.run_sync(lambda: "done")

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> list[str]:
        return [await ctx.step.run("a", step), await ctx.step.run("b", step)]

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.unwrap() == ["done", "done"]
