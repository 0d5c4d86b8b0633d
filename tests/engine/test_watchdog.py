"""A step that blocks the event loop is named."""

import threading
from typing import Any

import pytest

import ironflow
from ironflow import Context
from tests.engine.bench import Bench

BLOCKS_S = 0.35


@pytest.mark.slow
async def test_a_step_that_blocks_the_loop_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With its run and the line at which it stands, once."""
    bench = Bench()

    async def blocks() -> None:
        threading.Event().wait(BLOCKS_S)

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("blocks", blocks)

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

    [record] = caplog.records
    assert "'blocks'" in record.getMessage()
    assert run.id in record.getMessage()
    assert "threading.py" in record.getMessage() or __file__ in record.getMessage()


@pytest.mark.slow
async def test_a_plain_step_blocks_only_its_thread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """That is what threads are for."""
    bench = Bench()

    def blocks() -> None:
        threading.Event().wait(BLOCKS_S)

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.run("blocks", blocks)

    async with bench.engine(flow) as engine:
        await engine.emit_sync("go")

    assert caplog.records == []
