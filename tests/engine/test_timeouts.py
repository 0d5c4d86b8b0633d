"""Time limits: of an attempt, of a run, of its start, of a child."""

import threading
from typing import Any

import trio

import ironflow
from ironflow import Context, InvokeError, Retry, StepInDoubt
from tests.engine.bench import SECOND, Bench, settle

ONCE = Retry(max_attempts=1)
TWICE = Retry(max_attempts=2, initial_delay="1s", jitter=0)


async def for_ever() -> None:
    await trio.sleep_forever()


async def test_an_attempt_that_takes_too_long_is_cancelled(bench: Bench) -> None:
    """Its clean-up runs, and the step is in doubt: its effect may have happened."""
    cleaned: list[str] = []

    async def slow() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cleaned.append("up")

    @ironflow.function(triggers=["go"], retry=ONCE)
    async def flow(ctx: Context[Any]) -> str:
        try:
            await ctx.step.run("slow", slow, timeout="5s")
        except StepInDoubt as doubt:
            return str(doubt)
        return "no doubt"

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(5)
        run = await engine.get_run(receipt.run_ids[0])

    assert "did not end within 5 s" in run.unwrap()
    assert cleaned == ["up"]


async def test_a_timed_out_attempt_is_followed_by_the_next(bench: Bench) -> None:
    """A timeout is one failed attempt."""
    attempts: list[int] = []

    async def slow_at_first() -> str:
        attempts.append(ironflow.current_step().attempt)
        if len(attempts) == 1:
            await trio.sleep_forever()
        return "done"

    @ironflow.function(triggers=["go"], retry=TWICE, step_timeout="5s")
    async def flow(ctx: Context[Any]) -> str:
        first = await ctx.step.run("slow", slow_at_first)
        return first + await ctx.step.run("then", slow_at_first)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(6)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.unwrap() == "donedone"
    assert attempts == [1, 2, 1]


async def test_an_attempt_that_ends_in_time_is_not_cut_short_later(
    bench: Bench,
) -> None:
    """The alarm of one attempt does not ring for the next step."""

    async def quick() -> None:
        await trio.lowlevel.checkpoint()

    async def slow() -> str:
        await bench.clock.wait_until(bench.clock.now() + 60 * SECOND)
        return "done"

    @ironflow.function(triggers=["go"], retry=ONCE)
    async def flow(ctx: Context[Any]) -> str:
        await ctx.step.run("quick", quick, timeout="5s")
        return await ctx.step.run("slow", slow)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(60)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.unwrap() == "done"


async def test_what_a_nursery_raises_while_it_is_cancelled_is_recorded(
    bench: Bench,
) -> None:
    """Clean-up of a step that fails must not stop the engine."""

    async def fails_late() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("the clean-up failed")

    async def slow() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(fails_late)

    @ironflow.function(triggers=["go"], retry=ONCE)
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("slow", slow, timeout="5s")

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(5)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.status == "failed"
    assert "sub-exception" in bench.errors(run.id)[0].message


async def test_an_attempt_that_outlives_its_cancel_counts_as_it_ends(
    bench: Bench,
) -> None:
    """A result is a result, also when it comes after the timeout."""

    async def stubborn() -> str:
        with trio.CancelScope(shield=True):
            await bench.clock.wait_until(bench.clock.now() + 9 * SECOND)
        return "late"

    @ironflow.function(triggers=["go"], retry=ONCE)
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run("slow", stubborn, timeout="5s")

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(9)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.unwrap() == "late"


