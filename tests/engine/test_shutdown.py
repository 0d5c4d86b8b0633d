"""Closing an engine: in order, in time, and with nothing recorded that is not so."""

import gc
from contextlib import suppress
from typing import Any

import pytest
import trio

import ironflow
from ironflow import Context, Engine, EngineClosed, Retry, limits
from tests.engine.bench import Bench, settle
from tests.engine.test_timeouts import Threads


class Gate:
    """A step that waits to be let through, and says what became of it."""

    def __init__(self) -> None:
        self.open = trio.Event()
        self.calls = 0
        self.cancelled = 0

    async def step(self) -> str:
        self.calls += 1
        try:
            await self.open.wait()
        except trio.Cancelled:
            self.cancelled += 1
            raise
        return "done"

    async def open_later(self) -> None:
        await settle()
        self.open.set()


def one_step(gate: Gate) -> Any:
    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run("step", gate.step)

    return flow


async def test_a_step_that_runs_is_waited_for_and_recorded(bench: Bench) -> None:
    """The next start need not do it again."""
    gate = Gate()
    flow = one_step(gate)

    async with trio.open_nursery() as nursery, bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        nursery.start_soon(gate.open_later)

    assert gate.calls == 1
    assert "StepCompleted" in bench.kinds(receipt.run_ids[0])


async def test_a_thread_that_runs_is_waited_for(bench: Bench) -> None:
    """Plain functions are steps like any other."""
    threads = Threads()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> int:
        return await ctx.step.run("step", threads.block)

    async def release() -> None:
        await settle()
        threads.release()

    async with trio.open_nursery() as nursery, bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await threads.wait_begun()
        nursery.start_soon(release)

    assert "StepCompleted" in bench.kinds(receipt.run_ids[0])


async def test_a_step_that_takes_too_long_is_cancelled_and_not_recorded(
    bench: Bench,
) -> None:
    """Shutdown is not cancel: the next start does the step again."""
    gate = Gate()
    flow = one_step(gate)

    async with bench.engine(flow, shutdown=0) as engine:
        receipt = await engine.emit("go")
        await settle()
    before = bench.kinds(receipt.run_ids[0])
    gate.open.set()
    bench.crash()
    async with bench.engine(flow) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert gate.cancelled == 1
    assert before == ["RunStarted"]
    assert run.unwrap() == "done"


async def test_what_a_step_raises_when_it_is_cut_off_is_not_recorded(
    bench: Bench,
) -> None:
    """A library may turn a cancel into an error; that is no failed attempt."""

    async def wraps() -> None:
        try:
            await trio.sleep_forever()
        except BaseException as error:
            raise OSError("connection lost") from error

    async def groups() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wraps)
            nursery.start_soon(trio.sleep_forever)

    @ironflow.function(triggers=["go"], retry=Retry(max_attempts=1))
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.parallel(
            "both", [lambda step: step.run("a", wraps), lambda s: s.run("b", groups)]
        )

    async with bench.engine(flow, shutdown=0) as engine:
        receipt = await engine.emit("go")
        await settle()

    assert bench.kinds(receipt.run_ids[0]) == ["RunStarted"]


async def test_a_thread_that_takes_too_long_is_left_behind(bench: Bench) -> None:
    """It cannot be stopped; the engine closes without it."""
    threads = Threads()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> int:
        return await ctx.step.run("step", threads.block)

    async with bench.engine(flow, shutdown=0) as engine:
        receipt = await engine.emit("go")
        await threads.wait_begun()
    threads.release()

    assert bench.kinds(receipt.run_ids[0]) == ["RunStarted"]


async def test_no_step_begins_while_the_engine_closes(bench: Bench) -> None:
    """Neither the one after, nor one that was backing off."""
    gate = Gate()
    calls: list[str] = []

    async def fails() -> None:
        calls.append("fails")
        raise OSError("no")

    async def after() -> None:
        calls.append("after")

    async def two(step: ironflow.StepClient) -> None:
        await step.run("gate", gate.step)
        await step.run("after", after)

    @ironflow.function(triggers=["go"], retry=Retry(initial_delay="4s", jitter=0))
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.parallel("both", [two, lambda step: step.run("fails", fails)])

    async def let_time_pass() -> None:
        await settle()
        await bench.clock.advance(4)
        gate.open.set()

    async with trio.open_nursery() as nursery, bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        nursery.start_soon(let_time_pass)

    assert calls == ["fails"]
    assert "StepCompleted" in bench.kinds(receipt.run_ids[0])


