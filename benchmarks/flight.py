"""Runs of trivial steps, so many in flight: the load of several measurements."""

import time

import trio

import ironflow


async def seconds_of(
    engine: ironflow.Engine, *, runs: int, steps: int, in_flight: int
) -> float:
    """Emit what starts the runs, and return how long it takes until all have ended."""
    left = iter(range(runs))

    async def worker() -> None:
        for _ in left:
            [run] = await engine.emit_sync("steps", {"count": steps}, timeout=120)
            assert run.status == "completed"

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(in_flight):
            nursery.start_soon(worker)
    return time.perf_counter() - began
