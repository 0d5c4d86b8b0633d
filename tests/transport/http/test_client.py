"""A handler that is called in its own process."""

from collections.abc import AsyncIterator

import httpx
import pytest
import trio

from ironflow.transport.http.client import InProcess, in_process_websocket
from ironflow.transport.http.messages import (
    Answer,
    Handler,
    HttpError,
    Request,
    Response,
    WebSocket,
    WebSocketClosed,
    WebSocketUpgrade,
)
from tests.transport.http.peers import echo


def client_of(handler: Handler) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=InProcess(handler), base_url="http://test")


async def test_a_handler_sees_what_was_asked() -> None:
    seen: list[Request] = []

    async def handler(request: Request) -> Response:
        seen.append(request)
        return await echo(request)

    async with client_of(handler) as client:
        answer = await client.post("/a%2Fb?x=%201", content=b"hi", headers={"X-A": "1"})

    assert answer.text == "POST /a%2Fb hi"
    assert answer.headers["content-length"] == "14"
    assert (seen[0].path, seen[0].query) == ("/a%2Fb", "x=%201")
    assert seen[0].headers.get("x-a") == "1"
    assert seen[0].client == ""


async def test_what_a_handler_raises_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(request: Request) -> Response:
        if request.path == "/missing":
            raise HttpError(404, "not_found", "no", headers=[("x-a", "1")])
        raise ValueError("a secret")

    async with client_of(handler) as client:
        missing = await client.get("/missing")
        failed = await client.get("/failed")

    assert missing.status_code == 404
    assert missing.headers["x-a"] == "1"
    assert missing.json() == {
        "error": "no",
        "code": "not_found",
        "message": "no",
        "retryable": False,
    }
    assert (failed.status_code, "secret" in failed.text) == (500, False)
    assert "a secret" in caplog.text


async def test_head_has_no_body() -> None:
    async with client_of(echo) as client:
        answer = await client.head("/a")

    assert answer.headers["content-length"] == "7"
    assert answer.content == b""


async def test_both_bodies_stream() -> None:
    async def handler(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            async for piece in request.stream():
                yield piece.upper()

        return Response(200, body=body())

    async def sent() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    async with client_of(handler) as client:
        answer = await client.post("/", content=sent())

    assert answer.content == b"AB"


async def test_a_client_that_closes_is_gone() -> None:
    gone = trio.Event()

    async def handler(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            try:
                yield b"one"
                await request.wait_gone()
            finally:
                assert request.is_gone()
                gone.set()

        return Response(200, body=body())

    transport = InProcess(handler)
    answer = await transport.handle_async_request(httpx.Request("GET", "http://test/"))
    assert isinstance(answer.stream, httpx.AsyncByteStream)
    first = await anext(aiter(answer.stream))
    await answer.aclose()

    assert first == b"one"
    assert gone.is_set()


async def test_a_response_that_breaks_off_is_an_error_of_the_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"one"
            raise ValueError

        return Response(200, body=body())

    async with client_of(handler) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/")

    assert "broke off" in caplog.text


async def upper(socket: WebSocket) -> None:
    while True:
        message = await socket.receive()
        await socket.send(message.upper())


async def shouting(request: Request) -> Answer:
    if request.path != "/ws":
        raise HttpError(404, "not_found", "no")
    return WebSocketUpgrade(upper)


async def test_a_web_socket_goes_both_ways() -> None:
    async with in_process_websocket(shouting, "/ws") as socket:
        await socket.send("one")
        await socket.send(b"two")

        assert [await socket.receive(), await socket.receive()] == ["ONE", b"TWO"]
        assert socket.request.path == "/ws"


async def test_a_web_socket_may_be_refused() -> None:
    with pytest.raises(HttpError) as raised:
        async with in_process_websocket(shouting, "/other"):
            pass

    assert raised.value.status == 404


async def test_the_server_may_close_a_web_socket() -> None:
    async def serve(socket: WebSocket) -> None:
        await socket.send("last")
        await socket.close(4000, "enough")

    async def handler(request: Request) -> Answer:
        return WebSocketUpgrade(serve)

    async with in_process_websocket(handler, "/ws") as socket:
        assert await socket.receive() == "last"
        with pytest.raises(WebSocketClosed) as raised:
            await socket.receive()
        with pytest.raises(WebSocketClosed):
            await socket.send("more")

    assert (raised.value.code, raised.value.reason) == (4000, "enough")


async def test_a_web_socket_whose_handler_fails_is_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def serve(socket: WebSocket) -> None:
        raise ValueError("a secret")

    async def handler(request: Request) -> Answer:
        return WebSocketUpgrade(serve)

    async with in_process_websocket(handler, "/ws") as socket:
        with pytest.raises(WebSocketClosed) as raised:
            await socket.receive()

    assert raised.value.code == 1011
    assert "a secret" in caplog.text


async def test_a_web_socket_is_no_page() -> None:
    async with client_of(shouting) as client:
        assert (await client.get("/ws")).status_code == 426
