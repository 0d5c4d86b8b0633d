"""The order of `examples/order_saga.py`, on a bank that is a real file."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from examples import order_saga
from examples.order_saga import CHAIR, LAMP, Order, balance
from ironflow.testing import Harness, open_harness

PIANO = Order("o3", "ada", "piano", price=80, address="1 Loop Lane")
APPROVED = {"id": "o3"}


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDER_WORLD", str(tmp_path / "world.sqlite"))


@pytest.fixture
async def harness() -> AsyncGenerator[Harness]:
    async with open_harness(order_saga.app) as opened:
        yield opened


def calls() -> list[str]:
    """What the outside world was asked for, in order."""
    asked = order_saga.ask("SELECT what FROM calls", "calls")
    return [what for [what] in asked if what not in {"balance", "calls"}]


async def test_an_order_is_reserved_paid_and_shipped(harness: Harness) -> None:
    run = await harness.emit("order.placed", LAMP)

    assert (await run.result()).status == "completed"
    assert calls() == ["reserve", "charge", "ship"]
    assert balance("ada") == 70


async def test_an_order_that_cannot_be_shipped_is_undone(harness: Harness) -> None:
    run = await harness.emit("order.placed", CHAIR)

    assert (await run.result()).status == "failed"
    assert calls() == ["reserve", "charge", "refund", "put back"]
    assert balance("ada") == 100
    assert not order_saga.ask("SELECT * FROM effects", "calls")


async def test_a_crash_in_the_payment_charges_once(harness: Harness) -> None:
    harness.crash_in_step("charge")

    run = await harness.emit("order.placed", LAMP)

    assert (await run.result()).status == "completed"
    assert calls() == ["reserve", "charge", "charge", "ship"]
    assert balance("ada") == 70


async def test_a_crash_after_every_step_changes_no_balance(harness: Harness) -> None:
    for step in ("reserve", "charge", "compensate:charge", "compensate:reserve"):
        harness.crash_in_step(step)

    run = await harness.emit("order.placed", CHAIR)

    assert (await run.result()).status == "failed"
    assert balance("ada") == 100


async def test_an_expensive_order_waits_for_its_approval(harness: Harness) -> None:
    run = await harness.emit("order.placed", PIANO)
    await harness.emit("order.approved", {"id": "another"})
    await harness.advance("6d")
    before = run.status
    await harness.emit("order.approved", APPROVED)

    assert before == "waiting"
    assert (await run.result()).status == "completed"


async def test_an_order_that_nobody_approves_is_undone(harness: Harness) -> None:
    run = await harness.emit("order.placed", PIANO)
    await harness.advance("7d")

    assert run.status == "failed"
    assert calls() == ["reserve", "charge", "refund", "put back"]
    assert balance("ada") == 100


async def test_a_bank_that_is_away_for_a_while_is_asked_again(harness: Harness) -> None:
    def away(customer: str, amount: int) -> str:
        raise ConnectionError(f"cannot take {amount} from {customer}")

    harness.replace_step("charge", away)
    run = await harness.emit("order.placed", LAMP)
    harness.replace_step("charge", order_saga.charge)
    await harness.advance("1m")

    assert (await run.result()).status == "completed"
    assert run.step("charge").attempts == 2


async def test_data_that_is_no_order_fails_the_run_and_names_the_path(
    harness: Harness,
) -> None:
    run = await harness.emit("order.placed", {"id": "o1", "customer": "ada"})

    error = (await run.result()).error
    assert error is not None
    assert "item" in error.message
    assert calls() == []


async def test_an_order_is_one_order_however_often_it_is_placed(
    harness: Harness,
) -> None:
    first = await harness.emit("order.placed", LAMP, idempotency_key="o1")
    other = replace(LAMP, price=1)
    again = await harness.emit("order.placed", other, idempotency_key="o1")

    assert again.id == first.id
    assert balance("ada") == 70
