"""A step that is stopped before its first attempt has not happened."""

from typing import Any

import msgspec
import pytest

import ironflow
from ironflow import Context, ids
from ironflow.journal.base import AppendRecords, EmitEvents, RequestCancel
from ironflow.records import EventData, EventReceived
from tests.engine.bench import Bench, settle

NOTHING = msgspec.Raw(b"\xc0")
STOPPED = "step 'charge' was stopped before it began"


def waits_then_charges(once: Any, calls: list[str]) -> Any:
    async def charge() -> None:
        calls.append("charge")

    async def refund(outcome: ironflow.StepOutcome[Any]) -> None:
        calls.append("refund")

    @ironflow.function(id="flow", triggers=["go"])
    async def flow(ctx: Context[Any]) -> None:
        await ctx.step.wait_for_event("answer", "answer")
        try:
            await ctx.step.run("charge", charge, undo=refund, once=once)
        except ironflow.Cancelled as cancelled:
            calls.append(str(cancelled))
            raise

    return flow


@pytest.mark.parametrize("once", ["at_least", "at_most"])
async def test_a_cancel_that_comes_with_what_it_waited_for(
    bench: Bench, once: Any
) -> None:
    """Both are news of one move, so the step is asked and stopped in it."""
    calls: list[str] = []
    event_id = ids.event_id(ids.uuid7(1, bytes(10)))
    answer = EventData(id=event_id, name="answer", data=NOTHING)

    async with bench.engine(waits_then_charges(once, calls)) as engine:
        receipt = await engine.emit("go")
        await settle()
        cancel = RequestCancel(receipt.run_ids[0], "ops", "", bench.clock.now())
        bench.journal.store.commit_now([EmitEvents((answer,), 1), cancel])
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "cancelled"
    assert calls == [STOPPED]


@pytest.mark.parametrize("once", ["at_least", "at_most"])
async def test_a_cancel_that_comes_while_the_ask_is_being_stored(
    bench: Bench, once: Any
) -> None:
    """Nothing begins before the commit is durable, and then the cancel is there."""
    calls: list[str] = []

    async with bench.engine(waits_then_charges(once, calls)) as engine:
        receipt = await engine.emit("go")
        await settle()
        hold = bench.journal.hold_after(receives)
        await engine.emit("answer")
        await hold.reached.wait()
        await engine.cancel(receipt.run_ids[0])
        hold.released.set()
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "cancelled"
    assert calls == [STOPPED]


async def test_one_that_a_process_before_may_have_begun_is_in_doubt(
    bench: Bench,
) -> None:
    """A plain step leaves no record of its start, so it is undone."""
    calls: list[str] = []
    flow = waits_then_charges("at_least", calls)

    async with bench.crashing(flow) as engine:
        receipt = await engine.emit("go")
        await settle()
        hold = bench.journal.hold_after(receives)
        await engine.emit("answer")
        await hold.reached.wait()
        hold.released.set()  # nothing hears of it before the crash
    async with bench.crashing(flow, only=lambda claim: False) as engine:
        await engine.cancel(receipt.run_ids[0])
    async with bench.engine(flow) as engine:
        run = await engine.result(receipt.run_ids[0])

    assert run.status == "cancelled"
    assert calls[-1:] == ["refund"]


def receives(commands: Any) -> bool:
    return any(
        isinstance(entry.record, EventReceived)
        for command in commands
        if isinstance(command, AppendRecords)
        for entry in command.entries
    )
