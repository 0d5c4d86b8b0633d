"""A hold that ended without the engine's doing: what becomes of steps in flight."""

import logging
from typing import Any

import msgspec
import pytest
import trio

import ironflow
from ironflow import Context, codec
from ironflow.journal.base import Appended, AppendRecords, Claim, Hint
from ironflow.records import Draft, StepCompleted
from tests.engine.bench import Bench, settle
from tests.engine.test_lost_hints import Deaf


class Slow:
    """A step that waits for its gate, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.gate = trio.Event()

    async def __call__(self) -> str:
        self.calls += 1
        await self.gate.wait()
        return "ours"


def flow_with(step: Slow) -> Any:
    async def slow() -> str:
        return await step()

    async def quick(text: str) -> str:
        return text + "!"

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        text = await ctx.step.run("slow", slow)
        await ctx.step.wait_for_event("more", "more")
        return await ctx.step.run("quick", quick, text)

    return flow


def ended_hold(journal: Deaf, run_id: str) -> None:
    """End the engine's hold, as a lease that ran out does."""
    epoch = journal.store._view.queue.holds[run_id]
    journal.store.release_now([Claim(run_id, "flow", epoch, 0, ())])


async def test_a_step_in_flight_goes_on_under_the_next_claim(bench: Bench) -> None:
    """Nobody else has carried the run on, so its step is not called again."""
    journal, step = Deaf(bench.journal), Slow()

    async with bench.engine(flow_with(step), on=journal) as engine:
        receipt = await engine.emit("go")
        await settle()
        ended_hold(journal, receipt.run_ids[0])
        journal.tell(Hint(ready={receipt.run_ids[0]}))
        await settle()
        step.gate.set()
        await settle()
        await engine.emit("more")
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == "ours!"
    assert step.calls == 1


async def test_a_step_that_others_have_recorded_is_given_up(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """The run goes on from their record; ours comes too late and harms nothing."""
    journal, step = Deaf(bench.journal), Slow()

    async with bench.engine(flow_with(step), on=journal) as engine:
        receipt = await engine.emit("go")
        [run_id] = receipt.run_ids
        await settle()
        ended_hold(journal, run_id)
        carried_on_elsewhere(journal, run_id)
        with caplog.at_level(logging.WARNING, logger="ironflow"):
            journal.tell(Hint(ready={run_id}))
            await settle()
            step.gate.set()
            await settle()
            await engine.emit("more")
            run = await engine.result(run_id)

    assert run.unwrap() == "theirs!"
    assert bench.kinds(run_id).count("StepCompleted") == 2
    assert step.calls == 1


def carried_on_elsewhere(journal: Deaf, run_id: str, step: str = "slow:0") -> None:
    """Record, as another engine does that has claimed the run, what a step returned."""
    store = journal.store
    functions = frozenset(store._durable.functions)
    [claim] = store.claim_now(functions, limit=1)
    [last] = store.history_now(run_id, after=claim.length - 1)
    draft = Draft(StepCompleted(id=step, attempt=1), msgspec.msgpack.encode("theirs"))
    entry, header = codec.seal(
        draft,
        sequence=claim.length + 1,
        recorded_at=last.record.recorded_at,
        previous=last.digest,
    )
    command = AppendRecords(run_id, claim.epoch, claim.length, (entry,), (header,))
    [answer] = store.commit_now([command])
    assert isinstance(answer, Appended)
    store.release_now([claim])
