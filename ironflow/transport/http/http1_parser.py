"""HTTP/1.1 from bytes to requests, without any I/O.

`httptools` (llhttp) finds the parts and is strict about what could be read in two ways:
both lengths, two lengths, folded headers, bare line feeds. This module adds the rules that
concern a server: sizes, `Host`, the forms of a target, what it does not implement.
"""

from collections import deque
from typing import Final, final

import httptools

from ironflow import limits
from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.messages import Headers, HttpError

_METHODS: Final = frozenset(
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
)
_VERSIONS: Final = frozenset(["1.0", "1.1"])
_NOTED: Final = frozenset(
    ["content-length", "expect", "host", "transfer-encoding", "upgrade"]
)
_OF_UPGRADE: Final = frozenset(["connection", "http2-settings", "upgrade"])
_SCHEMES: Final = ("http://", "https://")
_LINE_BYTES: Final = 4  # of a header line, beside name and value
_CHUNK_BYTES: Final = 16  # of a chunk, beside what is in it


@final
class Incoming:
    """A request as it arrives: its head, and as much of its body as is there."""

    __slots__ = (
        "body",
        "buffered",
        "expects_continue",
        "headers",
        "is_complete",
        "is_upgrade",
        "keeps_alive",
        "length",
        "method",
        "path",
        "query",
        "received",
        "version",
    )

    def __init__(self, method: str, target: str, headers: Headers) -> None:
        self.method = method
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.version = "1.1"
        self.length: int | None = 0  # None: in chunks
        self.body: deque[bytes] = deque()
        self.buffered = 0  # bytes in `body`
        self.received = 0  # bytes of the body so far
        self.is_complete = False
        self.keeps_alive = False
        self.expects_continue = False
        self.is_upgrade = False


