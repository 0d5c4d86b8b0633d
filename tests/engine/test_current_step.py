"""What a step function may know about itself."""

from typing import Any

import pytest
import trio

import ironflow
from ironflow import Context, EngineError
from tests.engine.bench import SECOND, Bench


def plain() -> list[Any]:
    step = ironflow.current_step()
    return [step.id, step.name, step.attempt]


async def on_trio() -> list[Any]:
    return plain()


async def in_a_child_task() -> list[Any]:
    found: list[Any] = []

    async def look() -> None:
        found.extend(plain())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
    return found


@pytest.mark.parametrize(
    "fn", [plain, on_trio, in_a_child_task, ironflow.asyncio_step(on_trio)]
)
async def test_a_step_knows_which_it_is(bench: Bench, fn: Any) -> None:
    """On Trio, in a thread and on asyncio alike."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> Any:
        return await ctx.step.run("look", fn)

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.unwrap() == ["look:0", "look", 1]


async def test_two_steps_at_once_know_themselves(bench: Bench) -> None:
    """Branches do not see each other's step."""

    async def look(pause: int) -> str:
        for _ in range(pause):
            await trio.lowlevel.checkpoint()
        return ironflow.current_step().id

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> list[str]:
        return await ctx.step.map(
            "all", [3, 1, 2], lambda item, step, index: step.run("look", look, item)
        )

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.unwrap() == ["all:0:look:0", "all:1:look:0", "all:2:look:0"]


async def test_the_key_of_a_step_is_the_same_for_every_attempt(bench: Bench) -> None:
    """Also after a crash: so the outside world notices a repeated effect."""
    keys: list[tuple[int, str]] = []

    async def charge() -> None:
        step = ironflow.current_step()
        keys.append((step.attempt, step.idempotency_key))
        if len(keys) < 2:
            raise OSError("no")
        if len(keys) < 3:
            await trio.sleep_forever()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("charge", charge)
        await ctx.step.run("charge", charge)

    async with bench.crashing(flow) as engine:
        await engine.emit("go")
        await bench.clock.advance(5)
    async with bench.engine(flow):
        await bench.clock.advance(5)

    assert [attempt for attempt, _ in keys] == [1, 2, 2, 1]
    first, *same, other = [key for _, key in keys]
    assert same == [first, first]
    assert other != first


async def test_a_step_knows_its_deadline(bench: Bench) -> None:
    """It is None where there is no timeout."""

    async def look() -> int | None:
        return ironflow.current_step().deadline

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> list[Any]:
        return [
            await ctx.step.run("without", look),
            await ctx.step.run("with", look, timeout="7s"),
        ]

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.unwrap() == [None, bench.clock.now() + 7 * SECOND]


async def test_outside_of_a_step_there_is_none(bench: Bench) -> None:
    """Neither function code nor the program is inside a step."""

    @ironflow.function(triggers=["go"], on_bug="fail")
    async def flow(ctx: Context[Any]) -> None:
        ironflow.current_step()

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.error is not None
    assert "outside of a step" in run.error.message
    with pytest.raises(EngineError, match="outside of a step"):
        ironflow.current_step()


async def test_function_code_is_in_no_step_even_after_one(bench: Bench) -> None:
    """The task that made the attempt goes on with the code of the run."""

    async def nothing() -> None:
        pass

    @ironflow.function(triggers=["go"], on_bug="fail")
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("nothing", nothing)
        ironflow.current_step()

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.error is not None
    assert "outside of a step" in run.error.message
