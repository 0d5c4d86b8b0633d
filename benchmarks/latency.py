"""Hello world with one async step, emit to result, one at a time."""

import shutil
import statistics
import time
from pathlib import Path

import trio

import ironflow
from benchmarks import raw
from benchmarks.functions import app
from benchmarks.rows import Row

_TIMES = 200


def measure(scratch: Path, rounds: int) -> list[Row]:
    """Measure the median above two raw commits of the same round."""
    above: list[float] = []
    medians: list[float] = []
    commits: list[float] = []
    for _ in range(rounds):
        median = trio.run(_run, scratch)
        transactions = raw.grouped([b"x" * 200] * _TIMES, 1)
        commit = raw.seconds(scratch, transactions) / _TIMES * 1_000
        medians.append(median)
        commits.append(commit)
        above.append(median - 2 * commit)
    beside = (
        f"p50 {sorted(medians)[rounds // 2]:.2f} ms, a raw commit"
        f" {sorted(commits)[rounds // 2]:.2f} ms"
    )
    return [
        Row(
            "hello world p50, above two raw commits",
            "ms",
            tuple(above),
            must=1.0,
            aim=0.3,
            higher=False,
            beside=beside,
        )
    ]


async def _run(scratch: Path) -> float:
    folder = scratch / "latency"
    shutil.rmtree(folder, ignore_errors=True)
    times: list[float] = []
    async with ironflow.open_engine(app, f"lmdb://{folder}") as engine:
        for _ in range(_TIMES):
            began = time.perf_counter()
            [run] = await engine.emit_sync("hello", {"name": "you"})
            times.append((time.perf_counter() - began) * 1_000)
            assert run.status == "completed"
    return statistics.median(times)
