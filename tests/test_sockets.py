"""What is asked of the kernel about sockets, and everything that connects to somewhere.

What becomes of it: tests/transport/http/test_vanished.py and, over a network that is cut,
tests/e2e/test_vanished_machines.py.
"""

import socket
from typing import Any

import pytest
import trio

from ironflow import Retry, sockets
from ironflow.client.asynchronous.connection import AsyncConnection
from ironflow.client.settings import has_proxies, settings
from ironflow.policy.reach import ANYWHERE
from ironflow.transport.http.messages import (
    Answer,
    Request,
    WebSocket,
    WebSocketUpgrade,
)
from ironflow.transport.http.server import HttpServer
from ironflow.transport.push_dial import Dialing
from ironflow.worker.websocket_link import SUBPROTOCOL, connect
from tests.transport.http.peers import assert_is_kept_alive, echo

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def _info(*, retransmits: int = 0, probes: int = 0, unheard_s: float = 0) -> bytes:
    return bytes([1, 0, retransmits, probes, *[0] * 52]) + int(
        unheard_s * 1_000
    ).to_bytes(4, "little")


class _Told:
    def __init__(self, info: bytes) -> None:
        self._info = info

    def getsockopt(self, level: int, option: int, buffersize: int, /) -> bytes:
        assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_INFO)
        return self._info[:buffersize]


@pytest.mark.parametrize(
    ("info", "unanswered"),
    [
        (_info(retransmits=4, unheard_s=5.2), True),
        (_info(retransmits=4, unheard_s=4.9), False),
        (_info(probes=2, unheard_s=7), True),
        (_info(probes=1, unheard_s=30), False),  # it does not read; just asked again
        (_info(unheard_s=70), False),  # nothing is under way
        (b"", False),
    ],
)
def test_who_acknowledges_nothing(*, info: bytes, unanswered: bool) -> None:
    assert sockets.is_unanswered(_Told(info)) is unanswered


def inside(owner: object, name: str) -> Any:
    """Return what only its owner uses: a socket is nobody else's business."""
    return vars(owner)[name]


async def started(nursery: trio.Nursery, *, upgrades: bool = False) -> HttpServer:
    async def serve(ws: WebSocket) -> None:
        await ws.receive()

    async def upgrade(request: Request) -> Answer:
        return WebSocketUpgrade(serve, SUBPROTOCOL)

    server = HttpServer(upgrade if upgrades else echo)
    await nursery.start(
        server.serve, await trio.open_tcp_listeners(0, host="127.0.0.1")
    )
    return server


def url_of(server: HttpServer) -> str:
    host, port = server.addresses[0]
    return f"http://{host}:{port}"


async def test_a_client_has_its_connections_looked_after(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    url = url_of(await started(nursery))
    given = settings(url, None, None)
    connection = AsyncConnection(given, timeout=10, retry=Retry(), transport=None)

    async with inside(connection, "_http").stream("GET", url) as answer:
        stream = answer.extensions["network_stream"]
        assert_is_kept_alive(stream.get_extra_info("socket"))
    await connection.aclose()
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("name", PROXIES[:3])
def test_a_proxy_is_httpx_own_affair(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transport of ours would pass it by."""
    monkeypatch.setenv(name, "http://proxy.test:3128")
    assert has_proxies()
    given = settings("http://server.test", None, None)
    connection = AsyncConnection(given, timeout=10, retry=Retry(), transport=None)
    mounted = inside(inside(connection, "_http"), "_mounts")
    assert any(each is not None for each in mounted.values())


async def test_a_worker_has_its_connection_looked_after(nursery: trio.Nursery) -> None:
    server = await started(nursery, upgrades=True)
    async with connect(url_of(server)) as link:
        assert_is_kept_alive(inside(link, "_stream"))
    nursery.cancel_scope.cancel()


async def test_a_call_of_an_endpoint_is_looked_after(nursery: trio.Nursery) -> None:
    server = await started(nursery)
    dialer = inside(Dialing(ANYWHERE), "_dialer")
    stream = await dialer.connect_tcp(*server.addresses[0])
    assert_is_kept_alive(stream.get_extra_info("socket"))
    await stream.aclose()
    nursery.cancel_scope.cancel()
