"""The functions whose runs are in the museum. They must replay for ever: never edit one."""

import ironflow
from ironflow import App, Context, NonRetryableError, StepOutcome

LARGE = 9_000  # bytes: such a payload lies in the table of blobs


def echo(value: str) -> str:
    return value


def take_back(outcome: StepOutcome[str]) -> None:
    assert outcome.args


def refuse(value: str) -> str:
    raise NonRetryableError(f"{value} is refused")


def stumble(value: str) -> str:
    raise OSError(f"{value} does not answer")


@ironflow.function(id="greet", triggers=["hello"])
async def greet(ctx: Context[str]) -> str:
    said = await ctx.step.run("say", echo, f"hello {ctx.event.data}")
    await ctx.step.publish("greeted", said)
    return said


@ironflow.function(id="long", triggers=["long"])
async def long(ctx: Context[int]) -> int:
    for number in range(ctx.event.data):
        await ctx.step.run("step", echo, str(number))
    return ctx.event.data


@ironflow.function(id="large", triggers=["large"])
async def large(ctx: Context[None]) -> int:
    return len(await ctx.step.run("make", echo, "x" * LARGE))


@ironflow.function(id="wide", triggers=["wide"])
async def wide(ctx: Context[list[str]]) -> list[str]:
    return await ctx.step.map(
        "each", ctx.event.data, lambda item, step, _: step.run("say", echo, item)
    )


@ironflow.function(id="order", triggers=["order"])
async def order(ctx: Context[str]) -> str:
    await ctx.step.run("reserve", echo, ctx.event.data, undo=take_back)
    await ctx.step.run("charge", echo, ctx.event.data, undo=take_back)
    return await ctx.step.run("ship", refuse, ctx.event.data)


@ironflow.function(id="seek", triggers=["seek"])
async def seek(ctx: Context[dict[str, int]]) -> str:
    await ctx.step.run("before", echo, "before")
    await ctx.step.wait_for_event(
        "approval", "approved", match="data.id", timeout="30000d"
    )
    return await ctx.step.run("after", echo, "after")


@ironflow.function(id="sleep", triggers=["sleep"])
async def sleep(ctx: Context[None]) -> str:
    await ctx.step.sleep("nap", "30000d")
    return "rested"


@ironflow.function(id="child")
async def child(ctx: Context[str]) -> str:
    await ctx.step.wait_for_event("word", "spoken", timeout="30000d")
    return ctx.event.data


@ironflow.function(id="parent", triggers=["parent"])
async def parent(ctx: Context[str]) -> str:
    return await ctx.step.invoke(child, ctx.event.data)


@ironflow.function(id="retry", triggers=["retry"])
async def retry(ctx: Context[str]) -> str:
    return await ctx.step.run("call", stumble, ctx.event.data)


@ironflow.function(id="broken", triggers=["broken"])
async def broken(ctx: Context[str]) -> str:
    await ctx.step.run("before", echo, "before")
    raise ValueError(ctx.event.data)


@ironflow.function(id="count", triggers=["count"])
async def count(ctx: Context[int]) -> int:
    left = await ctx.step.run("left", int, str(ctx.event.data - 1))
    if left:
        await ctx.continue_as_new(left)
    return left


app = App(
    functions=[
        greet,
        long,
        large,
        wide,
        order,
        seek,
        sleep,
        child,
        parent,
        retry,
        broken,
        count,
    ]
)
