"""How long commits take while histories are packed, beside how long they take otherwise.

One caller commits events, one after the other, without a pause. Meanwhile another asks
for a round of packing: many short histories, and a long one.
"""

import shutil
import threading
import time
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import trio

from benchmarks.rows import Row
from ironflow.journal.base import EmitEvents, Journal
from ironflow.journal.lmdb import batch, packed, segments, writer
from ironflow.journal.lmdb.store import LmdbJournal, open_lmdb
from ironflow.records import Draft
from ironflow.testing.checks_asks import completed, ended
from ironflow.testing.checks_imports import foreign
from ironflow.testing.checks_scene import Scene

_RUNS = 4_000
_STEPS = 20
_LONG_STEPS = 50_000
_SECONDS_MAX = 5.0
_FAR_US = 1 << 60


def measure(scratch: Path, rounds: int) -> list[Row]:
    """Measure the 99th percentile of commits with and without packing."""
    above: list[float] = []
    besides: list[str] = []
    work = Work()
    for _ in range(rounds):
        with noted() as found:
            alone, beside, done = trio.run(_round, scratch)
        work.slices.append(max(found.slices))
        work.swaps.append(max(found.swaps))
        above.append(_percentile(beside, 99) - _percentile(alone, 99))
        besides.append(
            f"alone p50 {_percentile(alone, 50):.2f}, p99 {_percentile(alone, 99):.2f},"
            f" max {max(alone):.1f} ms; beside p50 {_percentile(beside, 50):.2f},"
            f" p99 {_percentile(beside, 99):.2f}, max {max(beside):.1f} ms"
            f" ({len(beside)} commits); {done}"
        )
    return [
        Row(
            "commit p99 while packing, above p99 alone",
            "ms",
            tuple(above),
            must=5.0,
            aim=1.0,
            higher=False,
            beside=besides[sorted(range(rounds), key=above.__getitem__)[rounds // 2]],
        ),
        Row(
            "CPU of a packing thread between two rests, at most",
            "ms",
            tuple(work.slices),
            must=5.0,
            aim=2.0,
            higher=False,
            beside="that of compressing included, which leaves the interpreter to others",
        ),
        Row(
            "CPU of deciding a commit that swaps, at most",
            "ms",
            tuple(work.swaps),
            must=5.0,
            aim=2.0,
            higher=False,
            beside="in the event loop",
        ),
    ]


@dataclass(slots=True)
class Work:
    """Processor time of pieces of work, in ms: other work on the machine adds nothing."""

    slices: list[float] = field(default_factory=list[float])
    swaps: list[float] = field(default_factory=list[float])


@contextmanager
def noted() -> Generator[Work]:
    """Note what packing does in one piece, in its thread and in the loop."""
    work = Work()
    rest, decide = packed.Rests.__call__, batch.decide
    begun: dict[int, float] = {}  # by thread

    def rested(self: packed.Rests) -> None:
        thread = threading.get_ident()
        before = begun.get(thread, time.thread_time())
        work.slices.append((time.thread_time() - before) * 1_000)
        rest(self)
        begun[thread] = time.thread_time()

    def decided(*args: Any, **options: Any) -> Any:
        began = time.thread_time()
        made = decide(*args, **options)
        if any(each.change is not None for each in made.submissions):
            work.swaps.append((time.thread_time() - began) * 1_000)
        return made

    with (
        mock.patch.object(packed.Rests, "__call__", rested),
        mock.patch.object(writer, "decide", decided),
    ):
        yield work


def _percentile(values: list[float], percent: int) -> float:
    return sorted(values)[len(values) * percent // 100]


async def _round(scratch: Path) -> tuple[list[float], list[float], str]:
    folder = scratch / "packing"
    shutil.rmtree(folder, ignore_errors=True)
    scene = Scene("packing", _not_by_the_scene)
    await _fill(folder, scene)
    journal = await open_lmdb(folder)
    alone: list[float] = []
    beside: list[float] = []
    await _commit(journal, scene, alone, scope=trio.CancelScope())
    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            partial(_commit, journal, scene, beside, scope=nursery.cancel_scope)
        )
        await journal.pack(ended_before=_FAR_US, go_on=lambda: True)
        seconds = time.perf_counter() - began
        nursery.cancel_scope.cancel()
    await journal.close()
    size = sum(path.stat().st_size for path in segments.files(folder))
    records = _RUNS * (_STEPS + 2) + _LONG_STEPS + 2
    return (
        alone,
        beside,
        f"{records / seconds:,.0f} records/s into {size / 1e6:.1f} MB",
    )


def _not_by_the_scene() -> AbstractAsyncContextManager[Journal]:
    raise AssertionError("the scene only makes events here: the journal is open")


async def _commit(
    journal: LmdbJournal,
    scene: Scene,
    times: list[float],
    *,
    scope: trio.CancelScope,
) -> None:
    """Commit events for some seconds, or until it is cancelled."""
    end = time.perf_counter() + _SECONDS_MAX
    while time.perf_counter() < end:
        event = scene.event("tick", {"n": len(times)})
        began = time.perf_counter()
        await journal.commit([EmitEvents((event,), scene.now)])
        times.append((time.perf_counter() - began) * 1_000)
        if scope.cancel_called:
            return


async def _fill(folder: Path, scene: Scene) -> None:
    """Make a directory with runs that have ended."""
    journal = await open_lmdb(folder)
    for first in range(0, _RUNS, 100):
        commands = [
            foreign(scene, *_steps(_STEPS, number), ended(), status="completed")
            for number in range(first, first + 100)
        ]
        await journal.commit(commands)
    long = foreign(scene, *_steps(_LONG_STEPS, 0), ended(), status="completed")
    await journal.commit([long])
    await journal.close()


def _steps(count: int, run: int) -> list[Draft]:
    return [
        completed(f"charge:{step}", {"order": run * step, "status": "paid"})
        for step in range(count)
    ]
