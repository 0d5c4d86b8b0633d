"""A connection that speaks HTTP/1.1, from its first byte to its last.

One task does everything: it reads, calls the handler, writes, and reads on. While a handler
waits for its body, or for the client to go away, the handler's own task reads from the
socket; so a request costs no task and no cancel scope.
"""

import math
from collections.abc import AsyncIterator
from typing import Final, final

import trio

from ironflow import limits
from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.head import (
    BODYLESS,
    CONTINUE,
    http1_head,
    length_framing,
)
from ironflow.transport.http.http1_parser import Http1Parser, Incoming
from ironflow.transport.http.link import GONE, SECOND_US, Link
from ironflow.transport.http.messages import (
    ClientGone,
    HttpError,
    Request,
    Response,
    WebSocketUpgrade,
)
from ironflow.transport.http.service import (
    LOGGER,
    BadResponse,
    BrokenBody,
    Peer,
    Service,
    close_body,
    error_response,
    failure,
    next_piece,
)
from ironflow.transport.http.websocket import serve_websocket

_PIPELINED: Final = 16  # requests that are read while another is answered
_REFUSAL_SECONDS: Final = 1


@final
class Http1Connection:
    """A client and its requests, one after the other."""

    def __init__(self, service: Service, link: Link, peer: Peer) -> None:
        self._service = service
        self._bounds = service.bounds
        self._link = link
        self._peer = peer
        self._parser = Http1Parser(service.bounds)
        self._scope = trio.CancelScope()
        self._is_waiting = True  # for a request, not for a handler
        self._is_slow = False  # ended because a request did not become whole
        self._is_reading = False
        self._progress = trio.lowlevel.ParkingLot()
        self.is_gone = False  # nothing more will come from the client

    async def run(self, first: bytes) -> None:
        """Serve until the client, the server or a limit ends it; `first` is read already."""
        self._service.connections.add(self)
        try:
            with self._scope:
                self._parser.feed(first)
                await self._serve_all()
            if self._is_slow:
                await self._tell_slow()
        except GONE:
            pass
        finally:
            self._service.connections.discard(self)

    def tick(self, now: float) -> None:
        """End the connection if its client was too slow."""
        if now >= self._link.deadline:
            self._is_slow = self._is_waiting and self._parser.is_begun
            self._scope.cancel()

    def drain(self) -> None:
        """End now if no request has begun; else after it."""
        if self._is_waiting and not self._parser.is_begun:
            self._scope.cancel()

    # Reading

    async def _serve_all(self) -> None:
        while (incoming := await self._next()) is not None:
            self._is_waiting = False
            goes_on = await self._serve(incoming)
            self._is_waiting = True
            if not goes_on:
                return

    async def _next(self) -> Incoming | None:
        """Return the next request; None if there will be none."""
        parser = self._parser
        if parser.requests:
            return parser.requests.popleft()
        now = trio.current_time()
        begun_by = now + self._bounds.idle_us_max / SECOND_US
        whole_by = math.inf
        while not parser.requests:
            if parser.refusal is not None:
                await self._refuse(parser.refusal)
                return None
            if parser.is_begun and whole_by is math.inf:
                whole_by = trio.current_time() + self._bounds.headers_us_max / SECOND_US
            elif self._service.is_draining and not parser.is_begun:
                return None
            self._link.deadline = whole_by if parser.is_begun else begun_by
            if not await self.fill():
                return None
        self._link.deadline = math.inf
        return parser.requests.popleft()

    async def fill(self) -> bool:
        """Read once, or wait until another task has; False when nothing will come."""
        if self._is_reading:
            await self._progress.park()
            return not self.is_gone
        self._is_reading = True
        try:
            data = await self._link.receive()
        finally:
            self._is_reading = False
            self._progress.unpark_all()
        if data:
            self._parser.feed(data)
        else:
            self.is_gone = True
        return not self.is_gone

    async def fill_body(self, incoming: Incoming) -> None:
        """Read on for the sake of a body.

        Raises:
            ClientGone: nothing will come.
            HttpError: what came is no body.
        """
        self._check_readable()
        if incoming.expects_continue:
            incoming.expects_continue = False
            await self._link.send(CONTINUE)
        await self.fill()
        if not incoming.body and not incoming.is_complete:
            self._check_readable()

    def _check_readable(self) -> None:
        if self._parser.refusal is not None:
            raise self._parser.refusal
        if self.is_gone:
            raise ClientGone

    async def watch(self, incoming: Incoming) -> None:
        """Return when the client goes away, or sends what nobody can read."""
        parser = self._parser
        while not self.is_gone and parser.refusal is None:
            waiting = incoming.buffered + len(parser.rest)
            if (
                waiting > limits.HTTP_BODY_UNREAD_BYTES_MAX
                or len(parser.requests) > _PIPELINED
            ):
                # To read on would be without bound. A client that goes away now is
                # noticed by what is sent to it.
                await trio.sleep_forever()
            await self.fill()

    # Answering

    async def _serve(self, incoming: Incoming) -> bool:
        """Answer a request; tell whether another may follow."""
        request = Request(
            incoming.method,
            incoming.path,
            query=incoming.query,
            headers=incoming.headers,
            body=_Exchange(self, incoming, self._bounds),
            client=self._peer.address,
            scheme=self._peer.scheme,
            http_version=incoming.version,
            is_vanished=self._link.is_vanished,
        )
        answer = await self._service.call(request)
        if isinstance(answer, WebSocketUpgrade):
            await self._upgrade(request, incoming, answer)
            return False
        try:
            return await self._send_response(request, incoming, answer)
        except BadResponse:
            LOGGER.exception("%s %s: no such response", request.method, request.path)
            incoming.keeps_alive = False
            return await self._send_whole(incoming, *failure())

    async def _send_response(
        self, request: Request, incoming: Incoming, response: Response
    ) -> bool:
        body = response.body
        if isinstance(body, bytes):
            return await self._send_whole(incoming, response, body)
        try:
            if incoming.method == "HEAD" or response.status in BODYLESS:
                return await self._send_whole(incoming, response, b"")
            return await self._send_pieces(request, incoming, response, body)
        finally:
            await close_body(request, body)

    async def _send_whole(
        self, incoming: Incoming, response: Response, body: bytes
    ) -> bool:
        if incoming.keeps_alive and not incoming.is_complete:
            await self._discard(incoming)
        keeps = self._keeps(incoming)
        is_head = incoming.method == "HEAD"
        data = http1_head(
            response,
            framing=length_framing(response, len(body), is_head=is_head),
            date=self._service.date,
            closes=not keeps,
            is_old=incoming.version == "1.0",
        )
        if not is_head and response.status not in BODYLESS:
            data += body
        await self._link.send(data)
        if not incoming.is_complete:
            await self._linger()
        return keeps

    def _keeps(self, incoming: Incoming) -> bool:
        return (
            incoming.keeps_alive
            and incoming.is_complete
            and not self._service.is_draining
        )

    async def _send_pieces(
        self,
        request: Request,
        incoming: Incoming,
        response: Response,
        body: AsyncIterator[bytes],
    ) -> bool:
        is_old = incoming.version == "1.0"
        keeps = self._keeps(incoming) and not is_old
        start = http1_head(
            response,
            framing="" if is_old else "transfer-encoding: chunked\r\n",
            date=self._service.date,
            closes=not keeps,
            is_old=is_old,
        )
        is_whole = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_when_gone, incoming, nursery.cancel_scope)
            is_whole = await self._pump(start, request, body, is_chunked=not is_old)
            nursery.cancel_scope.cancel()
        if is_whole and not incoming.is_complete:
            await self._linger()
        return is_whole and keeps

    async def _cancel_when_gone(
        self, incoming: Incoming, scope: trio.CancelScope
    ) -> None:
        await self.watch(incoming)
        scope.cancel()

    async def _pump(
        self,
        start: bytes,
        request: Request,
        body: AsyncIterator[bytes],
        *,
        is_chunked: bool,
    ) -> bool:
        """Send a body as it comes; tell whether it is whole."""
        try:
            await self._link.send(start)
            while (piece := await next_piece(request, body)) is not None:
                if is_chunked:
                    piece = b"%x\r\n%b\r\n" % (len(piece), piece)
                await self._link.send(piece)
            if is_chunked:
                await self._link.send(b"0\r\n\r\n")
        except (*GONE, BrokenBody):
            return False
        return True

    async def _discard(self, incoming: Incoming) -> None:
        """Read what is left of a small body, so that the connection can go on."""
        if incoming.length is None or incoming.expects_continue:
            return
        if incoming.length - incoming.received > limits.HTTP_BODY_DISCARDED_BYTES_MAX:
            return
        exchange = _Exchange(self, incoming, self._bounds)
        try:
            while await exchange.receive(is_timed=True):
                pass
        except HttpError:
            return

    async def _linger(self) -> None:
        await self._link.linger(self._bounds.linger_us_max / SECOND_US)

    async def _refuse(self, error: HttpError) -> None:
        """Answer what is no request, and end."""
        await self._link.send(_closing(error_response(error), self._service.date))
        await self._linger()

    async def _tell_slow(self) -> None:
        slow = HttpError(408, "deadline_exceeded", "the request was too slow")
        with trio.move_on_after(_REFUSAL_SECONDS):
            await self._link.send(_closing(error_response(slow), self._service.date))

    async def _upgrade(
        self, request: Request, incoming: Incoming, upgrade: WebSocketUpgrade
    ) -> None:
        self._service.connections.discard(self)
        rest = self._parser.rest if incoming.is_upgrade else b""
        await serve_websocket(self._service, self._link, request, upgrade, rest=rest)


