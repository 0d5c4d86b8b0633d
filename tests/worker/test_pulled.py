"""Runs that a worker carries on for a server."""

from typing import Any

import ironflow
from ironflow import Context
from tests.worker.stage import server


@ironflow.function(triggers=["go"])
async def hello(ctx: Context[Any]) -> str:
    name = await ctx.step.run("name", name_of, ctx.event.data)
    await ctx.step.sleep("nap", "1h")
    paid = await ctx.step.wait_for_event("paid", "paid")
    return f"{name} {paid.data}"


async def name_of(data: Any) -> str:
    return str(data).upper()


async def test_a_worker_carries_a_run_from_its_event_to_its_end() -> None:
    async with server() as stage:
        await stage.start(hello)
        run_id = await stage.emit("go", "ann")
        asleep = await stage.status(run_id)
        await stage.clock.advance(3600)
        assert stage.engine is not None
        await stage.engine.emit("paid", 7)
        run = await stage.engine.result(run_id)

        assert asleep == "waiting"
        assert run.output == "ANN 7"
        assert await stage.kinds(run_id) == [
            "RunStarted",
            "StepCompleted",
            "SleepStarted",
            "SleepFired",
            "WaitStarted",
            "EventReceived",
            "RunEnded",
        ]
        assert stage.host.workers()[0].active_jobs == 0
