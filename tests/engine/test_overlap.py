"""Invariant 7 in one engine: an attempt begins when the one before has really ended."""

import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import trio

import ironflow
from ironflow import Context, LeaseLost, NonRetryableError, Retry
from ironflow.journal.base import AppendRecords, Hint
from tests.engine.bench import SECOND, Bench, settle
from tests.engine.test_journal_faults import Fault
from tests.engine.test_lost_hints import Deaf
from tests.engine.test_lost_leases import carried_on_elsewhere, ended_hold
from tests.engine.test_timeouts import Threads

ONCE = Retry(max_attempts=1)


@dataclass
class Calls:
    """What became of the calls of a step, in order."""

    told: list[str] = field(default_factory=list[str])
    gate: trio.Event = field(default_factory=trio.Event)

    async def wait_at_gate(self) -> str:
        self.told.append("begun")
        try:
            await self.gate.wait()
        except trio.Cancelled:
            self.told.append("stopped")
            raise
        self.told.append("returned")
        return "done"


def beside_a_wait(work: Callable[[], Awaitable[str]] | Callable[[], Any]) -> Any:
    """A step, and beside it a wait: an event makes its run append something."""

    @ironflow.function(id="flow", triggers=["go"], retry=ONCE)
    async def flow(ctx: Context[Any]) -> Any:
        both: list[Any] = await ctx.step.parallel(
            "both",
            [
                lambda step: step.run("work", work),
                lambda step: step.wait_for_event("news", "news"),
            ],
        )
        return both[0]

    return flow


async def lose_the_hold(
    bench: Bench, engine: ironflow.Engine, *, times: int = 1
) -> None:
    """Refuse the next appends: each time the run is given up, and claimed again."""
    bench.journal.refuse = Fault(LeaseLost("gone"), AppendRecords, times=times)
    await engine.emit("news")
    await settle()


async def test_the_next_life_of_a_run_waits_for_a_step_that_shields_itself(
    bench: Bench,
) -> None:
    """It was cancelled with the hold, and goes on as long as it likes."""
    calls = Calls()

    async def stubborn() -> str:
        try:
            return await calls.wait_at_gate()
        finally:
            with trio.CancelScope(shield=True):
                await bench.clock.wait_until(bench.clock.now() + 9 * SECOND)
            calls.told.append("ended")

    async with bench.engine(beside_a_wait(stubborn)) as engine:
        receipt = await engine.emit("go")
        await settle()
        await lose_the_hold(bench, engine)
        meanwhile = list(calls.told)
        await bench.clock.advance(9)
        calls.gate.set()
        await bench.clock.advance(9)
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "completed"
    assert meanwhile == ["begun", "stopped"]
    assert calls.told == ["begun", "stopped", "ended", "begun", "returned", "ended"]


async def test_a_cancelled_step_learns_of_it_before_the_next_one_begins(
    bench: Bench,
) -> None:
    """Also when it learns later than the run is claimed again."""
    calls = Calls()

    async def slow_to_learn() -> str:
        try:
            return await calls.wait_at_gate()
        finally:
            for _ in range(50):
                await trio.lowlevel.cancel_shielded_checkpoint()
            calls.told.append("ended")

    async with bench.engine(beside_a_wait(slow_to_learn)) as engine:
        await engine.emit("go")
        await settle()
        await lose_the_hold(bench, engine)
        calls.gate.set()
        await settle()

    assert calls.told == ["begun", "stopped", "ended", "begun", "returned", "ended"]


async def test_the_next_life_of_a_run_waits_for_every_thread(bench: Bench) -> None:
    """Invariant 7: a thread whose run was given up twice is still waited for."""
    threads = Threads()

    async with bench.engine(beside_a_wait(threads.block)) as engine:
        receipt = await engine.emit("go")
        await threads.wait_begun()
        await lose_the_hold(bench, engine, times=2)
        while_old_one_runs = threads.calls
        threads.release()
        await threads.wait_begun()
        threads.release()
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "completed"
    assert while_old_one_runs == 1
    assert threads.most == 1


async def test_a_step_that_has_to_be_made_to_its_end_waits_too(bench: Bench) -> None:
    """A sibling failed: the step may have begun, so it is made again, but not beside itself."""
    threads, failing = Threads(), trio.Event()

    async def fails() -> None:
        await failing.wait()
        raise NonRetryableError("no")

    @ironflow.function(id="flow", triggers=["go"], retry=ONCE)
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.parallel(
            "all",
            [
                lambda step: step.run("work", threads.block),
                lambda step: step.run("fails", fails),
                lambda step: step.wait_for_event("news", "news"),
            ],
        )

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await threads.wait_begun()
        await lose_the_hold(bench, engine)
        failing.set()
        await settle()
        while_old_one_runs = threads.calls
        threads.release()
        await threads.wait_begun()
        threads.release()
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "failed"
    assert while_old_one_runs == 1
    assert threads.most == 1


async def test_what_others_have_carried_on_is_not_made_beside_itself(
    bench: Bench,
) -> None:
    """They have recorded one step; the other one, which runs here, is asked for again."""
    journal, calls, slow = Deaf(bench.journal), Calls(), trio.Event()

    async def theirs() -> str:
        await slow.wait()
        return "ours"

    @ironflow.function(id="flow", triggers=["go"], retry=ONCE)
    async def flow(ctx: Context[Any]) -> Any:
        return await ctx.step.parallel(
            "both",
            [
                lambda step: step.run("work", calls.wait_at_gate),
                lambda step: step.run("theirs", theirs),
            ],
        )

    async with bench.engine(flow, on=journal) as engine:
        receipt = await engine.emit("go")
        [run_id] = receipt.run_ids
        await settle()
        ended_hold(journal, run_id)
        carried_on_elsewhere(journal, run_id, "both:1:theirs:0")
        journal.tell(Hint(ready={run_id}))
        await settle()
        calls.gate.set()
        run = await engine.result(run_id)

    assert run.unwrap() == ["done", "theirs"]
    assert calls.told == ["begun", "stopped", "begun", "returned"]


async def test_a_step_that_never_got_a_thread_is_not_waited_for(bench: Bench) -> None:
    """Its time was over while it queued for a place: nothing of it runs."""
    busy = threading.Event()
    began = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def blocks() -> None:
        token.run_sync_soon(began.set)
        busy.wait(5)

    def quick() -> str:
        return "done"

    @ironflow.function(triggers=["block"])
    async def blocker(ctx: Context[Any]) -> None:
        await ctx.step.run("block", blocks)

    twice = Retry(max_attempts=2, initial_delay="1s", jitter=0)

    @ironflow.function(triggers=["go"], retry=twice)
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run("quick", quick, timeout="5s")

    async with bench.engine(blocker, flow) as engine:
        engine._runtime.threads.total_tokens = 1
        await engine.emit("block")
        await began.wait()
        receipt = await engine.emit("go")
        await bench.clock.advance(5)
        busy.set()
        await bench.clock.advance(1)
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == "done"
