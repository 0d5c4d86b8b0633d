"""What handlers see of HTTP: requests, responses, WebSockets, and the errors of both.

Nothing here reads from a socket. Where the bytes of a request come from is an `Exchange`,
so that a handler is the same under HTTP/1.1, HTTP/2, ASGI and in a test.
"""

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar, final, overload

import trio

from ironflow import limits

_T = TypeVar("_T")
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_DIGITS: Final = 18  # of a length that are looked at


class HttpError(Exception):
    """Raised by a handler, or by what it calls: the client gets this status and code.

    `code` is a Connect code in lower case. `headers` are added to the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = tuple(headers)


@final
class BodyTooLarge(HttpError):
    """The body of a request is larger than its handler takes."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            413, "resource_exhausted", f"the body is larger than {limit} bytes"
        )


@final
class BadBody(HttpError):
    """The body of a request cannot be read as what its headers say."""

    def __init__(self, message: str) -> None:
        super().__init__(400, "invalid_argument", message)


@final
class ClientGone(HttpError):
    """The client went away before the request was whole; nobody reads the answer."""

    def __init__(self) -> None:
        super().__init__(499, "canceled", "the client closed the connection")


@final
class WebSocketClosed(Exception):
    """The WebSocket is closed: `code` and `reason` are those of the close frame.

    1006 when the connection ended without one.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the WebSocket was closed with {code}: {reason}")
        self.code = code
        self.reason = reason


@final
class Headers:
    """An immutable multi map; names are compared without case and kept in lower case."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items = tuple([(name.lower(), value) for name, value in items])

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: _T) -> str | _T: ...
    def get(self, name: str, default: object = None) -> object:
        """Return the first value of a name."""
        name = name.lower()
        # A request has a dozen headers: to look through them costs less than a dict.
        for each, value in self._items:
            if each == name:
                return value
        return default

    def all(self, name: str) -> list[str]:
        """Return every value of a name, in the order of the message."""
        name = name.lower()
        return [value for each, value in self._items if each == name]

    def items(self) -> tuple[tuple[str, str], ...]:
        """Return names and values in the order of the message."""
        return self._items

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._items == other._items

    def __hash__(self) -> int:
        return hash(self._items)

    def __repr__(self) -> str:
        return f"Headers({list(self._items)!r})"


class Exchange(Protocol):
    """The other end of a request: where its body comes from, and whether it is there."""

    async def receive(self, *, is_timed: bool) -> bytes:
        """Return the next piece of the body; empty at its end.

        `is_timed`: a client that stalls, or sends a byte now and then, is cut off.

        Raises:
            ClientGone: the connection or stream ended before the body did.
            HttpError: 408, it was too slow.
        """
        ...

    def is_gone(self) -> bool:
        """Tell whether the client is known to be away."""
        ...

    async def wait_gone(self) -> None:
        """Return when the client goes away. Only one task may wait."""
        ...


