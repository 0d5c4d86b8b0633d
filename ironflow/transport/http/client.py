"""Calling a handler in its own process, without sockets: for tests and for embedding.

    async with httpx.AsyncClient(transport=InProcess(handler), base_url="http://test") as client:
        response = await client.post("/api/v1/events", json={...})

What the handler raises is answered as a server would answer it.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final, final

import httpx
import trio

from ironflow import limits
from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.head import BODYLESS
from ironflow.transport.http.messages import (
    Handler,
    Headers,
    HttpError,
    Request,
    Response,
    WebSocket,
    WebSocketClosed,
    WebSocketUpgrade,
)
from ironflow.transport.http.service import (
    BrokenBody,
    Service,
    close_body,
    error_response,
    next_piece,
)

_LOGGER: Final = logging.getLogger("ironflow.transport")
_CLOSE_SECONDS: Final = limits.HTTP_WEBSOCKET_CLOSE_US_MAX / 1_000_000


@final
class InProcess(httpx.AsyncBaseTransport):
    """A transport of httpx that calls a handler in the task of the client."""

    def __init__(self, handler: Handler) -> None:
        self._service = Service(handler, Bounds())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of httpx."""
        path, _, query = request.url.raw_path.decode("latin-1").partition("?")
        exchange = _Exchange(request.stream)
        asked = Request(
            request.method,
            path,
            query=query,
            headers=_headers(request),
            body=exchange,
            scheme=request.url.scheme,
        )
        answer = await self._service.call(asked)
        if isinstance(answer, WebSocketUpgrade):
            answer = error_response(
                HttpError(426, "invalid_argument", "this is a WebSocket")
            )
        is_bodyless = request.method == "HEAD" or answer.status in BODYLESS
        stream = _Body(asked, exchange, answer, is_bodyless=is_bodyless)
        return httpx.Response(answer.status, headers=_sent(answer), stream=stream)


def _headers(request: httpx.Request) -> Headers:
    return Headers(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in request.headers.raw
    )


def _sent(response: Response) -> list[tuple[str, str]]:
    headers = [(name.lower(), value) for name, value in response.headers]
    if isinstance(response.body, bytes) and "content-length" not in dict(headers):
        headers.append(("content-length", str(len(response.body))))
    return headers


@final
class _Exchange:
    """The body of a request of httpx."""

    def __init__(self, stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> None:
        assert isinstance(stream, httpx.AsyncByteStream)
        self._pieces = aiter(stream)
        self.gone = trio.Event()

    async def receive(self, *, is_timed: bool) -> bytes:
        async for piece in self._pieces:
            if piece:
                return piece
        return b""

    def is_gone(self) -> bool:
        return self.gone.is_set()

    async def wait_gone(self) -> None:
        await self.gone.wait()


@final
class _Body(httpx.AsyncByteStream):
    """The body of a response; when it is closed, the client is gone.

    No generator: Trio warns of one that a client leaves in the middle.
    """

    def __init__(
        self,
        request: Request,
        exchange: _Exchange,
        response: Response,
        *,
        is_bodyless: bool,
    ) -> None:
        self._request = request
        self._exchange = exchange
        self._body = response.body
        self._is_ended = is_bodyless

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        body = self._body
        if self._is_ended:
            raise StopAsyncIteration
        if isinstance(body, bytes):
            self._is_ended = True
            return body
        try:
            piece = await next_piece(self._request, body)
        except BrokenBody as error:
            raise httpx.RemoteProtocolError("the response broke off") from error
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        self._exchange.gone.set()
        await close_body(self._request, self._body)


@asynccontextmanager
async def in_process_websocket(
    handler: Handler,
    path: str,
    *,
    query: str = "",
    headers: Iterable[tuple[str, str]] = (),
) -> AsyncGenerator[WebSocket]:
    """Open a WebSocket of a handler, as its client; it is closed behind the block.

    Raises:
        HttpError: the handler answered with a response instead.
    """
    request = Request("GET", path, query=query, headers=Headers(headers))
    answer = await Service(handler, Bounds()).call(request)
    if not isinstance(answer, WebSocketUpgrade):
        body = answer.body.decode() if isinstance(answer.body, bytes) else ""
        raise HttpError(answer.status, "unknown", body)
    client, server = _pair(request)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_serve, answer, server)
        yield client
        await client.close()
        nursery.cancel_scope.deadline = trio.current_time() + _CLOSE_SECONDS


async def _serve(upgrade: WebSocketUpgrade, server: "_End") -> None:
    try:
        await upgrade.serve(server)
    except WebSocketClosed:
        pass
    except Exception:
        _LOGGER.exception("%s: the handler of a WebSocket failed", server.request)
        await server.close(1011, "internal error")
    await server.close()


def _pair(request: Request) -> tuple["_End", "_End"]:
    size = limits.HTTP_WEBSOCKET_UNREAD_MESSAGES_MAX
    to_server, from_client = trio.open_memory_channel[str | bytes](size)
    to_client, from_server = trio.open_memory_channel[str | bytes](size)
    closed: list[WebSocketClosed] = []
    return (
        _End(request, to_server, from_server, closed),
        _End(request, to_client, from_client, closed),
    )


@final
class _End:
    """One end of a WebSocket in memory."""

    def __init__(
        self,
        request: Request,
        outgoing: trio.MemorySendChannel[str | bytes],
        incoming: trio.MemoryReceiveChannel[str | bytes],
        closed: list[WebSocketClosed],
    ) -> None:
        self._request = request
        self._outgoing = outgoing
        self._incoming = incoming
        self._closed = closed  # shared: how it was closed, once it is

    @property
    def request(self) -> Request:
        return self._request

    async def receive(self) -> str | bytes:
        try:
            return await self._incoming.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise self._reason() from None

    async def send(self, message: str | bytes) -> None:
        if self._closed:
            raise self._reason()
        try:
            await self._outgoing.send(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise self._reason() from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if not self._closed:
            self._closed.append(WebSocketClosed(code, reason))
        await self._outgoing.aclose()

    def _reason(self) -> WebSocketClosed:
        code, reason = self._closed[0].code, self._closed[0].reason
        return WebSocketClosed(code, reason)
