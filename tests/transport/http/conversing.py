"""A client that sends any bytes, and a server that does something with what it reads."""

from collections.abc import AsyncIterator

import trio

from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.messages import (
    Answer,
    Request,
    Response,
    WebSocket,
    WebSocketUpgrade,
)
from tests.transport.http.peers import served

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
BOUNDS = Bounds(header_bytes_max=2_000, streams_max=3, controls_max=20, resets_max=5)
ENDS = ("waits", "half", "goes")


async def handler(request: Request) -> Answer:
    """Do something with a body, a response or a WebSocket."""

    async def echoing(socket: WebSocket) -> None:
        while True:
            await socket.send(await socket.receive())

    async def streaming() -> AsyncIterator[bytes]:
        async for piece in request.stream():
            yield piece

    if request.path == "/ws":
        return WebSocketUpgrade(echoing, message_bytes_max=1_000)
    if request.path == "/stream":
        return Response(200, body=streaming())
    return Response(200, body=await request.read(limit=1_000))


async def talk(data: bytes, cut: int, end: str) -> None:
    """Send it in pieces, then wait, or say that no more comes, or leave."""
    async with served(handler, bounds=BOUNDS) as peer:
        try:
            for at in range(0, len(data), cut):
                await peer.send(data[at : at + cut])
                await trio.testing.wait_all_tasks_blocked()
            if end == "half":
                assert isinstance(peer.stream, trio.abc.HalfCloseableStream)
                await peer.stream.send_eof()
        except trio.BrokenResourceError:  # it has ended the connection
            pass
        if end == "goes":
            await peer.stream.aclose()
            return
        # A body that is streamed has no end in time; all else has.
        with trio.move_on_after(200):
            await peer.rest()
