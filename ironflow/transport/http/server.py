"""The server: it listens, counts connections, and ends them in good order."""

import logging
import resource
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import trio

from ironflow import limits
from ironflow.sockets import keep_alive
from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.connection import serve_connection
from ironflow.transport.http.link import GONE, SECOND_US
from ironflow.transport.http.messages import Handler
from ironflow.transport.http.service import Service

Address = tuple[str, int]

_LOGGER: Final = logging.getLogger("ironflow.transport")
_FULL_BODY: Final = (
    b'{"error":"there are too many connections","code":"unavailable",'
    b'"message":"there are too many connections","retryable":true}'
)
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
) % (len(_FULL_BODY), _FULL_BODY)


@final
@dataclass(frozen=True, slots=True)
class HttpStatistics:
    """What a server has and had: open connections, requests since its start."""

    connections: int
    requests: int


@final
class HttpServer:
    """A handler behind listeners: HTTP/1.1, HTTP/2 and WebSocket.

    HTTP/2 is spoken with clients that know it (prior knowledge) or ask for it by TLS, whose
    context is told so.
    `serve` runs until it is cancelled, which cuts everything off, or until `drain`.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        tls: ssl.SSLContext | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self._service = Service(handler, bounds or Bounds())
        self._tls = tls
        if tls is not None:
            tls.set_alpn_protocols(["h2", "http/1.1"])
        self._open = 0
        self._connections_max = _connections_max(self._service.bounds)
        self._accepting = trio.CancelScope()
        self._serving = trio.CancelScope()
        self._has_ended = trio.Event()
        self.addresses: list[Address] = []  # that are listened at

    def statistics(self) -> HttpStatistics:
        """Return how much there is and was to do."""
        return HttpStatistics(self._open, self._service.requests)

    async def serve(
        self,
        listeners: Sequence[trio.SocketListener],
        *,
        task_status: trio.TaskStatus["HttpServer"] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until drained or cancelled; once. The listeners are closed then.

        Started with the server itself, when it listens.
        """
        self.addresses = [each.socket.getsockname()[:2] for each in listeners]
        try:
            with self._serving:
                await self._serve(listeners, task_status)
        finally:
            self._has_ended.set()

    async def _serve(
        self,
        listeners: Sequence[trio.SocketListener],
        task_status: trio.TaskStatus["HttpServer"],
    ) -> None:
        async with trio.open_nursery() as sweeping:
            sweeping.start_soon(self._service.sweep)
            async with trio.open_nursery() as connections:
                task_status.started(self)
                with self._accepting:
                    await trio.serve_listeners(
                        self.serve_stream, [*listeners], handler_nursery=connections
                    )
            sweeping.cancel_scope.cancel()

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one client; whatever it does, the server goes on."""
        if self._service.is_draining:
            return
        if self._open >= self._connections_max:
            await self._turn_away(stream)
            return
        self._open += 1
        try:
            await serve_connection(
                self._service, stream, address=_address(stream), tls=self._tls
            )
        except Exception:
            _LOGGER.exception("a connection failed; this is a bug of the server")
        finally:
            self._open -= 1

    async def _turn_away(self, stream: trio.abc.Stream) -> None:
        if self._tls is not None:  # a handshake would cost what is not there
            return
        with trio.move_on_after(1):
            try:
                await stream.send_all(_FULL)
            except GONE:
                return

    async def drain(
        self, seconds: float = limits.HTTP_DRAIN_US_DEFAULT / SECOND_US
    ) -> None:
        """Stop: accept nothing, let requests in flight end, return when all has ended.

        Clients are told: by `connection: close`, GOAWAY, or 1001. What is not done after
        `seconds` is cut off. `serve` returns. Cancelled, it leaves the rest to `serve`.
        """
        self._accepting.cancel()
        self._service.drain()
        if not self.addresses:  # it does not serve, and now it will not
            return
        with trio.move_on_after(seconds):
            await self._has_ended.wait()
        self._serving.cancel()
        await self._has_ended.wait()


async def serve_http(
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    port: int,
    tls: ssl.SSLContext | None = None,
    bounds: Bounds | None = None,
    task_status: trio.TaskStatus[HttpServer] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a handler at a port (0: any); started with the server when it listens.

    Raises:
        OSError: the port cannot be had.
    """
    listeners = await trio.open_tcp_listeners(port, host=host)
    server = HttpServer(handler, tls=tls, bounds=bounds)
    await server.serve(listeners, task_status=task_status)


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the TLS of a server, from files in PEM: its chain and its private key.

    Raises:
        OSError: a file cannot be read, or is no such thing (`ssl.SSLError`).
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def _connections_max(bounds: Bounds) -> int:
    """Return how many connections may be open: a journal needs files, too."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return bounds.connections_max
    return min(bounds.connections_max, files // 2)


def _address(stream: trio.abc.Stream) -> str:
    """Return `host:port` of a client, or nothing; and have it noticed if it vanishes."""
    if not isinstance(stream, trio.SocketStream):
        return ""
    try:
        keep_alive(stream)
        host, port, *_ = stream.socket.getpeername()
    except OSError:  # gone already
        return ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
