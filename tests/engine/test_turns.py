"""However many runs have something to do, other tasks get their turns between them."""

from collections import Counter
from typing import Any

import trio

import ironflow
from ironflow.engine.work import TURNS_IN_A_ROW_MAX

RUNS = 10 * TURNS_IN_A_ROW_MAX


async def test_other_tasks_run_between_the_turns_of_many_runs() -> None:
    passes = 0
    turns: Counter[int] = Counter()

    async def tick() -> None:
        nonlocal passes
        while True:
            passes += 1
            await trio.lowlevel.checkpoint()

    @ironflow.function(id="busy", triggers=["go"])
    async def busy(ctx: ironflow.Context[Any]) -> None:
        turns[passes] += 1
        await ctx.step.sleep("long", "1h")

    app = ironflow.App(functions=[busy])
    async with ironflow.open_engine(app, "memory:") as engine:
        async with trio.open_nursery() as nursery:
            for _ in range(RUNS):
                nursery.start_soon(engine.emit, "go")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick)
            while turns.total() < RUNS:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

    # Trio chooses who comes first in a pass: one may end and the next begin so.
    assert max(turns.values()) <= 2 * TURNS_IN_A_ROW_MAX
