"""What a run waits for when it is resumed from a step: events, children, time."""

from typing import Any

import ironflow
from ironflow import Context, InvokeError, NonRetryableError, WaitTimedOut
from ironflow.records import Published
from tests.engine.bench import Bench, settle
from tests.engine.shop import Shop, failed

DAY = 86_400


async def test_a_wait_is_asked_anew_and_may_take_its_event_again(bench: Bench) -> None:
    """An event that only a dropped wait had taken; its timeout counts from now on."""
    shop = Shop("mail")

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> list[Any]:
        first = await ctx.step.wait_for_event("first", "news")
        await ctx.step.run("price", shop.price)
        second = await ctx.step.wait_for_event("second", "news", timeout="1h")
        await ctx.step.run("mail", shop.mail)
        return [first.data, second.data]

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        [run_id] = receipt.run_ids
        await engine.emit("news", 1)
        await engine.emit("news", 2)
        await settle()
        await bench.clock.advance(DAY)
        shop.failing.clear()
        await engine.resume(run_id, from_step="second")
        await settle()
        run = await engine.get_run(run_id)

    assert run.unwrap() == [1, 2]


async def test_a_wait_that_was_too_late_has_its_time_again(bench: Bench) -> None:
    """It can be met now."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> Any:
        try:
            event = await ctx.step.wait_for_event("yes", "approved", timeout="1h")
        except WaitTimedOut as late:
            raise NonRetryableError("nobody approved it") from late
        return event.data

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        [run_id] = receipt.run_ids
        await bench.clock.advance(DAY)
        late = await engine.get_run(run_id)
        await engine.resume(run_id, from_step="yes")
        await bench.clock.advance(3000)
        await engine.emit("approved", "ann")
        await settle()
        run = await engine.get_run(run_id)

    assert (late.status, run.unwrap()) == ("failed", "ann")


async def test_children_that_were_started_after_it_are_parted_with(
    bench: Bench,
) -> None:
    """An attached one is cancelled, and the second start makes a second child."""
    shop = Shop()

    @ironflow.function
    async def kid(ctx: Context[Any]) -> str:
        await ctx.step.wait_for_event("word", "word", match="data.n")
        return f"kid of {ctx.event.data['n']}"

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        price = await ctx.step.run("price", shop.price)
        answer: str = await ctx.step.invoke(kid, {"n": price})
        return answer

    async with bench.engine(flow, kid) as engine:
        receipt = await engine.emit("go")
        [run_id] = receipt.run_ids
        await settle()
        await engine.pause(run_id)
        await bench.clock.advance(1)  # ids are in the order of time
        shop.price_now = 8
        await engine.resume(run_id, from_step="price")
        await settle()
        new, old = await engine.list_runs(function_id="kid")
        await engine.emit("word", {"n": 7})
        await engine.emit("word", {"n": 8})
        await settle()
        run = await engine.get_run(run_id)
        old = await engine.get_run(old.id)

    assert old.status == "cancelled"
    assert new.id != old.id
    assert run.unwrap() == "kid of 8"


async def test_a_child_that_was_started_before_it_answers_as_it_did(
    bench: Bench,
) -> None:
    """It is not started again, also where it ended while its parent was over."""
    shop = Shop("mail")
    started: list[str] = []

    @ironflow.function
    async def kid(ctx: Context[Any]) -> str:
        started.append(ctx.run.id)
        await ctx.step.sleep("nap", "1h")
        return "here"

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        child = await ctx.step.invoke_async(kid, detached=True)
        await ctx.step.run("mail", shop.mail)
        answer: str = await child.result()
        return answer

    async with bench.engine(flow, kid, cached=0) as engine:
        run_id = await failed(engine)
        await bench.clock.advance(DAY)
        shop.failing.clear()
        await engine.resume(run_id, from_step="mail")
        await settle()
        run = await engine.get_run(run_id)

    assert run.unwrap() == "here"
    assert len(set(started)) == 1


async def test_a_child_that_failed_goes_on_and_answers_nobody(bench: Bench) -> None:
    """Its parent has had its answer, and gets no second one."""
    shop = Shop("price")

    @ironflow.function
    async def kid(ctx: Context[Any]) -> int:
        return await ctx.step.run("price", shop.price)

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        try:
            await ctx.step.invoke(kid)
        except InvokeError:
            await ctx.step.sleep("nap", "1h")
            return "without it"
        return "with it"

    async with bench.engine(flow, kid) as engine:
        receipt = await engine.emit("go")
        await settle()
        [child] = await engine.list_runs(function_id="kid")
        shop.failing.clear()
        await engine.resume(child.id, from_step="price")
        child = await engine.result(child.id)
        await bench.clock.advance(3600)
        run = await engine.get_run(receipt.run_ids[0])

    assert (child.unwrap(), run.unwrap()) == (7, "without it")


async def test_a_message_is_published_again(bench: Bench) -> None:
    """Its data may be other now; it has an id of its own."""
    shop = Shop("mail")

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        price = await ctx.step.run("price", shop.price)
        await ctx.step.publish("prices", price)
        await ctx.step.run("mail", shop.mail)

    async with bench.engine(flow) as engine:
        run_id = await failed(engine)
        shop.failing.clear()
        shop.price_now = 8
        await engine.resume(run_id, from_step="price")
        await engine.result(run_id)
        stored = await engine.list_events("topic:prices")

    published = [each for each in bench.records(run_id) if isinstance(each, Published)]
    assert [each.event.id for each in stored] == [each.event_id for each in published]
    assert len({each.event_id for each in published}) == 2


async def test_a_run_that_was_out_of_time_has_its_time_again(bench: Bench) -> None:
    """From the rewind on."""
    shop = Shop()

    @ironflow.function(triggers=["go"], run_timeout="1h")
    async def flow(ctx: Context[Any]) -> int:
        price = await ctx.step.run("price", shop.price)
        await ctx.step.wait_for_event("news", "news")
        return price

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        [run_id] = receipt.run_ids
        await bench.clock.advance(DAY)
        late = await engine.get_run(run_id)
        await engine.resume(run_id, from_step="price")
        await bench.clock.advance(3000)
        waiting = await engine.get_run(run_id)
        await bench.clock.advance(700)
        again = await engine.get_run(run_id)

    assert [late.status, waiting.status, again.status] == [
        "failed",
        "waiting",
        "failed",
    ]
