"""Runs that a worker in another process carries on, over a WebSocket to this one.

`python -m benchmarks.pull URL` is that worker.
"""

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

import ironflow
from benchmarks.flight import seconds_of
from benchmarks.functions import app
from benchmarks.rows import Row
from ironflow.engine.clock import SystemClock
from ironflow.engine.open import run_engine
from ironflow.journal.url import open_journal
from ironflow.transport.http.server import HttpServer
from ironflow.transport.server import open_handler
from ironflow.worker.process import work

_RUNS = 1_000
_STEPS = 10
_IN_FLIGHT = 100
_TIMES = 200


def measure(scratch: Path, rounds: int) -> list[Row]:
    """Measure a step and a run through a worker."""
    rates: list[float] = []
    medians: list[float] = []
    for _ in range(rounds):
        rate, median = trio.run(_run, scratch)
        rates.append(rate)
        medians.append(median)
    return [
        Row(
            "pulled: 1,000 runs x 10 steps, 100 in flight",
            "steps/s",
            tuple(rates),
            must=5_000,
            aim=10_000,
            higher=True,
        ),
        Row(
            "pulled: hello world p50",
            "ms",
            tuple(medians),
            must=6.0,
            aim=3.0,
            higher=False,
        ),
    ]


async def _run(scratch: Path) -> tuple[float, float]:
    folder = scratch / "pull"
    shutil.rmtree(folder, ignore_errors=True)
    async with _served(f"lmdb://{folder}") as engine:
        await engine.emit_sync("steps", {"count": _STEPS})
        took = await seconds_of(engine, runs=_RUNS, steps=_STEPS, in_flight=_IN_FLIGHT)
        times: list[float] = []
        for _ in range(_TIMES):
            began = time.perf_counter()
            [run] = await engine.emit_sync("hello", {"name": "you"})
            times.append((time.perf_counter() - began) * 1_000)
            assert run.status == "completed"
    return _RUNS * _STEPS / took, statistics.median(times)


@asynccontextmanager
async def _served(url: str) -> AsyncGenerator[ironflow.Engine]:
    """Serve a journal, with a worker in a process of its own."""
    clock = SystemClock()
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with (
        open_journal(url) as journal,
        run_engine(ironflow.App(functions=[]), journal, clock=clock) as engine,
        open_handler(engine, journal, clock) as (handler, _),
        trio.open_nursery() as nursery,
    ):
        server = HttpServer(handler)
        await nursery.start(server.serve, listeners)
        address = f"http://127.0.0.1:{server.addresses[0][1]}"
        process = _start(address)
        assert process.stdout is not None
        await trio.to_thread.run_sync(process.stdout.readline)  # it is connected
        try:
            yield engine
        finally:
            process.terminate()
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(process.wait)
        nursery.cancel_scope.cancel()


def _start(address: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "benchmarks.pull", address]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


async def _work(server: str) -> None:
    await work(
        app,
        server,
        name="benchmark",
        connected=lambda environment: print(environment, flush=True),
    )


if __name__ == "__main__":
    trio.run(_work, sys.argv[1])
