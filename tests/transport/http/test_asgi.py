"""A handler under the servers of others: here, under httpx's and by hand, on both loops."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from ironflow.transport.http.asgi import Message, asgi
from ironflow.transport.http.messages import (
    Answer,
    HttpError,
    Request,
    Response,
    WebSocket,
    WebSocketUpgrade,
)
from tests.transport.http.peers import echo

Run = Callable[[Callable[[], Awaitable[None]]], None]


def on_trio(main: Callable[[], Awaitable[None]]) -> None:
    trio.run(main)


def on_asyncio(main: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await main()

    asyncio.run(run())


loops = pytest.mark.parametrize("run", [on_trio, on_asyncio])


@loops
def test_an_asgi_server_carries_requests(run: Run) -> None:
    async def main() -> None:
        transport = httpx.ASGITransport(asgi(echo))
        async with httpx.AsyncClient(transport=transport) as client:
            answer = await client.post("http://test/a%2Fb?c", content=b"hi")
            head = await client.head("http://test/a")
        assert answer.text == "POST /a%2Fb hi"
        assert answer.headers["content-length"] == "14"
        assert head.content == b""

    run(main)


@loops
def test_a_response_in_pieces_is_sent_as_it_comes(run: Run) -> None:
    async def handler(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            async for piece in request.stream():
                yield piece.upper()

        return Response(200, body=body())

    async def main() -> None:
        sent, _ = await drive(
            handler,
            http(),
            {"type": "http.request", "body": b"a", "more_body": True},
            {"type": "http.request", "body": b"b"},
        )
        assert [each.get("body") for each in sent[1:]] == [b"A", b"B", None]

    run(main)


def http(**more: object) -> Message:
    scope: Message = {
        "type": "http",
        "method": "POST",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"",
        "headers": [],
    }
    return {**scope, **more}


async def drive(
    handler: Callable[[Request], Awaitable[Answer]],
    scope: Message,
    *messages: Message,
) -> tuple[list[Message], int]:
    """Give an application messages, and return what it sends; then its client is gone."""
    waiting = [*messages]
    sent: list[Message] = []

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        if scope["type"] == "http":
            return {"type": "http.disconnect"}
        return {"type": "websocket.disconnect", "code": 1001}

    async def send(message: Message) -> None:
        sent.append(message)

    await asgi(handler)(scope, receive, send)
    return sent, len(waiting)


async def test_a_mounted_application_does_not_see_its_mount() -> None:
    request = {"type": "http.request"}
    for root, path in [("", "/a%20b"), ("/a", "/a%20b"), ("/a b", "/")]:
        sent, _ = await drive(echo, http(root_path=root), request)
        assert sent[1]["body"] == f"POST {path}".encode()
    sent, _ = await drive(echo, http(root_path="/m", raw_path=b"/m/x?y"), request)
    assert sent[1]["body"] == b"POST /x"
    sent, _ = await drive(echo, http(raw_path=None), request)
    assert sent[1]["body"] == b"POST /a%20b"


async def test_a_client_that_goes_closes_its_response() -> None:
    closed: list[bool] = []

    async def handler(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            try:
                yield b"one"
                await trio.sleep_forever()
            finally:
                closed.append(True)

        return Response(200, body=body())

    await drive(handler, http(), {"type": "http.request"})

    assert closed == [True]


async def test_a_handler_may_wait_for_its_client_to_go() -> None:
    async def handler(request: Request) -> Response:
        await request.wait_gone()
        assert request.is_gone()
        return Response(200)

    sent, _ = await drive(handler, http(), {"type": "http.request", "body": b"x"})

    assert sent[0]["status"] == 200


async def test_a_body_that_is_cut_off_is_499() -> None:
    sent, _ = await drive(echo, http(), {"type": "http.request", "more_body": True})

    assert sent[0]["status"] == 499


async def test_lifespan_is_acknowledged() -> None:
    sent, _ = await drive(
        echo,
        {"type": "lifespan"},
        {"type": "lifespan.startup"},
        {"type": "lifespan.shutdown"},
    )

    assert [each["type"] for each in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match="telnet"):
        await drive(echo, {"type": "telnet"})


async def shouting(request: Request) -> Answer:
    async def serve(socket: WebSocket) -> None:
        while True:
            await socket.send((await socket.receive()).upper())

    assert await request.read() == b""
    if request.path != "/ws":
        raise HttpError(404, "not_found", "no")
    return WebSocketUpgrade(serve, subprotocol="loud")


def websocket(path: str, **more: Any) -> Message:
    return {"type": "websocket", "path": path, "headers": [], **more}


async def test_a_web_socket_goes_both_ways() -> None:
    sent, _ = await drive(
        shouting,
        websocket("/ws"),
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "one"},
        {"type": "websocket.receive", "bytes": b"two", "text": None},
    )

    assert sent == [
        {"type": "websocket.accept", "subprotocol": "loud"},
        {"type": "websocket.send", "text": "ONE"},
        {"type": "websocket.send", "bytes": b"TWO"},
    ]


async def test_a_web_socket_is_refused_as_the_server_can() -> None:
    connect = {"type": "websocket.connect"}
    able = websocket("/other", extensions={"websocket.http.response": {}})
    plain, _ = await drive(shouting, websocket("/other"), connect)
    told, _ = await drive(shouting, able, connect)

    assert plain == [{"type": "websocket.close"}]
    assert told[0]["status"] == 404
    assert b"not_found" in told[1]["body"]


async def test_a_web_socket_whose_handler_fails_is_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(request: Request) -> Answer:
        async def serve(socket: WebSocket) -> None:
            raise ValueError("a secret")

        return WebSocketUpgrade(serve)

    sent, _ = await drive(handler, websocket("/ws"), {"type": "websocket.connect"})

    assert sent[-1] == {
        "type": "websocket.close",
        "code": 1011,
        "reason": "internal error",
    }
    assert "a secret" in caplog.text


async def test_a_server_that_cannot_send_ends_a_response() -> None:
    """Servers say so with an OSError."""

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        raise OSError

    await asgi(echo)(http(), receive, send)
    await wait_all_tasks_blocked()
