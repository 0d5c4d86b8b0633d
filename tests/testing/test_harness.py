"""The harness: runs of users' functions, in memory and in virtual time."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio

import ironflow
from ironflow.testing import Harness, RunNotEnded, open_harness


def charge(order_id: str) -> str:
    return f"payment of {order_id}"


def refund(outcome: ironflow.StepOutcome[str]) -> None:
    del outcome


@ironflow.function(id="order", triggers=["order.placed"], run_timeout="30d")
async def order(ctx: ironflow.Context[dict[str, str]]) -> dict[str, str]:
    order_id = ctx.event.data["id"]
    payment = await ctx.step.run("charge", charge, order_id, undo=refund)
    await ctx.step.sleep("cool-off", "24h")
    approval = await ctx.step.wait_for_event(
        "approval", "order.approved", match="data.id", timeout="7d", default=None
    )
    if approval is None:
        raise ironflow.NonRetryableError("nobody approved the order")
    return {"payment": payment, "by": approval.data["by"]}


@ironflow.function(id="audit", triggers=["order.>"])
async def audit(ctx: ironflow.Context[Any]) -> str:
    return ctx.event.name


ORDER = {"id": "o1"}
APPROVAL = {"id": "o1", "by": "ada"}


# --- time and events -------------------------------------------------------------------


async def test_an_order_waits_a_day_and_for_its_approval() -> None:
    async with open_harness(order) as harness:
        run = await harness.emit("order.placed", ORDER)
        await harness.advance("1d")
        await harness.emit("order.approved", APPROVAL)
        ended = await run.result()

    assert ended.status == "completed"
    assert ended.output == {"payment": "payment of o1", "by": "ada"}


async def test_emit_returns_when_the_run_waits() -> None:
    async with open_harness(order) as harness:
        run = await harness.emit("order.placed", ORDER)

        assert run.status == "waiting"
        assert run.function_id == "order"
        assert run.waits_for() == "sleep 'cool-off' until 2030-01-02 00:00:00 UTC"


async def test_a_wait_that_nobody_answers_is_over_at_its_time() -> None:
    async with open_harness(order) as harness:
        run = await harness.emit("order.placed", ORDER)
        await harness.advance("7d23h59m59s")
        before = run.status
        await harness.advance("1s")

        assert before == "waiting"
        assert run.status == "failed"


async def test_a_year_of_sleeps_takes_no_real_time() -> None:
    @ironflow.function(triggers=["begin"])
    async def yearly(ctx: ironflow.Context[None]) -> datetime:
        for _ in range(365):
            await ctx.step.sleep("a-day", "1d")
        return ctx.now()

    async with open_harness(yearly) as harness:
        run = await harness.emit("begin")
        await harness.advance("365d")

        assert (await run.result()).output == datetime(2031, 1, 1, tzinfo=UTC)
        assert harness.now == datetime(2031, 1, 1, tzinfo=UTC)


async def test_a_thread_is_waited_for_before_a_timeout_passes() -> None:
    release = threading.Event()

    def slow() -> str:
        release.wait()
        return "done"

    @ironflow.function(triggers=["begin"], step_timeout="30s")
    async def patient(ctx: ironflow.Context[None]) -> str:
        return await ctx.step.run("slow", slow)

    async with open_harness(patient) as harness:
        threading.Timer(0.05, release.set).start()
        run = await harness.emit("begin")
        await harness.advance("1h")

        assert (await run.result()).output == "done"


async def test_the_harness_can_begin_at_another_time() -> None:
    start = datetime(1999, 12, 31, tzinfo=UTC)
    async with open_harness(order, start=start) as harness:
        await harness.advance("1d")

        assert harness.now == start + timedelta(days=1)


# --- runs ---------------------------------------------------------------------------------


async def test_the_result_of_a_run_that_waits_says_what_it_waits_for() -> None:
    async with open_harness(order) as harness:
        run = await harness.emit("order.placed", ORDER)
        await harness.advance("1d")

        with pytest.raises(RunNotEnded, match=r"'order.approved' in 'approval' until"):
            await run.result()


async def test_steps_and_records_of_a_run_can_be_seen() -> None:
    async with open_harness(order) as harness:
        run = await harness.emit("order.placed", ORDER)
        [step] = run.steps()
        kinds = [type(entry.record).__name__ for entry in run.records()]

    assert (step.id, step.name, step.status, step.attempts, step.output) == (
        "charge:0",
        "charge",
        "completed",
        1,
        "payment of o1",
    )
    assert step.error is None
    assert kinds == ["RunStarted", "StepCompleted", "SleepStarted"]


async def test_a_step_that_was_not_recorded_is_told_with_those_that_were() -> None:
    async with open_harness(order) as harness:
        run = await harness.emit("order.placed", ORDER)

        with pytest.raises(AssertionError, match=r"0 steps 'ship'.*charge:0"):
            run.step("ship")


async def test_a_cancelled_run_undoes_its_steps() -> None:
    async with open_harness(order) as harness:
        run = await harness.emit("order.placed", ORDER)
        await run.cancel("changed my mind")

        assert run.status == "cancelled"
        assert run.step("compensate:charge").status == "completed"
        assert run.waits_for() == ""


async def test_an_event_that_starts_nothing_is_an_error_when_its_run_is_used() -> None:
    async with open_harness(order) as harness:
        run = await harness.emit("order.plaeced", ORDER)

        with pytest.raises(ironflow.NoRunCreated, match=r"order by order\.placed"):
            await run.result()


async def test_an_event_that_starts_several_runs_gives_all_of_them() -> None:
    async with open_harness(ironflow.App(functions=[order, audit])) as harness:
        runs = await harness.emit_all("order.placed", ORDER)
        one = await harness.emit("order.placed", {"id": "o2"})

        assert [run.function_id for run in runs] == ["audit", "order"]
        with pytest.raises(ironflow.ConfigurationError, match="emit_all"):
            _ = one.status


async def test_runs_and_events_can_be_listed() -> None:
    async with open_harness([order, audit]) as harness:
        await harness.emit("order.placed", ORDER)
        await harness.emit("order.approved", APPROVAL)

        assert [run.status for run in harness.runs("audit")] == ["completed"] * 2
        assert len(harness.runs()) == 3
        names = [stored.event.name for stored in harness.events()]
        assert names == ["order.placed", "order.approved"]
        assert len(harness.events("*.approved")) == 1


async def test_an_idempotency_key_gives_the_first_run() -> None:
    async with open_harness(order) as harness:
        first = await harness.emit("order.placed", ORDER, idempotency_key="o1")
        again = await harness.emit("order.placed", ORDER, idempotency_key="o1")

        assert first.id == again.id


async def test_an_unknown_run_is_an_error() -> None:
    async with open_harness(order) as harness:
        run = harness.run("run_" + "0" * 32)

        with pytest.raises(ironflow.RunNotFound):
            _ = run.status


# --- bugs -----------------------------------------------------------------------------------


@ironflow.function(triggers=["buggy"])
async def buggy(ctx: ironflow.Context[dict[str, str]]) -> str:
    await ctx.step.sleep("a-moment", "1s")
    return ctx.event.data["nme"]


async def test_a_bug_in_function_code_is_raised_at_once() -> None:
    async with open_harness(buggy) as harness:
        run = await harness.emit("buggy", {"name": "ada"})

        with pytest.raises(KeyError, match="nme") as caught:
            await harness.advance("1s")

        assert run.status == "paused"
        assert caught.traceback[-1].name == "buggy"
        assert run.id in caught.value.__notes__[0]


async def test_a_bug_is_raised_once() -> None:
    async with open_harness(buggy) as harness:
        run = await harness.emit("buggy", {"name": "ada"})
        with pytest.raises(KeyError):
            await harness.advance("1s")

        assert (await run.result()).status == "paused"


async def test_several_bugs_are_raised_together() -> None:
    async with open_harness(buggy) as harness:
        await harness.emit("buggy", {})
        await harness.emit("buggy", {})

        with pytest.raises(ExceptionGroup, match="several runs") as caught:
            await harness.advance("1s")

        assert [type(bug) for bug in caught.value.exceptions] == [KeyError, KeyError]


async def test_a_foreign_await_is_raised_at_once() -> None:
    @ironflow.function(triggers=["begin"])
    async def foreign(ctx: ironflow.Context[None]) -> None:
        del ctx
        await trio.sleep(1)

    async with open_harness(foreign) as harness:
        with pytest.raises(RuntimeError, match="async context"):
            await harness.emit("begin")


async def test_an_error_of_the_test_leaves_the_block_as_it_is() -> None:
    cause = ValueError("why")

    with pytest.raises(LookupError) as caught:
        async with open_harness(order):
            raise LookupError("what") from cause

    assert caught.value.__cause__ is cause


async def test_a_harness_without_functions_is_refused() -> None:
    with pytest.raises(ironflow.ConfigurationError, match="needs an app"):
        async with open_harness():
            pass


async def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(ironflow.ConfigurationError, match="no function of ironflow"):
        async with open_harness(charge):  # type: ignore[arg-type]  # the mistake
            pass


# --- steps of the test -------------------------------------------------------------------------


async def test_a_step_can_be_replaced() -> None:
    called: list[str] = []

    def fake(order_id: str) -> str:
        called.append(order_id)
        return "fake payment"

    async with open_harness(order) as harness:
        harness.replace_step("charge", fake)
        run = await harness.emit("order.placed", ORDER)

        assert run.step("charge").output == "fake payment"
        assert called == ["o1"]


async def test_a_replaced_step_may_fail_and_is_tried_again() -> None:
    attempts: list[int] = []

    async def flaky(order_id: str) -> str:
        del order_id
        attempts.append(ironflow.current_step().attempt)
        if len(attempts) < 3:
            raise ConnectionError("the bank is closed")
        return "at last"

    async with open_harness(order) as harness:
        harness.replace_step("charge", flaky)
        run = await harness.emit("order.placed", ORDER)
        first = run.step("charge")
        await harness.advance("1m")
        last = run.step("charge")

    assert (first.status, first.attempts) == ("backing_off", 1)
    assert (last.status, last.attempts, last.output) == ("completed", 3, "at last")
    assert last.error is not None
    assert last.error.message == "the bank is closed"
    assert attempts == [1, 2, 3]


async def test_a_replaced_step_must_fit_the_annotation_of_the_real_one() -> None:
    async with open_harness(order) as harness:
        harness.replace_step("charge", lambda _order_id: 42)
        run = await harness.emit("order.placed", ORDER)

        assert run.status == "failed"


async def test_an_undo_can_be_replaced() -> None:
    undone: list[object] = []
    async with open_harness(order) as harness:
        harness.replace_step("compensate:charge", undone.append)
        run = await harness.emit("order.placed", ORDER)
        await run.cancel()

        assert run.status == "cancelled"
        assert len(undone) == 1


async def test_a_replacement_must_be_a_function() -> None:
    async with open_harness(order) as harness:
        with pytest.raises(ironflow.ConfigurationError, match="lambda"):
            harness.replace_step("charge", "a payment")  # type: ignore[arg-type]  # the mistake


async def slow(harness: Harness, duration: str) -> str:
    await harness.sleep(duration)
    return "too late"


async def test_a_step_that_hangs_is_timed_out_in_virtual_time() -> None:
    async with open_harness(order) as harness:
        harness.replace_step("charge", lambda _order_id: slow(harness, "40d"))
        run = await harness.emit("order.placed", ORDER)
        working = run.steps()
        await harness.advance("30d")
        ended = await run.result()

    assert working == []
    assert ended.status == "failed"
    assert ended.error is not None
    assert ended.error.code == "RUN_TIMEOUT"


async def test_an_attempt_is_timed_out_and_the_next_succeeds() -> None:
    @ironflow.function(triggers=["begin"])
    async def timed(ctx: ironflow.Context[None]) -> str:
        return await ctx.step.run("charge", charge, "o1", timeout="30s")

    async with open_harness(timed) as harness:

        async def slow_once(order_id: str) -> str:
            if ironflow.current_step().attempt == 1:
                await harness.sleep("1h")
            return order_id

        harness.replace_step("charge", slow_once)
        run = await harness.emit("begin")
        await harness.advance("1m")

        assert (await run.result()).output == "o1"
        assert run.step("charge").attempts == 2


async def test_a_slow_step_ends_when_its_time_has_come() -> None:
    async with open_harness(order) as harness:
        harness.replace_step("charge", lambda _order_id: slow(harness, "1h"))
        run = await harness.emit("order.placed", ORDER)
        await harness.advance("1h")

        assert run.step("charge").output == "too late"


async def test_a_step_that_sleeps_twice_at_once_is_counted_once() -> None:
    async with open_harness(order) as harness:

        async def both(order_id: str) -> str:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(harness.sleep, "1h")
                nursery.start_soon(harness.sleep, "2h")
            return order_id

        harness.replace_step("charge", both)
        run = await harness.emit("order.placed", ORDER)
        await harness.advance("2h")

        assert run.step("charge").output == "o1"


# --- crashes ---------------------------------------------------------------------------------------


async def test_a_crash_while_a_run_waits_changes_nothing() -> None:
    async with open_harness(order) as harness:
        run = await harness.emit("order.placed", ORDER)
        await harness.crash()
        await harness.advance("1d")
        await harness.crash()
        await harness.emit("order.approved", APPROVAL)

        assert (await run.result()).status == "completed"
        assert run.step("charge").attempts == 1


async def test_a_step_that_was_recorded_is_not_called_again_after_a_crash() -> None:
    calls: list[str] = []

    def charged(order_id: str) -> str:
        calls.append(order_id)
        return "paid"

    async with open_harness(order) as harness:
        harness.replace_step("charge", charged)
        await harness.emit("order.placed", ORDER)
        await harness.crash()
        await harness.advance("1d")

    assert calls == ["o1"]


async def test_a_crash_inside_a_step_calls_it_again_with_the_same_key() -> None:
    keys: list[str] = []

    def keyed(order_id: str) -> str:
        keys.append(ironflow.current_step().idempotency_key)
        return f"payment {len(keys)} of {order_id}"

    async with open_harness(order) as harness:
        harness.replace_step("charge", keyed)
        harness.crash_in_step("charge")
        run = await harness.emit("order.placed", ORDER)

        assert run.step("charge").output == "payment 2 of o1"
        assert len(keys) == 2
        assert len(set(keys)) == 1


async def test_a_step_in_flight_at_a_crash_is_begun_again() -> None:
    began: list[str] = []
    async with open_harness(order) as harness:

        async def slow_charge(order_id: str) -> str:
            began.append(order_id)
            await harness.sleep("1h")
            return "paid"

        harness.replace_step("charge", slow_charge)
        run = await harness.emit("order.placed", ORDER)
        await harness.advance("30m")
        await harness.crash()
        await harness.advance("30m")
        half = run.steps()
        await harness.advance("30m")

        assert half == []
        assert run.step("charge").output == "paid"
        assert began == ["o1", "o1"]


async def test_the_engine_can_be_used_itself() -> None:
    async with open_harness(order) as harness:
        receipt = await harness.engine.emit("order.placed", ORDER)
        await harness.settle()

        assert harness.run(receipt.run_ids[0]).status == "waiting"
