"""What a step that fails leaves behind, and when it is tried again."""

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
import trio

import ironflow
from ironflow import Context, NonRetryableError, Retry, RetryAfterError
from ironflow.journal.base import RunQuery
from ironflow.records import StepFailed
from tests.engine.bench import SECOND, Bench, settle

ONCE = Retry(max_attempts=1)


class Mute(Exception):
    """An exception that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Unprintable(Exception):
    """An exception that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no picture")


def chained() -> NoReturn:
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError("outer") from error


def own_cause() -> NoReturn:
    error = ValueError("round and round")
    error.__cause__ = error
    raise error


async def group() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(nested)
        nursery.start_soon(nested)


async def nested() -> NoReturn:
    raise LookupError("lost")


def raising(error: BaseException) -> Callable[[], NoReturn]:
    def fails() -> NoReturn:
        raise error

    return fails


ODD: dict[str, tuple[Any, str]] = {
    "exception group": (group, "sub-exception"),
    "its __str__ fails": (raising(Mute()), "__str__ failed"),
    "its __repr__ fails": (raising(Unprintable("x")), "x"),
    "no arguments": (raising(Exception()), ""),
    "a chain": (chained, "outer"),
    "its own cause": (own_cause, "round"),
    "surrogates": (raising(OSError("\ud800")), "\\ud800"),
    "very long": (raising(ValueError("x" * 100_000)), "xxx"),
    "StopIteration in a thread": (raising(StopIteration(3)), ""),
    "StopAsyncIteration": (raising(StopAsyncIteration()), ""),
    "assertion": (raising(AssertionError("must")), "must"),
    "recursion": (raising(RecursionError("deep")), "deep"),
    "an error of ours": (raising(ironflow.EngineError("not now")), "not now"),
    "memory": (raising(MemoryError()), ""),
}


@pytest.mark.parametrize(("fn", "words"), ODD.values(), ids=ODD.keys())
async def test_an_exception_of_any_kind_fails_the_step(
    bench: Bench, fn: Any, words: str
) -> None:
    """It is recorded as far as it can be shown, and the engine goes on."""

    @ironflow.function(triggers=["go"], retry=ONCE)
    async def flow(ctx: Context[Any]) -> Any:
        return await ctx.step.run("fail", fn)

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")
        [again] = await engine.emit_sync("go")

    assert run.status == again.status == "failed"
    assert words in bench.errors(run.id)[0].message


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_an_interrupt_in_a_step_reaches_the_program(
    bench: Bench, kind: type[BaseException]
) -> None:
    """It is no failure of the step: nothing is recorded, and the step is made again."""
    interrupts: list[BaseException] = [kind()]

    async def interrupted() -> str:
        if interrupts:
            raise interrupts.pop()
        return "done"

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run("step", interrupted)

    with pytest.raises(kind):
        async with bench.engine(flow) as engine:
            await engine.emit_sync("go")
    [run] = bench.journal.store.find_now(RunQuery())
    before = bench.kinds(run.row.run_id)
    bench.crash()
    async with bench.engine(flow) as engine:
        again = await engine.result(run.row.run_id)

    assert before == ["RunStarted"]
    assert again.unwrap() == "done"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_an_interrupt_in_function_code_reaches_the_program(
    bench: Bench, kind: type[BaseException]
) -> None:
    """Ctrl-C ends the program, wherever it happens to arrive."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        raise kind

    with pytest.raises(kind):
        async with bench.engine(flow) as engine:
            await engine.emit_sync("go")


CANCELLED: dict[str, BaseException] = {
    "ironflow": ironflow.Cancelled("by mistake"),
    "asyncio": asyncio.CancelledError(),
}


@pytest.mark.parametrize("error", CANCELLED.values(), ids=CANCELLED.keys())
async def test_somebody_elses_cancel_raised_by_a_step_fails_it(
    bench: Bench, error: BaseException
) -> None:
    """Only Trio's own says that this attempt is cancelled."""

    @ironflow.function(triggers=["go"], retry=ONCE)
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("step", raising(error))

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.status == "failed"


async def test_each_failed_attempt_is_a_record(bench: Bench) -> None:
    """So a reader sees what happened before it went well."""
    attempts: list[int] = []

    async def flaky() -> str:
        attempts.append(ironflow.current_step().attempt)
        if len(attempts) < 3:
            raise OSError(f"number {len(attempts)}")
        return "done"

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run("flaky", flaky)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(10)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.unwrap() == "done"
    assert attempts == [1, 2, 3]
    assert [error.message for error in bench.errors(run.id)] == ["number 1", "number 2"]


async def test_a_failed_attempt_waits_before_the_next(bench: Bench) -> None:
    """The backoff of the policy is kept, not a microsecond less."""
    retry = Retry(max_attempts=2, initial_delay="3s", jitter=0)
    times: list[int] = []

    async def fails() -> None:
        times.append(bench.clock.now())
        raise OSError("no")

    @ironflow.function(triggers=["go"], retry=retry)
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("fail", fails)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(2.9)
        early = len(times)
        await bench.clock.advance(0.2)
        run = await engine.get_run(receipt.run_ids[0])

    assert early == 1
    assert times[1] - times[0] == 3 * SECOND
    assert run.status == "failed"


