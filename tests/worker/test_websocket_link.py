"""A worker's WebSocket, against the server's own."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio

from ironflow.errors import ConfigurationError
from ironflow.transport.http.messages import (
    Answer,
    HttpError,
    Request,
    Response,
    WebSocket,
    WebSocketUpgrade,
)
from ironflow.transport.http.server import HttpServer
from ironflow.wire.link import LinkClosed
from ironflow.worker.websocket_link import PATH, connect, socket_url


async def echo(request: Request) -> Answer:
    """Echo messages; `bye` closes. A key that is wrong is refused."""
    if request.path != PATH:
        return Response(404)
    if request.headers.get("authorization") != "Bearer secret":
        raise HttpError(401, "unauthenticated", "no")

    async def serve(socket: WebSocket) -> None:
        while (message := await socket.receive()) != b"bye":
            await socket.send(message)
        await socket.close(1001, "going")

    return WebSocketUpgrade(serve, "ironflow.2", message_bytes_max=2**21)


@asynccontextmanager
async def serving() -> AsyncGenerator[str]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        server = HttpServer(echo)
        await nursery.start(server.serve, listeners)
        yield f"http://127.0.0.1:{server.addresses[0][1]}"
        nursery.cancel_scope.cancel()


async def test_messages_go_and_come_whole() -> None:
    large = bytes(range(256)) * 4096
    async with serving() as url, connect(url, api_key="secret") as link:
        await link.send(b"one")
        await link.send(large)

        assert await link.receive() == b"one"
        assert await link.receive() == large


async def test_the_end_of_the_other_is_told() -> None:
    async with serving() as url, connect(url, api_key="secret") as link:
        await link.send(b"bye")
        with pytest.raises(LinkClosed) as caught:
            await link.receive()
        with pytest.raises(LinkClosed):
            await link.send(b"late")

    assert (caught.value.code, caught.value.reason) == (1001, "going")


async def test_a_connection_that_breaks_is_closed_without_a_word() -> None:
    async with serving() as url, connect(url, api_key="secret") as link:
        await link.give_up()
        with pytest.raises(LinkClosed) as caught:
            await link.receive()

    assert caught.value.code == 1006


async def test_a_wrong_key_is_for_somebody_to_correct() -> None:
    async with serving() as url:
        with pytest.raises(ConfigurationError, match="refuses the key of this worker"):
            async with connect(url, api_key="wrong"):
                pytest.fail("it was let in")


async def test_a_path_that_is_not_there_says_what_it_may_be() -> None:
    async with serving() as url:
        with pytest.raises(ConfigurationError, match="it is no server of ironflow"):
            async with connect(url + "/elsewhere", api_key="secret"):
                pytest.fail("it was let in")


async def test_nobody_there_is_a_reason_to_try_again() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    with pytest.raises(LinkClosed, match="cannot be reached"):
        async with connect(f"http://127.0.0.1:{port}"):
            pytest.fail("somebody was there")


async def test_a_server_without_tls_is_tried_again() -> None:
    async with serving() as url:
        with pytest.raises((LinkClosed, ssl.SSLError)):
            async with connect(url.replace("http", "https"), api_key="secret"):
                pytest.fail("it was let in")


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("http://a:1", "ws://a:1" + PATH),
        ("https://a/x/", "wss://a/x" + PATH),
        ("wss://a", "wss://a" + PATH),
    ],
)
def test_where_a_worker_connects(server: str, url: str) -> None:
    assert socket_url(server) == url


@pytest.mark.parametrize("server", ["", "a:9123", "ftp://a", "http://"])
def test_what_is_no_url_is_said(server: str) -> None:
    with pytest.raises(ConfigurationError, match="no URL of a server"):
        socket_url(server)
