"""An engine deletes what is past its retention, little by little, and nothing else."""

from collections.abc import Sequence
from typing import Any

import pytest
import trio

import ironflow
from ironflow import Context, limits
from ironflow.errors import ConfigurationError, JournalFull
from ironflow.journal.base import DeleteEvents, DeleteRuns, JournalCommand
from tests.engine.bench import SECOND, Bench, Hold, settle

HOUR = limits.RETENTION_PAUSE_US_DEFAULT / SECOND
DAY = 24 * HOUR


@ironflow.function(id="short", triggers=["go", "short"], retention="2h")
async def short(ctx: Context[Any]) -> str:
    return "done"


@ironflow.function(id="plain", triggers=["go"])
async def plain(ctx: Context[Any]) -> str:
    return "done"


@ironflow.function(id="waiting", triggers=["wait"])
async def waiting(ctx: Context[Any]) -> Any:
    return (await ctx.step.wait_for_event("paid", "paid", timeout="300d")).data


def functions_of(bench: Bench) -> list[str]:
    return sorted(
        run.row.function_id for run in bench.journal.store._durable.runs.values()
    )


def names_of(bench: Bench) -> list[str]:
    return [stored.event.name for stored in bench.journal.store.events_now(limit=999)]


def deletes(commands: Sequence[JournalCommand]) -> bool:
    return isinstance(commands[0], DeleteRuns | DeleteEvents)


async def test_a_run_goes_when_its_function_says_so(bench: Bench) -> None:
    async with bench.engine(short, plain) as engine:
        await engine.emit("go")
        await bench.clock.advance(HOUR)
        early = functions_of(bench)
        await bench.clock.advance(2 * HOUR)

    assert early == ["plain", "short"]
    assert functions_of(bench) == ["plain"]
    assert names_of(bench) == ["go"]


async def test_the_engine_says_it_for_functions_that_do_not(bench: Bench) -> None:
    async with bench.engine(short, plain, retention="1d") as engine:
        await engine.emit("go")
        await bench.clock.advance(3 * HOUR)
        assert functions_of(bench) == ["plain"]
        await bench.clock.advance(DAY)

    assert functions_of(bench) == []


@pytest.mark.parametrize(
    ("own", "retention", "left"),
    [("2h", None, ["plain"]), (None, "2h", []), ("30d", "2h", ["elsewhere"])],
    ids=["its-own", "the-engine-s", "both"],
)
async def test_the_runs_of_functions_that_others_carry_on_go_too(
    bench: Bench, own: str | None, retention: str | None, left: list[str]
) -> None:
    """The registry says how long they are kept, also since this engine has begun."""

    @ironflow.function(id="elsewhere", triggers=["go"], retention=own)
    async def elsewhere(ctx: Context[Any]) -> str:
        return "done"

    async with bench.engine(plain, retention=retention) as engine:
        async with bench.engine(elsewhere):
            await engine.emit("go")
            await settle()
        await bench.clock.advance(4 * HOUR)

    assert functions_of(bench) == left


async def test_without_retention_everything_stays(bench: Bench) -> None:
    async with bench.engine(plain, waiting) as engine:
        await engine.emit("go")
        await bench.clock.advance(400 * DAY)

    assert functions_of(bench) == ["plain"]
    assert names_of(bench) == ["go"]


async def test_events_stay_as_long_as_a_run_can_look_back_at_them(bench: Bench) -> None:
    async with bench.engine(short, waiting, retention="1d") as engine:
        for _ in range(limits.RETENTION_EVENTS_PER_COMMIT_MAX + 1):
            await engine.emit("old")
        await engine.emit("wait")
        await engine.emit("short")
        await bench.clock.advance(2 * DAY)
        kept = names_of(bench)
        await engine.emit("paid", 12)
        await bench.clock.advance(2 * DAY)

    assert kept == ["short"]
    assert names_of(bench) == ["paid"]  # the last stays
    assert functions_of(bench) == []


