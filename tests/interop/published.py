"""Functions of a published SDK and their worker: run by the Python that has that SDK.

    .interop/bin/python tests/interop/published.py worker|streaming|register URL
    uvicorn published:app          an endpoint

What its steps do is a line each in the file $EFFECTS.
"""

import asyncio
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

# Not the package of this checkout, although it has the same name.
published: Any = import_module("ironflow.worker")

ORDER = {"event": "order.created"}


def did(what: str) -> str:
    """Note an effect, and return it."""
    with Path(os.environ["EFFECTS"]).open("a", encoding="utf-8") as file:
        file.write(what + "\n")
    print(what, flush=True)
    return what


def times(what: str) -> int:
    """Return how often it was done."""
    path = Path(os.environ["EFFECTS"])
    return path.read_text(encoding="utf-8").splitlines().count(what)


async def nested(item: str, step: Any, index: int) -> str:
    name: str = await step.run("w:x", lambda: did(f"item {index}"))
    return f"{item}:{name}"


async def first_branch(step: Any) -> str:
    await step.sleep("doze", "200ms")
    found: str = await step.run("after", lambda: did("after doze"))
    return found


async def second_branch(step: Any) -> list[str]:
    found: list[str] = await step.map("inner", ["a", "b"], nested)
    return found


@published.function(id="everything", triggers=[{"event": "all.asked"}])
async def everything(ctx: Any) -> dict[str, Any]:
    step = ctx.step
    greeting = await step.run("greet", lambda: did("greet"))
    await step.sleep("nap", "300ms")
    fan = await step.parallel("fan", [first_branch, second_branch])
    doubled = await step.invoke("double", {"n": 21})
    later = await step.invoke_async("double", {"n": 1})
    message = await step.publish("news", {"order": ctx.event.data["orderId"]})
    event = await step.wait_for_event(
        "ok", event="all.approved", match="data.orderId", timeout="1h"
    )
    return {
        "greeting": greeting,
        "fan": fan,
        "doubled": doubled,
        "later": later.run_id,
        "message": message.event_id,
        "approved": event.data,
    }


@published.function(id="double")
async def double(ctx: Any) -> int:
    return int(ctx.event.data["n"]) * 2


@published.function(
    id="flaky",
    triggers=[{"event": "flaky.asked"}],
    retry=published.RetryConfig(max_attempts=3, initial_delay_ms=100),
)
async def flaky(ctx: Any) -> dict[str, Any]:
    def work() -> str:
        did("tried")
        if times("tried") < 3:
            raise ValueError("not yet")
        return "done"

    before = await ctx.step.run("before", lambda: did("before"))
    return {"before": before, "work": await ctx.step.run("work", work)}


@published.function(id="undone", triggers=[{"event": "undone.asked"}])
async def undone(ctx: Any) -> None:
    def fail() -> None:
        raise published.NonRetryableError("no stock")

    await ctx.step.run("charge", lambda: did("charge"))
    ctx.step.compensate("charge", lambda: did("refund"))
    await ctx.step.run("ship", fail)


@published.function(id="fragile", triggers=[{"event": "fragile.asked"}])
async def fragile(ctx: Any) -> str:
    """Its mail works when it was charged twice."""

    def mail() -> str:
        if times("charge") < 2:
            raise published.NonRetryableError("no mail")
        return did("mail")

    price = await ctx.step.run("price", lambda: did("price"))
    charged = await ctx.step.run("charge", lambda: did("charge"))
    mailed = await ctx.step.run("mail", mail)
    return f"{price} {charged} {mailed}"


@published.function(id="bad-child", triggers=[{"event": "child.asked"}])
async def bad_child(ctx: Any) -> str:
    try:
        await ctx.step.invoke("undone", {})
    except published.InvokeError as error:
        return f"caught: {error}"
    return "no error"


@published.function(id="slow", triggers=[{"event": "slow.asked"}])
async def slow(ctx: Any) -> str:
    async def hang() -> str:
        did("hang")
        if os.environ.get("HANG"):
            await asyncio.sleep(600)
        return "woke"

    await ctx.step.run("before", lambda: did("before"))
    found: str = await ctx.step.run("hang", hang)
    return found


FUNCTIONS = [everything, double, flaky, undone, fragile, bad_child, slow]

if "SIGNING_KEY" in os.environ:
    app = import_module("ironflow.serve").serve(
        FUNCTIONS,
        signing_key=os.environ["SIGNING_KEY"],
        server_url=os.environ["SERVER_URL"],
    )


def main(how: str, url: str, *rest: str) -> None:
    if how == "register":
        register = import_module("ironflow.serve").register
        asyncio.run(register(FUNCTIONS, endpoint_url=rest[0], server_url=url))
        return
    kind = published.Worker if how == "worker" else published.StreamingWorker
    worker = kind(
        functions=FUNCTIONS,
        server_url=url,
        worker_id=rest[0] if rest else None,
        checkpoint_interval=0.1,
        heartbeat_interval=1,
        reconnect_delay=0.5,
    )
    asyncio.run(worker.start())


if __name__ == "__main__":
    main(*sys.argv[1:])
