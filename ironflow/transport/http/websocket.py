"""A WebSocket over a connection that was HTTP/1.1.

`websockets` does the protocol without I/O. One task reads, so that pings are answered and
a close is noticed whatever the handler does; who sends, writes.
"""

import logging
import math
from collections import deque
from collections.abc import Iterable
from typing import Final, final

import trio
from websockets.datastructures import Headers as HandshakeHeaders
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request as HandshakeRequest
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from ironflow import limits
from ironflow.transport.http.link import FRAMES_BYTES, GONE, SECOND_US, Link
from ironflow.transport.http.messages import (
    Request,
    WebSocketClosed,
    WebSocketUpgrade,
)
from ironflow.transport.http.service import Service

_LOGGER: Final = logging.getLogger("ironflow.transport")
_CLOSE_SECONDS: Final = limits.HTTP_WEBSOCKET_CLOSE_US_MAX / SECOND_US
_GOING_AWAY: Final = int(CloseCode.GOING_AWAY)
_INTERNAL_ERROR: Final = int(CloseCode.INTERNAL_ERROR)
_ABNORMAL: Final = int(CloseCode.ABNORMAL_CLOSURE)
_INVALID_DATA: Final = int(CloseCode.INVALID_DATA)


async def serve_websocket(
    service: Service,
    link: Link,
    request: Request,
    upgrade: WebSocketUpgrade,
    *,
    rest: bytes,
) -> None:
    """Open, serve and close a WebSocket; `rest` came behind its request.

    Raises:
        trio.BrokenResourceError, trio.ClosedResourceError: the client is gone.
    """
    protocol = _protocol(upgrade)
    is_open = _open(protocol, request)
    await link.send(b"".join(protocol.data_to_send()))
    if is_open:
        await _Socket(service, link, request, protocol).run(upgrade, rest)
    else:
        await link.linger(service.bounds.linger_us_max / SECOND_US)


def _protocol(upgrade: WebSocketUpgrade) -> ServerProtocol:
    wanted = upgrade.subprotocol

    def select(
        protocol: ServerProtocol, offered: Iterable[Subprotocol]
    ) -> Subprotocol | None:
        return next((each for each in offered if each == wanted), None)

    # Small windows: a connection with the largest ones holds 300 KB.
    deflate = ServerPerMessageDeflateFactory(
        server_max_window_bits=12,
        client_max_window_bits=12,
        compress_settings={"memLevel": 5},
    )
    return ServerProtocol(
        extensions=[deflate],
        select_subprotocol=select,
        max_size=upgrade.message_bytes_max,
        logger=_Quiet(_LOGGER),
    )


def _open(protocol: ServerProtocol, request: Request) -> bool:
    """Answer the handshake; False when the request is not one."""
    target = request.path + "?" * bool(request.query) + request.query
    headers = HandshakeHeaders(request.headers.items())
    # It reads the request from bytes before it takes frames.
    protocol.receive_data(HandshakeRequest(target, headers).serialize())
    for event in protocol.events_received():
        assert isinstance(event, HandshakeRequest)
        event.method = request.method
        protocol.send_response(protocol.accept(event))
    return protocol.state is State.OPEN


