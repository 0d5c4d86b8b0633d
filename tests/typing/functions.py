"""What editors and type checkers know of functions; checked, never run."""

from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, assert_type
from uuid import UUID

import ironflow


@dataclass
class Order:
    id: str
    total: float


@dataclass
class Score:
    value: int


@ironflow.function(
    id="process-order",
    triggers=["order.placed"],
    retry=ironflow.Retry(max_attempts=3),
    run_timeout="30d",
    patches=["faster"],
)
async def process_order(ctx: ironflow.Context[Order]) -> Score:
    assert_type(ctx.event.data, Order)
    assert_type(ctx.event.timestamp, datetime)
    assert_type(ctx.event.metadata, dict[str, str])
    assert_type(ctx.run.attempt, int)
    assert_type(ctx.now(), datetime)
    assert_type(ctx.random(), Random)
    assert_type(ctx.uuid(), UUID)
    assert_type(ctx.patched("faster"), bool)
    ctx.logger.info("%s costs %s", ctx.event.data.id, ctx.event.data.total)
    async with ctx.saga():
        await ctx.step.sleep("nap", "5s")
    if ctx.event.data.total > 1:
        await ctx.continue_as_new(Order("again", 0))
    return Score(1)


@ironflow.function
async def cleanup(ctx: ironflow.Context[None]) -> int:
    return ctx.run.attempt


assert_type(process_order, ironflow.Function[Order, Score])
assert_type(cleanup, ironflow.Function[None, int])
ironflow.App(functions=[process_order, cleanup])


async def children(ctx: ironflow.Context[Any]) -> None:
    step = ctx.step
    assert_type(await step.invoke(process_order, Order("o", 1)), Score)
    assert_type(await step.invoke(cleanup), int)
    assert_type(await step.invoke("by-id", {"id": 1}, timeout="1m"), Any)
    child = await step.invoke_async(process_order, Order("o", 1), detached=True)
    assert_type(child, ironflow.ChildRun[Score])
    assert_type(child.run_id, str)
    assert_type(await child.result(), Score)


async def refused(ctx: ironflow.Context[Order]) -> None:
    await ctx.step.invoke(process_order, Score(1))  # type: ignore[misc]  # no Order
    await ctx.step.invoke(process_order)  # type: ignore[arg-type]  # nothing
    ctx.event.id = "another"  # type: ignore[misc]  # frozen
    await ctx.continue_as_new(Score(1))  # type: ignore[arg-type]  # no Order


ironflow.App([process_order])  # type: ignore[call-arg]  # keyword only
ironflow.App(functions=[refused])  # type: ignore[list-item]  # not decorated


@ironflow.function(cron="* * * * *")  # type: ignore[call-overload]  # not built yet
async def hourly(ctx: ironflow.Context[Any]) -> None: ...


@ironflow.function()  # type: ignore[arg-type]  # not async
def blocking(ctx: ironflow.Context[Any]) -> None: ...


@ironflow.function()  # type: ignore[arg-type]  # no context
async def number(ctx: int) -> None: ...
