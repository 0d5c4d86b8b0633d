"""For how long commits stop the event loop: on this disk, and on two that are slower.

What is written in the loop stops every other task. What a thread writes does not, and
`ironflow.journal.lmdb.pace` says which it shall be.
"""

import shutil
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest import mock

import trio

import ironflow
from benchmarks.flight import seconds_of
from benchmarks.functions import app
from benchmarks.rows import Row
from ironflow.journal.lmdb import batch, writer
from ironflow.journal.lmdb.wal import Frame, Wal

_RUNS: Final = 400
_STEPS: Final = 10
_IN_FLIGHT: Final = 20
_SLOW_SECONDS: Final = 0.01
_STALL_SECONDS: Final = 0.02
_STALL_EVERY: Final = 200

# How much longer than here the write of this number takes, in seconds.
Disk = Callable[[int], float]
_DISKS: Final[dict[str, Disk]] = {
    "this disk": lambda _: 0.0,
    "one that takes 10 ms more": lambda _: _SLOW_SECONDS,
    "one that stalls for 20 ms at times": (
        lambda number: 0.0 if number % _STALL_EVERY else _STALL_SECONDS
    ),
}


@dataclass(slots=True)
class Stalls:
    """How many ms each commit stopped the loop, by deciding it and by writing it."""

    decided: list[float] = field(default_factory=list[float])
    written: list[float] = field(default_factory=list[float])  # 0 if by the thread

    def take(self, other: "Stalls") -> None:
        """Take what was noted elsewhere along."""
        self.decided += other.decided
        self.written += other.written


@contextmanager
def noted(disk: Disk = _DISKS["this disk"]) -> Generator[Stalls]:
    """Note how commits of this thread's loop stop it."""
    stalls = Stalls()
    append, decide, loop = Wal.append, batch.decide, threading.get_ident()

    def appended(log: Wal, frame: Frame) -> None:
        began = time.perf_counter()
        time.sleep(disk(len(stalls.written) + 1))  # as a disk would: this thread stops
        append(log, frame)
        is_loop = threading.get_ident() == loop
        stalls.written.append(_since(began) if is_loop else 0.0)

    def decided(*args: Any, **options: Any) -> Any:
        began = time.perf_counter()
        batch = decide(*args, **options)
        stalls.decided.append(_since(began))
        return batch

    with (
        mock.patch.object(Wal, "append", appended),
        mock.patch.object(writer, "decide", decided),
    ):
        yield stalls


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1_000


def measure(scratch: Path, rounds: int) -> list[Row]:
    """Measure each disk in turn."""
    found: dict[str, list[Stalls]] = {name: [] for name in _DISKS}
    for _ in range(rounds):
        for name, disk in _DISKS.items():
            with noted(disk) as stalls:
                trio.run(_run, scratch)
            found[name].append(stalls)
    return [_row(name, stalls) for name, stalls in found.items()]


def _row(name: str, rounds: list[Stalls]) -> Row:
    of_all = Stalls()
    for stalls in rounds:
        of_all.take(stalls)
    written, decided = sorted(of_all.written), sorted(of_all.decided)
    by_thread = written.count(0.0) / len(written)
    beside = (
        f"p50 {_at(written, 0.5):.2f}, max {written[-1]:.1f} of {len(written)} commits,"
        f" {by_thread:.0%} by the thread; deciding: p50 {_at(decided, 0.5):.2f},"
        f" p99 {_at(decided, 0.99):.1f}, max {decided[-1]:.1f}"
    )
    return Row(
        f"{name}: loop stopped by a write, p99",
        "ms",
        tuple(_at(sorted(stalls.written), 0.99) for stalls in rounds),
        must=5,
        aim=1,
        higher=False,
        beside=beside,
    )


def _at(ordered: list[float], share: float) -> float:
    return ordered[int(len(ordered) * share)]


async def _run(scratch: Path) -> None:
    folder = scratch / "stalls"
    shutil.rmtree(folder, ignore_errors=True)
    async with ironflow.open_engine(app, f"lmdb://{folder}") as engine:
        await seconds_of(engine, runs=_RUNS, steps=_STEPS, in_flight=_IN_FLIGHT)
