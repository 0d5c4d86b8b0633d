"""The app of the command line's tests, as a user would write it."""

from typing import Any

import ironflow


def charge(total: int) -> dict[str, int]:
    return {"paid": total}


def ship(item: str) -> str:
    return f"parcel of {item}"


def refund(outcome: ironflow.StepOutcome[dict[str, int]]) -> int:
    assert outcome.value is not None
    return outcome.value["paid"]


def refuse() -> None:
    raise ConnectionError("the warehouse is away")


QUICK = ironflow.Retry(max_attempts=2, initial_delay="1ms")


@ironflow.function(
    id="process-order",
    triggers=["order.placed"],
    attributes={"order": "data.id", "total": "data.total"},
)
async def process_order(ctx: ironflow.Context[Any]) -> dict[str, Any]:
    order = ctx.event.data
    paid = await ctx.step.run("charge", charge, order["total"])

    async def one(item: str, step: ironflow.StepClient, index: int) -> str:
        return await step.run("ship", ship, item)

    parcels = await ctx.step.map("ship-all", order["items"], one)
    score = await ctx.step.invoke("score-customer", {"id": "c1"})
    await ctx.step.publish("orders.done", {"id": order["id"]})
    await ctx.step.sleep("cool-off", "1ms")
    return {"paid": paid, "parcels": parcels, "score": score}


@ironflow.function(id="score-customer")
async def score_customer(ctx: ironflow.Context[Any]) -> int:
    return len(await ctx.step.run("look", ship, ctx.event.data["id"]))


@ironflow.function(id="approve", triggers=["approval.asked"])
async def approve(ctx: ironflow.Context[Any]) -> Any:
    approval = await ctx.step.wait_for_event(
        "approval", "approval.given", match="data.id", timeout="7d"
    )
    return approval.data


@ironflow.function(id="forgetful", triggers=["order.forgotten"])
async def forgetful(ctx: ironflow.Context[Any]) -> int:
    paid: Any = await ctx.step.run("charge", charge, 1)
    return int(paid["total"])


@ironflow.function(id="sold-out", triggers=["order.late"], retry=QUICK)
async def sold_out(ctx: ironflow.Context[Any]) -> None:
    await ctx.step.run("charge", charge, 5, undo=refund)
    await ctx.step.run("reserve", refuse)


app = ironflow.App(
    functions=[process_order, score_customer, approve, forgetful, sold_out]
)
