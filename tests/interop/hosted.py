"""The app of the server that a published client talks to."""

from typing import Any

import ironflow


@ironflow.function(id="order", triggers=["order.created"])
async def order(ctx: ironflow.Context[Any]) -> Any:
    charged = await ctx.step.run("charge", lambda: {"amount": 3, "of": "order"})
    return {"order": ctx.event.data["orderId"], "charged": charged}


@ironflow.function(id="approval", triggers=["approval.asked"])
async def approval(ctx: ironflow.Context[Any]) -> Any:
    asked = await ctx.step.run("ask", lambda: "please")
    answer = await ctx.step.wait_for_event("answer", "topic:answers", timeout="7d")
    return [asked, answer.data]


@ironflow.function(id="lost", triggers=["order.lost"])
async def lost(ctx: ironflow.Context[Any]) -> None:
    raise ironflow.NonRetryableError(f"lost: {ctx.event.data['orderId']}")


app = ironflow.App(functions=[order, approval, lost])
