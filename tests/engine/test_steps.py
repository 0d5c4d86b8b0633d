"""What may be a step, and what comes of what it returns."""

import asyncio
import functools
import threading
from decimal import Decimal
from typing import Any

import pytest
import trio

import ironflow
from ironflow import Context, Retry
from tests.engine.bench import Bench

ONCE = Retry(max_attempts=1)


class Doubler:
    """A callable object."""

    def __call__(self, number: int) -> int:
        return number * 2


class AsyncDoubler:
    """A callable object that is async."""

    async def __call__(self, number: int) -> int:
        await trio.lowlevel.checkpoint()
        return number * 2


async def double(number: int) -> int:
    await trio.lowlevel.checkpoint()
    return number * 2


def double_in_a_thread(number: int) -> int:
    return number * 2


class Number:
    """A class with a method that is a step."""

    def __init__(self, number: int) -> None:
        self.number = number

    def times(self, factor: int) -> int:
        return self.number * factor

    async def times_async(self, factor: int) -> int:
        await trio.lowlevel.checkpoint()
        return self.number * factor


@ironflow.asyncio_step
async def double_on_asyncio(number: int) -> int:
    await asyncio.sleep(0)
    return number * 2


STEPS: dict[str, Any] = {
    "async": double,
    "plain": double_in_a_thread,
    "lambda": lambda number: number * 2,
    "lambda around async": lambda number: double(number + 0),
    "partial": functools.partial(double_in_a_thread),
    "partial of async": functools.partial(double),
    "method": Number(2).times,
    "async method": Number(2).times_async,
    "callable": Doubler(),
    "async callable": AsyncDoubler(),
    "builtin": (2).__mul__,
    "asyncio": double_on_asyncio,
    "partial of asyncio": functools.partial(double_on_asyncio),
}


@pytest.mark.parametrize("fn", STEPS.values(), ids=STEPS.keys())
async def test_anything_that_can_be_called_is_a_step(bench: Bench, fn: Any) -> None:
    """Functions, methods, objects, plain and async alike give their result."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[int]) -> Any:
        return await ctx.step.run("double", fn, ctx.event.data)

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go", 21)

    assert run.unwrap() == 42


async def test_a_plain_function_runs_in_a_thread_of_its_own(bench: Bench) -> None:
    """It may block without blocking anybody else."""

    def where() -> str:
        return threading.current_thread().name

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run("where", where)

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.unwrap() != threading.current_thread().name


async def test_a_plain_function_may_call_back_into_trio(bench: Bench) -> None:
    """The thread is one of Trio's."""

    def calls_back() -> int:
        return trio.from_thread.run(double, 4)

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> int:
        return await ctx.step.run("back", calls_back)

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.unwrap() == 8


REFUSED: dict[str, tuple[Any, str]] = {
    "object": (lambda: {"orders": [{"total": object()}]}, "$.orders[0].total"),
    "tuple": (lambda: (1, 2), "reads back as [1, 2]"),
    "set": (lambda: {1}, "annotate"),
    "decimal": (lambda: Decimal("1.5"), "annotate"),
    "surrogate": (lambda: {"name": "\ud800"}, "$.name"),
    "huge number": (lambda: [2**70], "$[0]"),
    "generator": (lambda: (n for n in range(3)), "generator"),
    "lambda": (lambda: lambda: 1, "function"),
}


@pytest.mark.parametrize(("fn", "words"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_value_that_cannot_be_kept_fails_the_step_at_once(
    bench: Bench, fn: Any, words: str
) -> None:
    """The message names the path; trying again could not help."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> Any:
        return await ctx.step.run("make", fn)

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.status == "failed"
    assert run.error is not None
    assert words in run.error.message
    assert bench.kinds(run.id) == ["RunStarted", "StepFailed", "RunEnded"]


async def test_a_result_that_does_not_fit_its_annotation_fails_the_step(
    bench: Bench,
) -> None:
    """What a replay would read back as something else is not recorded."""

    async def lies() -> int:
        return "three"  # type: ignore[return-value]  # it lies

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> int:
        return await ctx.step.run("lie", lies)

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.status == "failed"
    assert run.error is not None
    assert "annotation" in run.error.message


async def test_an_annotation_that_cannot_be_read_fails_before_the_call(
    bench: Bench,
) -> None:
    """Nothing has happened when the mistake is seen."""
    calls: list[int] = []

    async def opens() -> threading.Lock:
        calls.append(1)
        return threading.Lock()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("open", opens)

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.status == "failed"
    assert calls == []


async def test_arguments_may_be_anything(bench: Bench) -> None:
    """Only results are recorded; an argument may be a connection or a lock."""

    class Unspeakable:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    loop: list[Any] = []
    loop.append(loop)

    async def takes(*args: Any) -> int:
        return len(args)

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> int:
        return await ctx.step.run(
            "take", takes, threading.Lock(), Unspeakable(), loop, "\ud800", 2**80
        )

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.unwrap() == 5


async def test_a_step_is_asked_in_the_order_of_the_code(bench: Bench) -> None:
    """Invariant 3: after its result is recorded, a step is never called again."""
    calls: list[str] = []

    async def note(name: str) -> None:
        calls.append(name)

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        for name in "abc":
            await ctx.step.run("note", note, name)
        await ctx.step.sleep("rest", "1h")

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(1)
    async with bench.engine(flow) as engine:
        await bench.clock.advance(3600)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.status == "completed"
    assert calls == ["a", "b", "c"]
