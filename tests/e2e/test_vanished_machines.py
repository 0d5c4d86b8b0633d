"""Machines that vanish, as by a power cut: over real networks, whose router drops all.

It waits for a kernel, in real time, and makes networks: only where `IRONFLOW_NETWORKS=1` and
root say that it may. What ironflow makes of a kernel's word is tested in virtual time.
"""

import os
import socket
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Final

import httpx
import pytest
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection

from ironflow import limits
from ironflow.sockets import KEEPALIVE
from ironflow.transport.http.messages import (
    Answer,
    Request,
    Response,
    WebSocket,
    WebSocketClosed,
    WebSocketUpgrade,
)
from ironflow.transport.http.server import HttpServer
from ironflow.worker.websocket_link import PATH, SUBPROTOCOL
from tests.e2e.distant import NEAR, Line, NotPossible, listener, open_line

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        os.environ.get("IRONFLOW_NETWORKS") != "1", reason="IRONFLOW_NETWORKS is not 1"
    ),
]

NOTICED_S: Final = 15  # by the kernel; by anything else it would take 30
PATIENCE_S: Final = 60  # until a test gives up
PIECE: Final = b"x" * 65_536


@pytest.fixture
def line() -> Iterator[Line]:
    """Return two machines and the line between them, where that can be had."""
    try:
        with open_line() as line:
            yield line
    except NotPossible as error:
        pytest.skip(f"no networks can be made here: {error}")


class Scene:
    """A handler whose requests wait until their clients are gone, and what became of them."""

    def __init__(self) -> None:
        self.begun: set[str] = set()
        self.ended: dict[str, tuple[float, bool]] = {}  # when, and whether vanished
        self._news = trio.lowlevel.ParkingLot()

    async def handle(self, request: Request) -> Answer:
        name = request.path
        self.begun.add(name)
        self._news.unpark_all()
        if name == PATH:
            return WebSocketUpgrade(self.listen, SUBPROTOCOL)
        if name == "/poll":
            await request.wait_gone()
            self.note(request)
            return Response(204)
        return Response(200, [], self.pieces(request))

    async def pieces(self, request: Request) -> AsyncIterator[bytes]:
        """Say nothing; or a word now and then; or as much as can be sent."""
        try:
            yield b"begin"
            while request.path != "/ticks":
                if request.path != "/flood":
                    await trio.sleep_forever()
                yield PIECE
            while True:
                await trio.sleep(0.3)
                yield b"tick"
        finally:
            self.note(request)

    async def listen(self, ws: WebSocket) -> None:
        try:
            await ws.receive()
        except WebSocketClosed:
            self.note(ws.request)
            raise

    def note(self, request: Request) -> None:
        self.ended[request.path] = trio.current_time(), request.is_vanished()
        self._news.unpark_all()

    async def until_begun(self, *names: str) -> None:
        while not self.begun.issuperset(names):
            await self._news.park()

    async def until_ended(self, *names: str) -> None:
        while not self.ended.keys() >= set(names):
            await self._news.park()


async def serving(nursery: trio.Nursery, line: Line, scene: Scene) -> tuple[str, int]:
    """Serve on the near machine; return where."""
    at = line.near(lambda: listener(NEAR))
    server = HttpServer(scene.handle)
    listening = trio.SocketListener(trio.socket.from_stdlib_socket(at))
    await nursery.start(server.serve, [listening])
    host, port = server.addresses[0]
    return host, port


def asked(address: tuple[str, int], path: str) -> socket.socket:
    """Return a client that has sent a request, and then only its kernel says anything."""
    found = socket.create_connection(address)
    found.sendall(f"GET {path} HTTP/1.1\r\nhost: test\r\n\r\n".encode())
    return found


def asked_by_http2(address: tuple[str, int], path: str) -> socket.socket:
    found = socket.create_connection(address)
    h2 = H2Connection(H2Configuration(client_side=True))
    h2.initiate_connection()
    head = {":method": "GET", ":scheme": "http", ":authority": "test", ":path": path}
    h2.send_headers(1, list(head.items()), end_stream=True)
    found.sendall(h2.data_to_send())
    return found


def opened(address: tuple[str, int]) -> socket.socket:
    found = socket.create_connection(address)
    found.sendall(
        f"GET {PATH} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\n"
        "upgrade: websocket\r\nsec-websocket-version: 13\r\n"
        f"sec-websocket-key: {'A' * 22}==\r\n\r\n".encode()
    )
    return found


async def test_a_cut_line_is_noticed_at_both_ends(
    line: Line, nursery: trio.Nursery
) -> None:
    """Whatever is waited for, and whether something was under way; who is there, stays."""
    scene = Scene()
    address = await serving(nursery, line, scene)
    vanishing = ["/poll", "/stream", "/ticks", "/stream2", PATH]
    clients = [line.far(partial(asked, address, each)) for each in vanishing[:3]]
    clients += [
        line.far(partial(asked_by_http2, address, "/stream2")),
        line.far(partial(opened, address)),
        line.near(partial(asked, address, "/flood")),  # it never reads
        line.near(partial(asked, address, "/stay")),
    ]
    far_client = [0.0]

    async def ask() -> None:
        await trio.to_thread.run_sync(line.far, partial(ask_in_vain, address))
        far_client[0] = trio.current_time()

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as inner:
            inner.start_soon(ask)
            await scene.until_begun(*vanishing, "/flood", "/stay", "/patient")
            await trio.sleep(limits.SOCKET_IDLE_US_MAX / 1_000_000)  # all is quiet
            line.cut()
            began = trio.current_time()
            await scene.until_ended(*vanishing, "/patient")

    took = {name: at - began for name, (at, _) in scene.ended.items()}
    took["the client"] = far_client[0] - began
    assert took.keys() == {*vanishing, "/patient", "the client"}
    assert max(took.values()) < NOTICED_S, took
    assert {vanished for _, vanished in scene.ended.values()} == {True}
    for each in clients:
        each.close()
    nursery.cancel_scope.cancel()


def ask_in_vain(address: tuple[str, int]) -> None:
    """Wait for an answer, with more patience than the kernel has."""
    with (
        httpx.HTTPTransport(socket_options=KEEPALIVE) as transport,
        httpx.Client(transport=transport, timeout=PATIENCE_S) as client,
        pytest.raises(httpx.TransportError),
    ):
        client.get("http://{}:{}/patient".format(*address))
