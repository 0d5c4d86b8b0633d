"""1,000 runs of 10 steps with 100 in flight: against raw LMDB in groups of 100."""

import shutil
from pathlib import Path

import trio

import ironflow
from benchmarks import raw
from benchmarks.flight import seconds_of
from benchmarks.functions import app
from benchmarks.rows import Row
from ironflow import codec

_RUNS = 1_000
_STEPS = 10
_IN_FLIGHT = 100


def measure(scratch: Path, rounds: int) -> list[Row]:
    """Measure both in turn."""
    ours: list[float] = []
    limits: list[float] = []
    for _ in range(rounds):
        took, record = trio.run(_run, scratch)
        ours.append(_RUNS * _STEPS / took)
        transactions = raw.grouped([record] * (_RUNS * _STEPS), _IN_FLIGHT)
        limits.append(_RUNS * _STEPS / raw.seconds(scratch, transactions))
    beside = f"raw LMDB, groups of 100: {sorted(limits)[rounds // 2]:,.0f} puts/s"
    return [
        Row(
            "1,000 runs x 10 steps, 100 in flight",
            "steps/s",
            tuple(ours),
            must=15_000,
            aim=50_000,
            higher=True,
            beside=beside,
        )
    ]


async def _run(scratch: Path) -> tuple[float, bytes]:
    folder = scratch / "concurrent"
    shutil.rmtree(folder, ignore_errors=True)
    async with ironflow.open_engine(app, f"lmdb://{folder}") as engine:
        [first] = await engine.emit_sync("steps", {"count": _STEPS})
        took = await seconds_of(engine, runs=_RUNS, steps=_STEPS, in_flight=_IN_FLIGHT)
        history = await engine.history(first.id)
    return took, codec.encode(history[1])
