"""A run that ends process after process is paused; one that gets on is not."""

import logging
from typing import Any

import pytest
import trio

import ironflow
from ironflow import Context, limits
from ironflow.engine.engine import Engine
from tests.engine.bench import Bench, settle

TIMES = limits.POISON_CLAIMS_MAX


class Deadly:
    """A step after whose start the test ends the process, until it is harmless."""

    def __init__(self) -> None:
        self.calls = 0
        self.harmless = False

    async def step(self) -> str:
        self.calls += 1
        if not self.harmless:
            await trio.sleep_forever()
        return "survived"


@pytest.fixture
def deadly() -> Deadly:
    return Deadly()


async def crash(bench: Bench, *flows: Any, times: int) -> None:
    for _ in range(times):
        async with bench.crashing(*flows):
            await settle()


async def status(engine: Engine, run_id: str) -> str:
    await settle()
    return (await engine.get_run(run_id)).status


async def test_a_run_that_ends_every_process_is_paused(
    bench: Bench, deadly: Deadly, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody calls its step any more, until somebody resumes it."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run("deadly", deadly.step)

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
    run_id = receipt.run_ids[0]
    await crash(bench, flow, times=TIMES)
    with caplog.at_level(logging.ERROR):
        async with bench.engine(flow) as engine:
            run = await engine.result(run_id)
            calls = deadly.calls
    async with bench.engine(flow) as engine:
        still = await status(engine, run_id)

    assert calls == 1 + TIMES == deadly.calls
    assert (run.status, still) == ("paused", "paused")
    with pytest.raises(ironflow.RunUnsuccessful, match="poison: 5 processes ended"):
        run.unwrap()
    assert f"run {run_id} is paused as poison" in caplog.text


async def test_a_retry_begins_to_count_anew(bench: Bench, deadly: Deadly) -> None:
    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run("deadly", deadly.step)

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
    run_id = receipt.run_ids[0]
    await crash(bench, flow, times=TIMES + 1)
    async with bench.crashing(flow) as engine:
        paused = await status(engine, run_id)
        await engine.resume(run_id)
        await settle()
    await crash(bench, flow, times=TIMES - 1)
    deadly.harmless = True
    async with bench.engine(flow) as engine:
        run = await engine.result(run_id)

    assert paused == "paused"
    assert run.unwrap() == "survived"


async def test_a_run_that_gets_on_is_not_poison(bench: Bench) -> None:
    """A record between two crashes is progress, whatever it says."""
    gates = [trio.Event() for _ in range(2 * TIMES)]

    async def step(n: int) -> None:
        await gates[n].wait()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        for n in range(len(gates)):
            await ctx.step.run("step", step, n)
        return "done"

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
    for gate in gates:
        async with bench.crashing(flow):
            gate.set()
            await settle()
    async with bench.engine(flow) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == "done"


async def test_an_orderly_end_is_nobodys_fault(bench: Bench, deadly: Deadly) -> None:
    """Neither a claim that it ends counts, nor the first one after it."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        return await ctx.step.run("deadly", deadly.step)

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
    await crash(bench, flow, times=TIMES - 1)
    for _ in range(TIMES):
        async with bench.engine(flow, shutdown=0):
            await settle()
        await bench.journal.close()
        bench.crash()
    deadly.harmless = True
    async with bench.engine(flow) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == "survived"


async def test_news_that_come_while_claims_are_counted_are_seen(bench: Bench) -> None:
    """A cancel reaches a run that is held and not carried on yet."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("for ever", trio.sleep_forever)

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
    counting = bench.journal.hold_after(
        lambda commands: type(commands[0]).__name__ == "CountClaims"
    )
    async with bench.engine(flow) as engine:
        await counting.reached.wait()
        await engine.cancel(receipt.run_ids[0], reason="enough")
        await settle()
        counting.released.set()
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "cancelled"
