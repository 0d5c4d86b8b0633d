"""Attributes of runs through the engine: how they are set, and how lists find runs."""

from datetime import UTC, datetime
from typing import Any

import pytest

import ironflow
from ironflow import Context, Emission
from ironflow.errors import ConfigurationError, ValueRejected
from ironflow.policy.attributes import encode
from ironflow.records import AttributesSet
from ironflow.testing import Harness
from tests.engine.bench import Bench

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def charge(total: float) -> str:
    return f"charged {total}"


@ironflow.function(
    triggers=["order.placed"],
    attributes={"customer": "data.customer.id", "total": "data.total"},
)
async def order(ctx: Context[Any]) -> str:
    await ctx.set_attributes(stage="new", placed_at=ctx.now())
    receipt = await ctx.step.run("charge", charge, ctx.event.data["total"])
    await ctx.set_attributes(stage="paid", total=None)
    return receipt


@ironflow.function(triggers=["page"])
async def pages(ctx: Context[Any]) -> int:
    await ctx.set_attributes(page=ctx.event.data)
    if ctx.event.data < 3:
        await ctx.continue_as_new(ctx.event.data + 1)
    return await ctx.step.invoke(helper)


@ironflow.function
async def helper(ctx: Context[Any]) -> int:
    return 1


async def placed(engine: ironflow.Engine, customer: str, total: float) -> str:
    data = {"customer": {"id": customer}, "total": total}
    receipt = await engine.emit("order.placed", data)
    return receipt.run_ids[0]


async def test_a_run_has_what_its_function_takes_from_the_event_and_sets(
    bench: Bench,
) -> None:
    async with bench.engine(order) as engine:
        run = await engine.result(await placed(engine, "c1", 12.5))

        assert run.unwrap() == "charged 12.5"
        assert run.attributes == {
            "customer": "c1",
            "stage": "paid",
            "placed_at": "2023-11-14T22:13:20Z",
        }
        history = await engine.history(run.id)
        changes = [each for each in history if isinstance(each.record, AttributesSet)]
        assert [each.record.id for each in changes] == ["attributes:0", "attributes:1"]
        assert bytes(changes[1].payload) == encode({"stage": "paid", "total": None})


async def test_lists_find_runs_by_their_attributes(bench: Bench) -> None:
    async with bench.engine(order) as engine:
        cheap = await placed(engine, "c1", 5)
        dear = await placed(engine, "c1", 500)
        other = await placed(engine, "c2", 50)
        given = await engine.emit(
            "order.placed",
            {"total": 1},
            attributes={"customer": "c3", "vip": True, "due": NOON, "note": None},
        )
        for run_id in (cheap, dear, other, *given.run_ids):
            await engine.result(run_id)

        async def found(*texts: str, **query: Any) -> list[str]:
            runs = await engine.list_runs(attributes=texts, **query)
            return [run.id for run in runs]

        # Of one millisecond, so their order is chance.
        first, second = sorted([cheap, dear], reverse=True)
        assert await found("customer=c1") == [first, second]
        assert await found("customer=c1", limit=1) == [first]
        assert await found("customer=c1", cursor=first) == [second]
        later = await found("customer>=c2", "stage=paid")
        assert later == sorted([given.run_ids[0], other], reverse=True)
        assert await found("customer=c1", status="failed") == []
        assert await found("total>=0") == []
        assert await found("due>2026-01-01", "vip=true") == [*given.run_ids]
        runs = await engine.list_runs(attributes={"due": NOON, "customer": "c3"})
        assert [run.id for run in runs] == [*given.run_ids]
        assert runs[0].attributes["due"] == "2026-03-01T12:00:00Z"


async def test_attributes_survive_a_crash_and_are_set_once(harness: Harness) -> None:
    run = await harness.emit("go", {"id": 1})
    await harness.crash()
    await harness.advance("2h")

    assert (await run.result()).status == "completed"
    assert (await harness.engine.get_run(run.id)).attributes == {"stage": 2}
    sets = [
        entry
        for entry in await harness.engine.history(run.id)
        if isinstance(entry.record, AttributesSet)
    ]
    assert len(sets) == 2


@pytest.fixture
def ironflow_app() -> ironflow.App:
    @ironflow.function(id="slow", triggers=["go"])
    async def slow(ctx: Context[Any]) -> None:
        await ctx.set_attributes(stage=1)
        await ctx.step.sleep("nap", "1h")
        await ctx.set_attributes(stage=2)

    return ironflow.App(functions=[slow])


async def test_a_run_that_continues_keeps_them_and_a_child_gets_none(
    bench: Bench,
) -> None:
    async with bench.engine(pages, helper) as engine:
        [run] = await engine.emit_sync("page", 1, attributes={"customer": "c1"})

        assert run.attributes == {"customer": "c1", "page": 3}
        every = await engine.list_runs(attributes={"customer": "c1"})
        assert {each.attributes["page"] for each in every} == {1, 2, 3}
        [child] = await engine.list_runs(function_id="helper")
        assert child.attributes == {}


async def test_each_event_of_a_batch_and_an_invoke_have_their_own(bench: Bench) -> None:
    async with bench.engine(order, helper) as engine:
        first, second, third = await engine.emit_batch(
            [
                Emission("order.placed", {"total": 1}, attributes={"customer": "a"}),
                Emission("order.placed", {"total": 1}),
                Emission("order.placed", {"total": 1}, attributes={"customer": "b"}),
            ]
        )
        invoked = await engine.invoke("helper", attributes={"customer": "b"})

        found = await engine.list_runs(attributes=["customer=b"])
        assert {run.id for run in found} == {*invoked.run_ids, *third.run_ids}
        assert "customer" not in (await engine.get_run(second.run_ids[0])).attributes
        [run] = await engine.list_runs(attributes=["customer=a"])
        assert run.id == first.run_ids[0]


async def test_what_cannot_be_an_attribute_is_refused_before_anything_is_stored(
    bench: Bench,
) -> None:
    async with bench.engine(order) as engine:
        wrong: Any = {"customer": ["c1"]}
        with pytest.raises(
            ValueRejected, match="'customer' cannot be kept: it is list"
        ):
            await engine.emit("order.placed", {"total": 1}, attributes=wrong)
        with pytest.raises(ConfigurationError, match="no name of an attribute"):
            await engine.emit("order.placed", {"total": 1}, attributes={"a-b": 1})
        with pytest.raises(ConfigurationError, match="no filter"):
            await engine.list_runs(attributes=["customer"])

        assert await engine.list_events() == []


async def test_code_is_told_what_it_may_not_set(bench: Bench) -> None:
    @ironflow.function(triggers=["go"])
    async def flow(ctx: Context[Any]) -> list[str]:
        refusals = []
        wrong: Any = object()
        for changes in ({"a": wrong}, {"a": float("nan")}, {"not a name": 1}):
            try:
                await ctx.set_attributes(**changes)
            except (ValueRejected, ConfigurationError) as error:
                refusals.append(type(error).__name__)
        return refusals

    async with bench.engine(flow) as engine:
        [run] = await engine.emit_sync("go")

        assert run.unwrap() == ["ValueRejected", "ValueRejected", "ConfigurationError"]
        assert run.attributes == {}
