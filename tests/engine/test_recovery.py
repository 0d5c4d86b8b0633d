"""After a crash every run goes on, once, from what is recorded."""

from typing import Any

import pytest
import trio

import ironflow
from ironflow import Context, limits
from ironflow.journal.base import AppendRecords, RunQuery
from tests.engine.bench import Bench, Commands, TestJournal, settle


class Steps:
    """Counts the calls of steps by name."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.gate = trio.Event()

    async def quick(self, name: str) -> str:
        self.calls.append(name)
        return name

    async def slow(self, name: str) -> str:
        self.calls.append(name)
        await self.gate.wait()
        return name


async def test_a_run_in_flight_goes_on_at_once(bench: Bench) -> None:
    """Invariants 3 and 5: only the step that was in flight is made again."""
    steps = Steps()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> list[str]:
        return [
            await ctx.step.run("first", steps.quick, "first"),
            await ctx.step.run("slow", steps.slow, "slow"),
        ]

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
    steps.gate.set()
    async with bench.engine(flow) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == ["first", "slow"]
    assert steps.calls == ["first", "slow", "slow"]


async def test_a_result_that_was_not_recorded_is_made_again(bench: Bench) -> None:
    """Invariant 5: the crash comes between the effect and its commit."""
    steps = Steps()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run("quick", steps.quick, "quick")

    def hangs(commands: Commands) -> None:
        if any(isinstance(command, AppendRecords) for command in commands):
            bench.crash()

    async with bench.crashing(flow) as engine:
        bench.journal.refuse = hangs
        receipt = await engine.emit("go")
        await settle()
    async with bench.engine(flow) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == "quick"


@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 5, 100])
async def test_a_long_run_is_replayed_in_pages(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """No page is longer than is replayed at once; what the run does is the same."""
    steps = Steps()
    monkeypatch.setattr(limits, "REPLAY_RECORDS_MAX", at_once)

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> list[str]:
        names = ["a", "b", "c"]
        many = await ctx.step.map(
            "all", names, lambda name, step, _: step.run(name, steps.quick, name)
        )
        return [*many, await ctx.step.run("slow", steps.slow, "slow")]

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
    steps.gate.set()
    async with bench.engine(flow) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == ["a", "b", "c", "slow"]
    assert sorted(steps.calls) == ["a", "b", "c", "slow", "slow"]


async def test_a_crash_before_any_record_starts_the_run_afresh(bench: Bench) -> None:
    """Invariant 4: the event was acknowledged, so its run exists."""
    steps = Steps()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run("quick", steps.quick, "quick")

    async with bench.crashing() as engine:
        await engine.emit("before.anybody.knows.it")
    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        bench.crash()
    async with bench.engine(flow) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == "quick"


async def test_a_sleep_that_was_over_by_then_ends_at_once(bench: Bench) -> None:
    """Time runs on while no process is there."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        await ctx.step.sleep("night", "8h")
        return "rested"

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
    await bench.clock.advance(8 * 3600)
    async with bench.engine(flow) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == "rested"


async def test_a_crash_in_recovery_is_like_any_other(bench: Bench) -> None:
    """As often as `limits.POISON_CLAIMS_MAX` allows; see test_poison.py."""
    steps = Steps()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> list[str]:
        names = [await ctx.step.run("a", steps.quick, f"a{n}") for n in range(3)]
        await ctx.step.run("slow", steps.slow, "slow")
        return names

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
    for _ in range(4):
        async with bench.crashing(flow):
            await settle()
    steps.gate.set()
    async with bench.engine(flow) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == ["a0", "a1", "a2"]
    assert steps.calls == ["a0", "a1", "a2"] + ["slow"] * 6


