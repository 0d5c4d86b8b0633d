"""An order that is reserved, paid and shipped, or undone, whatever crashes.

    python examples/order_saga.py                 two orders, nothing is kept
    python examples/order_saga.py lmdb:DIRECTORY  one order; kill it, start it again

The stock, the bank and the post are not ironflow's: they are a SQLite file (ORDER_WORLD
in the environment names it) that also notes each call it gets.
"""

import os
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import ironflow

# An effect is known by its key: what comes twice under one key happens once.
SCHEMA = """
    CREATE TABLE IF NOT EXISTS calls (what TEXT, key TEXT);
    CREATE TABLE IF NOT EXISTS effects (
        key TEXT PRIMARY KEY, what TEXT, whom TEXT, amount INT);
"""
HAPPEN = "INSERT OR IGNORE INTO effects VALUES (:key, :what, :whom, :amount)"
TAKE_BACK = "DELETE FROM effects WHERE key = :key"
BALANCE = "SELECT 100 - coalesce(sum(amount), 0) FROM effects WHERE whom = :whom"


@dataclass(frozen=True)
class Order:
    """The data of the event; it is checked when a run starts."""

    id: str
    customer: str
    item: str
    price: int
    address: str


# Steps: they reach outside, and after a crash one of them may be called again.


def ask(statement: str, what: str, key: str = "", **values: object) -> list[Any]:
    """Ask the outside world, in one transaction, for something; it notes the call."""
    file = os.environ.get("ORDER_WORLD", "order-world.sqlite")
    with closing(sqlite3.connect(file, timeout=30)) as world, world:
        world.executescript(SCHEMA)
        world.execute("INSERT INTO calls VALUES (?, ?)", (what, key))
        return world.execute(statement, {"what": what, "key": key, **values}).fetchall()


def happen(what: str, whom: str, amount: int = 0) -> str:
    # The key of a step is the same whenever and wherever it is called again.
    key = ironflow.current_step().idempotency_key
    ask(HAPPEN, what, key, whom=whom, amount=amount)
    return f"{what} {key[:6]}"


def reserve(item: str) -> str:
    return happen("reserve", item)


def put_back(reservation: ironflow.StepOutcome[str]) -> None:
    ask(TAKE_BACK, "put back", reservation.idempotency_key)


def charge(customer: str, amount: int) -> str:
    payment = happen("charge", customer, amount)
    # The money has moved, and the answer is on its way: the worst time for a crash.
    time.sleep(float(os.environ.get("ORDER_BANK_SECONDS", "0")))
    return payment


def refund(payment: ironflow.StepOutcome[str]) -> None:
    ask(TAKE_BACK, "refund", payment.idempotency_key)


def ship(address: str) -> str:
    if address == "nowhere":  # to try again would not help
        raise ironflow.NonRetryableError("the post knows no such address")
    return happen("ship", address)


def balance(customer: str) -> int:
    return int(ask(BALANCE, "balance", whom=customer)[0][0])


# The function: it connects steps, and reaches nothing outside of them.


@ironflow.function(id="process-order", triggers=["order.placed"])
async def process_order(ctx: ironflow.Context[Order]) -> str:
    order = ctx.event.data

    # A step's result is recorded, and the step never called again. If a later one
    # fails, `undo` is called, newest first.
    await ctx.step.run("reserve", reserve, order.item, undo=put_back)
    payment = await ctx.step.run(
        "charge", charge, order.customer, order.price, undo=refund
    )

    # Waiting needs no process: days later, and in another one, the run goes on.
    if order.price > 50:
        await ctx.step.wait_for_event(
            "approval", "order.approved", match="data.id", timeout="7d"
        )

    parcel = await ctx.step.run("ship", ship, order.address)
    return f"{payment}, {parcel}"


app = ironflow.App(functions=[process_order])
LAMP = Order("o1", "ada", "lamp", price=30, address="1 Loop Lane")
CHAIR = Order("o2", "ada", "chair", price=20, address="nowhere")


def main() -> None:
    journal, *_ = [*sys.argv[1:], "memory:"]
    if journal == "memory:":
        os.environ.setdefault("ORDER_WORLD", str(Path(mkdtemp()) / "world.sqlite"))
    with ironflow.start(app, journal) as engine:
        for order in [LAMP, CHAIR] if journal == "memory:" else [LAMP]:
            # The key makes it one order, however often this program is started.
            [run] = engine.emit_sync("order.placed", order, idempotency_key=order.id)
            outcome = run.output or (run.error and run.error.message)
            print(f"{order.item}: {run.status}: {outcome}")
    print(f"ada has {balance('ada')} of 100 left")


if __name__ == "__main__":
    main()