async def test_a_run_that_waits_for_long_still_finds_its_event(bench: Bench) -> None:
    @ironflow.function(id="late", triggers=["late"])
    async def late(ctx: Context[Any]) -> Any:
        await ctx.step.sleep("days", "5d")
        return (await ctx.step.wait_for_event("paid", "paid")).data

    async with bench.engine(late, retention="1d") as engine:
        receipt = await engine.emit("late")
        await engine.emit("paid", 12)
        await engine.emit("other")
        await bench.clock.advance(5 * DAY + HOUR)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.output == 12


async def test_a_key_is_known_for_the_retention(bench: Bench) -> None:
    async with bench.engine(short, retention="1d") as engine:
        first = await engine.emit("short", idempotency_key="k")
        await bench.clock.advance(DAY - HOUR)
        again = await engine.emit("short", idempotency_key="k")
        await engine.emit("other")
        await bench.clock.advance(3 * HOUR)
        fresh = await engine.emit("short", idempotency_key="k")

    assert again.duplicate
    assert again.run_ids == first.run_ids
    assert not fresh.duplicate


async def test_a_crash_after_any_commit_of_a_sweep_is_made_good() -> None:
    for commits in range(1, 5):
        bench, count = Bench(), 0

        def reached(commands: Sequence[JournalCommand], at: int = commits) -> bool:
            nonlocal count
            count += deletes(commands)
            return count == at

        async with bench.crashing(short, waiting, retention="1h") as engine:
            await engine.emit("wait")
            for _ in range(limits.RETENTION_RUNS_PER_COMMIT_MAX + 1):
                await engine.emit("short")
            held = bench.journal.hold_after(reached)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bench.clock.advance, 4 * HOUR)
                await held.reached.wait()
                bench.crash()
                held.released.set()
                nursery.cancel_scope.cancel()
        async with bench.engine(short, waiting, retention="1h"):
            await bench.clock.advance(4 * HOUR)

        assert functions_of(bench) == ["waiting"], commits
        assert names_of(bench) == ["short"] * len(names_of(bench))
        assert len(names_of(bench)) == limits.RETENTION_RUNS_PER_COMMIT_MAX + 1


async def test_an_engine_that_closes_ends_its_sweep(bench: Bench) -> None:
    seen: list[JournalCommand] = []

    def note(commands: Sequence[JournalCommand]) -> None:
        seen.extend(commands if deletes(commands) else ())

    async with (
        trio.open_nursery() as nursery,
        bench.engine(short, retention="1h") as engine,
    ):
        for _ in range(3 * limits.RETENTION_RUNS_PER_COMMIT_MAX):
            await engine.emit("short")
        await settle()
        bench.journal.refuse = note
        bench.clock.time += int(3 * HOUR * SECOND)
        held = bench.journal.hold_after(deletes)
        nursery.start_soon(bench.clock.advance, 1)
        await held.reached.wait()
        nursery.start_soon(_release, held)

    assert len(seen) == 1
    assert len(functions_of(bench)) == 3 * limits.RETENTION_RUNS_PER_COMMIT_MAX


async def _release(held: Hold) -> None:
    await settle()  # until the engine waits for this
    held.released.set()


async def test_a_sweep_that_fails_is_tried_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(commands: Sequence[JournalCommand]) -> None:
        if deletes(commands):
            raise JournalFull("no space")

    async with bench.engine(short) as engine:
        await engine.emit("short")
        await settle()
        bench.journal.refuse = fail
        await bench.clock.advance(3 * HOUR)
        left = functions_of(bench)
        bench.journal.refuse = None
        await bench.clock.advance(HOUR)

    assert left == ["short"]
    assert "stays for now: no space" in caplog.text
    assert functions_of(bench) == []


async def test_no_time_at_all_is_no_retention(bench: Bench) -> None:
    with pytest.raises(ConfigurationError, match="retention='0s' leaves no time"):
        async with bench.engine(short, retention="0s"):
            pass
    with pytest.raises(ConfigurationError, match="retention="):
        ironflow.function(retention="soon")(plain.fn)