@pytest.mark.slow
@pytest.mark.parametrize("runs", [1_000, 1_500])
async def test_a_thousand_runs_in_flight_go_on_once_each(runs: int) -> None:
    """Invariant 3: also when they are more than can be active at once."""
    bench = Bench()
    steps = Steps()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[int]) -> int:
        await ctx.step.run("quick", steps.quick, f"quick {ctx.event.data}")
        await ctx.step.run("slow", steps.slow, f"slow {ctx.event.data}")
        return ctx.event.data

    async with bench.crashing(flow) as engine:
        receipts = [await engine.emit("go", number) for number in range(runs)]
        await settle()
    in_flight = len(steps.calls)
    steps.gate.set()
    async with bench.engine(flow) as engine:
        ended = [await engine.result(receipt.run_ids[0]) for receipt in receipts]

    assert in_flight == 2 * limits.RUNS_ACTIVE_MAX
    assert [run.unwrap() for run in ended] == list(range(runs))
    assert all(steps.calls.count(f"quick {n}") == 1 for n in range(0, runs, 50))
    assert len(steps.calls) == 2 * runs + limits.RUNS_ACTIVE_MAX


async def everything(ctx: Context[Any]) -> list[Any]:
    """A bit of everything, with what the run knows of itself."""

    async def step(value: Any) -> Any:
        return value

    seen: list[Any] = [str(ctx.now()), str(ctx.uuid()), ctx.random().random()]
    seen.append(await ctx.step.run("a", step, 1))
    await ctx.step.sleep("nap", "1m")
    seen.append(str(ctx.now()))
    event = await ctx.step.wait_for_event("news", "news", timeout="1h", default=None)
    seen.append(event and event.data)
    seen.extend(
        await ctx.step.map(
            "all", [1, 2, 3], lambda item, s, index: s.sleep("nap", f"{item}m")
        )
    )
    late = await ctx.step.wait_for_event("late", "late", timeout="1m", default="none")
    return [*seen, late, str(ctx.uuid())]


async def test_a_cached_run_gives_the_same_as_one_that_is_read_again(
    bench: Bench,
) -> None:
    """Invariant 1: code kept in memory is a cache and nothing else."""
    flow = ironflow.function(id="flow", triggers=["go"])(everything)
    snapshot = bench.journal
    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
    snapshot = bench.journal
    start = bench.clock.time

    async def finish(**options: Any) -> tuple[list[Any], list[Any]]:
        bench.journal = snapshot.after_a_crash()
        bench.clock.time = start
        async with bench.engine(flow, **options) as engine:
            await bench.clock.advance(90)
            await engine.emit("news", 1)
            await bench.clock.advance(600)
            run = await engine.get_run(receipt.run_ids[0])
        records = bench.journal.store.history_now(run.id)
        return run.unwrap(), [type(entry.record) for entry in records]

    kept = await finish(cached=100)
    read_again = await finish(cached=0)

    assert kept == read_again