def _closing(response: Response, date: str) -> bytes:
    """Return the bytes of a response after which the connection ends."""
    assert isinstance(response.body, bytes)
    framing = length_framing(response, len(response.body), is_head=False)
    start = http1_head(response, framing=framing, date=date, closes=True, is_old=False)
    return start + response.body


@final
class _Exchange:
    """The body of one request, and whether its client is there."""

    __slots__ = ("_bounds", "_connection", "_incoming", "_since")

    def __init__(
        self, connection: Http1Connection, incoming: Incoming, bounds: Bounds
    ) -> None:
        self._connection = connection
        self._incoming = incoming
        self._bounds = bounds
        self._since = math.nan  # when its body was first waited for

    async def receive(self, *, is_timed: bool) -> bytes:
        incoming = self._incoming
        while not incoming.body:
            if incoming.is_complete:
                return b""
            await self._wait(is_timed=is_timed)
        piece = incoming.body[0] if len(incoming.body) == 1 else b"".join(incoming.body)
        incoming.body.clear()
        incoming.buffered = 0
        return piece

    async def _wait(self, *, is_timed: bool) -> None:
        if not is_timed:
            await self._connection.fill_body(self._incoming)
            return
        now = trio.current_time()
        if math.isnan(self._since):
            self._since = now
        stall = self._bounds.body_stall_us_max / SECOND_US
        rate = self._bounds.body_bytes_per_second_min
        due = self._since + stall + self._incoming.received / rate
        with trio.CancelScope(deadline=min(now + stall, due)) as scope:
            await self._connection.fill_body(self._incoming)
        if scope.cancelled_caught:
            self._incoming.keeps_alive = False
            raise HttpError(408, "deadline_exceeded", "the body came too slowly")

    def is_gone(self) -> bool:
        return self._connection.is_gone

    async def wait_gone(self) -> None:
        await self._connection.watch(self._incoming)
