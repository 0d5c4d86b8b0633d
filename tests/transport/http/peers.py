"""Servers to test, and clients that send what they want."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import trio
from trio.testing import memory_stream_pair

from ironflow import limits
from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.connection import serve_connection
from ironflow.transport.http.messages import Handler, Request, Response
from ironflow.transport.http.service import Service

HOST = b"host: test\r\n"
ASK = b"GET /%b HTTP/1.1\r\n" + HOST + b"\r\n"
INTERNAL = (
    b'{"error":"internal error","code":"internal","message":"internal error",'
    b'"retryable":false}'
)


async def echo(request: Request) -> Response:
    """Answer with what was asked."""
    body = await request.read()
    text = f"{request.method} {request.path} {body.decode('latin-1')}".strip()
    return Response(200, [("content-type", "text/plain")], text.encode("latin-1"))


class Asked(Protocol):
    """A socket, or a stream around one."""

    def getsockopt(self, level: int, option: int, /) -> int: ...


@dataclass
class Served:
    """A connection to a server in this process, without sockets."""

    service: Service
    stream: trio.abc.Stream

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def receive(self, until: bytes) -> bytes:
        """Return everything up to some bytes."""
        data = b""
        while until not in data:
            piece = await self.stream.receive_some()
            assert piece, f"ended before {until!r}: {data!r}"
            data += piece
        return data

    async def rest(self) -> bytes:
        """Return everything to the end of the connection."""
        data = b""
        while piece := await self.stream.receive_some():
            data += piece
        return data

    async def ask(self, data: bytes) -> bytes:
        """Send everything that this client ever sends, and return what comes."""
        await self.send(data)
        assert isinstance(self.stream, trio.abc.HalfCloseableStream)
        await self.stream.send_eof()
        return await self.rest()


@asynccontextmanager
async def served(
    handler: Handler = echo,
    *,
    bounds: Bounds | None = None,
    pair: tuple[trio.abc.Stream, trio.abc.Stream] | None = None,
) -> AsyncGenerator[Served]:
    """Serve one connection in memory; behind the block it must have ended."""
    service = Service(handler, bounds or Bounds())
    client, server = memory_stream_pair() if pair is None else pair
    async with trio.open_nursery() as outer:
        outer.start_soon(service.sweep)
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                await serve_connection(service, server, address="peer", tls=None)

            nursery.start_soon(serve)
            yield Served(service, client)
            with trio.fail_after(100):
                await client.aclose()
        outer.cancel_scope.cancel()
    assert service.connections == set()


def assert_is_kept_alive(stream: Asked) -> None:
    """The kernel looks after it: see `ironflow.sockets`."""
    found = {
        name: stream.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
    }
    assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    silence_s = found["TCP_KEEPIDLE"] + found["TCP_KEEPINTVL"] * found["TCP_KEEPCNT"]
    assert silence_s * 1_000_000 == limits.SOCKET_SILENCE_US_MAX
    # It would end a connection whose peer is there and reads nothing.
    assert not stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
