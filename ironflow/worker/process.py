"""A worker as a process: signals, and the connection over a WebSocket.

The first SIGTERM or SIGINT lets steps that run end and be recorded; the second ends the
process at once, which loses nothing that the server was told.
"""

import os
import signal
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final

import trio

from ironflow import limits
from ironflow.authoring.app import App
from ironflow.client.trust import trusted
from ironflow.engine.log import log
from ironflow.policy.duration import Duration
from ironflow.worker.puller import Worker, run_worker
from ironflow.worker.websocket_link import connect, socket_url

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_SHUTDOWN: Final = limits.SHUTDOWN_US_DEFAULT / 1_000_000


async def work(
    app: App,
    server: str,
    *,
    name: str,
    api_key: str = "",
    ca_file: str = "",
    credit: int = limits.WORKER_CREDIT_DEFAULT,
    shutdown: Duration = _SHUTDOWN,
    connected: Callable[[str], None] = lambda environment: None,
) -> None:
    """Carry runs of an app on for a server, until a signal ends it.

    `connected` is called with the server's environment each time there is a connection.
    `ca_file` has the certificates that are trusted, empty for those of the machine.

    Raises:
        ConfigurationError: the URL is wrong, the key is refused, it is no server, or there
            are no certificates in the file.
        ProtocolError: the server does not take this worker.
    """
    socket_url(server)  # what is wrong with it is said before anything begins
    tls = trusted(ca_file) if ca_file else None
    worker = Worker(
        app=app,
        dial=partial(connect, server, api_key=api_key, tls=tls),
        name=name,
        credit=credit,
        shutdown=shutdown,
    )
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(_watch_signals, stop)
        await run_worker(worker, stop, connected=connected)
        nursery.cancel_scope.cancel()


async def _watch_signals(
    stop: trio.Event, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        task_status.started()
        await _after(signals, stop)


async def _after(signals: AsyncIterator[int], stop: trio.Event) -> None:
    async for number in signals:
        if stop.is_set():
            log.warning("stopped by a second signal; what was under way is done again")
            # Threads of steps would hold up any other way out.
            os._exit(128 + number)
        log.info("stopping; a second signal stops at once")
        stop.set()
