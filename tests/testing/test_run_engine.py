"""An engine on a journal of the test's own: what the harness stands on."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import ironflow
from ironflow.engine.open import run_engine
from ironflow.journal.memory import MemoryJournal
from ironflow.testing import VirtualClock, open_harness


async def nap() -> str:
    await trio.sleep(3600)
    return "rested"


@ironflow.function(triggers=["begin"])
async def sleepy(ctx: ironflow.Context[None]) -> str:
    return await ctx.step.run("nap", nap)


@ironflow.function(triggers=["begin"], run_timeout="30d")
async def patient(ctx: ironflow.Context[None]) -> None:
    await ctx.step.wait_for_event("word", "never.said", timeout=None)


async def test_an_engine_ends_in_time_although_a_step_does_not(
    autojump_clock: MockClock,
) -> None:
    journal = MemoryJournal()
    before = trio.current_time()

    async with run_engine(
        ironflow.App(functions=[sleepy]), journal, shutdown="2s"
    ) as engine:
        [run_id] = (await engine.emit("begin")).run_ids
        await wait_all_tasks_blocked()

    assert trio.current_time() - before == pytest.approx(2)
    assert len(journal.history_now(run_id)) == 1


async def test_a_journal_outlives_its_engine() -> None:
    app = ironflow.App(functions=[patient])
    journal, clock = MemoryJournal(), VirtualClock()
    async with run_engine(app, journal, clock=clock) as engine:
        [run_id] = (await engine.emit("begin")).run_ids
        await clock.settle()
    reopened = MemoryJournal.restored(journal.snapshot())
    async with run_engine(app, reopened, clock=clock) as engine:
        await clock.advance("30d")
        run = await engine.get_run(run_id)

    assert run.status == "failed"
    assert run.error is not None
    assert run.error.code == "RUN_TIMEOUT"


async def test_an_error_that_leaves_an_engine_keeps_its_cause() -> None:
    cause = ValueError("why")

    with pytest.raises(LookupError) as caught:
        async with ironflow.open_engine(ironflow.App(functions=[sleepy]), "memory:"):
            raise LookupError("what") from cause

    assert caught.value.__cause__ is cause


async def test_steps_that_sleep_on_trio_are_fast_with_trios_own_test_clock(
    autojump_clock: MockClock,
) -> None:
    async with open_harness(sleepy) as harness:
        run = await harness.emit("begin")

        assert (await run.result()).output == "rested"
