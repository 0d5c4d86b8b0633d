"""Runs steered from outside: started by function, retried, patched, deleted, hosted."""

from typing import Any

import pytest

import ironflow
from ironflow import (
    ConfigurationError,
    FunctionNotFound,
    MisusedOperation,
    RunNotFound,
    limits,
)
from ironflow.engine.handles import Emission
from ironflow.journal.apply_records import INVOKE_EVENT
from ironflow.journal.base import FunctionRow, RegisterFunctions
from tests.engine.bench import Bench, settle

Context = ironflow.Context[Any]


@pytest.fixture
def failing() -> list[str]:
    """Say which steps fail while they are in here."""
    return []


def shop(failing: list[str]) -> ironflow.Function[Any, Any]:
    once = ironflow.Retry(max_attempts=1)

    async def price() -> int:
        return 7

    async def charge(amount: int) -> int:
        if "charge" in failing:
            raise OSError("the bank is away")
        return amount

    @ironflow.function(id="order", triggers=["order.placed"], retry=once)
    async def order(ctx: Context) -> list[int]:
        amount = await ctx.step.run("price", price)
        return [amount, await ctx.step.run("charge", charge, amount)]

    return order


async def test_a_function_is_invoked_whatever_its_triggers(bench: Bench) -> None:
    async with bench.engine(shop([])) as engine:
        receipt = await engine.invoke("order", {"n": 1}, idempotency_key="k")
        again = await engine.invoke("order", {"n": 2}, idempotency_key="k")
        run = await engine.result(receipt.run_ids[0])
        [stored] = await engine.list_events()

    assert run.unwrap() == [7, 7]
    assert again == ironflow.Receipt(receipt.event_id, receipt.run_ids, duplicate=True)
    assert (stored.event.name, stored.run_ids) == (INVOKE_EVENT, receipt.run_ids)


async def test_an_unknown_function_is_not_invoked(bench: Bench) -> None:
    async with bench.engine(shop([])) as engine:
        with pytest.raises(FunctionNotFound, match="'other'"):
            await engine.invoke("other")
        with pytest.raises(ConfigurationError, match="empty"):
            await engine.invoke("")
        assert not await engine.list_events()


async def test_a_batch_is_stored_whole_or_not(bench: Bench) -> None:
    twice = Emission("order.placed", idempotency_key="k")
    async with bench.engine(shop([])) as engine:
        receipts = await engine.emit_batch(
            [Emission("order.placed", {"n": 1}), Emission("other", version=2)]
        )
        with pytest.raises(ironflow.EventConflict):
            await engine.emit_batch([Emission("third"), twice, twice])
        too_many = [Emission("x")] * (limits.EMIT_BATCH_EVENTS_MAX + 1)
        with pytest.raises(ConfigurationError, match="at most"):
            await engine.emit_batch(too_many)
        assert await engine.emit_batch([]) == []
        names = [each.event.name for each in await engine.list_events()]

    assert [len(each.run_ids) for each in receipts] == [1, 0]
    assert names == ["order.placed", "other"]


async def test_a_failed_run_goes_on_where_it_failed(
    bench: Bench, failing: list[str]
) -> None:
    failing.append("charge")
    async with bench.engine(shop(failing)) as engine:
        [failed] = await engine.emit_sync("order.placed")
        failing.clear()
        await engine.retry(failed.id, reason="the bank is back", actor="ann")
        run = await engine.result(failed.id)

    assert (failed.status, run.unwrap(), run.attempt) == ("failed", [7, 7], 2)
    assert bench.kinds(run.id).count("StepCompleted") == 2


async def test_a_result_is_corrected_before_the_run_goes_on(
    bench: Bench, failing: list[str]
) -> None:
    failing.append("charge")
    async with bench.engine(shop(failing)) as engine:
        [failed] = await engine.emit_sync("order.placed")
        failing.clear()
        with pytest.raises(MisusedOperation, match="nothing"):
            await engine.patch_step(failed.id, "nothing:0", 1)
        await engine.patch_step(failed.id, "price:0", 5, reason="was wrong")
        await engine.retry(failed.id)
        run = await engine.result(failed.id)

    assert run.unwrap() == [5, 5]


async def test_a_step_that_failed_is_corrected_and_the_run_goes_on(
    bench: Bench, failing: list[str]
) -> None:
    """Its result is given, and it is not called again; the failure stays on record."""
    failing.append("charge")
    async with bench.engine(shop(failing)) as engine:
        [failed] = await engine.emit_sync("order.placed")
        shown = await engine.patch_step(failed.id, "charge:0", 9, reason="by hand")
        await engine.retry(failed.id)
        run = await engine.result(failed.id)

    assert (shown.status, run.unwrap(), run.attempt) == ("failed", [7, 9], 2)
    assert bench.kinds(run.id)[2:] == [
        "StepFailed",
        "RunEnded",
        "StepPatched",
        "RunRetried",
        "RunEnded",
    ]