async def test_a_call_after_closing_says_so(bench: Bench) -> None:
    """Every method does."""
    async with bench.engine() as engine:
        pass
    unknown = "run_" + "0" * 32

    for call in (
        lambda: engine.emit("go"),
        lambda: engine.emit_sync("go"),
        lambda: engine.get_run(unknown),
        lambda: engine.result(unknown),
        engine.list_runs,
        engine.list_events,
        lambda: engine.history(unknown),
        lambda: engine.cancel(unknown),
        lambda: engine.resume(unknown),
    ):
        with pytest.raises(EngineClosed, match="open it again"):
            await call()


async def test_a_call_that_waits_ends_when_the_engine_closes(bench: Bench) -> None:
    """A server outside of the engine's block must not hang with it."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.sleep("night", "8h")

    errors: list[BaseException] = []

    async def wait(engine: Engine, run_id: str) -> None:
        try:
            await engine.result(run_id)
        except EngineClosed as error:
            errors.append(error)

    with trio.fail_after(2):
        async with trio.open_nursery() as nursery, bench.engine(flow) as engine:
            receipt = await engine.emit("go")
            nursery.start_soon(wait, engine, receipt.run_ids[0])
            await settle()

    assert len(errors) == 1


async def test_an_exception_in_the_block_comes_out_as_itself(bench: Bench) -> None:
    """With its cause, and not in a group."""
    cause = KeyError("cause")
    error = ValueError("mine")

    with pytest.raises(ValueError, match="mine") as caught:
        async with bench.engine():
            raise error from cause

    assert caught.value is error
    assert error.__cause__ is cause


async def test_a_group_from_the_block_comes_out_as_itself(bench: Bench) -> None:
    """A nursery of the user's own raises groups, and they are his."""
    error = ExceptionGroup("mine", [ValueError("one")])

    with pytest.raises(ExceptionGroup) as caught:
        async with bench.engine():
            raise error

    assert caught.value is error


async def test_cancelling_the_block_is_no_error(bench: Bench) -> None:
    """It closes the engine and goes no further than its scope."""
    gate = Gate()
    flow = one_step(gate)

    with trio.move_on_after(5) as scope:
        async with bench.engine(flow, shutdown=0) as engine:
            await engine.emit("go")
            await settle()
            scope.cancel()
            await trio.lowlevel.checkpoint()

    assert scope.cancelled_caught
    assert gate.cancelled == 1


async def test_function_code_that_is_dropped_cleans_up_quietly(bench: Bench) -> None:
    """Also async generators; no operation in clean-up does anything."""
    seen: list[str] = []

    async def pages(ctx: Context[Any]) -> Any:
        try:
            yield await ctx.step.run("page", page)
            await ctx.step.sleep("night", "8h")
            yield 2
        finally:
            seen.append("generator")
            await ctx.step.run("cleanup", page)

    async def page() -> int:
        seen.append("page")
        return 1

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        try:
            async for _ in pages(ctx):
                pass
        finally:
            seen.append("function")
            await ctx.step.run("cleanup", page)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
    gc.collect()

    assert sorted(seen) == ["function", "generator", "page"]
    assert bench.kinds(receipt.run_ids[0]) == [
        "RunStarted",
        "StepCompleted",
        "SleepStarted",
    ]


async def test_a_helper_that_cleans_up_is_closed_before_its_caller(
    bench: Bench,
) -> None:
    """No `except Exception` of the caller takes the drop for a failure."""
    seen: list[str] = []

    async def helper(step: ironflow.StepClient) -> None:
        try:
            await step.sleep("night", "8h")
        finally:
            seen.append("helper")
            await step.sleep("once more", "1s")

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        try:
            await helper(ctx.step)
        except Exception as error:
            seen.append(repr(error))
            raise
        finally:
            seen.append("caller")

    async with bench.engine(flow) as engine:
        await engine.emit("go")
        await settle()

    assert seen == ["helper", "caller"]


async def test_an_async_generator_that_is_left_half_way_is_finalized(
    bench: Bench,
) -> None:
    """In the window of its run: the loop's own hook never sees it."""
    seen: list[str] = []

    async def numbers() -> Any:
        try:
            yield 1
            yield 2
        finally:
            seen.append("finalized")

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> int:
        async for number in numbers():
            return int(number)
        return 0

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.unwrap() == 1
    assert seen == ["finalized"]


async def test_code_that_will_not_be_closed_is_reported(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """It is abandoned, and the engine closes."""

    @ironflow.function(triggers=["go"])
    async def stubborn(ctx: Context[Any]) -> None:
        for _ in range(limits.CLOSE_OPERATIONS_MAX + 1):
            with suppress(BaseException):
                await ctx.step.sleep("night", "8h")

    async with bench.engine(stubborn) as engine:
        await engine.emit("go")
        await settle()

    assert "while it is closed" in caplog.text