@final
class _Given:
    """A body that is there, of a client that stays."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def receive(self, *, is_timed: bool) -> bytes:
        body, self._body = self._body, b""
        return body

    def is_gone(self) -> bool:
        return False

    async def wait_gone(self) -> None:
        await trio.sleep_forever()


@final
class Request:
    """A request whose headers are there and whose body may still arrive.

    `path` is percent-encoded as it was sent, without the query; `query` is the text behind
    `?`. `client` is `host:port`, or empty in process. `http_version` is "1.1", "1.0", "2",
    "asgi" or "test". `body` is the whole body, or where it comes from.
    `actor` is who sent it (`apikey:<id>`), empty while nobody has asked.
    """

    __slots__ = (
        "_exchange",
        "_is_vanished",
        "_whole",
        "actor",
        "client",
        "headers",
        "http_version",
        "method",
        "path",
        "query",
        "scheme",
    )

    def __init__(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Headers | None = None,
        body: bytes | Exchange = b"",
        client: str = "",
        scheme: str = "http",
        http_version: str = "test",
        is_vanished: Callable[[], bool] = bool,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = Headers() if headers is None else headers
        self.client = client
        self.actor = ""
        self.scheme = scheme
        self.http_version = http_version
        self._exchange: Exchange = _Given(body) if isinstance(body, bytes) else body
        self._is_vanished = is_vanished
        self._whole: bytes | None = None

    async def read(self, limit: int | None = None) -> bytes:
        """Return the whole body, without its gzip encoding; again when called again.

        `limit` bounds it in bytes, encoded and decoded (`HTTP_BODY_BYTES_DEFAULT`).

        Raises:
            BodyTooLarge: it is larger; the rest of it is not read.
            BadBody: it is not the gzip that its headers say.
            HttpError: 415 for another encoding.
            ClientGone: the client went away before its end.
        """
        # The server answers 408 for a client that is too slow.
        if self._whole is None:
            limit = limits.HTTP_BODY_BYTES_DEFAULT if limit is None else limit
            self._whole = await self._read(limit)
        return self._whole

    async def _read(self, limit: int) -> bytes:
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding not in {"", "identity", "gzip", "x-gzip"}:
            raise HttpError(
                415,
                "unimplemented",
                f"the content encoding {encoding!r} is not known; use gzip",
                headers=[("accept-encoding", "gzip")],
            )
        # A length that is no number never gets here, and a wrong one is found below.
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length[:_DIGITS]) > limit:
            raise BodyTooLarge(limit)
        if encoding in {"", "identity"}:
            return await self._read_plain(limit)
        return await self._read_gzip(limit)

    async def _read_plain(self, limit: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while piece := await self._exchange.receive(is_timed=True):
            size += len(piece)
            if size > limit:
                raise BodyTooLarge(limit)
            pieces.append(piece)
        return b"".join(pieces)

    async def _read_gzip(self, limit: int) -> bytes:
        gunzip = Gunzip(limit)
        received = 0
        while piece := await self._exchange.receive(is_timed=True):
            received += len(piece)
            if received > limit:
                raise BodyTooLarge(limit)
            gunzip.feed(piece)
        return gunzip.finish()

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, as it was sent (gzip stays gzip), without bound.

        Nor is there a bound on time: nothing may come for days. Over HTTP/2 it may still be read while a streaming response is sent.

        Raises:
            ClientGone: the client went away before its end.
        """
        while piece := await self._exchange.receive(is_timed=False):
            yield piece

    def is_gone(self) -> bool:
        """Tell whether the client is known to be away."""
        return self._exchange.is_gone()

    def is_vanished(self) -> bool:
        """Tell whether the client is away without a goodbye: its machine is not there.

        One that is known to be away and has not vanished has closed its connection.
        """
        return self._is_vanished()

    async def wait_gone(self) -> None:
        """Return when the client goes away; to be cancelled when the answer is there.

        Only one task of a request may wait, and not while another reads the body.
        """
        await self._exchange.wait_gone()

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"


@final
class Gunzip:
    """Takes the gzip encoding away, and stops at the limit instead of beyond it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._is_begun = False

    def feed(self, data: bytes) -> None:
        """Decode a piece.

        Raises:
            BadBody: it is no gzip, or something follows it.
            BodyTooLarge: what it becomes is larger than the limit.
        """
        while data:
            # A second member is legal, and sent by nobody; a million of them are an attack.
            if self._member.eof:
                raise BadBody("bytes follow the gzip of the body")
            self._is_begun = True
            try:
                piece = self._member.decompress(data, self._limit - self._size + 1)
            except zlib.error as error:
                raise BadBody(f"the body is not gzip: {error}") from error
            self._pieces.append(piece)
            self._size += len(piece)
            if self._size > self._limit:
                raise BodyTooLarge(self._limit)
            # No tail: the limit was not met, so everything was taken.
            data = self._member.unused_data

    def finish(self) -> bytes:
        """Return all that was decoded.

        Raises:
            BadBody: the end is missing.
        """
        if self._is_begun and not self._member.eof:
            raise BadBody("the gzip of the body is cut off")
        return b"".join(self._pieces)


Body = bytes | AsyncIterator[bytes]


@final
@dataclass(slots=True)
class Response:
    """What a handler answers.

    `headers` need neither `content-length` nor `date`: the server adds them. `body` is the
    whole of it, or an iterator whose pieces are sent as they come; the iterator is closed
    (`aclose`, if it has one) in every case, also when the client goes away.
    """

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    body: Body = b""


class WebSocket(Protocol):
    """An open WebSocket, as the handler's `serve` sees it."""

    @property
    def request(self) -> Request:
        """The request that was upgraded."""
        ...

    async def receive(self) -> str | bytes:
        """Return the next message: text as str, binary as bytes.

        Raises:
            WebSocketClosed: no more will come.
        """
        ...

    async def send(self, message: str | bytes) -> None:
        """Send a message; waits while the client does not read.

        Raises:
            WebSocketClosed: it cannot be sent any more.
        """
        ...

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake; does nothing when it has begun."""
        ...


@final
@dataclass(frozen=True, slots=True)
class WebSocketUpgrade:
    """What a handler returns instead of a response, to go on as a WebSocket.

    `serve` gets it when it is open; when `serve` returns, it is closed with 1000. A
    `WebSocketClosed` that leaves `serve` is its normal end. `message_bytes_max` bounds a
    received message (`HTTP_WEBSOCKET_MESSAGE_BYTES_DEFAULT`).
    """

    serve: Callable[[WebSocket], Awaitable[None]]
    subprotocol: str | None = None
    message_bytes_max: int = limits.HTTP_WEBSOCKET_MESSAGE_BYTES_DEFAULT


Answer = Response | WebSocketUpgrade
Handler = Callable[[Request], Awaitable[Answer]]
