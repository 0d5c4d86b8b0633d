"""Emitting, waiting for and publishing events, through the engine."""

import math
from typing import Any

import pytest
import trio

import ironflow
from ironflow import (
    ConfigurationError,
    Context,
    NoRunCreated,
    ValueRejected,
    limits,
)
from tests.engine.bench import Bench, settle


@ironflow.function(triggers=["go"])
async def echo(ctx: Context[Any]) -> Any:
    return ctx.event.data


async def test_an_event_starts_every_function_that_it_triggers(bench: Bench) -> None:
    """By name and by pattern; the receipt names the runs."""
    one = ironflow.function(id="one", triggers=["order.placed"])(ending)
    many = ironflow.function(id="many", triggers=["order.*"])(ending)
    other = ironflow.function(id="other", triggers=["order"])(ending)

    async with bench.engine(one, many, other) as engine:
        receipt = await engine.emit("order.placed", {"id": "o1"})
        runs = [await engine.result(run_id) for run_id in receipt.run_ids]

    assert sorted(run.function_id for run in runs) == ["many", "one"]


async def ending(ctx: Context[Any]) -> None:
    pass


async def test_an_event_with_a_key_that_was_used_starts_nothing(bench: Bench) -> None:
    """Invariant 4: the sender may send twice, whatever the payload; also at once."""
    async with bench.engine(echo) as engine:
        first = await engine.emit("go", 1, idempotency_key="k")
        second = await engine.emit("go", 2, idempotency_key="k")
        other = await engine.emit("go", 3, idempotency_key="l")
        runs = await engine.list_runs()

    assert second.duplicate
    assert not first.duplicate
    assert (second.event_id, second.run_ids) == (first.event_id, first.run_ids)
    assert other.run_ids != first.run_ids
    assert len(runs) == 2


async def test_a_key_is_known_after_a_crash(bench: Bench) -> None:
    """Invariant 4: an acknowledged event is never lost and never starts twice."""
    async with bench.crashing(echo) as engine:
        first = await engine.emit("go", 1, idempotency_key="k")
    async with bench.engine(echo) as engine:
        second = await engine.emit("go", 1, idempotency_key="k")
        run = await engine.result(first.run_ids[0])

    assert second.duplicate
    assert run.unwrap() == 1


async def test_an_event_for_nobody_is_stored(bench: Bench) -> None:
    """Somebody may look for it later; emit_sync says that nobody took it."""
    async with bench.engine(echo) as engine:
        receipt = await engine.emit("nobody.cares", 1)
        with pytest.raises(NoRunCreated, match=r"nobody\.cares") as caught:
            await engine.emit_sync("nobody.cares", 2)
        events = await engine.list_events()

    assert receipt.run_ids == ()
    assert [stored.event.id for stored in events] == [
        receipt.event_id,
        caught.value.event_id,
    ]


async def test_emit_sync_gives_what_there_is_when_time_is_over(bench: Bench) -> None:
    """The run goes on."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        await ctx.step.sleep("nap", "1m")
        return "rested"

    runs: list[ironflow.Run] = []

    async def call(engine: ironflow.Engine) -> None:
        runs.extend(await engine.emit_sync("go", timeout="30s"))

    async with bench.engine(flow) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(call, engine)
        await bench.clock.advance(29)
        before = list(runs)
        await bench.clock.advance(1)
        [early] = runs
        await bench.clock.advance(30)
        run = await early.result()

    assert before == []
    assert early.status == "waiting"
    assert run.unwrap() == "rested"


@pytest.mark.parametrize("timeout", [None, math.inf, 1, 0.5, "1s"])
async def test_a_timeout_is_written_as_anywhere_else(
    bench: Bench, timeout: Any
) -> None:
    """Seconds, a duration, or for ever."""
    async with bench.engine(echo) as engine:
        [run] = await engine.emit_sync("go", 1, timeout=timeout)

    assert run.unwrap() == 1


@pytest.mark.parametrize("timeout", ["soon", -1, math.nan, object()])
async def test_a_timeout_that_is_none_is_refused(bench: Bench, timeout: Any) -> None:
    """The message names the option."""
    async with bench.engine(echo) as engine:
        with pytest.raises(ConfigurationError, match="timeout"):
            await engine.result("run_" + "0" * 32, timeout=timeout)


WRONG: dict[str, dict[str, Any]] = {
    "name": {"name": "two words"},
    "reserved name": {"name": "topic:orders"},
    "no text for a key": {"idempotency_key": 5},
    "bytes for a key": {"idempotency_key": b"key"},
    "long key": {"idempotency_key": "k" * 256},
    "half a character in a key": {"idempotency_key": "\ud800"},
    "too much metadata": {"metadata": {str(n): "" for n in range(65)}},
    "metadata key": {"metadata": {1: "one"}},
    "metadata value": {"metadata": {"one": 1}},
    "half a character in metadata": {"metadata": {"a": "\udfff"}},
    "version": {"version": "2"},
    "negative version": {"version": -1},
    "boolean version": {"version": True},
    "huge version": {"version": 2**64},
    "source": {"source": None},
    "half a character in source": {"source": "\ud800"},
}


@pytest.mark.parametrize("options", WRONG.values(), ids=WRONG.keys())
async def test_an_event_that_could_not_be_read_back_is_refused(
    bench: Bench, options: dict[str, Any]
) -> None:
    """Invariant 10: stored, it would stop every engine that opens the journal."""
    event: dict[str, Any] = {"name": "go", "data": 1} | options

    async with bench.engine(echo) as engine:
        with pytest.raises(ConfigurationError):
            await engine.emit(**event)
        [run] = await engine.emit_sync("go", 2)

    assert run.unwrap() == 2


async def test_data_that_cannot_be_stored_is_refused_by_its_path(bench: Bench) -> None:
    """Nothing is stored."""
    async with bench.engine(echo) as engine:
        with pytest.raises(ValueRejected, match=r"\$\.items\[1\]"):
            await engine.emit("go", {"items": [1, object()]})
        events = await engine.list_events()

    assert events == []


@pytest.mark.parametrize("field", ["actor", "reason"])
async def test_a_cancel_says_who_and_why_in_text(bench: Bench, field: str) -> None:
    """What cannot be stored is refused."""
    async with bench.engine(echo) as engine:
        for wrong in (5, "\ud800"):
            options: dict[str, Any] = {field: wrong}
            with pytest.raises(ConfigurationError, match=field):
                await engine.cancel("run_" + "0" * 32, **options)


async def test_a_wait_finds_an_event_that_came_before_it(bench: Bench) -> None:
    """Invariant 8: a click that is faster than the run is not lost."""
    gate = trio.Event()

    async def slow() -> None:
        await gate.wait()

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> Any:
        await ctx.step.run("slow", slow)
        return (await ctx.step.wait_for_event("click", "click")).data

    async with bench.engine(flow) as engine:
        await engine.emit("click", "too early")
        receipt = await engine.emit("go")
        await settle()
        await engine.emit("click", "first")
        await engine.emit("click", "second")
        gate.set()
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == "first"


async def test_a_wait_takes_an_event_once(bench: Bench) -> None:
    """The next wait of the run takes the next event."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> list[Any]:
        return [(await ctx.step.wait_for_event("news", "news")).data for _ in range(3)]

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        for number in range(3):
            await engine.emit("news", number)
            await settle()
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == [0, 1, 2]