async def test_a_run_that_failed_by_a_result_goes_on_with_another(bench: Bench) -> None:
    """Its code has refused the first; without a correction it is not tried again."""

    async def price() -> int:
        return 0

    @ironflow.function(id="order", triggers=["order.placed"])
    async def order(ctx: Context) -> int:
        amount = await ctx.step.run("price", price)
        if not amount:
            raise ironflow.NonRetryableError("it costs nothing")
        return amount

    async with bench.engine(order) as engine:
        [failed] = await engine.emit_sync("order.placed")
        with pytest.raises(MisusedOperation, match="failed by no step"):
            await engine.retry(failed.id)
        await engine.patch_step(failed.id, "price:0", 5)
        await engine.retry(failed.id)
        run = await engine.result(failed.id)

    assert run.unwrap() == 5


async def test_a_step_whose_failure_was_caught_gets_no_result(bench: Bench) -> None:
    """The code has gone on without: only a rewind can give it one."""

    async def away() -> int:
        raise ironflow.NonRetryableError("the bank is away")

    @ironflow.function(id="order", triggers=["order.placed"])
    async def order(ctx: Context) -> int:
        try:
            return await ctx.step.run("charge", away)
        except ironflow.StepError:
            await ctx.step.run("mail", away)
        return 0

    async with bench.engine(order) as engine:
        [failed] = await engine.emit_sync("order.placed")
        with pytest.raises(MisusedOperation, match="resume it from there"):
            await engine.patch_step(failed.id, "charge:0", 5)
        await engine.resume(failed.id, from_step="charge", output=5)
        run = await engine.result(failed.id)

    assert run.unwrap() == 5


async def test_a_run_that_has_ended_is_deleted(bench: Bench) -> None:
    @ironflow.function(id="parent", triggers=["go"])
    async def parent(ctx: Context) -> None:
        await ctx.step.invoke("order")
        await ctx.step.wait_for_event("end", "end")

    async with bench.engine(shop([]), parent) as engine:
        receipt = await engine.emit("go")
        await settle()
        [found] = await engine.list_runs(function_id="order")
        child = (await engine.result(found.id)).id
        with pytest.raises(MisusedOperation, match="child of"):
            await engine.delete(child)
        with pytest.raises(MisusedOperation, match="cancel it first"):
            await engine.delete(receipt.run_ids[0])
        await engine.emit("end")
        await engine.result(receipt.run_ids[0])
        for run_id in (child, receipt.run_ids[0]):
            await engine.delete(run_id)
            with pytest.raises(RunNotFound):
                await engine.get_run(run_id)
            with pytest.raises(RunNotFound):
                await engine.delete(run_id)


async def test_a_program_is_hosted_while_the_engine_runs(bench: Bench) -> None:
    order = shop([])
    row = FunctionRow("order", "", triggers=("order.placed",))
    async with bench.engine() as engine:
        hosting = engine.hosting
        await hosting.journal.commit([RegisterFunctions((row,), hosting.now())])
        first = await engine.emit("order.placed")
        await settle()
        waiting = await engine.get_run(first.run_ids[0])
        hosting.carry(order.program)
        run = await engine.result(first.run_ids[0])
        await settle()  # a claim that is under way knows the program
        hosting.drop("order")
        second = await engine.emit("order.placed")
        await settle()
        left = await engine.get_run(second.run_ids[0])

    assert waiting.error is not None
    assert waiting.error.code == "FUNCTION_NOT_FOUND"
    assert (run.status, left.status) == ("completed", "queued")


async def test_a_replaced_program_carries_on_what_is_parked(bench: Bench) -> None:
    def workflow(word: str) -> ironflow.Function[Any, Any]:
        @ironflow.function(id="order", triggers=["order.placed"])
        async def order(ctx: Context) -> str:
            await ctx.step.wait_for_event("go", "go")
            return word

        return order

    async with bench.engine(workflow("old")) as engine:
        receipt = await engine.emit("order.placed")
        await settle()
        engine.hosting.carry(workflow("new").program)
        await engine.emit("go")
        run = await engine.result(receipt.run_ids[0])

    assert run.unwrap() == "new"


async def test_what_a_worker_carries_out_is_not_called_unknown(bench: Bench) -> None:
    row = FunctionRow("far", "", triggers=("go",), host="pull")
    async with bench.engine() as engine:
        hosting = engine.hosting
        await hosting.journal.commit([RegisterFunctions((row,), hosting.now())])
        receipt = await engine.emit("go")
        run = await engine.get_run(receipt.run_ids[0])

    assert (run.status, run.error) == ("queued", None)
