"""A worker that is lost: nothing that is recorded is done again, and every run ends."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import ironflow
from ironflow import Context, limits
from ironflow.journal.base import Lost
from ironflow.journal.memory import MemoryJournal
from tests.engine.bench import SECOND, settle
from tests.worker.stage import Stage, Worker, server


class Steps:
    """Two steps that count their calls; the second waits for its gate."""

    def __init__(self) -> None:
        self.first = 0
        self.second = 0
        self.gate = trio.Event()

    async def quick(self) -> str:
        self.first += 1
        return "first"

    async def slow(self) -> str:
        self.second += 1
        await self.gate.wait()
        return "second"

    def flow(self) -> Any:
        @ironflow.function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> str:
            first = await ctx.step.run("quick", self.quick)
            return first + await ctx.step.run("slow", self.slow)

        return flow


@pytest.fixture
def steps() -> Steps:
    return Steps()


async def result(stage: Stage, run_id: str) -> Any:
    assert stage.engine is not None
    return (await stage.engine.result(run_id)).unwrap()


async def lost(stage: Stage, run_id: str) -> Lost | None:
    summary = await stage.journal.run(run_id)
    assert summary is not None
    return summary.row.lost


async def holder(stage: Stage, run_id: str) -> str:
    await settle()
    return stage.host.holder_of(run_id)


async def pass_time(clock: MockClock, *, seconds: int) -> None:
    for _ in range(seconds):
        clock.jump(1)
        await settle()


async def test_a_killed_worker_loses_its_runs_to_another(steps: Steps) -> None:
    async with server() as stage:
        one = await stage.start(steps.flow(), name="one")
        run_id = await stage.emit("go")
        assert await holder(stage, run_id) == "worker one"
        await stage.start(steps.flow(), name="two")

        one.kill()
        assert await holder(stage, run_id) == "worker two"
        steps.gate.set()

        assert await result(stage, run_id) == "firstsecond"
        assert (steps.first, steps.second) == (1, 2)
        assert await stage.kinds(run_id) == [
            "RunStarted",
            "StepCompleted",
            "StepCompleted",
            "RunEnded",
        ]
        assert [each.id for each in stage.host.workers()] == ["two"]


async def test_the_run_says_who_was_lost_and_who_carries_on(steps: Steps) -> None:
    async with server() as stage:
        one = await stage.start(steps.flow(), name="one")
        run_id = await stage.emit("go")
        one.kill()
        await settle()
        alone = await lost(stage, run_id)
        await stage.start(steps.flow(), name="two")
        await settle()

        why = "its connection was closed"
        now = stage.clock.now()
        assert alone == Lost("one", why, now, 2)
        assert await lost(stage, run_id) == Lost("one", why, now, 2, by="two")


async def test_a_worker_that_is_silent_for_five_seconds_is_lost(
    steps: Steps, mock_clock: MockClock
) -> None:
    """Its process goes on; what it records too late is refused."""
    async with server() as stage:
        one = await stage.start(steps.flow(), name="one")
        run_id = await stage.emit("go")
        await stage.start(steps.flow(), name="two")
        one.fall_silent()
        await pass_time(mock_clock, seconds=limits.WORKER_SILENCE_US_MAX // SECOND - 1)
        assert await holder(stage, run_id) == "worker one"
        await pass_time(mock_clock, seconds=2)
        assert await holder(stage, run_id) == "worker two"
        row = await lost(stage, run_id)
        steps.gate.set()

        assert await result(stage, run_id) == "firstsecond"
        assert row is not None
        assert row.why == "it said nothing for 5 s"


async def test_a_stale_worker_that_comes_back_harms_nothing(steps: Steps) -> None:
    """Its step ends after another worker has carried the run on."""
    theirs = Steps()
    async with server() as stage:
        one = await stage.start(steps.flow(), name="one")
        run_id = await stage.emit("go")
        one.disconnect()
        await settle()
        await stage.start(theirs.flow(), name="two")
        await settle()
        await stage.connect(one)
        steps.gate.set()
        await settle()
        before = await stage.kinds(run_id)
        theirs.gate.set()

        assert before == ["RunStarted", "StepCompleted"]
        assert await result(stage, run_id) == "firstsecond"
        assert (steps.first, theirs.first) == (1, 0)


async def test_a_step_in_flight_outlives_a_connection(steps: Steps) -> None:
    """The worker comes back before it ends, and is given the run again."""
    async with server() as stage:
        one = await stage.start(steps.flow(), name="one")
        run_id = await stage.emit("go")
        for _ in range(2 * limits.POISON_CLAIMS_MAX):
            one.disconnect()
            await settle()
            await stage.connect(one)
        steps.gate.set()

        assert await result(stage, run_id) == "firstsecond"
        assert (steps.first, steps.second) == (1, 1)


async def test_a_run_that_ends_worker_after_worker_is_paused(steps: Steps) -> None:
    async with server() as stage:
        run_id = ""
        for number in range(1 + limits.POISON_CLAIMS_MAX):
            worker = await stage.start(steps.flow(), name=f"w{number}")
            run_id = run_id or await stage.emit("go")
            await settle()
            worker.kill()
            await settle()
        assert stage.engine is not None
        run = await stage.engine.get_run(run_id)

        assert run.status == "paused"
        assert steps.second == 1 + limits.POISON_CLAIMS_MAX


async def test_a_server_that_is_killed_finds_its_runs_again(steps: Steps) -> None:
    """Its workers connect to the next one; what was recorded is not done again."""
    journal = MemoryJournal()
    run_ids: list[str] = []
    async with server(journal) as stage:
        await stage.start(steps.flow(), name="one", credit=3)
        run_ids += [await stage.emit("go") for _ in range(5)]
        steps.gate.set()
        journal = MemoryJournal.restored(journal.snapshot())
    async with server(journal, stage.clock) as stage:
        await stage.start(steps.flow(), name="two")
        results = [await result(stage, run_id) for run_id in run_ids]

    assert results == ["firstsecond"] * 5
    assert steps.first == 5


async def test_a_worker_that_says_bye_is_not_blamed(steps: Steps) -> None:
    async with server() as stage:
        one = await stage.start(steps.flow(), name="one")
        run_id = await stage.emit("go")
        await one.journal.drain()
        await one.journal.close()
        await settle()
        summary = await stage.journal.run(run_id)

        assert summary is not None
        assert summary.row.claims == 0
        assert summary.row.lost is None
        assert summary.status == "running"
        assert stage.host.workers() == []


async def test_runs_are_shared_by_workers_within_their_credit(steps: Steps) -> None:
    async with server() as stage:
        one = await stage.start(steps.flow(), name="one", credit=3)
        two = await stage.start(steps.flow(), name="two", credit=3)
        run_ids = [await stage.emit("go") for _ in range(8)]
        shares = [info.active_jobs for info in stage.host.workers()]
        steps.gate.set()
        results = {await result(stage, run_id) for run_id in run_ids}

        assert shares == [3, 3]
        assert results == {"firstsecond"}
        assert isinstance(one, Worker)
        assert two.journal.environment == "default"