async def test_parked_runs_beyond_the_limit_are_dropped(bench: Bench) -> None:
    """The one that has been parked longest goes first; all of them go on."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[int]) -> int:
        await ctx.step.sleep("nap", "1m")
        return ctx.event.data

    async with bench.engine(flow, cached=3) as engine:
        receipts = [await engine.emit("go", number) for number in range(10)]
        await settle()
        kept = len(engine._runtime.parked)
        await bench.clock.advance(60)
        runs = [await engine.get_run(receipt.run_ids[0]) for receipt in receipts]

    assert kept == 3
    assert [run.unwrap() for run in runs] == list(range(10))


async def test_a_run_is_carried_on_by_one_engine_at_a_time(bench: Bench) -> None:
    """Invariant 7: two engines on one journal share the runs."""
    steps = Steps()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[int]) -> int:
        await ctx.step.run("a", steps.quick, f"{ctx.event.data}")
        await ctx.step.sleep("nap", "1m")
        await ctx.step.run("b", steps.quick, f"{ctx.event.data}")
        return ctx.event.data

    async with bench.engine(flow) as one, bench.engine(flow) as two:
        receipts = [
            await engine.emit("go", number)
            for number, engine in enumerate([one, two] * 10)
        ]
        await bench.clock.advance(60)
        runs = [await two.get_run(receipt.run_ids[0]) for receipt in receipts]

    assert [run.unwrap() for run in runs] == list(range(20))
    assert sorted(steps.calls) == sorted([f"{n}" for n in range(20)] * 2)


async def test_a_crash_after_any_commit_changes_nothing(bench: Bench) -> None:
    """Invariants 2 and 5: the history is that of a run without crashes.

    Only what was in flight may have been called twice.
    """
    steps = Steps()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> list[Any]:
        first = await ctx.step.run("first", steps.quick, "first")
        both = await ctx.step.map(
            "both", "xy", lambda item, step, index: step.run("n", steps.quick, item)
        )
        await ctx.step.sleep("nap", "1m")
        return [first, both, await ctx.step.run("last", steps.quick, "last")]

    images = await images_of(bench, flow)
    whole = images.pop()
    expected = [type(entry.record).__name__ for entry in whole]

    for image in images:
        bench.journal = image
        steps.calls.clear()
        recorded = [len(entries) for entries in histories(image)]
        async with bench.engine(flow) as engine:
            await bench.clock.advance(61)
            [run] = await engine.list_runs()
        assert run.unwrap() == ["first", ["x", "y"], "last"]
        assert sorted(bench.kinds(run.id)) == sorted(expected)
        assert len(steps.calls) == len(set(steps.calls)), "called twice in one life"
        assert len(steps.calls) <= len(expected) - recorded[0]

    assert len(images) > 6


def histories(journal: TestJournal) -> list[Any]:
    found = journal.store.find_now(RunQuery())
    return [journal.store.history_now(each.row.run_id) for each in found] or [[]]


async def images_of(bench: Bench, flow: Any) -> list[Any]:
    """Run a flow to its end; return the journal after each commit with its run."""
    images: list[Any] = []

    def keep(commands: Commands) -> None:
        if bench.journal.store.find_now(RunQuery()):
            images.append(bench.journal.after_a_crash())

    async with bench.engine(flow) as engine:
        bench.journal.refuse = keep
        await engine.emit("go")
        await bench.clock.advance(61)
    images.append(histories(bench.journal)[0])
    return images


async def test_a_run_of_a_function_that_the_app_lacks_waits_and_says_so(
    bench: Bench,
) -> None:
    """It is nobody's fault yet: the function may come back."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        await ctx.step.sleep("nap", "1m")
        return "done"

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
    async with bench.crashing() as engine:
        await bench.clock.advance(60)
        without = await engine.get_run(receipt.run_ids[0])
    async with bench.engine(flow) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert without.error is not None
    assert "'flow'" in without.error.message
    assert run.unwrap() == "done"


async def test_an_output_that_fits_no_longer_is_shown_as_it_was(bench: Bench) -> None:
    """An old run must not keep a list of runs from being shown."""

    @ironflow.function(id="flow", triggers=["go"])
    async def old(ctx: Context[Any]) -> str:
        return "three"

    @ironflow.function(id="flow", triggers=["go"])
    async def new(ctx: Context[Any]) -> int:
        return 3

    async with bench.engine(old) as engine:
        [run] = await engine.emit_sync("go")
    bench.crash()
    await bench.clock.advance(1)
    async with bench.engine(new) as engine:
        [newer] = await engine.emit_sync("go")
        runs = await engine.list_runs()
        again = await engine.get_run(run.id)

    assert newer.unwrap() == 3
    assert [each.output for each in runs] == [3, "three"]
    assert again.unwrap() == "three"


async def test_a_crash_leaves_no_run_held(bench: Bench) -> None:
    """The next owner claims what the last one held."""
    steps = Steps()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("slow", steps.slow, "slow")

    async with bench.crashing(flow) as engine:
        await engine.emit("go")
        await settle()

    [summary] = bench.journal.store.find_now(RunQuery())
    claims = await bench.journal.claim(frozenset({"flow"}), limit=9)
    assert [claim.run_id for claim in claims] == [summary.row.run_id]