@final
class Http1Parser:
    """Bytes in; `requests` out, in order, each as soon as its headers are there.

    `refusal` is set at the first bytes that are no request: requests before it stand, and
    nothing after it is read. Behind a request for a WebSocket, bytes go to `rest`.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self.requests: deque[Incoming] = deque()
        self.refusal: HttpError | None = None
        self.rest = b""
        self.is_begun = False  # a request whose headers are not whole
        self._parser = httptools.HttpRequestParser(self)
        self._current: Incoming | None = None  # a request whose body is not whole
        self._is_ended = False  # a request asked for the end of the connection
        self._is_upgraded = False
        self._refused_upgrade: bytes | None = None  # the head, without the upgrade
        self.on_message_begin()
        self.is_begun = False

    def feed(self, data: bytes) -> None:
        """Take bytes as they came from the client."""
        if self.refusal is not None or self._is_ended:
            return
        if self._is_upgraded:
            self.rest += data
            return
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            self._refuse(error)
            return
        else:
            self._check_overhead()
            return
        # Not in the handler: an error there would have the upgrade as its context.
        self._go_on_after_upgrade(rest)

    # What httptools calls; what these raise, it raises as the context of its own error.

    def on_message_begin(self) -> None:
        """A request begins."""
        self.is_begun = True
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._noted: dict[str, str] = {}
        self._head_size = 0
        self._fed = 0  # bytes since head or body began, without the first piece
        self._chunks = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the target is there."""
        self._target += url
        if len(self._target) > self._bounds.header_bytes_max:
            raise HttpError(414, "invalid_argument", "the target is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header or a trailer is whole."""
        self._head_size += len(name) + len(value) + _LINE_BYTES
        if self._head_size > self._bounds.header_bytes_max:
            raise _too_large(self._bounds)
        if self._current is not None:  # a trailer; nobody asked for it
            return
        lowered = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        self._headers.append((lowered, text))
        if len(self._headers) > self._bounds.headers_max:
            raise _too_large(self._bounds)
        if lowered in _NOTED:
            if lowered == "host" and "host" in self._noted:
                raise _bad("there are two Host headers")
            self._noted[lowered] = text

    def on_headers_complete(self) -> None:
        """The head is whole: make the request, or refuse it."""
        method = self._parser.get_method().decode("latin-1")
        version = self._parser.get_http_version()
        target = self._target.decode("latin-1")
        _check_line(method, target, version)
        self._check_noted(version)
        if self._parser.should_upgrade() and not self._is_web_socket(method):
            self._refused_upgrade = self._head_without_upgrade(method, target, version)
            return
        current = Incoming(method, _origin_form(method, target), Headers(self._headers))
        current.version = version
        if "transfer-encoding" in self._noted:
            current.length = None
        else:
            current.length = int(self._noted.get("content-length", "0"))
        current.is_upgrade = self._parser.should_upgrade()
        current.keeps_alive = (
            self._parser.should_keep_alive() and not current.is_upgrade
        )
        current.expects_continue = "expect" in self._noted
        self._current = current
        self.is_begun = False
        self._fed = 0
        self.requests.append(current)

    def on_body(self, body: bytes) -> None:
        """A piece of the body is there."""
        current = self._current
        if current is not None:
            current.body.append(body)
            current.buffered += len(body)
            current.received += len(body)

    def on_chunk_complete(self) -> None:
        """A chunk is whole."""
        self._chunks += 1

    def on_message_complete(self) -> None:
        """The request is whole."""
        current = self._current
        if current is not None:
            current.is_complete = True
            self._current = None
            self._is_upgraded = current.is_upgrade
            self._is_ended = not (current.keeps_alive or current.is_upgrade)

    # The rules of this server.

    def _check_noted(self, version: str) -> None:
        noted = self._noted
        if version == "1.1" and "host" not in noted:
            raise _bad("there is no Host header")
        coding = noted.get("transfer-encoding")
        if coding is not None and version == "1.0":
            raise _bad("HTTP/1.0 has no transfer encodings")
        if coding is not None and coding.strip().lower() != "chunked":
            raise HttpError(
                501, "unimplemented", f"the transfer encoding {coding!r} is not known"
            )
        if noted.get("expect", "100-continue").strip().lower() != "100-continue":
            raise HttpError(417, "invalid_argument", "only 100-continue is expected")

    def _is_web_socket(self, method: str) -> bool:
        return (
            method == "GET"
            and self._noted.get("upgrade", "").strip().lower() == "websocket"
            and "transfer-encoding" not in self._noted
            and self._noted.get("content-length", "0") == "0"
        )

    def _head_without_upgrade(self, method: str, target: str, version: str) -> bytes:
        """Write the head anew: the parser would not read the body of an upgrade.

        Clients that would rather have HTTP/2 ask for it so, also with a body.
        """
        lines = [f"{method} {target} HTTP/{version}"]
        lines += [
            f"{name}: {value}"
            for name, value in self._headers
            if name not in _OF_UPGRADE
        ]
        if not self._parser.should_keep_alive():
            lines.append("connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _go_on_after_upgrade(self, rest: bytes) -> None:
        head, self._refused_upgrade = self._refused_upgrade, None
        if head is None:
            self.rest = rest
            return
        self._parser = httptools.HttpRequestParser(self)
        self.feed(head + rest)

    def _refuse(self, error: httptools.HttpParserError) -> None:
        if self._is_ended:  # what follows the last request is nobody's
            return
        cause = error.__context__
        self.refusal = cause if isinstance(cause, HttpError) else _unreadable(error)

    def _check_overhead(self) -> None:
        """Refuse what grows and gives neither headers nor body."""
        current = self._current
        if self.is_begun and self._fed > self._bounds.header_bytes_max:
            self.refusal = _too_large(self._bounds)
        if current is not None and current.length is None:
            overhead = self._fed - current.received - _CHUNK_BYTES * self._chunks
            if overhead > limits.HTTP_CHUNK_OVERHEAD_BYTES_MAX:
                self.refusal = _bad("the chunks of the body say more than they hold")


def _check_line(method: str, target: str, version: str) -> None:
    if version not in _VERSIONS:
        raise HttpError(
            505, "unimplemented", f"HTTP/{version} is not spoken; use 1.1 or 2"
        )
    if method not in _METHODS:
        raise HttpError(501, "unimplemented", f"the method {method} is not known")
    if "#" in target:
        raise _bad("a target has no fragment")


def _origin_form(method: str, target: str) -> str:
    """Return path and query of a target, which may have been sent to a proxy."""
    if target.startswith("/") or (target == "*" and method == "OPTIONS"):
        return target
    scheme = next((each for each in _SCHEMES if target.lower().startswith(each)), None)
    if scheme is None:
        raise _bad("a target begins with a slash")
    authority, slash, path = target[len(scheme) :].partition("/")
    if "?" in authority:  # http://host?query/with/slashes
        return "/?" + (authority + slash + path).partition("?")[2]
    return "/" + path


def _unreadable(error: httptools.HttpParserError) -> HttpError:
    message = f"the request cannot be read: {error}"
    # Also for what is no word: the parser does not say where the line begins, and what it
    # says must not depend on how the bytes came in.
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return HttpError(501, "unimplemented", message)
    return _bad(message)


def _bad(message: str) -> HttpError:
    return HttpError(400, "invalid_argument", message)


def _too_large(bounds: Bounds) -> HttpError:
    return HttpError(
        431,
        "resource_exhausted",
        f"the headers are more than {bounds.header_bytes_max} bytes"
        f" or {bounds.headers_max} lines",
    )
