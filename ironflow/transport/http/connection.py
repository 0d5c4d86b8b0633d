"""A new connection: TLS if there is any, then which protocol the client speaks."""

import math
import ssl
from typing import Final, final

import trio

from ironflow.transport.http.http1 import Http1Connection
from ironflow.transport.http.http2 import Http2Connection
from ironflow.transport.http.link import FRAMES_BYTES, GONE, SECOND_US, Link
from ironflow.transport.http.service import Peer, Service

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


async def serve_connection(
    service: Service,
    stream: trio.abc.Stream,
    *,
    address: str,
    tls: ssl.SSLContext | None,
) -> None:
    """Serve one client until its connection has ended; the stream is closed then."""
    if tls is not None:
        stream = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
    link = Link(stream, write_stall_us_max=service.bounds.write_stall_us_max)
    service.links.add(link)
    try:
        first = await _Arrival(service, link).first(stream)
        peer = Peer(address, "http" if tls is None else "https")
        if first.startswith(PREFACE):
            await Http2Connection(service, link, peer).run(first)
        elif first:
            await Http1Connection(service, link, peer).run(first)
        # A TLS client learns that nothing was cut off.
        with trio.move_on_after(service.bounds.linger_us_max / SECOND_US):
            await stream.aclose()
    except GONE:
        pass
    finally:
        service.links.discard(link)
        await link.abort()


@final
class _Arrival:
    """A connection of which nothing is known yet."""

    def __init__(self, service: Service, link: Link) -> None:
        self._service = service
        self._link = link
        self._scope = trio.CancelScope()
        self._until = math.inf

    async def first(self, stream: trio.abc.Stream) -> bytes:
        """Return enough bytes to tell the protocol; none if it has ended."""
        seconds = self._service.bounds.headers_us_max / SECOND_US
        self._until = trio.current_time() + seconds
        self._service.connections.add(self)
        try:
            with self._scope:
                return await self._read(stream)
        finally:
            self._service.connections.discard(self)
        return b""

    async def _read(self, stream: trio.abc.Stream) -> bytes:
        if isinstance(stream, trio.SSLStream):
            await stream.do_handshake()
        data = await self._link.receive(FRAMES_BYTES)
        while len(data) < len(PREFACE) and PREFACE.startswith(data) and data:
            more = await self._link.receive(FRAMES_BYTES)
            if not more:
                break
            data += more
        return data

    def tick(self, now: float) -> None:
        """End it if it says too little in too much time."""
        if now >= self._until:
            self._scope.cancel()

    def drain(self) -> None:
        """End it: it has asked for nothing."""
        self._scope.cancel()
