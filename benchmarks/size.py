"""What a journal costs when much is in it: beside an empty one, in the same run.

The full one is made once and used again: `--cache FOLDER` says where it is kept. What
a measurement starts it brings to an end, so that the next finds the same. Its file is
read before each round, as memory has room for it; what it costs when nothing of it is in
memory is a figure of its own.
"""

import gc
import itertools
import json
import math
import os
import shutil
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import trio

import ironflow
from benchmarks.filling import Scale, filled, run_of_order
from benchmarks.functions import app, emitting
from benchmarks.processes import finish, said, start
from benchmarks.rows import Row
from ironflow import ids, values
from ironflow.engine.open import run_engine
from ironflow.journal.base import (
    Answer,
    EmitEvents,
    Journal,
    JournalCommand,
)
from ironflow.journal.url import open_journal
from ironflow.records import EventData

_IN_FLIGHT: Final = 100


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each thing is done in a round."""

    runs: int = 1_000
    steps: int = 10
    emits: int = 5_000
    wakes: int = 2_000
    cold_wakes: int = 200
    claims: int = 200


@dataclass(slots=True)
class _Store:
    """A store that is measured; `scale` says what was put into it before."""

    directory: Path
    scale: Scale
    steps: list[float] = field(default_factory=list[float])
    commits: list[float] = field(default_factory=list[float])
    emits: list[float] = field(default_factory=list[float])
    wakes: list[float] = field(default_factory=list[float])
    cold_wakes: list[float] = field(default_factory=list[float])
    claims: list[float] = field(default_factory=list[float])
    ready: list[float] = field(default_factory=list[float])

    @property
    def url(self) -> str:
        return f"lmdb://{self.directory}"

    def orders(self, count: int) -> list[int]:
        """Return orders that still wait for their payment, from all over the store."""
        note = self.directory.with_suffix(".used.json")
        used = json.loads(note.read_text()) if note.exists() else 0
        all_ = self.scale.orders
        if used + count > all_:
            raise SystemExit(
                f"{used} of the {all_} orders in {self.directory} have been paid for"
                " measurements: remove the folder, and it is made again"
            )
        note.write_text(json.dumps(used + count))
        step = round(all_ * (math.sqrt(5) - 1) / 2)
        while math.gcd(step, all_) != 1:
            step += 1
        return [index * step % all_ for index in range(used, used + count)]


def measure(
    scratch: Path, rounds: int, *, scale: Scale, cache: Path | None, counts: Counts
) -> list[Row]:
    """Measure an empty store and a full one in turn."""
    gc.collect()
    gc.freeze()  # what is loaded by now stays: looking at it takes 20 ms each time
    try:
        return _measured(scratch, rounds, scale=scale, cache=cache, counts=counts)
    finally:
        gc.unfreeze()


def _measured(
    scratch: Path, rounds: int, *, scale: Scale, cache: Path | None, counts: Counts
) -> list[Row]:
    full = _Store(filled(cache or scratch / "cache", scale), scale)
    empties: list[_Store] = []
    for number in range(rounds):
        # What is woken must have been parked: no more than that is in the empty one.
        few = Scale(
            2 * (counts.wakes + counts.claims), 2 * (counts.wakes + counts.claims)
        )
        folder = scratch / f"size-{number}"
        woken = _Store(filled(folder, few), few)
        fresh = _Store(folder / "empty", Scale(0, 0))
        _forget(full.directory)
        full.cold_wakes.append(trio.run(_wakes, full, counts.cold_wakes))
        for one, other in ((fresh, woken), (full, full)):
            _bring_into_memory(other.directory)
            trio.run(_measure, one, other, counts)
        for store in (fresh, full):
            store.ready.append(_start(store.directory))
        fresh.wakes, fresh.claims = woken.wakes, woken.claims
        empties.append(fresh)
        shutil.rmtree(folder)
    return list(_rows(_together(empties), full, scale))


def _bring_into_memory(directory: Path) -> None:
    with (directory / "data.mdb").open("rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def _forget(directory: Path) -> None:
    """Let nothing of the file be in memory; nobody has it open."""
    file = os.open(directory / "data.mdb", os.O_RDONLY)
    try:
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


def _together(stores: Sequence[_Store]) -> _Store:
    """Return the figures of all empty stores as those of one."""

    def of(figures: Callable[[_Store], list[float]]) -> list[float]:
        return list(itertools.chain.from_iterable(map(figures, stores)))

    return _Store(
        stores[0].directory,
        stores[0].scale,
        steps=of(lambda store: store.steps),
        commits=of(lambda store: store.commits),
        emits=of(lambda store: store.emits),
        wakes=of(lambda store: store.wakes),
        claims=of(lambda store: store.claims),
        ready=of(lambda store: store.ready),
    )


def _rows(empty: _Store, full: _Store, scale: Scale) -> list[Row]:
    size = f"{scale.runs:,} parked runs, {scale.events:,} events"
    return [
        *_shares("1,000 runs x 10 steps", "steps/s", (empty.steps, full.steps), must=0),
        *_shares(
            "emit that starts a run", "/s", (empty.emits, full.emits), must=10_000
        ),
        _more("empty: a parked run woken to its end", "/s", empty.wakes, must=5_000),
        _more("full: a parked run woken to its end", "/s", full.wakes, must=2_500),
        _more("full, not in memory: the same", "/s", full.cold_wakes, must=0),
        _less("empty: commit, p99", "ms", empty.commits, must=10),
        _less("full: commit, p99", "ms", full.commits, must=20),
        _less("empty: claim, p99", "ms", empty.claims, must=1),
        _less("full: claim, p99", "ms", full.claims, must=2),
        _less("empty: process start to ready", "ms", empty.ready, must=500),
        _less(
            "full: process start to ready", "ms", full.ready, must=1_000, beside=size
        ),
    ]


def _shares(
    name: str, unit: str, figures: tuple[list[float], list[float]], *, must: float
) -> tuple[Row, Row]:
    """The rate of the empty store, and the share of it that the full one reaches."""
    empty, full = figures
    shares = [there / here for here, there in zip(empty, full, strict=True)]
    beside = f"{sorted(full)[len(full) // 2]:,.0f} {unit}"
    return (
        _more(f"empty: {name}", unit, empty, must=must),
        Row(
            f"full: {name}, share of empty",
            "ratio",
            tuple(shares),
            must=0.5,
            aim=0.9,
            higher=True,
            beside=beside,
        ),
    )


def _more(name: str, unit: str, figures: list[float], *, must: float) -> Row:
    return Row(name, unit, tuple(figures), must=must, aim=2 * must, higher=True)


def _less(
    name: str, unit: str, figures: list[float], *, must: float, beside: str = ""
) -> Row:
    aim = must / 2
    return Row(
        name, unit, tuple(figures), must=must, aim=aim, higher=False, beside=beside
    )


# --- one store, one round ------------------------------------------------------------


async def _measure(store: _Store, woken: _Store, counts: Counts) -> None:
    await _measure_steps(store, counts)
    await _measure_emits(store, counts)
    await _measure_claims(woken, counts)
    woken.wakes.append(await _wakes(woken, counts.wakes))


class _Timed:
    """A journal that notes how long each commit takes, in ms."""

    def __init__(self, journal: Journal, times: list[float]) -> None:
        self._journal = journal
        self._times = times

    def __getattr__(self, name: str) -> object:
        return getattr(self._journal, name)

    async def commit(self, commands: Sequence[JournalCommand]) -> Sequence[Answer]:
        began = time.perf_counter()
        answers = await self._journal.commit(commands)
        self._times.append((time.perf_counter() - began) * 1_000)
        return answers


@asynccontextmanager
async def _timed_engine(
    store: _Store, times: list[float]
) -> AsyncGenerator[ironflow.Engine]:
    async with open_journal(store.url) as journal:
        timed: Journal = _Timed(journal, times)  # type: ignore[assignment]  # the rest is the journal's
        async with run_engine(app, timed) as engine:
            yield engine


async def _measure_steps(store: _Store, counts: Counts) -> None:
    times: list[float] = []
    async with _timed_engine(store, times) as engine:

        async def run(_: int) -> None:
            [run] = await engine.emit_sync(
                "steps", {"count": counts.steps}, timeout=120
            )
            assert run.status == "completed"

        took = await _at_once(run, range(counts.runs))
    store.steps.append(counts.runs * counts.steps / took)
    store.commits.append(_p99(times))


async def _measure_emits(store: _Store, counts: Counts) -> None:
    """Let an engine that does not have the function emit what starts its runs."""
    async with ironflow.open_engine(app, store.url):
        pass  # it makes all functions known
    async with ironflow.open_engine(emitting, store.url) as engine:

        async def emit(number: int) -> None:
            receipt = await engine.emit("later", {"number": number})
            assert receipt.run_ids

        took = await _at_once(emit, range(counts.emits))
    store.emits.append(counts.emits / took)
    async with ironflow.open_engine(app, store.url) as engine:
        await _idle(engine)


async def _measure_claims(store: _Store, counts: Counts) -> None:
    times: list[float] = []
    async with open_journal(store.url) as journal:
        for number in store.orders(counts.claims):
            await _pay(journal, number)
            began = time.perf_counter()
            [claim] = await journal.claim(frozenset({"order"}), limit=1)
            times.append((time.perf_counter() - began) * 1_000)
            assert claim.run_id == run_of_order(store.scale, number)
    store.claims.append(_p99(times))


async def _pay(journal: Journal, number: int) -> None:
    now = time.time_ns() // 1_000
    event = EventData(
        id=ids.event_id(ids.uuid7(now, number.to_bytes(ids.ENTROPY_BYTES, "big"))),
        name="order.paid",
        data=msgspec.Raw(values.encode({"order": number})),
        timestamp=now,
    )
    await journal.commit([EmitEvents((event,), now)])


async def _wakes(store: _Store, count: int) -> float:
    """Return how many runs a second are woken to their ends."""
    async with ironflow.open_engine(app, store.url) as engine:
        await _idle(engine)

        async def wake(number: int) -> None:
            await engine.emit("order.paid", {"order": number})
            run = await engine.result(run_of_order(store.scale, number), 120)
            assert run.output == number, run

        took = await _at_once(wake, store.orders(count))
    return count / took


def _start(directory: Path) -> float:
    began = time.perf_counter()
    process = start("open", str(directory))
    said(process)
    took = (time.perf_counter() - began) * 1_000
    finish(process)
    return took


async def _at_once(
    work: Callable[[int], Awaitable[None]], numbers: Sequence[int]
) -> float:
    """Do `work` for each number, so many at a time; return how many seconds it took."""
    left = iter(numbers)

    async def worker() -> None:
        for number in left:
            await work(number)

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(_IN_FLIGHT):
            nursery.start_soon(worker)
    return time.perf_counter() - began


async def _idle(engine: ironflow.Engine) -> None:
    """Return when every run has ended or is parked."""
    for status in ("queued", "running"):
        while await engine.list_runs(status=status, limit=1):  # noqa: ASYNC110  nobody tells
            await trio.sleep(0.05)


def _p99(times: list[float]) -> float:
    return sorted(times)[len(times) * 99 // 100]
