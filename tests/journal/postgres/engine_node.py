"""An engine of its own process, whose steps leave a line in a file.

python -m tests.journal.postgres.engine_node URL FILE
"""

import os
import sys
from pathlib import Path
from typing import Any

import trio

import ironflow

STEPS = 6


def app(file: Path) -> ironflow.App:
    """Return an app whose steps write which of them ran, and where."""

    async def work(run: int, step: int) -> int:
        await trio.sleep(0.02)
        with file.open("a") as lines:
            lines.write(f"{run} {step} {os.getpid()}\n")
        return step

    @ironflow.function(id="job", triggers=["go"])
    async def job(ctx: ironflow.Context[Any]) -> int:
        total = 0
        for step in range(STEPS):
            total += await ctx.step.run("work", work, ctx.event.data, step)
            if step == 2:
                await ctx.step.sleep("nap", "50ms")
        return total

    return ironflow.App(functions=[job])


async def main(url: str, file: Path) -> None:
    async with ironflow.open_engine(app(file), url):
        print("ready", flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], Path(sys.argv[2]))
