"""An engine has its journal pack what ended long ago, beside its other work."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import ironflow
from ironflow import App, Context, Engine, limits
from ironflow.engine.open import run_engine
from ironflow.errors import ConfigurationError, JournalError, JournalFailed
from ironflow.journal.base import Packing
from ironflow.journal.lmdb import keys, segments
from ironflow.journal.lmdb.store import LmdbJournal, open_lmdb
from ironflow.journal.memory import MemoryJournal
from ironflow.testing.virtual_clock import VirtualClock
from tests.engine.bench import SECOND, Bench, TestJournal, settle

HOUR = limits.RETENTION_PAUSE_US_DEFAULT / SECOND
DAY = 24 * HOUR


async def charge(order: int) -> str:
    return f"order {order} is paid"


@ironflow.function(id="orders", triggers=["order"])
async def orders(ctx: Context[Any]) -> str:
    return await ctx.step.run("charge", charge, ctx.event.data)


@ironflow.function(id="short", triggers=["short"], retention="3d")
async def short(ctx: Context[Any]) -> str:
    return await ctx.step.run("charge", charge, ctx.event.data)


class PackingTestJournal(TestJournal):
    """One that only notes what it is asked to pack."""

    def __init__(self, *, error: JournalError | None = None) -> None:
        super().__init__(MemoryJournal(), yields=False)
        self.error = error
        self.asked: list[int] = []
        self.entered = trio.Event()
        self.waits_until_stopped = False

    async def pack(
        self, *, ended_before: int, go_on: Callable[[], bool], at_once: bool = False
    ) -> Packing:
        assert not at_once
        self.asked.append(ended_before)
        self.entered.set()
        if self.waits_until_stopped:
            while go_on():
                await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        return Packing()


async def test_each_sweep_packs_what_is_old_enough(bench: Bench) -> None:
    journal = PackingTestJournal()
    async with bench.engine(orders, on=journal, pack_after="2h"):
        await bench.clock.advance(60)
        first = bench.clock.now()
        await bench.clock.advance(HOUR)

    assert journal.asked == [
        first - 2 * HOUR * SECOND,
        first - HOUR * SECOND,
    ]


async def test_without_an_age_only_what_nobody_needs_goes(bench: Bench) -> None:
    """Runs that are past their retention may have been packed by an engine before."""
    journal = PackingTestJournal()
    async with bench.engine(short, on=journal):
        await bench.clock.advance(HOUR)
    other = PackingTestJournal()
    async with bench.engine(orders, on=other):
        await bench.clock.advance(HOUR)

    assert journal.asked == [0]
    assert other.asked == []


async def test_a_journal_that_does_not_pack_is_left_alone(bench: Bench) -> None:
    async with bench.engine(orders, pack_after="1h") as engine:
        await engine.emit("order", 1)
        await bench.clock.advance(3 * HOUR)
        [run] = await engine.list_runs()

    assert run.output == "order 1 is paid"


async def test_what_cannot_be_packed_now_is_tried_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    journal = PackingTestJournal(error=JournalError("no space"))
    async with bench.engine(orders, on=journal, pack_after="1h"):
        await bench.clock.advance(2 * HOUR)

    assert len(journal.asked) == 2
    assert "nothing is packed for now: no space" in caplog.text


async def test_a_disk_that_fails_stops_the_engine(bench: Bench) -> None:
    journal = PackingTestJournal(error=JournalFailed("the disk failed"))
    with pytest.raises(JournalFailed, match="the disk failed"):  # noqa: PT012  it ends the block
        async with bench.engine(orders, on=journal, pack_after="1h"):
            await bench.clock.advance(HOUR)
            await trio.sleep_forever()


async def test_an_engine_that_closes_asks_for_an_end(bench: Bench) -> None:
    journal = PackingTestJournal()
    journal.waits_until_stopped = True
    async with (
        trio.open_nursery() as nursery,
        bench.engine(orders, on=journal, pack_after="1h"),
    ):
        await settle()
        bench.clock.time += int(HOUR * SECOND)
        nursery.start_soon(bench.clock.advance, 0)
        await journal.entered.wait()

    assert len(journal.asked) == 1


async def test_an_age_is_a_duration(bench: Bench) -> None:
    with pytest.raises(ConfigurationError, match="pack_after='0s' leaves no time"):
        async with bench.engine(orders, pack_after="0s"):
            pass


# --- with LMDB -----------------------------------------------------------------------------


@asynccontextmanager
async def engine_on(
    directory: Path, clock: VirtualClock, **options: Any
) -> AsyncGenerator[tuple[Engine, LmdbJournal]]:
    journal = await open_lmdb(directory)
    try:
        app = App(functions=[orders, short])
        async with run_engine(app, journal, clock=clock, **options) as engine:
            yield engine, journal
    finally:
        await journal.close()


def packed(journal: LmdbJournal) -> int:
    with journal.source.environment.snapshot() as snapshot:
        found = [*snapshot.scan(keys.LOG, b"")]
    return sum(segments.is_place(data) for _, data in found)


async def test_runs_are_packed_and_forgotten_in_their_time(tmp_path: Path) -> None:
    """What is in the log goes into LMDB when the journal is closed."""
    clock, directory = VirtualClock(), tmp_path / "data"
    async with engine_on(directory, clock) as (engine, _):
        for number in range(20):
            await engine.emit("order" if number % 2 else "short", number)
        await clock.settle()
        outputs = {run.id: run.output for run in await engine.list_runs()}
    async with engine_on(directory, clock, pack_after="12h") as (engine, journal):
        await clock.advance("11h")
        early = packed(journal)
        await clock.advance("2d")
    async with engine_on(directory, clock, pack_after="12h") as (engine, journal):
        late, files = packed(journal), segments.numbers(directory)
        again = {run.id: run.output for run in await engine.list_runs()}
        await clock.advance("2d")
    async with engine_on(directory, clock) as (engine, journal):
        await clock.advance("2h")
        left = {run.id: run.output for run in await engine.list_runs()}

    assert (early, late, files) == (0, 20, [1, 2])
    assert again == outputs
    assert left.items() < outputs.items()
    assert len(left) == 10
    assert len(segments.numbers(directory)) == 1  # of those that are kept for ever
