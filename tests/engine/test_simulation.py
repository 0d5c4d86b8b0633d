"""Seeded chaos: many runs of everything, cancels, crashes and a slow, unruly journal."""

import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import trio

import ironflow
from ironflow import Context, NonRetryableError, Retry, StepClient, StepOutcome
from ironflow.journal.base import AppendRecords, RunQuery
from ironflow.records import StepCompleted
from tests.engine.bench import Bench, Commands, TestJournal

SEEDS = int(os.environ.get("IRONFLOW_SEEDS", "60"))
RUNS = 12
LIVES = 4
Plan = list[Any]


def plan(chosen: random.Random, depth: int = 0) -> Plan:
    """Return what a run does: a list of words, and of plans that run side by side."""
    words = ["step", "step", "thread", "flaky", "nap", "long nap", "wait", "child"]
    words += ["saga", "fail", "hang", "publish", "continue"] if depth == 0 else []
    made: Plan = []
    for _ in range(chosen.randrange(1, 5)):
        if depth < 2 and chosen.random() < 0.2:
            made.append(
                [plan(chosen, depth + 1) for _ in range(chosen.randrange(1, 4))]
            )
        else:
            made.append(chosen.choice(words))
    return made


class Life:
    """What the steps did in one life of the process."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str, int]] = Counter()
        self.in_flight: set[tuple[str, str]] = set()

    def note(self) -> None:
        step = ironflow.current_step()
        self.calls[step.run_id, step.id, step.attempt] += 1

    async def step(self) -> str:
        self.note()
        step = ironflow.current_step()
        key = (step.run_id, step.id)
        assert key not in self.in_flight, "one step, twice at once"
        self.in_flight.add(key)
        try:
            for _ in range(random.randrange(3)):
                await trio.lowlevel.checkpoint()
        finally:
            self.in_flight.remove(key)
        return step.id

    def thread(self) -> str:
        self.note()
        return "thread"

    async def flaky(self) -> str:
        self.note()
        if random.random() < 0.5:
            raise OSError("no")
        return "at last"

    async def hang(self) -> None:
        self.note()
        await trio.sleep_forever()

    async def undo(self, outcome: StepOutcome[Any]) -> None:
        self.note()


Word = Callable[[Context[Any], StepClient], Awaitable[Any]]


def words(life: Life) -> dict[str, Word]:
    """Return what each word of a plan does."""

    async def saga(ctx: Context[Any], step: StepClient) -> None:
        async with ctx.saga():
            await step.run("in saga", life.step, undo=life.undo)

    async def fail(ctx: Context[Any], step: StepClient) -> None:
        raise NonRetryableError("as planned")

    async def go_on(ctx: Context[Any], step: StepClient) -> None:
        with suppress(ironflow.MisusedOperation):  # undo is registered
            await ctx.continue_as_new(["step"])

    return {
        "step": lambda ctx, step: step.run("step", life.step, undo=life.undo),
        "thread": lambda ctx, step: step.run("thread", life.thread),
        "flaky": lambda ctx, step: step.run("flaky", life.flaky),
        "hang": lambda ctx, step: step.run(
            "hang", life.hang, timeout="20s", once="at_most"
        ),
        "nap": lambda ctx, step: step.sleep("nap", "2s"),
        "long nap": lambda ctx, step: step.sleep("long nap", "5m"),
        "wait": lambda ctx, step: step.wait_for_event(
            "wait", "news", timeout="1m", default=None
        ),
        "child": lambda ctx, step: step.invoke(
            "child", ["step", "nap", "step"], timeout="3m"
        ),
        "publish": lambda ctx, step: step.publish("words", "said"),
        "saga": saga,
        "fail": fail,
        "continue": go_on,
    }


def functions(life: Life) -> list[Any]:
    """Return a function that does what its event says, and the child of it."""
    known = words(life)

    async def carry_out(ctx: Context[Any], step: StepClient, todo: Plan) -> None:
        for word in todo:
            if isinstance(word, list):
                branches: Any = [partial(branch, ctx, part) for part in word]
                await step.parallel("side by side", branches)
            else:
                await known[word](ctx, step)

    async def branch(ctx: Context[Any], todo: Plan, step: StepClient) -> None:
        await carry_out(ctx, step, todo)

    retry = Retry(max_attempts=3, initial_delay="3s", factor=4)

    @ironflow.function(triggers=["go"], retry=retry, run_timeout="1h")
    async def flow(ctx: Context[Any]) -> str:
        await carry_out(ctx, ctx.step, ctx.event.data)
        return "done"

    @ironflow.function(id="child", retry=retry)
    async def child(ctx: Context[Any]) -> str:
        await carry_out(ctx, ctx.step, ctx.event.data)
        return "done"

    return [flow, child]


class UnrulyJournal(TestJournal):
    """Takes now more, now less time."""

    __test__ = False

    async def _pass(self) -> None:
        for _ in range(random.randrange(4)):
            await trio.lowlevel.cancel_shielded_checkpoint()

    def after_a_crash(self) -> "UnrulyJournal":
        return UnrulyJournal(super().after_a_crash().store, yields=True)


@pytest.fixture
def seeded(monkeypatch: pytest.MonkeyPatch, seed: int) -> int:
    """Let Trio's scheduler and all of the test draw from one seed."""
    from trio._core import _run

    monkeypatch.setattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
    _run._r.seed(seed)
    random.seed(seed)
    return seed


