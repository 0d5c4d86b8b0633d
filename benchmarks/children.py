"""The programs that `processes` starts and kills."""

import json
import resource
import time
from pathlib import Path
from typing import Any, Final

import trio
import trio.testing

import ironflow
from benchmarks.functions import app, parked

_IN_FLIGHT = 1_000
_EMITTERS = 500

_begun: Final[list[int]] = []
_all_begun: Final = trio.Event()


async def held(number: int) -> None:
    """Count itself, then stay in flight until the process is killed."""
    _begun.append(number)
    if len(_begun) == _IN_FLIGHT:
        _all_begun.set()
    await trio.sleep_forever()


@ironflow.function(id="flight", triggers=["flight"])
async def flight(ctx: ironflow.Context[Any]) -> None:
    """Do two quick steps, then one that is in flight when the process is killed."""
    for number in range(2):
        await ctx.step.run("quick", quick, number)
    await ctx.step.run("held", held, 0)


async def quick(number: int) -> int:
    """Return at once."""
    return number


def main(name: str, folder: Path, arguments: list[str]) -> None:
    """Be the program of this name."""
    programs = {"park": _park, "open": _open, "flight": _flight}
    trio.run(programs[name], folder, arguments)


async def _park(folder: Path, arguments: list[str]) -> None:
    left = iter(range(int(arguments[0])))
    async with ironflow.open_engine(app, f"lmdb://{folder}") as engine:

        async def emit() -> None:
            for number in left:
                await engine.emit("parked", {"number": number})

        async with trio.open_nursery() as nursery:
            for _ in range(_EMITTERS):
                nursery.start_soon(emit)
        while await engine.list_runs(status="queued", limit=1):  # noqa: ASYNC110  a program waits for its own end
            await trio.sleep(0.1)
        while await engine.list_runs(status="running", limit=1):  # noqa: ASYNC110  as above
            await trio.sleep(0.1)


async def _open(folder: Path, arguments: list[str]) -> None:
    began = time.perf_counter()
    async with ironflow.open_engine(app, f"lmdb://{folder}"):
        await trio.testing.wait_all_tasks_blocked()
        took = (time.perf_counter() - began) * 1_000
        print(json.dumps({"open_ms": took, "rss": _resident()}), flush=True)


def _resident() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


async def _flight(folder: Path, arguments: list[str]) -> None:
    own = ironflow.App(functions=[flight, parked])
    async with ironflow.open_engine(own, f"lmdb://{folder}") as engine:
        for number in range(int(arguments[0])):
            await engine.emit("flight", {"number": number})
        await _all_begun.wait()
        print(json.dumps({"begun": len(_begun)}), flush=True)
        await trio.sleep_forever()
