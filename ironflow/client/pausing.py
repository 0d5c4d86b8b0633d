"""Time, as both kinds of clients have it: a monotonic clock in seconds, and sleeping."""

import time

import anyio


async def async_sleep(seconds: float) -> None:
    """Let others run for so long, on Trio or on asyncio."""
    await anyio.sleep(seconds)


def async_now() -> float:
    """Return the time of the event loop."""
    return anyio.current_time()


def sleep(seconds: float) -> None:
    """Block the thread for so long."""
    time.sleep(seconds)  # noqa: TID251  a client of plain programs has no event loop


def now() -> float:
    """Return the time since some moment."""
    return time.monotonic()