@pytest.mark.simulation
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_whatever_happens_every_run_ends(seeded: int) -> None:
    """Invariants 3, 4, 7 and 9 under cancels, crashes, evictions and refusals."""
    chosen = random.Random(seeded)
    bench = Bench()
    bench.journal = UnrulyJournal(bench.journal.store, yields=True)
    lives = [Life() for _ in range(LIVES + 1)]
    unlucky = Unlucky(chosen, chance=chosen.choice([0, 0.01]))

    for life in lives[:-1]:
        cached = chosen.choice([0, 1, 100])
        async with bench.crashing(*functions(life), cached=cached) as engine:
            bench.journal.refuse = unlucky
            await stir(engine, bench, chosen)
    async with bench.engine(*functions(lives[-1])) as engine:
        for run in await engine.list_runs(status="paused", limit=10_000):
            await engine.resume(run.id)
        await bench.clock.advance(2 * 3600)
        runs = await engine.list_runs(limit=10_000)
        left = len(engine._runtime.active) + len(engine._runtime.parked)

    assert {run.status for run in runs} <= {
        "completed",
        "failed",
        "cancelled",
        "continued",
    }
    assert left == 0
    for life in lives:
        assert max(life.calls.values(), default=1) <= 1 + unlucky.times
    check_histories(bench)


class Unlucky:
    """Lets an append be refused now and then, as if somebody else had the run."""

    def __init__(self, chosen: random.Random, *, chance: float) -> None:
        self._chosen = chosen
        self._chance = chance
        self.times = 0  # so often a step in flight may have been called again

    def __call__(self, commands: Commands) -> ironflow.IronflowError | None:
        append = isinstance(commands[0], AppendRecords)
        if append and self._chosen.random() < self._chance:
            self.times += 1
            return ironflow.LeaseLost("unlucky")
        return None


async def stir(engine: ironflow.Engine, bench: Bench, chosen: random.Random) -> None:
    """Emit, cancel, pause, resume and let time pass, in no order."""
    for _ in range(RUNS):
        match chosen.randrange(8):
            case 0 | 1 | 2:
                await engine.emit("go", plan(chosen))
            case 3:
                await engine.emit("news", chosen.random())
            case 4 | 5 | 6:
                runs = await engine.list_runs(limit=100)
                steer = chosen.choice([engine.cancel, engine.pause, engine.resume])
                if runs:
                    await steer(chosen.choice(runs).id)
            case _:
                await bench.clock.advance(chosen.choice([0, 1, 5, 60, 400]))
        for _ in range(chosen.randrange(6)):
            await trio.lowlevel.checkpoint()


def check_histories(bench: Bench) -> None:
    """Each step has one result, and nothing is left of runs that have ended."""
    store = bench.journal.store
    assert store.due_now(2**62, limit=9) == ([], 0)
    for summary in store.find_now(RunQuery(limit=10_000)):
        results = Counter(
            entry.record.id
            for entry in store.history_now(summary.row.run_id)
            if isinstance(entry.record, StepCompleted)
        )
        assert not results or max(results.values()) == 1
