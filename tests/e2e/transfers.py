"""The process that is killed: an engine on LMDB that moves money between accounts."""

import random
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import trio

import ironflow
from ironflow import App, Context, Engine, NonRetryableError, StepOutcome
from tests.e2e.bank import Bank

EMITS_MAX = 12  # of one life
PAUSE_S_MAX = 0.004


@dataclass(frozen=True)
class Acknowledged:
    """Said on the pipe when an emit has returned."""

    number: int
    event: str
    runs: tuple[str, ...]


def is_refused(number: int) -> bool:
    """Say whether this transfer fails at its end, and is undone."""
    return number % 3 == 0


def app(bank: Bank) -> App:
    """Return the functions, with steps of every kind."""

    def call(name: str, run: str, cents: int) -> None:
        bank.call(run, name, ironflow.current_step().idempotency_key, cents=cents)
        threading.Event().wait(random.random() * PAUSE_S_MAX)

    async def call_on_trio(name: str, run: str) -> None:
        await trio.sleep(random.random() * PAUSE_S_MAX)
        bank.call(run, name, ironflow.current_step().idempotency_key)

    def undo(outcome: StepOutcome[Any]) -> None:
        name, run, cents = outcome.args
        call(f"undo {name}", run, -cents)

    @ironflow.function
    async def notify(ctx: Context[str]) -> None:
        run = ctx.event.data
        await ctx.step.map(
            "all",
            ["mail", "text"],
            lambda name, step, _: step.run(name, call_on_trio, name, run),
        )

    @ironflow.function(triggers=["transfer"])
    async def transfer(ctx: Context[dict[str, int]]) -> int:
        number, run = ctx.event.data["number"], ctx.run.id
        await ctx.step.run("debit", call, "debit", run, -number, undo=undo)
        await ctx.step.wait_for_event("sure", "confirmed", match="data.number")
        await ctx.step.run("credit", call, "credit", run, number, undo=undo)
        await ctx.step.sleep("settle", "5ms")
        await ctx.step.invoke(notify, run)
        if is_refused(number):
            raise NonRetryableError("refused")
        await ctx.step.run("close", call_on_trio, "close", run)
        return number

    return App(functions=[transfer, notify])


def live(
    act: Callable[[Engine, Connection], Awaitable[None]],
    directory: Path,
    pipe: Connection,
    life: int,
) -> None:
    """Run an engine in this process, and `act` on it."""

    async def main() -> None:
        bank = Bank(directory / "bank", life=life)
        async with ironflow.open_engine(
            app(bank), f"lmdb://{directory}/data"
        ) as engine:
            pipe.send("open")
            await act(engine, pipe)
        bank.close()
        pipe.send("closed")

    trio.run(main)


async def emit_transfers(engine: Engine, pipe: Connection, *, first: int) -> None:
    """Emit until killed; a number may have been emitted in the life before."""
    for number in range(first, first + EMITS_MAX):
        await emit_transfer(engine, pipe, number)
        await trio.sleep(random.random() * PAUSE_S_MAX)
    await trio.sleep_forever()


async def emit_transfer(engine: Engine, pipe: Connection, number: int) -> None:
    """Emit what a transfer needs, and say each time that it is acknowledged."""
    for name in ("transfer", "confirmed"):
        receipt = await engine.emit(
            name, {"number": number}, idempotency_key=str(number)
        )
        pipe.send(Acknowledged(number, receipt.event_id, receipt.run_ids))


async def finish(engine: Engine, pipe: Connection, *, last: int) -> None:
    """Emit the transfer that may lack something; wait until every run has ended."""
    await emit_transfer(engine, pipe, last)
    for run in await engine.list_runs(function_id="transfer", limit=10_000):
        await engine.result(run.id)


def emitting(directory: Path, pipe: Connection, life: int, first: int) -> None:
    """The life that is killed."""
    live(partial(emit_transfers, first=first), directory, pipe, life)


def finishing(directory: Path, pipe: Connection, life: int, last: int) -> None:
    """The last life, which ends by itself."""
    live(partial(finish, last=last), directory, pipe, life)
