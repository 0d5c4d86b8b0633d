"""The functions that are measured: their steps do nothing, so the engine is seen."""

from typing import Any

import ironflow


async def trivial(number: int) -> dict[str, Any]:
    """Return a small result."""
    return {"number": number, "ok": True, "name": "trivial"}


@ironflow.function(id="steps", triggers=["steps"], history_limit=2_000_000)
async def steps(ctx: ironflow.Context[Any]) -> int:
    """Do as many steps as the event says, one after the other."""
    count: int = ctx.event.data["count"]
    for number in range(count):
        await ctx.step.run("trivial", trivial, number)
    return count


@ironflow.function(id="hello", triggers=["hello"])
async def hello(ctx: ironflow.Context[Any]) -> dict[str, Any]:
    """Do one step."""
    return await ctx.step.run("trivial", trivial, 1)


@ironflow.function(id="parked", triggers=["parked"])
async def parked(ctx: ironflow.Context[Any]) -> None:
    """Sleep for a month."""
    await ctx.step.sleep("month", "30d")


@ironflow.function(id="order", triggers=["order.placed"])
async def order(ctx: ironflow.Context[Any]) -> int:
    """Wait for the payment of one order, among all that wait for theirs."""
    paid = await ctx.step.wait_for_event(
        "paid", "order.paid", match="data.order", timeout="3650d"
    )
    number: int = paid.data["order"]
    return number


@ironflow.function(id="asleep", triggers=["bed.made"])
async def asleep(ctx: ironflow.Context[Any]) -> None:
    """Sleep for ten years."""
    await ctx.step.sleep("years", "3650d")


@ironflow.function(id="later", triggers=["later"])
async def later(ctx: ironflow.Context[Any]) -> None:
    """End at once, where an engine has it."""


app = ironflow.App(functions=[steps, hello, parked, order, asleep, later])
emitting = ironflow.App(functions=[hello])  # an engine that carries no `later` on
