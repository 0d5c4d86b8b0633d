"""The specification of a host in code: wherever functions live, their runs go the same way.

A host is whoever carries runs on: the engine itself, a worker that is connected, an endpoint
that is called. A check tells a story twice, to an engine with the functions and to the host,
and compares all that was recorded; or only outcomes, for a host that records otherwise.
A failed check raises an AssertionError that says what differs.
"""

from typing import Any, Final

from ironflow.authoring.context import Context
from ironflow.authoring.function import function
from ironflow.errors import InvokeError, NonRetryableError
from ironflow.interpreter.operations import StepOutcome
from ironflow.policy.retry import Retry
from ironflow.testing.host_checks_exact import EXACT_CHECKS
from ironflow.testing.host_scene import (
    Compared,
    Functions,
    HostCheck,
    HostScene,
    OpenHost,
    World,
    agree,
)

SOON: Final = Retry(max_attempts=3, initial_delay="1s", jitter=0, on_exhausted="fail")
ONCE: Final = Retry(max_attempts=1, on_exhausted="fail")


async def check_steps_are_executed_in_order(
    open_host: OpenHost, compared: Compared
) -> None:
    """Each once, with the values that they return, whatever JSON has."""

    def functions(world: World) -> Functions:
        def give(value: Any) -> Any:
            return value

        @function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> Any:
            values: list[Any] = [None, True, -(2**53), 2.5, "ä", [1, [2]], {"a": {}}]
            found: list[Any] = [
                await ctx.step.run(f"step {number}", give, value)
                for number, value in enumerate(values)
            ]
            found.append(await ctx.step.run("a:b\\c", world.do, "escaped"))
            found.append(await ctx.step.run("again", world.do, "again"))
            found.append(await ctx.step.run("again", world.do, "again"))
            return [found, ctx.event.data, ctx.event.name]

        return [flow]

    async def story(scene: HostScene) -> None:
        await scene.emit("go", {"n": [1, None]})

    await agree(open_host, compared, functions, story)


async def check_a_failed_step_is_tried_again(
    open_host: OpenHost, compared: Compared
) -> None:
    """After the delay of its policy, and no step that has a result is executed again."""

    def functions(world: World) -> Functions:
        def flaky() -> str:
            world.do("flaky")
            if world.times("flaky") < SOON.max_attempts:
                raise ValueError("not yet")
            return "at last"

        @function(id="flow", triggers=["go"], retry=SOON)
        async def flow(ctx: Context[Any]) -> Any:
            before = await ctx.step.run("before", world.do, "before")
            return [before, await ctx.step.run("flaky", flaky)]

        return [flow]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")
        await scene.advance("500ms")
        await scene.advance("10m")

    await agree(open_host, compared, functions, story)


async def check_a_step_that_is_given_up_fails_the_run(
    open_host: OpenHost, compared: Compared
) -> None:
    """At once, when its error says that trying again is of no use."""

    def functions(world: World) -> Functions:
        def broken() -> None:
            world.do("broken")
            raise NonRetryableError("no stock")

        @function(id="flow", triggers=["go"], retry=SOON)
        async def flow(ctx: Context[Any]) -> None:
            await ctx.step.run("broken", broken)

        return [flow]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")
        await scene.advance("10m")

    await agree(open_host, compared, functions, story, ends="failed")


async def check_a_function_may_fail(open_host: OpenHost, compared: Compared) -> None:
    """By its own word, after steps that stay done."""

    def functions(world: World) -> Functions:
        @function(id="flow", triggers=["go"], retry=ONCE)
        async def flow(ctx: Context[Any]) -> None:
            await ctx.step.run("before", world.do, "before")
            raise NonRetryableError("refused")

        return [flow]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")

    await agree(open_host, compared, functions, story, ends="failed")


async def check_branches_go_side_by_side(
    open_host: OpenHost, compared: Compared
) -> None:
    """Branches and items, one inside the other, with sleeps and waits in them."""

    def functions(world: World) -> Functions:
        async def item(each: tuple[str, str], step: Any, index: int) -> str:
            value, after = each
            del index
            await step.sleep("stagger", after)  # else they take turns by chance
            first = await step.run("w:x", world.do, f"item {value}")
            return f"{value}:{first}"

        async def sleeps(step: Any) -> str:
            await step.sleep("doze", "10s")
            return str(await step.run("after", world.do, "after doze"))

        async def nests(step: Any) -> Any:
            return await step.map("inner", [("a", "2s"), ("b", "1s")], item)

        @function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> Any:
            return await ctx.step.parallel("fan", [sleeps, nests])

        return [flow]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")
        await scene.advance("1m")

    await agree(open_host, compared, functions, story)


async def check_a_sleep_ends_at_its_time(
    open_host: OpenHost, compared: Compared
) -> None:
    """Not before, also where the host was away when it was due."""

    def functions(world: World) -> Functions:
        @function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> Any:
            await ctx.step.sleep("nap", "1h")
            first = await ctx.step.run("first", world.do, "first")
            await ctx.step.sleep("nap", "2d")
            return [first, await ctx.step.run("second", world.do, "second")]

        return [flow]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")
        await scene.advance("59m")
        await scene.advance("1m")
        await scene.close()
        await scene.advance("3d")
        await scene.open()

    await agree(open_host, compared, functions, story)


async def check_a_wait_takes_its_event(open_host: OpenHost, compared: Compared) -> None:
    """The one that matches, and no other."""

    def functions(world: World) -> Functions:
        del world

        @function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> Any:
            paid = await ctx.step.wait_for_event(
                "paid", "paid", match="data.order", timeout="1d"
            )
            return [paid.name, paid.data]

        return [flow]

    async def story(scene: HostScene) -> None:
        await scene.emit("go", {"order": "o1"})
        await scene.emit("paid", {"order": "o2"})
        await scene.advance("1h")
        await scene.emit("paid", {"order": "o1", "by": "me"})

    await agree(open_host, compared, functions, story)


