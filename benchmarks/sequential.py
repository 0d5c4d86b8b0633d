"""One run of 1,000 steps, each durable before the next: against raw LMDB."""

import shutil
import time
from pathlib import Path

import trio

import ironflow
from benchmarks import raw
from benchmarks.functions import app
from benchmarks.rows import Row
from ironflow import codec

_STEPS = 1_000


def measure(scratch: Path, rounds: int) -> list[Row]:
    """Measure both in turn, and compare within each round."""
    ratios: list[float] = []
    ours: list[float] = []
    limits: list[float] = []
    for _ in range(rounds):
        took, records = trio.run(_run, scratch)
        limit = raw.seconds(scratch, raw.grouped(records, 1))
        ours.append(_STEPS / took)
        limits.append(len(records) / limit)
        ratios.append((_STEPS / took) / (len(records) / limit))
    beside = (
        f"{sorted(ours)[rounds // 2]:,.0f} steps/s against"
        f" {sorted(limits)[rounds // 2]:,.0f} raw commits/s"
    )
    return [
        Row(
            "1,000 sequential steps, share of raw LMDB",
            "ratio",
            tuple(ratios),
            must=0.5,
            aim=0.8,
            higher=True,
            beside=beside,
        )
    ]


async def _run(scratch: Path) -> tuple[float, list[bytes]]:
    folder = scratch / "sequential"
    shutil.rmtree(folder, ignore_errors=True)
    async with ironflow.open_engine(app, f"lmdb://{folder}") as engine:
        await engine.emit_sync("steps", {"count": 20})
        began = time.perf_counter()
        [run] = await engine.emit_sync("steps", {"count": _STEPS}, timeout=120)
        took = time.perf_counter() - began
        assert run.status == "completed"
        history = await engine.history(run.id)
    return took, [codec.encode(entry) for entry in history]
