"""A run that somebody asks to pause stands still at its next step, and goes on."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

import ironflow
from ironflow import RunNotFound, ids
from ironflow.authoring.step import StepClient
from ironflow.journal.base import RequestPause, RunQuery
from tests.engine.bench import Bench, Commands, only_run, settle

Context = ironflow.Context[Any]
Step = Callable[[], Awaitable[int]]


@dataclass
class Gate:
    """Steps that wait until they are let through; `begun` says which have begun."""

    begun: list[str] = field(default_factory=list[str])
    doors: dict[str, trio.Event] = field(default_factory=dict[str, trio.Event])

    def step(self, name: str) -> Step:
        self.doors[name] = trio.Event()

        async def passed() -> int:
            self.begun.append(name)
            await self.doors[name].wait()
            return len(self.begun)

        return passed

    async def open(self, *names: str) -> None:
        for name in names:
            self.doors[name].set()
        await settle()


def steps(gate: Gate) -> ironflow.Function[Any, Any]:
    first, second = gate.step("first"), gate.step("second")

    @ironflow.function(id="steps", triggers=["go"])
    async def flow(ctx: Context) -> str:
        await ctx.step.run("first", first)
        await ctx.step.run("second", second)
        return "done"

    return flow


def branches(gate: Gate) -> ironflow.Function[Any, Any]:
    own = {name: gate.step(name) for name in ("a", "b", "a2")}

    @ironflow.function(id="branches", triggers=["go"])
    async def flow(ctx: Context) -> str:
        async def left(step: StepClient) -> None:
            await step.run("a", own["a"])
            await step.run("a2", own["a2"])

        async def right(step: StepClient) -> None:
            await step.run("b", own["b"])

        await ctx.step.parallel("both", [left, right])
        return "done"

    return flow


def waiting() -> ironflow.Function[Any, Any]:
    @ironflow.function(id="waiting", triggers=["go"])
    async def flow(ctx: Context) -> object:
        event = await ctx.step.wait_for_event("answer", "answer")
        return event.data

    return flow


@pytest.fixture
def gate() -> Gate:
    return Gate()


async def test_a_run_pauses_when_the_step_under_way_has_ended(
    bench: Bench, gate: Gate
) -> None:
    async with bench.engine(steps(gate)) as engine:
        await engine.emit("go")
        await settle()
        run = await engine.pause(await only_run(engine), reason="why", actor="ann")
        assert run.status == "running"
        await gate.open("first")
        run = await engine.result(run.id)
        assert (run.status, run.error and run.error.message) == ("paused", "why")
        assert bench.kinds(run.id) == ["RunStarted", "StepCompleted"]
        await gate.open("second")
        await engine.resume(run.id)
        run = await engine.result(run.id)

    assert run.unwrap() == "done"
    assert gate.begun == ["first", "second"]


async def test_all_branches_come_to_their_next_step(bench: Bench, gate: Gate) -> None:
    """What has begun ends and is recorded; nothing new begins meanwhile."""
    async with bench.engine(branches(gate)) as engine:
        await engine.emit("go")
        await settle()
        run_id = await only_run(engine)
        await engine.pause(run_id)
        await gate.open("a", "a2")
        assert (await engine.get_run(run_id)).status == "running"
        assert gate.begun == ["a", "b"]
        await gate.open("b")
        assert (await engine.get_run(run_id)).status == "paused"
        await engine.resume(run_id)
        run = await engine.result(run_id)

    assert run.unwrap() == "done"
    assert gate.begun == ["a", "b", "a2"]


async def test_a_run_that_waits_is_paused_at_once(bench: Bench) -> None:
    """What comes meanwhile waits for it."""
    async with bench.engine(waiting()) as engine:
        await engine.emit("go")
        await settle()
        run = await engine.pause(await only_run(engine))
        assert run.status == "paused"
        await engine.emit("answer", 7)
        await settle()
        assert (await engine.get_run(run.id)).status == "paused"
        await engine.resume(run.id)
        run = await engine.result(run.id)

    assert run.unwrap() == 7


async def test_who_waits_for_a_run_learns_of_its_pause(bench: Bench) -> None:
    found: list[ironflow.Run] = []

    async def wait(engine: ironflow.Engine) -> None:
        found.extend(await engine.emit_sync("go", timeout=None))

    async with bench.engine(waiting()) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(wait, engine)
        await settle()
        await engine.pause(await only_run(engine))
        await settle()
        assert [run.status for run in found] == ["paused"]


@pytest.mark.parametrize("first", ["pause", "cancel"])
async def test_a_cancel_comes_before_a_pause(
    bench: Bench, gate: Gate, first: str
) -> None:
    async with bench.engine(steps(gate)) as engine:
        await engine.emit("go")
        await settle()
        run_id = await only_run(engine)
        for what in (first, *({"pause", "cancel"} - {first})):
            ask = engine.pause if what == "pause" else engine.cancel
            await ask(run_id)
        await gate.open("first", "second")
        run = await engine.result(run_id)

    assert run.status == "cancelled"
    assert gate.begun == ["first"]


async def test_a_pause_is_taken_back_before_it_came_to_be(
    bench: Bench, gate: Gate
) -> None:
    async with bench.engine(branches(gate)) as engine:
        await engine.emit("go")
        await settle()
        run_id = await only_run(engine)
        await engine.pause(run_id)
        await gate.open("a", "a2")
        await engine.resume(run_id)
        await settle()
        assert gate.begun == ["a", "b", "a2"]
        await gate.open("b")
        run = await engine.result(run_id)

    assert run.unwrap() == "done"


async def test_whoever_goes_on_with_a_run_pauses_it(bench: Bench, gate: Gate) -> None:
    """The request is durable: it survives the process that was asked."""
    async with bench.crashing(steps(gate)) as engine:
        await engine.emit("go")
        await settle()
        run_id = await only_run(engine)
        await engine.pause(run_id)
    async with bench.engine(steps(gate)) as engine:
        run = await engine.result(run_id)
        assert run.status == "paused"
        assert gate.begun == ["first"]
        await gate.open("first", "second")
        await engine.resume(run_id)
        run = await engine.result(run_id)

    assert run.unwrap() == "done"
    assert gate.begun == ["first", "first", "second"]


async def test_a_pause_between_two_commits_is_seen(bench: Bench, gate: Gate) -> None:
    """It is asked while a result is being recorded, by somebody beside the engine."""
    async with bench.engine(steps(gate)) as engine:
        await engine.emit("go")
        await settle()
        run_id = await only_run(engine)
        hold = bench.journal.hold_after(lambda _: True)
        gate.doors["first"].set()
        await hold.reached.wait()
        command = RequestPause(run_id, "", "", bench.clock.now())
        bench.journal.store.commit_now([command])
        hold.released.set()
        await settle()
        assert (await engine.get_run(run_id)).status == "paused"

    assert gate.begun == ["first"]


async def test_a_step_on_record_as_started_is_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standing still before it would leave it in doubt."""
    made: list[str] = []

    async def make(name: str) -> None:
        made.append(name)

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context) -> None:
        await ctx.step.run("first", make, "first")
        await ctx.step.run("once", make, "once", once="at_most")
        await ctx.step.run("third", make, "third")

    def ask_in_silence(commands: Commands) -> None:
        """Ask before the start is recorded; the hint is lost."""
        if any("StepStarted" in repr(each) for each in commands):
            run_id = next(iter(bench.journal.store.find_now(RunQuery()))).row.run_id
            with monkeypatch.context() as silence:
                silence.setattr(bench.journal.store, "_watchers", {})
                command = RequestPause(run_id, "", "", bench.clock.now())
                bench.journal.store.commit_now([command])

    bench.journal.refuse = ask_in_silence
    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    assert run.status == "paused"
    assert made == ["first", "once"]
    assert bench.kinds(run.id)[1:] == ["StepCompleted", "StepStarted", "StepCompleted"]


async def test_a_run_that_is_not_there_is_not_paused(bench: Bench) -> None:
    async with bench.engine(waiting()) as engine:
        with pytest.raises(RunNotFound):
            await engine.pause(ids.run_id(bytes(16)))
