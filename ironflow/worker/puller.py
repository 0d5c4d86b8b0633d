"""A worker from its start to its end: it connects, again and again, until it is to stop."""

import random
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, final

import trio

from ironflow import __version__, limits
from ironflow.authoring.app import App
from ironflow.engine.asyncio_loop import AsyncioLoop
from ironflow.engine.clock import Clock, SystemClock
from ironflow.engine.log import log
from ironflow.engine.open import run_engine
from ironflow.policy.duration import Duration
from ironflow.wire.link import Link, LinkClosed
from ironflow.worker.remote_journal import Identity, RemoteJournal
from ironflow.worker.server_clock import ServerClock

Dial = Callable[[], AbstractAsyncContextManager[Link]]
"""Connects to the server; raises LinkClosed if that is to be tried again."""

_FIRST_S: Final = 0.2
_MOST_S: Final = 15.0
_STEADY_S: Final = 10.0  # a connection that has held so long was a good one
_SHUTDOWN: Final = limits.SHUTDOWN_US_DEFAULT / 1_000_000


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What a worker is started with.

    `name` is what people read of it. `credit` is how many runs it carries on at once.
    `shutdown` (a duration) is how long steps get to end when it is to stop.
    """

    app: App
    dial: Dial
    name: str
    credit: int = limits.WORKER_CREDIT_DEFAULT
    shutdown: Duration = _SHUTDOWN


async def run_worker(
    worker: Worker,
    stop: trio.Event,
    *,
    connected: Callable[[str], None] = lambda environment: None,
    clock: Clock | None = None,
    asyncio_loop: AsyncioLoop | None = None,
) -> None:
    """Carry runs on for a server until `stop` is set, or the server asks for the end.

    `connected` is called with the server's environment each time there is a connection.
    When it is to stop, steps that run end and are recorded; then it says goodbye.

    Raises:
        ProtocolError: the server does not take this worker.
        ConfigurationError: it refuses the key, or is no server.
    """
    server_clock = ServerClock(clock or SystemClock())
    journal = RemoteJournal(
        Identity(worker.name, secrets.token_hex(8), f"ironflow-python {__version__}"),
        server_clock,
        credit=worker.credit,
    )
    async with trio.open_nursery() as nursery:
        async with run_engine(
            worker.app,
            journal,
            clock=server_clock,
            shutdown=worker.shutdown,
            asyncio_loop=asyncio_loop,
            keeps_house=False,
        ):
            nursery.start_soon(_keep_connected, worker.dial, journal, connected)
            nursery.start_soon(_pass_on, journal.drain_asked, stop)
            await stop.wait()
            await journal.drain()
        await journal.close()
        nursery.cancel_scope.cancel()


async def _pass_on(asked: trio.Event, stop: trio.Event) -> None:
    await asked.wait()
    log.info("the server asks this worker to leave")
    stop.set()


async def _keep_connected(
    dial: Dial, journal: RemoteJournal, connected: Callable[[str], None]
) -> None:
    """Be connected; after an end wait a while, longer each time that it is a bad one."""
    await journal.registered.wait()
    wait_s = _FIRST_S
    while True:
        began = trio.current_time()
        try:
            async with dial() as link:
                why = await journal.serve(link, connected)
        except LinkClosed as error:
            why = error.reason or str(error)
        if trio.current_time() - began >= _STEADY_S:
            wait_s = _FIRST_S
        pause = wait_s * random.uniform(0.5, 1.0)
        log.warning("not connected: %s; trying again in %.1f s", why, pause)
        await trio.sleep(pause)
        wait_s = min(2 * wait_s, _MOST_S)