async def check_a_child_gives_its_output(
    open_host: OpenHost, compared: Compared
) -> None:
    """Also when it takes its time."""

    def functions(world: World) -> Functions:
        @function(id="child")
        async def child(ctx: Context[Any]) -> Any:
            await ctx.step.sleep("nap", "5s")
            return await ctx.step.run("double", lambda: 2 * ctx.event.data["n"])

        @function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> Any:
            first = await ctx.step.invoke("child", {"n": 21}, timeout="1h")
            return [first, await ctx.step.run("after", world.do, "after")]

        return [flow, child]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")
        await scene.advance("1m")

    await agree(open_host, compared, functions, story)


async def check_the_failure_of_a_child_is_raised(
    open_host: OpenHost, compared: Compared
) -> None:
    """In the function that invoked it, which may catch it."""

    def functions(world: World) -> Functions:
        @function(id="child", retry=ONCE)
        async def child(ctx: Context[Any]) -> None:
            await ctx.step.run("before", world.do, "before")
            raise NonRetryableError("no stock")

        @function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> str:
            try:
                await ctx.step.invoke("child", {}, timeout="1h")
            except InvokeError:
                return await ctx.step.run("caught", world.do, "caught")
            return "no error"

        return [flow, child]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")

    await agree(open_host, compared, functions, story)


async def check_a_message_is_published(open_host: OpenHost, compared: Compared) -> None:
    """And starts who asked for its topic."""

    def functions(world: World) -> Functions:
        @function(id="hears", triggers=["topic:news"])
        async def hears(ctx: Context[Any]) -> Any:
            return [await ctx.step.run("heard", world.do, "heard"), ctx.event.data]

        @function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> str:
            await ctx.step.publish("news", {"n": 1})
            return await ctx.step.run("after", world.do, "after")

        return [flow, hears]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")

    await agree(open_host, compared, functions, story)


async def check_undo_goes_backwards(open_host: OpenHost, compared: Compared) -> None:
    """When a run fails, each step that is done is undone, the newest first."""

    def functions(world: World) -> Functions:
        def undo(outcome: StepOutcome[str]) -> str:
            return world.do(f"undo {world.times('undone')} {outcome.value}")

        def broken() -> str:
            raise NonRetryableError("no stock")

        @function(id="flow", triggers=["go"], retry=ONCE)
        async def flow(ctx: Context[Any]) -> None:
            await ctx.step.run("reserve", world.do, "reserved", undo=undo)
            await ctx.step.run("charge", world.do, "charged", undo=undo)
            await ctx.step.run("ship", broken, undo=undo)

        return [flow]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")
        await scene.advance("1m")

    await agree(open_host, compared, functions, story, ends="failed")


async def check_a_cancelled_run_ends(open_host: OpenHost, compared: Compared) -> None:
    """With what it has done, and nothing more."""

    def functions(world: World) -> Functions:
        @function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> None:
            await ctx.step.run("before", world.do, "before")
            await ctx.step.sleep("nap", "1h")
            await ctx.step.run("after", world.do, "after")

        return [flow]

    async def story(scene: HostScene) -> None:
        [run_id] = await scene.emit("go")
        await scene.advance("1m")
        await scene.cancel(run_id, "enough")
        await scene.advance("2h")

    await agree(open_host, compared, functions, story, ends="cancelled")


async def check_a_host_that_comes_back_goes_on(
    open_host: OpenHost, compared: Compared
) -> None:
    """No step that is recorded is executed again; what came meanwhile is carried out."""

    def functions(world: World) -> Functions:
        @function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> Any:
            first = await ctx.step.run("first", world.do, "first")
            paid = await ctx.step.wait_for_event("paid", "paid", timeout="1d")
            return [first, paid.data, await ctx.step.run("last", world.do, "last")]

        return [flow]

    async def story(scene: HostScene) -> None:
        await scene.emit("go")
        await scene.close()
        await scene.advance("1h")
        await scene.open()
        await scene.emit("paid", 1)

    await agree(open_host, compared, functions, story)


OUTCOME_CHECKS: Final[tuple[HostCheck, ...]] = (
    check_steps_are_executed_in_order,
    check_a_failed_step_is_tried_again,
    check_a_step_that_is_given_up_fails_the_run,
    check_a_function_may_fail,
    check_branches_go_side_by_side,
    check_a_sleep_ends_at_its_time,
    check_a_wait_takes_its_event,
    check_a_child_gives_its_output,
    check_the_failure_of_a_child_is_raised,
    check_a_message_is_published,
    check_undo_goes_backwards,
    check_a_cancelled_run_ends,
    check_a_host_that_comes_back_goes_on,
)
"""Those whose functions use what every SDK has: they hold for outcomes, too."""

HOST_CHECKS: Final[tuple[HostCheck, ...]] = (*OUTCOME_CHECKS, *EXACT_CHECKS)


async def check_host(open_host: OpenHost, *, compared: Compared = "histories") -> None:
    """Hold a host to what an engine with the functions does.

    `compared`: "histories" is every record; "outcomes" is how each run ends, with which
    output, and which steps were executed, for the `OUTCOME_CHECKS` only.

    Raises:
        AssertionError: it does something else; the message says in which story, and what.
    """
    checks = HOST_CHECKS if compared == "histories" else OUTCOME_CHECKS
    for check in checks:
        await check(open_host, compared)
