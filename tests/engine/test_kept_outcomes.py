"""A bug in one branch does not cost the steps that are under way in the others."""

from typing import Any, Literal

import pytest
import trio

import ironflow
from ironflow import Context, StepClient
from tests.engine.bench import Bench, settle

Once = Literal["at_least", "at_most"]


class Bank:
    """Charges when it is told to, and counts."""

    def __init__(self) -> None:
        self.charged = 0
        self.open = trio.Event()
        self.fails = False

    async def charge(self) -> int:
        self.charged += 1
        await self.open.wait()
        if self.fails:
            raise OSError("the bank is away")
        return self.charged


async def nothing() -> None:
    """Do nothing."""


def order(bank: Bank, version: str, *, once: Once = "at_least") -> Any:
    """Return a function of which version 1 has a bug in a branch beside a payment."""

    async def body(ctx: Context[Any]) -> int:
        async def pay(step: StepClient) -> int:
            return await step.run("charge", bank.charge, once=once)

        async def stumble(step: StepClient) -> int:
            await step.run("look", nothing)
            if version == "1":
                raise KeyError("price")
            await step.run("more", nothing)
            return 0

        charged, _ = await ctx.step.parallel("both", [pay, stumble])
        return charged

    return ironflow.function(id="order", triggers=["go"], version=version)(body)


@pytest.mark.parametrize("once", ["at_least", "at_most"])
async def test_a_step_under_way_beside_a_bug_is_made_once(
    bench: Bench, once: Once
) -> None:
    """The run is paused when it has ended, and corrected code has its result."""
    bank = Bank()
    async with bench.engine(order(bank, "1", once=once)) as engine:
        receipt = await engine.emit("go")
        await settle()
        [run_id] = receipt.run_ids
        before = await engine.get_run(run_id)
        bank.open.set()
        await settle()
        paused = await engine.get_run(run_id)
    async with bench.engine(order(bank, "2", once=once)) as engine:
        await settle()
        run = await engine.get_run(run_id)

    assert (before.status, paused.status) == ("running", "paused")
    assert run.unwrap() == 1
    assert bank.charged == 1


async def test_a_failure_under_way_beside_a_bug_is_tried_again_later(
    bench: Bench,
) -> None:
    """It is kept like a result, and counts as an attempt."""
    bank = Bank()
    bank.fails = True
    async with bench.engine(order(bank, "1")) as engine:
        receipt = await engine.emit("go")
        await settle()
        bank.open.set()
        await settle()
    bank.fails = False
    async with bench.engine(order(bank, "2")) as engine:
        await bench.clock.advance(60)
        run = await engine.get_run(receipt.run_ids[0])

    assert run.unwrap() == 2
    kinds = bench.kinds(run.id)
    assert kinds.count("StepFailed") == 1


async def test_a_cancel_does_not_wait_for_the_steps_of_a_broken_run(
    bench: Bench,
) -> None:
    bank = Bank()
    async with bench.engine(order(bank, "1")) as engine:
        receipt = await engine.emit("go")
        await settle()
        await engine.cancel(receipt.run_ids[0])
        await settle()
        run = await engine.get_run(receipt.run_ids[0])

    assert run.status == "cancelled"


async def test_other_news_of_a_broken_run_wait_with_its_steps(bench: Bench) -> None:
    """An event reaches its inbox while a step is under way; nothing is lost."""
    bank = Bank()

    def waiting(version: str) -> Any:
        async def body(ctx: Context[Any]) -> list[Any]:
            async def pay(step: StepClient) -> Any:
                return await step.run("charge", bank.charge)

            async def wait(step: StepClient) -> Any:
                return (await step.wait_for_event("paid", "paid")).data

            async def stumble(step: StepClient) -> Any:
                await step.run("look", nothing)
                if version == "1":
                    raise KeyError("price")

            return await ctx.step.parallel("all", [pay, wait, stumble])

        return ironflow.function(id="order", triggers=["go"], version=version)(body)

    async with bench.engine(waiting("1")) as engine:
        receipt = await engine.emit("go")
        await settle()
        await engine.emit("paid", 7)
        await settle()
        before = await engine.get_run(receipt.run_ids[0])
        bank.open.set()
        await settle()
        paused = await engine.get_run(receipt.run_ids[0])
    async with bench.engine(waiting("2")) as engine:
        await settle()
        run = await engine.get_run(receipt.run_ids[0])

    assert (before.status, paused.status) == ("running", "paused")
    assert run.unwrap() == [1, 7, None]
    assert bank.charged == 1


async def test_a_crash_while_a_broken_run_waits_changes_nothing(bench: Bench) -> None:
    """The step was in flight, so it is made again, as after any crash."""
    bank = Bank()
    async with bench.crashing(order(bank, "1")) as engine:
        receipt = await engine.emit("go")
        await settle()
    bank.open.set()
    async with bench.engine(order(bank, "2")) as engine:
        await settle()
        run = await engine.get_run(receipt.run_ids[0])

    assert run.unwrap() == 2
