"""A server from its start to its end: journal, engine, port, signals, drain.

The first SIGTERM or SIGINT lets what is under way end in order; the second ends the process
at once, which loses nothing that anybody was told. SIGHUP has the certificate read again.
"""

import errno
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, final

import trio

from ironflow import limits
from ironflow.authoring.app import App
from ironflow.engine.clock import SystemClock
from ironflow.engine.log import log
from ironflow.engine.open import run_engine, tracing_of
from ironflow.errors import ConfigurationError
from ironflow.journal.url import open_journal
from ironflow.policy.duration import Duration
from ironflow.policy.reach import ANYWHERE, Reach
from ironflow.transport import auth
from ironflow.transport.context import Context
from ironflow.transport.http.messages import Handler
from ironflow.transport.http.server import HttpServer
from ironflow.transport.server import open_handler
from ironflow.transport.tls import ServerTls

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_SECOND_US: Final = 1_000_000
STOPPING: Final = "the server is stopping"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What a server is started with.

    `url` is that of the journal. `is_dev`: no keys are asked for. Requests to
    endpoints are signed with `signing_key`, if there is one, and sent within `reach`. `retention`, `pack_after`
    and `tracing` are those of `open_engine`.
    """

    app: App
    url: str
    host: str = "127.0.0.1"
    port: int = 9123
    environment: str = "default"
    is_dev: bool = False
    tls: ServerTls | None = None
    signing_key: str = ""
    reach: Reach = ANYWHERE
    retention: Duration | None = None
    pack_after: Duration | None = None
    tracing: bool = False


async def serve(serving: Serving, *, ready: Callable[[str, str | None], None]) -> None:
    """Serve until a signal ends it; `ready` is called with the URL when it listens.

    It is also called with the text of a key for an administrator, if one was made because
    the journal had no key at all.

    Raises:
        ConfigurationError: the port cannot be had, or an option is wrong.
        JournalError: the journal cannot be opened, or failed; the message says why.
    """
    # First of all: who starts it twice is told so before anything is opened.
    listeners = await _listeners(serving.host, serving.port)
    async with trio.open_nursery() as nursery:
        stop = trio.Event()
        await nursery.start(_watch_signals, stop)
        async with _opened(serving) as (handler, context):
            tls = None if serving.tls is None else serving.tls.context
            server = HttpServer(_traced(handler, serving), tls=tls)
            if serving.tls is not None:
                await nursery.start(_watch_hangups, serving.tls)
            async with trio.open_nursery() as serving_nursery:
                await serving_nursery.start(server.serve, listeners)
                keys = context.operations.keys
                first_key = None if serving.is_dev else await keys.first()
                ready(_url(serving, listeners), first_key)
                await stop.wait()
                context.operations.issues.add(STOPPING)
                context.stopping.set()
                await server.drain(limits.SHUTDOWN_US_DEFAULT / _SECOND_US)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _opened(serving: Serving) -> AsyncGenerator[tuple[Handler, Context]]:
    clock = SystemClock()
    async with (
        open_journal(serving.url, environment=serving.environment) as journal,
        run_engine(
            serving.app,
            journal,
            clock=clock,
            retention=serving.retention,
            pack_after=serving.pack_after,
            hooks=tracing_of(journal) if serving.tracing else None,
        ) as engine,
        open_handler(
            engine,
            journal,
            clock,
            guard=None if serving.is_dev else auth.guard,
            is_dev=serving.is_dev,
            signing_key=serving.signing_key,
            reach=serving.reach,
        ) as opened,
    ):
        yield opened


def _traced(handler: Handler, serving: Serving) -> Handler:
    if not serving.tracing:
        return handler
    from ironflow.transport.tracing import traced  # noqa: PLC0415  an extra

    return traced(handler)


async def _listeners(host: str, port: int) -> Sequence[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise ConfigurationError(_why_not(host, port, error)) from error


def _why_not(host: str, port: int, error: OSError) -> str:
    place = f"port {port} of {host}"
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"{place} is in use, perhaps by another server; stop that, or choose"
                " another with --port"
            )
        case errno.EACCES:
            return f"{place} may not be used by this user; choose one above 1023"
        case errno.EADDRNOTAVAIL:
            return f"{host} is no address of this machine; correct --host"
        case _:
            return f"{place} cannot be listened at: {error}"


def _url(serving: Serving, listeners: Sequence[trio.SocketListener]) -> str:
    """Return the address as a client on this machine writes it."""
    scheme = "http" if serving.tls is None else "https"
    port = listeners[0].socket.getsockname()[1]
    host = f"[{serving.host}]" if ":" in serving.host else serving.host
    return f"{scheme}://{host}:{port}"


async def _watch_signals(
    stop: trio.Event, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        task_status.started()
        await _after(signals, stop)


async def _watch_hangups(
    tls: ServerTls, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Read the certificate again at each SIGHUP: whoever renews it sends that."""
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            try:
                tls.load()
            except ConfigurationError as error:
                log.error("the certificate of before is kept: %s", error)
            else:
                log.info("the certificate was read again")


async def _after(signals: AsyncIterator[int], stop: trio.Event) -> None:
    async for number in signals:
        if stop.is_set():
            log.warning("stopped by a second signal; what was under way is done again")
            # Threads of steps would hold up any other way out.
            os._exit(128 + number)
        log.info("stopping; a second signal stops at once")
        stop.set()
