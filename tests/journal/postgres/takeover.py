"""How soon runs go on elsewhere when their process is killed, with the leases of users.

    python -m tests.journal.postgres.takeover             prints {run: seconds}
    python -m tests.journal.postgres.takeover hold URL    holds runs until it is killed

It has a server of its own, because other tests stop theirs.
"""

import json
import signal
import subprocess
import sys
import time
from typing import Any

import trio

import ironflow
from tests.journal.postgres.server import Server

RUNS = 20


def app(step: Any) -> ironflow.App:
    """Return an app with one function of one step."""

    @ironflow.function(id="job", triggers=["go"])
    async def job(ctx: ironflow.Context[Any]) -> None:
        await ctx.step.run("work", step, ctx.event.data)

    return ironflow.App(functions=[job])


async def hold(url: str) -> None:
    """Carry on whatever there is, and never end a step."""

    async def work(number: int) -> None:
        print(number, flush=True)
        await trio.sleep_forever()

    async with ironflow.open_engine(app(work), url):
        print("ready", flush=True)
        await trio.sleep_forever()


async def measure(url: str, holder: "subprocess.Popen[bytes]") -> dict[int, float]:
    """Kill an engine that holds runs; return when each began again, in seconds."""
    begun: dict[int, float] = {}

    async def work(number: int) -> None:
        begun[number] = time.monotonic()

    await lines_of(holder, 1)
    async with ironflow.open_engine(ironflow.App(functions=[]), url) as nobody:
        receipts = [await nobody.emit("go", number) for number in range(RUNS)]
    await lines_of(holder, RUNS)  # each has begun its step there
    async with ironflow.open_engine(app(work), url) as engine:
        holder.kill()
        killed = time.monotonic()
        for receipt in receipts:
            await engine.result(receipt.run_ids[0], timeout="60s")
    return {number: began - killed for number, began in begun.items()}


async def lines_of(process: "subprocess.Popen[bytes]", count: int) -> None:
    """Return when a process has written so many lines."""
    assert process.stdout is not None
    for _ in range(count):
        await trio.to_thread.run_sync(process.stdout.readline)


def main() -> None:
    if len(sys.argv) > 1:
        trio.run(hold, sys.argv[2])
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("it was ended"))
    server = Server()
    url = server.url("takeover")
    command = [sys.executable, "-m", "tests.journal.postgres.takeover", "hold", url]
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
            try:
                print(json.dumps(trio.run(measure, url, holder)))
            finally:
                holder.kill()
    finally:
        server.remove()


if __name__ == "__main__":
    main()