class Threads:
    """A plain step that blocks until it is released, and counts itself."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.calls = 0
        self.begun = trio.Event()
        self.releases: list[threading.Event] = []
        self._lock = threading.Lock()

    def block(self) -> int:
        release = threading.Event()
        with self._lock:
            self.calls += 1
            self.running += 1
            self.most = max(self.most, self.running)
            self.releases.append(release)
            call = self.calls
        trio.from_thread.run_sync(self._note)
        release.wait(5)
        with self._lock:
            self.running -= 1
        return call

    def _note(self) -> None:
        self.begun.set()

    async def wait_begun(self) -> None:
        await self.begun.wait()
        self.begun = trio.Event()

    def release(self) -> None:
        self.releases.pop(0).set()


async def test_a_retry_waits_for_the_thread_of_the_attempt_before(
    bench: Bench,
) -> None:
    """Invariant 7: a thread cannot be killed, and two at once must not be."""
    threads = Threads()

    @ironflow.function(triggers=["go"], retry=TWICE)
    async def flow(ctx: Context[Any]) -> int:
        return await ctx.step.run("block", threads.block, timeout="5s")

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await threads.wait_begun()
        await bench.clock.advance(8)
        while_old_one_runs = threads.calls
        threads.release()
        await threads.wait_begun()
        threads.release()
        run = await engine.result(receipt.run_ids[0])

    assert while_old_one_runs == 1
    assert run.unwrap() == 2
    assert threads.most == 1


async def test_a_parked_retry_waits_for_the_thread_too(bench: Bench) -> None:
    """Invariant 7: also when the backoff is so long that the run parks."""
    retry = Retry(max_attempts=2, initial_delay="1m", jitter=0)
    threads = Threads()

    @ironflow.function(triggers=["go"], retry=retry)
    async def flow(ctx: Context[Any]) -> int:
        return await ctx.step.run("block", threads.block, timeout="5s")

    async with bench.engine(flow, cached=0) as engine:
        receipt = await engine.emit("go")
        await threads.wait_begun()
        await bench.clock.advance(90)
        while_old_one_runs = threads.calls
        threads.release()
        await threads.wait_begun()
        threads.release()
        run = await engine.result(receipt.run_ids[0])

    assert while_old_one_runs == 1
    assert run.unwrap() == 2
    assert threads.most == 1


async def test_a_cancel_ends_the_wait_for_an_old_thread(bench: Bench) -> None:
    """No attempt follows once the run is cancelled, and the step is in doubt."""
    threads = Threads()

    @ironflow.function(triggers=["go"], retry=TWICE)
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("block", threads.block, timeout="5s")

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await threads.wait_begun()
        await bench.clock.advance(8)
        await engine.cancel(receipt.run_ids[0])
        run = await engine.result(receipt.run_ids[0])
        threads.release()
        await settle()

    assert run.status == "cancelled"
    assert threads.calls == 1
    assert bench.kinds(run.id)[-2:] == ["StepInDoubt", "RunEnded"]


async def test_a_run_that_takes_too_long_fails(bench: Bench) -> None:
    """run_timeout is wall clock, waits included."""

    @ironflow.function(triggers=["go"], run_timeout="1h")
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.sleep("day", "1d")

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(3599)
        before = await engine.get_run(receipt.run_ids[0])
        await bench.clock.advance(1)
        run = await engine.get_run(receipt.run_ids[0])

    assert before.status == "waiting"
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.code == "RUN_TIMEOUT"


async def test_a_run_timeout_interrupts_its_step_and_undoes(bench: Bench) -> None:
    """It takes the same path as a cancel, and the run ends failed."""
    undone: list[bool] = []

    async def undo(outcome: ironflow.StepOutcome[Any]) -> None:
        undone.append(outcome.in_doubt)

    @ironflow.function(triggers=["go"], run_timeout="1h")
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("slow", for_ever, undo=undo)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(3600)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.status == "failed"
    assert undone == [True]


async def test_a_run_that_was_taken_up_in_time_keeps_its_time(bench: Bench) -> None:
    """start_timeout is about the queue: a slow first step does not count."""

    async def slow() -> str:
        await bench.clock.wait_until(bench.clock.now() + 60 * SECOND)
        return "done"

    @ironflow.function(triggers=["go"], start_timeout="10s")
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run("slow", slow)

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(60)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.status == "completed", run.error


async def test_a_run_that_nobody_takes_up_in_time_fails(bench: Bench) -> None:
    """None of its steps is called, and so none is undone."""
    calls: list[str] = []

    async def step() -> None:
        calls.append("step")

    async def undo(outcome: ironflow.StepOutcome[Any]) -> None:
        calls.append("undo")

    @ironflow.function(triggers=["go"], start_timeout="10s")
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("step", step, undo=undo)

    async with bench.engine(flow, only=lambda claim: False) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(60)
    bench.crash()
    async with bench.engine(flow) as engine:
        await settle()
        run = await engine.get_run(receipt.run_ids[0])

    assert run.status == "failed"
    assert run.error is not None
    assert "did not begin within its start_timeout" in run.error.message
    assert calls == []


async def test_a_child_that_takes_too_long_is_cancelled(bench: Bench) -> None:
    """Its parent goes on when it has ended."""
    cleaned: list[str] = []

    async def slow() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cleaned.append("up")

    @ironflow.function
    async def child(ctx: Context[None]) -> None:
        await ctx.step.run("slow", slow)

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        try:
            await ctx.step.invoke(child, timeout="1m")
        except InvokeError as error:
            return str(error)
        return "in time"

    async with bench.engine(flow, child) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(60)
        run = await engine.get_run(receipt.run_ids[0])
        [below] = await engine.list_runs(function_id="child")

    assert "within its timeout" in run.unwrap()
    assert below.status == "cancelled"
    assert cleaned == ["up"]
