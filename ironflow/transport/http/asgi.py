"""A handler as an ASGI 3 application, to be mounted in another server.

    app = FastAPI()
    app.mount("/ironflow", asgi(handler))

The other server brings the loop (Trio or asyncio) and the limits on connections, headers
and time. What the handler itself needs of a loop is its own affair.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Final, final
from urllib.parse import quote

import anyio

from ironflow import limits
from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.head import BODYLESS
from ironflow.transport.http.messages import (
    ClientGone,
    Handler,
    Headers,
    Request,
    Response,
    WebSocketClosed,
    WebSocketUpgrade,
)
from ironflow.transport.http.service import (
    BrokenBody,
    Service,
    close_body,
    next_piece,
)

# The shape of ASGI itself: its messages are dicts of anything.
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_LOGGER: Final = logging.getLogger("ironflow.transport")
_DENIAL: Final = "websocket.http.response"


def asgi(handler: Handler) -> Application:
    """Return an application for any ASGI server: http, websocket and lifespan."""
    service = Service(handler, Bounds())

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await _serve_http(service, scope, receive, send)
            case "websocket":
                await _serve_websocket(service, scope, receive, send)
            case "lifespan":
                await _serve_lifespan(receive, send)
            case kind:
                raise ValueError(f"ASGI of the type {kind!r} is not known")

    return application


async def _serve_lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


def _request(scope: Message, body: "_Exchange | bytes") -> Request:
    client = scope.get("client")
    return Request(
        scope.get("method", "GET"),
        _path(scope),
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=Headers(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
        ),
        body=body,
        client=f"{client[0]}:{client[1]}" if client else "",
        scheme=scope.get("scheme", "http"),
        http_version="asgi",
    )


def _path(scope: Message) -> str:
    """Return the path as it was sent, without that of the mount."""
    raw = scope.get("raw_path")
    path = raw.decode("latin-1").partition("?")[0] if raw else quote(scope["path"])
    root = quote(scope.get("root_path", ""))
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :]
    return path or "/"


@final
class _Exchange:
    """The body of a request, and whether its client is there, by ASGI's messages."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._body: deque[bytes] = deque()
        self._buffered = 0
        self._is_ended = False
        self._is_gone = False

    async def receive(self, *, is_timed: bool) -> bytes:
        while not self._body:
            if self._is_ended:
                return b""
            if self._is_gone:
                raise ClientGone
            await self._next()
        piece = self._body.popleft()
        self._buffered -= len(piece)
        return piece

    async def _next(self) -> None:
        message = await self._receive()
        if message["type"] != "http.request":
            self._is_gone = True
            return
        if body := message.get("body", b""):
            self._body.append(body)
            self._buffered += len(body)
        self._is_ended = not message.get("more_body", False)

    def is_gone(self) -> bool:
        return self._is_gone

    async def wait_gone(self) -> None:
        while not self._is_gone:
            if self._buffered > limits.HTTP_BODY_UNREAD_BYTES_MAX:
                await anyio.sleep_forever()
            await self._next()


async def _serve_http(
    service: Service, scope: Message, receive: Receive, send: Send
) -> None:
    exchange = _Exchange(receive)
    request = _request(scope, exchange)
    answer = await service.call(request)
    if isinstance(answer, WebSocketUpgrade):
        answer = Response(426, [("upgrade", "websocket")])
    try:
        await _respond(request, exchange, answer, send)
    except OSError:  # how servers say that the client is gone
        return
    finally:
        await close_body(request, answer.body)


async def _respond(
    request: Request, exchange: _Exchange, response: Response, send: Send
) -> None:
    body = response.body
    await send(_start("http.response.start", response))
    if request.method == "HEAD" or response.status in BODYLESS:
        await send({"type": "http.response.body"})
    elif isinstance(body, bytes):
        await send({"type": "http.response.body", "body": body})
    else:
        await _respond_in_pieces(request, exchange, body, send)


def _start(kind: str, response: Response) -> Message:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in response.headers
    ]
    if isinstance(response.body, bytes) and response.status not in BODYLESS:
        headers = [each for each in headers if each[0] != b"content-length"]
        headers.append((b"content-length", b"%d" % len(response.body)))
    return {"type": kind, "status": response.status, "headers": headers}


async def _respond_in_pieces(
    request: Request, exchange: _Exchange, body: AsyncIterator[bytes], send: Send
) -> None:
    """Send a body as it comes; it is cancelled when the client goes away."""
    is_broken = False
    async with anyio.create_task_group() as group:

        async def cancel_when_gone() -> None:
            await exchange.wait_gone()
            group.cancel_scope.cancel()

        group.start_soon(cancel_when_gone)
        is_broken = not await _pump(request, body, send)
        group.cancel_scope.cancel()
    if is_broken:
        # The server sees a response without an end, and cuts the connection.
        raise BrokenBody


async def _pump(request: Request, body: AsyncIterator[bytes], send: Send) -> bool:
    try:
        while (piece := await next_piece(request, body)) is not None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})
    except BrokenBody:
        return False
    except OSError:
        return True
    return True


async def _serve_websocket(
    service: Service, scope: Message, receive: Receive, send: Send
) -> None:
    request = _request(scope, b"")
    await receive()  # websocket.connect
    answer = await service.call(request)
    if isinstance(answer, Response):
        await _deny(scope, answer, send)
        return
    await send({"type": "websocket.accept", "subprotocol": answer.subprotocol})
    socket = _WebSocket(request, receive, send)
    code, reason = 1000, ""
    try:
        await answer.serve(socket)
    except WebSocketClosed:
        pass
    except Exception:
        _LOGGER.exception("%s: the handler of a WebSocket failed", request)
        code, reason = 1011, "internal error"
    await socket.close(code, reason)


async def _deny(scope: Message, response: Response, send: Send) -> None:
    """Answer with a response where the server can, else with its plain refusal."""
    body = response.body
    if _DENIAL not in scope.get("extensions", {}) or not isinstance(body, bytes):
        await send({"type": "websocket.close"})
        return
    await send(_start(f"{_DENIAL}.start", response))
    await send({"type": f"{_DENIAL}.body", "body": body})


@final
class _WebSocket:
    """A `WebSocket` by ASGI's messages."""

    def __init__(self, request: Request, receive: Receive, send: Send) -> None:
        self._request = request
        self._receive = receive
        self._send = send
        self._closed: WebSocketClosed | None = None

    @property
    def request(self) -> Request:
        return self._request

    async def receive(self) -> str | bytes:
        if self._closed is None:
            message = await self._receive()
            if message["type"] == "websocket.receive":
                text: str | None = message.get("text")
                data: bytes | None = message.get("bytes")
                return (data or b"") if text is None else text
            self._note(message.get("code", 1005), message.get("reason") or "")
        raise self._reason()

    async def send(self, message: str | bytes) -> None:
        if self._closed is not None:
            raise self._reason()
        kind = "text" if isinstance(message, str) else "bytes"
        try:
            await self._send({"type": "websocket.send", kind: message})
        except OSError:
            self._note(1006, "the connection ended")
            raise self._reason() from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if self._closed is not None:
            return
        self._note(code, reason)
        try:
            await self._send(
                {"type": "websocket.close", "code": code, "reason": reason}
            )
        except OSError:
            return

    def _note(self, code: int, reason: str) -> None:
        self._closed = WebSocketClosed(code, reason)

    def _reason(self) -> WebSocketClosed:
        assert self._closed is not None
        return WebSocketClosed(self._closed.code, self._closed.reason)
