"""Small programs that are interrupted: `python -m tests.e2e.signalled HOW DIRECTORY`."""

import signal
import sys
import threading
from typing import Any

import trio

import ironflow
from ironflow import App, Context


def slow() -> str:
    """Say that it has begun; it cannot be stopped."""
    say("begun")
    threading.Event().wait(0.2)
    return "done"


@ironflow.function(triggers=["go"])
async def flow(ctx: Context[Any]) -> str:
    return await ctx.step.run("slow", slow)


APP = App(functions=[flow])


def say(word: str) -> None:
    """Tell the test, whole and at once."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def on_ctrl_c(url: str) -> None:
    """What most programs do: nothing about signals at all."""
    async with ironflow.open_engine(APP, url) as engine:
        await engine.emit("go")
        await trio.sleep_forever()


async def on_sigterm(url: str) -> None:
    """As the docs of Trio show it."""
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with ironflow.open_engine(APP, url) as engine:
            await engine.emit("go")
            await anext(signals)
        say("closed")


async def acknowledge(url: str) -> None:
    """Say an event id as soon as it is acknowledged."""
    async with ironflow.open_engine(App(functions=[]), url) as engine:
        receipt = await engine.emit("order.placed", {"id": 1}, idempotency_key="1")
        say(receipt.event_id)
        await trio.sleep_forever()


def forget(url: str) -> None:
    """Start an engine in a thread and never close it."""
    engine = ironflow.start(APP, url).__enter__()
    engine.emit("go")
    say("leaving")


def interrupted_in_a_thread(url: str) -> None:
    """Ctrl-C while the main thread waits for the engine's."""
    with ironflow.start(APP, url) as engine:
        engine.emit_sync("go", timeout=None)


def main(how: str, directory: str) -> None:
    """Run one of them."""
    url = f"lmdb://{directory}"
    match how:
        case "on_ctrl_c":
            trio.run(on_ctrl_c, url)
        case "on_sigterm":
            trio.run(on_sigterm, url)
        case "acknowledge":
            trio.run(acknowledge, url)
        case "forget":
            forget(url)
        case _:
            interrupted_in_a_thread(url)


if __name__ == "__main__":
    main(*sys.argv[1:])
