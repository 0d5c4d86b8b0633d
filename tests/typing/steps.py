"""What editors and type checkers know of `ctx.step`; checked, never run.

A line that must be refused has a `type: ignore` comment. Both checkers report a
comment that is not needed, so each of these lines is a test.
"""

from collections.abc import Awaitable
from typing import Any, assert_type

import ironflow


async def charge(customer: str, total: float) -> bytes:
    raise NotImplementedError


def count(words: list[str], at_least: int = 1) -> int:
    raise NotImplementedError


def nothing() -> None: ...
async def refund(outcome: ironflow.StepOutcome[bytes]) -> None: ...
def recount(outcome: ironflow.StepOutcome[int]) -> None: ...
@ironflow.asyncio_step
async def fetch(url: str) -> str:
    raise NotImplementedError


async def run(ctx: ironflow.Context[Any]) -> None:
    step = ctx.step
    assert_type(await step.run("charge", charge, "c1", 9.5), bytes)
    assert_type(await step.run("count", count, ["a"], 2), int)
    assert_type(await step.run("count", count, ["a"]), int)
    assert_type(await step.run("nothing", nothing), None)
    assert_type(await step.run("fetch", fetch, "https://example.com"), str)
    assert_type(await step.run("inline", lambda: 3), int)
    assert_type(await step.run("c", charge, "c1", 9.5, undo=refund), bytes)
    assert_type(await step.run("n", count, ["a"], undo=recount, timeout="5s"), int)


async def run_refuses(ctx: ironflow.Context[Any]) -> None:
    step = ctx.step
    await step.run("charge", charge, "c1")  # type: ignore[arg-type]  # one too few
    await step.run("charge", charge, 1, 9.5)  # type: ignore[arg-type, call-arg]  # no str
    await step.run("charge", charge, "c1", total=9.5)  # type: ignore[call-overload]  # keyword
    await step.run("charge", charge, "c1", 9.5, undo=recount)  # type: ignore[misc, call-arg]  # of an int
    await step.run("nothing", nothing, once="never")  # type: ignore[call-overload, call-arg]  # no such way
    await step.run("nothing", nothing, retry=3)  # type: ignore[call-overload, call-arg]  # no policy
    await step.run("nothing", nothing())  # type: ignore[call-overload, func-returns-value]  # called


async def waits(ctx: ironflow.Context[Any]) -> None:
    step = ctx.step
    assert_type(await step.sleep("nap", "1h30m"), None)
    assert_type(await step.sleep_until("noon", ctx.now()), None)
    approval = await step.wait_for_event("approval", "order.approved", match="data.id")
    assert_type(approval, ironflow.Event[Any])
    maybe = await step.wait_for_event("maybe", "order.approved", default=None)
    assert_type(maybe, ironflow.Event[Any] | None)
    await step.wait_for_event("w", "e", since="yesterday")  # type: ignore[call-overload]  # no such way


async def parallel(ctx: ironflow.Context[Any]) -> None:
    def one(step: ironflow.StepClient) -> Awaitable[int]:
        return step.run("n", count, ["a"])

    async def several(step: ironflow.StepClient) -> str:
        await step.sleep("nap", 1)
        return await step.run("fetch", fetch, "u")

    step = ctx.step
    pair = await step.parallel("pair", (one, several))
    assert_type(pair, tuple[int, str])
    both = await step.parallel("both", [several, several], concurrency=1)
    assert_type(both, list[str])
    # Mypy takes the results of a list of lambdas for Any, which fits everything.
    counts: list[int] = await step.parallel(
        "counts", [lambda step: step.run("n", count, ["a"])]
    )
    assert_type(counts, list[int])
    some = await step.parallel("some", [several], on_error="collect")
    assert_type(some, list[str | Exception])


async def parallel_refuses(ctx: ironflow.Context[Any]) -> None:
    await ctx.step.parallel("p", [ctx.step.sleep("nap", 1)])  # type: ignore[arg-type]  # no function
    await ctx.step.parallel("p", [nothing])  # type: ignore[arg-type]  # takes no step client


async def each(ctx: ironflow.Context[Any]) -> None:
    async def ship(item: str, step: ironflow.StepClient, index: int) -> float:
        await step.run("count", count, [item], index)
        return 1.0

    step = ctx.step
    assert_type(await step.map("ship", ["a", "b"], ship, concurrency=4), list[float])
    collected = await step.map("ship", ["a"], ship, on_error="collect")
    assert_type(collected, list[float | Exception])
    inline = await step.map("n", [1, 2], lambda n, step, _: step.run("n", abs, n))
    assert_type(inline, list[int])
    await step.map("ship", [1, 2], ship)  # type: ignore[arg-type]  # items are no str


async def others(ctx: ironflow.Context[Any]) -> None:
    assert_type(await ctx.step.publish("orders.done", {"id": 1}), str)
    await ctx.step.compensate("refund", charge, "c1", 1.0)
    await ctx.step.compensate("refund", charge, "c1")  # type: ignore[arg-type]  # one too few
