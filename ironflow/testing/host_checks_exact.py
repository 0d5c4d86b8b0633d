"""Checks of a host whose functions use what published SDKs have no word for."""

from typing import Any, Final

from ironflow.authoring.context import Context
from ironflow.authoring.function import function
from ironflow.errors import NonRetryableError, StepError
from ironflow.policy.retry import Retry
from ironflow.testing.host_scene import (
    Compared,
    Functions,
    HostCheck,
    HostScene,
    OpenHost,
    World,
    agree,
)

_ONCE: Final = Retry(max_attempts=1)


async def check_a_bug_pauses_the_run(open_host: OpenHost, compared: Compared) -> None:
    """Nothing of what it has done is undone, and somebody has to look at it."""

    def functions(world: World) -> Functions:
        @function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> None:
            await ctx.step.run("before", world.do, "before")
            raise KeyError("a bug")

        return [flow]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")
        await scene.advance("1h")

    await agree(open_host, compared, functions, story, ends="paused")


async def check_a_wait_may_have_a_default(
    open_host: OpenHost, compared: Compared
) -> None:
    """Which it gives at its time, when no event has come."""

    def functions(world: World) -> Functions:
        @function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> Any:
            found = await ctx.step.wait_for_event(
                "paid", "paid", timeout="1h", default=None
            )
            return [found, await ctx.step.run("after", world.do, "after")]

        return [flow]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")
        await scene.advance("2h")

    await agree(open_host, compared, functions, story)


async def check_several_waits_are_open_at_once(
    open_host: OpenHost, compared: Compared
) -> None:
    """Events may come in any order."""

    def functions(world: World) -> Functions:
        async def wait(name: str, step: Any, index: int) -> Any:
            del index
            found = await step.wait_for_event(name, name, timeout="1d")
            return [found.data, await step.run("noted", world.do, name)]

        @function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> Any:
            return await ctx.step.map("each", ["a", "b", "c"], wait)

        return [flow]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")
        for name in ("c", "a", "b"):
            await scene.emit(name, {"of": name})
            await scene.advance("1s")

    await agree(open_host, compared, functions, story)


async def check_a_child_may_be_waited_for_later(
    open_host: OpenHost, compared: Compared
) -> None:
    """It is started, and its parent goes on meanwhile."""

    def functions(world: World) -> Functions:
        @function(id="child")
        async def child(ctx: Context[Any]) -> str:
            await ctx.step.sleep("nap", "1m")
            return await ctx.step.run("child", world.do, "child")

        @function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> Any:
            handle = await ctx.step.invoke_async("child", None)
            first = await ctx.step.run("meanwhile", world.do, "meanwhile")
            return [first, await handle.result()]

        return [flow, child]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")
        await scene.advance("1h")

    await agree(open_host, compared, functions, story)


async def check_a_start_may_be_recorded(
    open_host: OpenHost, compared: Compared
) -> None:
    """Of a step that may be executed once at most."""

    def functions(world: World) -> Functions:
        @function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> str:
            return await ctx.step.run("pay", world.do, "paid", once="at_most")

        return [flow]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")

    await agree(open_host, compared, functions, story)


async def check_a_run_continues_as_a_new_one(
    open_host: OpenHost, compared: Compared
) -> None:
    """With other data, and a history of its own."""

    def functions(world: World) -> Functions:
        @function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> Any:
            left = ctx.event.data["left"]
            await ctx.step.run("count", world.do, f"left {left}")
            await ctx.step.sleep("nap", "1m")
            if left:
                await ctx.continue_as_new({"left": left - 1})
            return "done"

        return [flow]

    async def story(scene: HostScene) -> None:
        await scene.emit("go", {"left": 2})
        await scene.advance("1h")

    await agree(open_host, compared, functions, story, ends="continued")


async def check_a_saga_is_undone_as_a_whole(
    open_host: OpenHost, compared: Compared
) -> None:
    """And the run goes on, where the failure is caught outside."""

    def functions(world: World) -> Functions:
        def broken() -> None:
            raise NonRetryableError("no stock")

        @function(id="flow", triggers=["go"], retry=_ONCE)
        async def flow(ctx: Context[Any]) -> str:
            await ctx.step.run("before", world.do, "before")
            try:
                async with ctx.saga():
                    await ctx.step.run("reserve", world.do, "reserved")
                    await ctx.step.compensate("release", world.do, "released")
                    await ctx.step.run("ship", broken)
            except StepError:
                return await ctx.step.run("after", world.do, "after")
            return "no error"

        return [flow]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")

    await agree(open_host, compared, functions, story)


async def check_failures_may_be_collected(
    open_host: OpenHost, compared: Compared
) -> None:
    """Of branches, while the others go on."""

    def functions(world: World) -> Functions:
        def some(name: str) -> str:
            if name == "b":
                raise NonRetryableError("not this one")
            return world.do(name)

        async def one(name: str, step: Any, index: int) -> str:
            del index
            await step.sleep("stagger", ord(name))
            return str(await step.run("some", some, name))

        @function(id="flow", triggers=["go"], retry=_ONCE)
        async def flow(ctx: Context[Any]) -> Any:
            found = await ctx.step.map(
                "each",
                ["a", "b", "c"],
                one,
                on_error="collect",
            )
            return [type(each).__name__ for each in found]

        return [flow]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")
        await scene.advance("1h")

    await agree(open_host, compared, functions, story)


async def check_a_run_may_be_too_late(open_host: OpenHost, compared: Compared) -> None:
    """Past its own deadline it fails, and is undone."""

    def functions(world: World) -> Functions:
        @function(id="flow", triggers=["go"], run_timeout="1h", retry=_ONCE)
        async def flow(ctx: Context[Any]) -> None:
            await ctx.step.run("before", world.do, "before")
            await ctx.step.compensate("undo", world.do, "undone")
            await ctx.step.sleep("nap", "1d")

        return [flow]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")
        await scene.advance("2h")

    await agree(open_host, compared, functions, story, ends="failed")


EXACT_CHECKS: Final[tuple[HostCheck, ...]] = (
    check_a_bug_pauses_the_run,
    check_a_wait_may_have_a_default,
    check_several_waits_are_open_at_once,
    check_a_child_may_be_waited_for_later,
    check_a_start_may_be_recorded,
    check_a_run_continues_as_a_new_one,
    check_a_saga_is_undone_as_a_whole,
    check_failures_may_be_collected,
    check_a_run_may_be_too_late,
)