async def test_a_long_backoff_parks_the_run(bench: Bench) -> None:
    """It costs no memory of the engine, and it survives a restart."""
    retry = Retry(max_attempts=2, initial_delay="1h", max_delay="1h", jitter=0)
    attempts: list[int] = []

    async def flaky() -> str:
        attempts.append(ironflow.current_step().attempt)
        if len(attempts) == 1:
            raise OSError("no")
        return "done"

    @ironflow.function(triggers=["go"], retry=retry)
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run("flaky", flaky)

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        parked = await engine.get_run(receipt.run_ids[0])
    async with bench.engine(flow) as engine:
        await bench.clock.advance(3599)
        early = list(attempts)
        await bench.clock.advance(1)
        run = await engine.get_run(receipt.run_ids[0])

    assert parked.status == "waiting"
    assert early == [1]
    assert attempts == [1, 2]
    assert run.unwrap() == "done"


async def test_a_parked_backoff_goes_on_in_the_same_engine(bench: Bench) -> None:
    """The run is woken by the journal's timer."""
    retry = Retry(max_attempts=3, initial_delay="1h", max_delay="1h", jitter=0)
    attempts: list[int] = []

    async def flaky() -> None:
        attempts.append(ironflow.current_step().attempt)
        raise OSError("no")

    @ironflow.function(triggers=["go"], retry=retry)
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("flaky", flaky)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(7200)
        run = await engine.get_run(receipt.run_ids[0])

    assert attempts == [1, 2, 3]
    assert run.status == "failed"


async def test_a_crash_during_a_backoff_does_not_use_up_an_attempt(
    bench: Bench,
) -> None:
    """Losing a worker is not the step's fault."""
    attempts: list[int] = []

    async def flaky() -> None:
        attempts.append(ironflow.current_step().attempt)
        raise OSError("no")

    @ironflow.function(triggers=["go"], retry=Retry(max_attempts=3, jitter=0))
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("flaky", flaky)

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
    async with bench.crashing(flow):
        await settle()
    async with bench.engine(flow) as engine:
        await bench.clock.advance(60)
        run = await engine.get_run(receipt.run_ids[0])

    assert attempts == [1, 2, 3]
    assert run.status == "failed"


async def test_a_step_may_say_when_to_come_back(bench: Bench) -> None:
    """RetryAfterError is taken at its word."""
    times: list[int] = []

    async def busy() -> str:
        times.append(bench.clock.now())
        if len(times) == 1:
            raise RetryAfterError("busy", after="42s")
        return "done"

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run("busy", busy)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(60)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.unwrap() == "done"
    assert times[1] - times[0] == 42 * SECOND


@pytest.mark.parametrize("after", ["soon", -1, None, object(), float("nan")])
async def test_a_retry_after_that_is_no_duration_fails_the_step(
    bench: Bench, after: Any
) -> None:
    """A mistake in a step's error must not stop the engine."""

    async def busy() -> None:
        raise RetryAfterError("busy", after=after)

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("busy", busy)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(3600)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.status == "failed"
    assert "RetryAfterError(after=)" in bench.errors(run.id)[0].message


async def test_a_non_retryable_error_is_not_tried_again(bench: Bench) -> None:
    """Its writer knows that it cannot help."""
    attempts: list[int] = []

    async def refuses() -> None:
        attempts.append(1)
        raise NonRetryableError("never")

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("refuse", refuses)

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.status == "failed"
    assert attempts == [1]


async def test_an_exhausted_step_may_hold_its_run(bench: Bench) -> None:
    """With on_exhausted="pause" a person looks, then the step is tried again."""
    retry = Retry(max_attempts=2, on_exhausted="pause", jitter=0)
    healthy = False
    attempts: list[int] = []

    async def flaky() -> str:
        attempts.append(ironflow.current_step().attempt)
        if not healthy:
            raise OSError("no")
        return "done"

    @ironflow.function(triggers=["go"], retry=retry)
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run("flaky", flaky)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(5)
        paused = await engine.get_run(receipt.run_ids[0])
        await bench.clock.advance(3600)
        still = list(attempts)
        healthy = True
        await engine.resume(paused.id)
        run = await engine.result(paused.id)

    assert paused.status == "paused"
    assert paused.error is not None
    assert "flaky" in paused.error.message
    assert still == [1, 2]
    assert run.unwrap() == "done"


async def test_a_held_run_that_fails_again_is_held_again(bench: Bench) -> None:
    """Each resume is one more attempt."""
    retry = Retry(max_attempts=1, on_exhausted="pause")
    attempts: list[int] = []

    async def fails() -> None:
        attempts.append(ironflow.current_step().attempt)
        raise OSError("no")

    @ironflow.function(triggers=["go"], retry=retry)
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("fail", fails)

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")
        await engine.resume(run.id)
        again = await engine.result(run.id)

    assert again.status == "paused"
    assert attempts == [1, 2]


async def test_a_last_attempt_says_that_it_was_the_last(bench: Bench) -> None:
    """Readers of the history see why no attempt follows."""

    async def fails() -> None:
        raise OSError("no")

    @ironflow.function(triggers=["go"], retry=Retry(max_attempts=2))
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("fail", fails)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(5)

    failed = [
        record
        for record in bench.records(receipt.run_ids[0])
        if isinstance(record, StepFailed)
    ]
    assert [(record.attempt, record.final) for record in failed] == [
        (1, False),
        (2, True),
    ]
