"""A connection that speaks HTTP/2, from its preface to its end.

`h2` does the protocol without I/O. One task reads, one writes, and each request has its
own.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, final

import trio
from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingReceived,
    PriorityUpdated,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    UnknownFrameReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from ironflow import limits
from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.head import BODYLESS, http2_head
from ironflow.transport.http.http2_outbox import Outbox
from ironflow.transport.http.http2_stream import Http2Stream
from ironflow.transport.http.link import FRAMES_BYTES, SECOND_US, Link
from ironflow.transport.http.messages import (
    Headers,
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

_INITIAL_WINDOW: Final = 65_535  # of a connection, by the protocol
PREFACE_BYTES: Final = 24
_FRAME_HEAD_BYTES: Final = 9
_LENGTH_BYTES: Final = 3
_PING: Final = b"ironflow"
_COUNTED: Final = (
    PingReceived,
    PriorityUpdated,
    RemoteSettingsChanged,
    UnknownFrameReceived,
)
_COUNTING_SECONDS: Final = limits.HTTP2_WINDOW_US_MAX / SECOND_US
_METHODS: Final = frozenset(
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
)


class _TooMuch(Exception):
    """The client makes work and asks for nothing."""

    code = ErrorCodes.ENHANCE_YOUR_CALM


@final
class _TooLong(_TooMuch):
    """A frame is longer than we have allowed."""

    code = ErrorCodes.FRAME_SIZE_ERROR


@final
class Http2Connection:
    """A client and its requests, many at a time."""

    def __init__(self, service: Service, link: Link, peer: Peer) -> None:
        self._service = service
        self._bounds = service.bounds
        self._link = link
        self._peer = peer
        self._h2 = _protocol(service.bounds)
        self._outbox = Outbox(
            self._h2, link, write_stall_us_max=service.bounds.write_stall_us_max
        )
        self._lengths = _Lengths(self._h2.max_inbound_frame_size)
        self._streams: dict[int, Http2Stream] = {}  # whose handlers have not ended
        self._discarded: dict[int, int] = {}  # bytes of bodies nobody wants, by stream
        self._handlers: trio.Nursery | None = None
        self._io = trio.CancelScope()
        self._is_draining = False
        self._is_pinged = False
        self._heard_at = self._idle_since = self._counted_since = trio.current_time()
        self._resets = self._controls = 0  # since then

    async def run(self, first: bytes) -> None:
        """Serve until the client, the server or a limit ends it; `first` is read already."""
        self._service.connections.add(self)
        try:
            async with trio.open_nursery() as handlers:
                self._handlers = handlers
                await self._run(first)
        finally:
            self._service.connections.discard(self)

    async def _run(self, first: bytes) -> None:
        """Read and write; handlers that are not done then end by themselves."""
        with self._io:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, first)
                await self._outbox.write()
                nursery.cancel_scope.cancel()
            await self._link.linger(self._bounds.linger_us_max / SECOND_US)
        self._outbox.lose()
        for stream in self._streams.values():
            stream.lose()

    # For the server

    def tick(self, now: float) -> None:
        """End what is too slow, and ping a client that says nothing."""
        if now >= self._counted_since + _COUNTING_SECONDS:
            self._counted_since = now
            self._resets = self._controls = 0
        if now >= self._link.deadline:
            self._io.cancel()
        elif self._streams:
            self._tick_streams(now)
        elif now >= self._idle_since + self._bounds.idle_us_max / SECOND_US:
            self.drain()

    def _tick_streams(self, now: float) -> None:
        for stream in [*self._streams.values()]:
            if now >= stream.stalled_until:
                self._break_off(stream, ErrorCodes.CANCEL)
        silence = self._bounds.silence_us_max / SECOND_US
        if now >= self._heard_at + 2 * silence:
            self._io.cancel()
        elif now >= self._heard_at + silence and not self._is_pinged:
            self._is_pinged = True
            self._h2.ping(_PING)
            self._outbox.flush()

    def drain(self) -> None:
        """Take no further request; end when there is none in flight."""
        if not self._is_draining:
            self._is_draining = True
            self._outbox.go_away()
            self._close_if_done()

    def _close_if_done(self) -> None:
        if self._is_draining and not self._streams:
            self._outbox.close()

    # What the client says

    async def _read(self, data: bytes) -> None:
        """Take frames until no more will come."""
        try:
            await self._read_frames(data)
            self._io.cancel()
        except ProtocolError:  # of which h2 has told the client
            pass
        except _TooMuch as error:
            self._h2.close_connection(error.code)
        self._outbox.flush()
        self._outbox.close()

    async def _read_frames(self, data: bytes) -> None:
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(
            limits.HTTP2_UNREAD_BYTES_MAX - _INITIAL_WINDOW
        )
        if self._service.is_draining:
            self.drain()
        while data:
            self._heard_at = trio.current_time()
            self._is_pinged = False
            self._lengths.check(data)
            for event in self._h2.receive_data(data):
                self._take(event)
            self._outbox.flush()
            data = await self._link.receive(FRAMES_BYTES)

    def _take(self, event: Event) -> None:
        match event:
            case RequestReceived():
                self._begin(event)
            case DataReceived():
                self._take_data(event)
            case StreamEnded(stream_id=stream_id):
                self._discarded.pop(stream_id, None)
                if stream_id in self._streams:
                    self._streams[stream_id].end()
            case StreamReset():
                self._take_reset(event)
            case WindowUpdated():
                self._outbox.note_room()
            case ConnectionTerminated():
                self._take_goodbye(event)
            case _:
                self._take_control(event)

    def _begin(self, event: RequestReceived) -> None:
        """Start the handler of a request, unless there are too many."""
        if event.priority_updated is not None:  # an event of its own, and no flood
            self._controls -= 1
        if self._is_draining or len(self._streams) >= self._bounds.streams_max:
            self._h2.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            return
        stream = Http2Stream(event.stream_id, self._outbox, self._bounds)
        self._streams[stream.id] = stream
        assert self._handlers is not None
        self._handlers.start_soon(self._serve, stream, event.headers)

    def _take_data(self, event: DataReceived) -> None:
        stream = self._streams.get(event.stream_id)
        size = event.flow_controlled_length
        if stream is None:
            self._discard(event.stream_id, size)
        else:
            stream.take(event.data, size)
        if not event.data and event.stream_ended is None:
            self._count_control()

    def _discard(self, stream_id: int, size: int) -> None:
        """Forget a piece of a body whose request is answered.

        Some clients take a reset behind the answer for a failure; so it comes late.
        """
        self._outbox.acknowledge(stream_id, size)
        if stream_id in self._discarded:
            self._discarded[stream_id] += size
            if self._discarded[stream_id] > limits.HTTP_BODY_DISCARDED_BYTES_MAX:
                del self._discarded[stream_id]
                self._outbox.reset(stream_id, ErrorCodes.NO_ERROR)

    def _take_reset(self, event: StreamReset) -> None:
        self._discarded.pop(event.stream_id, None)
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.lose()
            self._outbox.note_room()
        if event.remote_reset:
            self._resets += 1
        if self._resets > self._bounds.resets_max:
            raise _TooMuch

    def _take_control(self, event: Event) -> None:
        if isinstance(event, RemoteSettingsChanged):  # which may widen windows
            self._outbox.note_room()
        if isinstance(event, _COUNTED):
            self._count_control()

    def _count_control(self) -> None:
        self._controls += 1
        if self._controls > self._bounds.controls_max:
            raise _TooMuch

    def _take_goodbye(self, event: ConnectionTerminated) -> None:
        if event.error_code != ErrorCodes.NO_ERROR:
            self._io.cancel()
            return
        # What the client has asked, it still wants; h2 would send nothing more.
        self._h2.state_machine.state = ConnectionState.SERVER_OPEN
        self.drain()

    # Answering

    async def _serve(
        self, stream: Http2Stream, fields: Iterable[tuple[bytes, bytes]]
    ) -> None:
        try:
            if not stream.is_lost:  # taken back before it began
                await self._answer(stream, fields)
        finally:
            del self._streams[stream.id]
            self._idle_since = trio.current_time()
            if not stream.is_ended and not stream.is_lost:
                self._discarded[stream.id] = 0
            self._discard(stream.id, stream.buffered)
            self._close_if_done()

    async def _answer(
        self, stream: Http2Stream, fields: Iterable[tuple[bytes, bytes]]
    ) -> None:
        try:
            request = _request(
                stream,
                fields,
                self._peer,
                self._bounds,
                is_vanished=self._link.is_vanished,
            )
        except HttpError as error:
            refusal = error_response(error)
            assert isinstance(refusal.body, bytes)
            await self._send_whole(stream, refusal, refusal.body, is_head=False)
            return
        answer = await self._service.call(request)
        if isinstance(answer, WebSocketUpgrade):
            answer = error_response(
                HttpError(501, "unimplemented", "a WebSocket needs HTTP/1.1")
            )
        is_head = request.method == "HEAD"
        try:
            await self._send_response(stream, request, answer, is_head=is_head)
        except BadResponse:
            LOGGER.exception("%s %s: no such response", request.method, request.path)
            await self._send_whole(stream, *failure(), is_head=is_head)

    async def _send_response(
        self,
        stream: Http2Stream,
        request: Request,
        response: Response,
        *,
        is_head: bool,
    ) -> None:
        body = response.body
        if isinstance(body, bytes):
            await self._send_whole(stream, response, body, is_head=is_head)
            return
        try:
            head = http2_head(
                response,
                length=0 if is_head else None,
                date=self._service.date,
                is_head=is_head,
            )
            has_body = not is_head and response.status not in BODYLESS
            if self._outbox.send_head(stream, head, ends=not has_body) and has_body:
                await self._send_pieces(stream, request, body)
        finally:
            await close_body(request, body)

    async def _send_whole(
        self, stream: Http2Stream, response: Response, body: bytes, *, is_head: bool
    ) -> None:
        head = http2_head(
            response, length=len(body), date=self._service.date, is_head=is_head
        )
        ends = is_head or not body or response.status in BODYLESS
        if self._outbox.send_head(stream, head, ends=ends) and not ends:
            await self._outbox.send_data(stream, body, ends=True)

    async def _send_pieces(
        self, stream: Http2Stream, request: Request, body: AsyncIterator[bytes]
    ) -> None:
        """Send a body as it comes; cancelled when the client does not want it."""
        with trio.CancelScope() as stream.scope:
            if stream.is_lost:
                return
            try:
                await self._pump(stream, request, body)
            except BrokenBody:
                self._break_off(stream, ErrorCodes.INTERNAL_ERROR)

    def _break_off(self, stream: Http2Stream, code: ErrorCodes) -> None:
        stream.lose()
        self._outbox.reset(stream.id, code)

    async def _pump(
        self, stream: Http2Stream, request: Request, body: AsyncIterator[bytes]
    ) -> None:
        while (piece := await next_piece(request, body)) is not None:
            if not await self._outbox.send_data(stream, piece, ends=False):
                return
        await self._outbox.send_data(stream, b"", ends=True)


@final
class _Lengths:
    """Looks at the length of each frame when it begins.

    h2 looks at it when the frame is whole: 16 MB later.
    """

    def __init__(self, length_max: int) -> None:
        self._max = length_max
        self._head = b""  # of a frame, as far as it is there
        self._skip = PREFACE_BYTES  # until the next frame begins

    def check(self, data: bytes) -> None:
        data = self._head + data
        at = self._skip
        while at + _LENGTH_BYTES <= len(data):
            length = int.from_bytes(data[at : at + _LENGTH_BYTES])
            if length > self._max:
                raise _TooLong
            at += _FRAME_HEAD_BYTES + length
        self._head = data[at:]
        self._skip = max(0, at - len(data))


def _protocol(bounds: Bounds) -> H2Connection:
    """Return a server's side of HTTP/2 with our limits; nothing is sent yet."""
    protocol = H2Connection(
        H2Configuration(
            client_side=False,
            header_encoding=None,
            # What we send is checked where it is made; h2 would do it again.
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
    )
    protocol.local_settings = Settings(
        client=False,
        initial_values={
            SettingCodes.MAX_CONCURRENT_STREAMS: bounds.streams_max,
            SettingCodes.MAX_HEADER_LIST_SIZE: bounds.header_bytes_max,
            SettingCodes.INITIAL_WINDOW_SIZE: limits.HTTP_BODY_UNREAD_BYTES_MAX,
        },
    )
    protocol.decoder.max_header_list_size = bounds.header_bytes_max
    return protocol


def _request(
    stream: Http2Stream,
    fields: Iterable[tuple[bytes, bytes]],
    peer: Peer,
    bounds: Bounds,
    *,
    is_vanished: Callable[[], bool],
) -> Request:
    """Return the request of a stream, or raise what is wrong with it."""
    pseudo: dict[str, str] = {}
    items: list[tuple[str, str]] = []
    for name, value in fields:
        if name.startswith(b":"):
            pseudo[name.decode("latin-1")] = value.decode("latin-1")
        else:
            items.append((name.decode("latin-1"), value.decode("latin-1")))
    if len(items) > bounds.headers_max:
        raise HttpError(431, "resource_exhausted", "there are too many headers")
    method = pseudo.get(":method", "")
    target = pseudo.get(":path", "")
    if method not in _METHODS:
        raise HttpError(501, "unimplemented", f"the method {method} is not known")
    if not target.startswith("/") and not (target == "*" and method == "OPTIONS"):
        raise HttpError(400, "invalid_argument", "a target begins with a slash")
    headers = Headers(items)
    if "host" not in headers and ":authority" in pseudo:
        headers = Headers([("host", pseudo[":authority"]), *items])
    stream.expects_continue = headers.get("expect", "").lower() == "100-continue"
    path, _, query = target.partition("?")
    return Request(
        method,
        path,
        query=query,
        headers=headers,
        body=stream,
        client=peer.address,
        scheme=peer.scheme,
        http_version="2",
        is_vanished=is_vanished,
    )
