"""`once="at_most"`: a start on record before the call, and never a second call."""

from typing import Any

import pytest
import trio

import ironflow
from ironflow import Context, JournalFailed, Retry, StepInDoubt
from ironflow.journal.base import AppendRecords
from ironflow.records import StepStarted
from tests.engine.bench import Bench, Commands, settle


async def test_its_start_is_durable_before_the_function_is_called(
    bench: Bench,
) -> None:
    """A crash at any later instant finds the record."""
    seen: list[list[str]] = []

    async def charge() -> None:
        seen.append(bench.kinds(ironflow.current_step().run_id))

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("charge", charge, once="at_most")

    async with bench.engine(flow) as engine:
        await engine.emit_sync("go")

    assert seen == [["RunStarted", "StepStarted"]]


async def test_after_a_crash_it_is_in_doubt_and_not_called_again(bench: Bench) -> None:
    """Nobody knows what the first call did, so the code must look."""
    calls: list[int] = []

    async def charge() -> None:
        calls.append(1)
        await trio.sleep_forever()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        try:
            await ctx.step.run("charge", charge, once="at_most")
        except StepInDoubt as doubt:
            return doubt.step
        return "charged"

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
    async with bench.engine(flow) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == "charge"
    assert calls == [1]


async def test_its_undo_runs_when_it_is_in_doubt(bench: Bench) -> None:
    """A step in doubt may have happened, so it is undone like one that has."""
    undone: list[bool] = []

    async def undo(outcome: ironflow.StepOutcome[Any]) -> None:
        undone.append(outcome.in_doubt)

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("charge", trio.sleep_forever, once="at_most", undo=undo)

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
    async with bench.engine(flow) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "failed"
    assert undone == [True]


async def test_a_start_that_is_not_stored_calls_nothing(bench: Bench) -> None:
    """The disk fails with the start record: the effect has not happened."""
    calls: list[int] = []

    async def charge() -> None:
        calls.append(1)

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("charge", charge, once="at_most")

    def fail(commands: Commands) -> None:
        for command in commands:
            match command:
                case AppendRecords() if any(
                    isinstance(entry.record, StepStarted) for entry in command.entries
                ):
                    raise JournalFailed("the disk is gone")

    bench.journal.refuse = fail
    with pytest.raises(JournalFailed):
        async with bench.engine(flow) as engine:
            await engine.emit_sync("go")

    assert calls == []


async def test_a_failure_that_was_recorded_may_be_tried_again(bench: Bench) -> None:
    """At most once is about calls of which nothing is known."""
    attempts: list[int] = []

    async def flaky() -> str:
        attempts.append(ironflow.current_step().attempt)
        if len(attempts) == 1:
            raise OSError("no")
        return "done"

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run(
            "flaky", flaky, once="at_most", retry=Retry(max_attempts=2)
        )

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(5)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.unwrap() == "done"
    assert bench.kinds(run.id)[1:] == [
        "StepStarted",
        "StepFailed",
        "StepStarted",
        "StepCompleted",
        "RunEnded",
    ]


async def test_a_crash_in_its_backoff_leaves_no_doubt(bench: Bench) -> None:
    """The start of an attempt is on record when the attempt begins, not before."""
    attempts: list[int] = []

    async def flaky() -> str:
        attempts.append(ironflow.current_step().attempt)
        if len(attempts) == 1:
            raise OSError("no")
        return "done"

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        policy = Retry(max_attempts=2, initial_delay="5m", jitter=0)
        return await ctx.step.run("flaky", flaky, once="at_most", retry=policy)

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
    before = bench.kinds(receipt.run_ids[0])
    async with bench.engine(flow) as engine:
        await bench.clock.advance(300)
        run = await engine.get_run(receipt.run_ids[0])

    assert before[1:] == ["StepStarted", "StepFailed"]
    assert run.unwrap() == "done"
    assert attempts == [1, 2]


async def test_one_that_is_held_is_started_again_when_it_is_resumed(
    bench: Bench,
) -> None:
    """Its start is recorded after the resume, and before the call."""
    seen: list[list[str]] = []

    async def flaky() -> str:
        seen.append(bench.kinds(ironflow.current_step().run_id)[1:])
        if len(seen) == 1:
            raise OSError("no")
        return "done"

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        policy = Retry(max_attempts=1, on_exhausted="pause")
        return await ctx.step.run("flaky", flaky, once="at_most", retry=policy)

    async with bench.engine(flow) as engine:
        [paused] = await engine.emit_sync("go")
        await engine.resume(paused.id)
        run = await engine.result(paused.id)

    assert paused.status == "paused"
    assert run.unwrap() == "done"
    assert seen == [["StepStarted"], ["StepStarted", "StepFailed", "StepStarted"]]


async def test_one_that_has_its_start_is_made_though_another_holds_the_run(
    bench: Bench,
) -> None:
    """Left alone it would be in doubt, though nothing has happened to it."""
    release = trio.Event()
    calls: list[str] = []

    async def exhausted() -> None:
        await release.wait()
        raise OSError("no")

    async def flaky() -> str:
        calls.append("flaky")
        if len(calls) == 1:
            raise OSError("no")
        return "done"

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> Any:
        hold = Retry(max_attempts=1, on_exhausted="pause")
        once = Retry(max_attempts=2, initial_delay="10s", jitter=0)
        return await ctx.step.parallel(
            "both",
            [
                lambda step: step.run("held", exhausted, retry=hold),
                lambda step: step.run("flaky", flaky, once="at_most", retry=once),
            ],
        )

    hold = bench.journal.hold_after(starts_again)
    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        await bench.clock.advance(10)
        await hold.reached.wait()
        release.set()
        await settle()
        hold.released.set()
        await settle()
        run = await engine.get_run(receipt.run_ids[0])

    assert run.status == "paused"
    assert calls == ["flaky", "flaky"]
    assert bench.kinds(run.id)[-1] == "StepCompleted"


def starts_again(commands: Commands) -> bool:
    return any(
        isinstance(entry.record, StepStarted) and entry.record.attempt == 2
        for command in commands
        if isinstance(command, AppendRecords)
        for entry in command.entries
    )


async def test_it_is_tried_once_if_nothing_else_is_said(bench: Bench) -> None:
    """The function's policy is not meant for it."""
    attempts: list[int] = []

    async def fails() -> None:
        attempts.append(1)
        raise OSError("no")

    @ironflow.function(triggers=["go"], retry=Retry(max_attempts=9))
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("fail", fails, once="at_most")

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.status == "failed"
    assert attempts == [1]


async def test_a_shutdown_in_order_does_not_put_the_next_step_in_doubt(
    bench: Bench,
) -> None:
    """What was never called has not happened, and is called at the next start."""
    release = trio.Event()
    calls: list[str] = []

    async def first() -> None:
        await release.wait()

    async def charge() -> None:
        calls.append("charge")

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        await ctx.step.run("first", first)
        await ctx.step.run("charge", charge, once="at_most")
        return "charged"

    async with trio.open_nursery() as nursery, bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        nursery.start_soon(release_when_settled, release)
    bench.crash()
    async with bench.engine(flow) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "completed", run.error
    assert calls == ["charge"]


async def release_when_settled(release: trio.Event) -> None:
    await settle()
    release.set()