@final
class _Quiet(logging.LoggerAdapter[logging.Logger]):
    """Without the lines about every connection."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's name
        return level >= logging.WARNING and super().isEnabledFor(level)


@final
class _Socket:
    """An open WebSocket: a `WebSocket` for its handler, a `Connection` for the server."""

    def __init__(
        self, service: Service, link: Link, request: Request, protocol: ServerProtocol
    ) -> None:
        self._service = service
        self._link = link
        self._request = request
        self._protocol = protocol
        self._scope = trio.CancelScope()
        self._reading = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._messages: deque[str | bytes] = deque()
        self._fragments: list[Frame] = []
        self._news = trio.lowlevel.ParkingLot()  # a message, or the end
        self._room = trio.lowlevel.ParkingLot()  # for another message
        self._written = trio.lowlevel.ParkingLot()
        self._is_writing = False
        self._is_over = False  # nothing more comes in or goes out
        self._unread = 0  # bytes in messages
        self._heard_at = trio.current_time()
        self._is_pinged = False
        self._end_by = math.inf  # for a handler that does not notice the end

    @property
    def request(self) -> Request:
        return self._request

    async def run(self, upgrade: WebSocketUpgrade, rest: bytes) -> None:
        """Serve until the handler returns and the WebSocket is closed."""
        self._service.connections.add(self)
        try:
            with self._scope:
                await self._run(upgrade, rest)
        finally:
            self._nursery = None
            self._service.connections.discard(self)

    async def _run(self, upgrade: WebSocketUpgrade, rest: bytes) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._read, rest)
            if self._service.is_draining:
                self.drain()
            await self._serve(upgrade)
            nursery.cancel_scope.cancel()
        await self._link.linger(self._service.bounds.linger_us_max / SECOND_US)

    async def _serve(self, upgrade: WebSocketUpgrade) -> None:
        code, reason = 1000, ""
        try:
            await upgrade.serve(self)
        except WebSocketClosed:
            pass
        except Exception:
            _LOGGER.exception("%s: the handler of a WebSocket failed", self._request)
            code, reason = _INTERNAL_ERROR, "internal error"
        await self.close(code, reason)
        with trio.move_on_after(_CLOSE_SECONDS):
            while not self._is_over:
                self._forget()
                await self._news.park()

    def _forget(self) -> None:
        self._messages.clear()
        self._unread = 0
        self._room.unpark_all()

    # For the server

    def tick(self, now: float) -> None:
        """End it if it is too slow, and ping it if it says nothing."""
        silence = self._service.bounds.silence_us_max / SECOND_US
        if self._nursery is None:
            return
        if now >= self._end_by:
            self._scope.cancel()
        elif now >= self._link.deadline or now >= self._heard_at + 2 * silence:
            self._nursery.start_soon(self._abort)
        elif now >= self._heard_at + silence and not self._is_pinged:
            self._is_pinged = True
            self._nursery.start_soon(self._ping)

    def drain(self) -> None:
        """Close it with 1001."""
        if self._nursery is not None:
            self._nursery.start_soon(self.close, _GOING_AWAY, "the server goes away")

    async def _abort(self) -> None:
        self._end()
        await self._link.abort()  # who is sending, learns it so

    async def _ping(self) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")
            await self._flush_quietly()

    # For the handler

    async def receive(self) -> str | bytes:
        """See `WebSocket`."""
        while not self._messages:
            if self._is_over:
                raise self._closed()
            await self._news.park()
        message = self._messages.popleft()
        self._unread -= len(message)
        self._room.unpark_all()
        return message

    async def send(self, message: str | bytes) -> None:
        """See `WebSocket`."""
        if self._is_over or self._protocol.state is not State.OPEN:
            raise self._closed()
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        await self._flush()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """See `WebSocket`."""
        if self._is_over or self._protocol.state is not State.OPEN:
            return
        self._protocol.send_close(code, reason)
        # The peer answers it, which ends the reading.
        self._reading.deadline = trio.current_time() + _CLOSE_SECONDS
        await self._flush_quietly()

    def _closed(self) -> WebSocketClosed:
        close = self._protocol.close_rcvd or self._protocol.close_sent
        if close is None:
            return WebSocketClosed(_ABNORMAL, "the connection ended")
        return WebSocketClosed(close.code, close.reason)

    # Bytes

    async def _flush(self) -> None:
        """Send what the protocol has to send.

        Raises:
            WebSocketClosed: it could not be sent.
        """
        if self._is_writing:  # then it is sent by whoever sends
            await self._written.park()
            if self._is_over:
                raise self._closed()
            return
        self._is_writing = True
        is_sent = False
        try:
            while data := b"".join(self._protocol.data_to_send()):
                await self._link.send(data)
            is_sent = True
        except GONE:
            raise self._closed() from None
        finally:
            self._is_writing = False
            if not is_sent:  # cancelled, a frame may be cut in two
                self._end()
            self._written.unpark_all()

    async def _flush_quietly(self) -> None:
        try:
            await self._flush()
        except WebSocketClosed:
            return

    async def _read(self, data: bytes) -> None:
        """Take frames until no more will come."""
        with self._reading:
            if data:
                await self._take(data)
            # The protocol ends its side when it has the peer's close, or an error.
            while not self._protocol.eof_sent and (
                data := await self._link.receive(FRAMES_BYTES)
            ):
                await self._take(data)
        self._end()

    async def _take(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            assert isinstance(event, Frame)
            self._take_frame(event)
        self._news.unpark_all()
        await self._flush_quietly()
        self._heard_at = math.inf  # nobody listens while there is no room
        while not self._has_room():
            await self._room.park()
        self._heard_at = trio.current_time()
        self._is_pinged = False

    def _has_room(self) -> bool:
        return (
            len(self._messages) < limits.HTTP_WEBSOCKET_UNREAD_MESSAGES_MAX
            and self._unread < limits.HTTP_BODY_UNREAD_BYTES_MAX
        )

    def _take_frame(self, frame: Frame) -> None:
        if frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return
        self._fragments.append(frame)
        if not frame.fin:
            return
        is_text = self._fragments[0].opcode is Opcode.TEXT
        data = b"".join([each.data for each in self._fragments])
        self._fragments.clear()
        try:
            message = data.decode() if is_text else data
        except UnicodeDecodeError:
            self._protocol.fail(_INVALID_DATA, "a text is not UTF-8")
            return
        self._messages.append(message)
        self._unread += len(message)

    def _end(self) -> None:
        """Let nothing more come in or go out."""
        if not self._is_over:
            self._is_over = True
            self._end_by = trio.current_time() + _CLOSE_SECONDS
            self._reading.cancel()
            self._news.unpark_all()
            self._written.unpark_all()
            self._room.unpark_all()