async def test_a_wait_matches_its_own_order(bench: Bench) -> None:
    """Same type, same value; other events are left to others."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> Any:
        event = await ctx.step.wait_for_event("paid", "paid", match="data.order")
        return event.data["amount"]

    async with bench.engine(flow) as engine:
        one = await engine.emit("go", {"order": 1})
        two = await engine.emit("go", {"order": "1"})
        await settle()
        await engine.emit("paid", {"order": "1", "amount": 10})
        await engine.emit("paid", {"amount": 15})
        await engine.emit("paid", {"order": 1, "amount": 20})
        amounts = [
            (await engine.result(receipt.run_ids[0])).unwrap() for receipt in (one, two)
        ]

    assert amounts == [20, 10]


async def test_one_event_serves_every_run_that_waits(bench: Bench) -> None:
    """Also more of them than one commit delivers to."""
    runs = limits.DELIVERIES_PER_COMMIT_MAX + 5

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> Any:
        return (await ctx.step.wait_for_event("news", "news")).data

    async with bench.engine(flow) as engine:
        receipts = [await engine.emit("go") for _ in range(runs)]
        await settle()
        await engine.emit("news", "all")
        ended = [await engine.result(receipt.run_ids[0]) for receipt in receipts]

    assert {run.unwrap() for run in ended} == {"all"}


async def test_a_wait_that_times_out_gives_its_default(bench: Bench) -> None:
    """Or raises, where there is none."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> list[Any]:
        first = await ctx.step.wait_for_event("a", "news", timeout="1m", default=None)
        try:
            await ctx.step.wait_for_event("b", "news", timeout="1m")
        except ironflow.WaitTimedOut as error:
            return [first, error.step]
        return ["an event"]

    async with bench.engine(flow) as engine:
        receipt = await engine.emit("go")
        await bench.clock.advance(120)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.unwrap() == [None, "b"]


async def test_a_message_wakes_a_wait_on_its_topic(bench: Bench) -> None:
    """It is published once, by the commit that records it."""

    @ironflow.function(triggers=["listen"])
    async def listens(ctx: Context[Any]) -> Any:
        return (await ctx.step.wait_for_event("hear", "topic:orders")).data

    @ironflow.function(triggers=["publish"])
    async def publishes(ctx: Context[Any]) -> str:
        return await ctx.step.publish("orders", {"id": 1})

    async with bench.engine(listens, publishes) as engine:
        receipt = await engine.emit("listen")
        await settle()
        [published] = await engine.emit_sync("publish")
        heard = await engine.result(receipt.run_ids[0])
        events = await engine.list_events("topic:orders")

    assert heard.unwrap() == {"id": 1}
    assert [stored.event.id for stored in events] == [published.unwrap()]


async def test_an_event_carries_what_its_sender_said(bench: Bench) -> None:
    """Function code sees it all."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> list[Any]:
        event = ctx.event
        return [event.metadata, event.version, event.source, event.idempotency_key]

    async with bench.engine(flow) as engine:
        receipt = await engine.emit(
            "go", 1, metadata={"k": "v"}, version=3, source="shop", idempotency_key="x"
        )
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == [{"k": "v"}, 3, "shop", "x"]


async def test_data_that_does_not_fit_the_function_fails_the_run(bench: Bench) -> None:
    """At once, and not by stopping anything."""

    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[int]) -> int:
        return ctx.event.data

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go", "three")

    assert run.status == "failed"
    assert run.error is not None
    assert run.error.code == "VALIDATION_ERROR"
