"""Parsers of what comes over a connection: HTTP/1.1, envelopes, texts of requests."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ironflow import ids
from ironflow.errors import (
    ConfigurationError,
    EventNotFound,
    IronflowError,
    ProtocolError,
    RunNotFound,
)
from ironflow.policy import duration, match, names
from ironflow.transport.event_pages import position_of
from ironflow.transport.handlers.endpoint import body_of, query_of
from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.http1_parser import Http1Parser
from ironflow.transport.http.messages import Request
from ironflow.wire import connect, keys, posts
from ironflow.wire.errors import ConnectError
from tests.fuzz.target import Target, pieces
from tests.transport.http.conversing import UPGRADE

_HOST: Final = b"host: a\r\n"
_ROOMY: Final = Bounds()
_TIGHT: Final = Bounds(header_bytes_max=200, headers_max=5)


# --- HTTP/1.1 -----------------------------------------------------------------------------


def http1(data: bytes) -> None:
    """Any bytes are requests and a refusal; how they are cut does not matter.

    Where bounds are tight it may: what is too much is noticed piece by piece.
    """
    if not data:
        return
    size, data = data[0] % 16 + 1, data[1:]
    whole = _parsed([data], _ROOMY)
    cut = _parsed(pieces(data, size), _ROOMY)
    assert cut == whole, (cut, whole)
    _parsed(pieces(data, size), _TIGHT)


@dataclass
class _Parsed:
    requests: list[tuple[Any, ...]]
    status: int
    rest: bytes


def _parsed(given: list[bytes], bounds: Bounds) -> _Parsed:
    parser = Http1Parser(bounds)
    for piece in given:
        parser.feed(piece)
    found = [
        (
            each.method,
            each.path,
            each.query,
            each.headers.items(),
            each.version,
            each.length,
            b"".join(each.body),
            each.is_complete,
            each.keeps_alive,
            each.expects_continue,
            each.is_upgrade,
        )
        for each in parser.requests
    ]
    for each in parser.requests:
        assert each.path.startswith("/") or each.path == "*"
        assert each.length is None or each.received <= each.length
        assert not each.is_complete or each.length in {None, each.received}
    return _Parsed(found, parser.refusal.status if parser.refusal else 0, parser.rest)


_GET: Final = b"GET /a?b=c HTTP/1.1\r\n" + _HOST + b"\r\n"
_HTTP1_SEEDS: Final = [
    b"\x00" + _GET + _GET,
    b"\x02POST / HTTP/1.1\r\n" + _HOST + b"content-length: 5\r\n\r\nhello" + _GET,
    b"\x05POST / HTTP/1.1\r\n"
    + _HOST
    + b"transfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n"
    + _GET,
    b"\x07GET http://a/b HTTP/1.0\r\nconnection: keep-alive\r\n\r\n" + _GET,
    b"\x01" + UPGRADE + b"\x81\x80\0\0\0\0",
    b"\x03OPTIONS * HTTP/1.1\r\nexpect: 100-continue\r\n" + _HOST + b"\r\n",
    b"\x0fPOST / HTTP/1.1\r\n"
    + _HOST
    + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
    b"content-length: 2\r\n\r\nok" + _GET,
]
_HTTP1_TOKENS: Final = [
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"HTTP/1.1",
    b"HTTP/2.0",
    b"transfer-encoding: chunked\r\n",
    b"content-length: 3\r\n",
    b"connection: close\r\n",
    b"upgrade: websocket\r\n",
    b"expect: 100-continue\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    _HOST,
]


# --- envelopes ----------------------------------------------------------------------------


def envelopes(data: bytes) -> None:
    """Any bytes are messages and an error; how they are cut does not matter."""
    if not data:
        return
    size, encoding = data[0] % 16 + 1, "gzip" if data[0] & 16 else ""
    whole = _enveloped([data[1:]], encoding)
    assert _enveloped(pieces(data[1:], size), encoding) == whole


def _enveloped(given: list[bytes], encoding: str) -> tuple[list[bytes], str]:
    reader = connect.EnvelopeReader(encoding=encoding, bytes_max=2_000)
    found: list[bytes] = []
    try:
        for piece in given:
            for message in reader.feed(piece):
                assert len(message) <= 2_000
                found.append(message)
        reader.finish()
    except ConnectError as error:
        return found, error.code
    return found, ""


# --- texts --------------------------------------------------------------------------------


def texts(data: bytes) -> None:
    """What a header, a query or a field of a request may hold is read or refused."""
    if not data:
        return
    read = _TEXTS[data[0] % len(_TEXTS)]
    try:
        read(data[1:].decode("utf-8", "surrogatepass" if data[0] & 128 else "replace"))
    except UnicodeDecodeError:
        return
    except (IronflowError, ConnectError):
        return


def _query(text: str) -> None:
    latin = text.encode("utf-8", "surrogatepass").decode("latin-1")
    found = query_of(Request("GET", "/", query=latin))
    assert all(isinstance(value, str) for value in found.values())


def _signature(text: str) -> None:
    try:
        posts.check_signature("key", text, b"body", now_s=1_000_000)
    except ProtocolError:
        return
    raise AssertionError(f"{text!r} signs a body")


def _duration(text: str) -> None:
    found = duration.parse_duration(text, option="x")
    assert found >= 0
    again = duration.parse_duration(duration.format_duration(found), option="x")
    assert duration.format_duration(again) == duration.format_duration(found)


def _path(text: str) -> None:
    event = {"data": {"a": [1, {"b": None}], "ä": "x"}, "name": "n"}
    match.match_key(match.value_at(event, match.parse_path(text, option="x")))


def _pattern(text: str) -> None:
    found = match.parse_pattern(text, option="x")
    match.pattern_matches(found, "order.created")
    match.pattern_matches(found, text)


def _cursor(text: str) -> None:
    assert 0 <= position_of(text, option="cursor") < 2**64


def _ids(text: str) -> None:
    ids.escaped(text)
    ids.name_of(text)
    for check in (ids.check_run_id, ids.check_event_id):
        try:
            ids.time_us(check(text))
        except (ConfigurationError, EventNotFound, RunNotFound):
            continue


def _names(text: str) -> None:
    for check in (
        names.check_event_name,
        names.check_awaited_name,
        names.check_function_id,
        names.check_environment,
        names.check_topic,
        names.check_step_name,
    ):
        try:
            assert check(text) == text
        except ConfigurationError:
            continue


def _time(text: str) -> None:
    duration.parse_time(text, option="x")


def _key(text: str) -> None:
    keys.is_text(text)
    keys.is_id(text)
    keys.hashed(text)


def _header(text: str) -> None:
    connect.content_type(text)
    assert 0 <= connect.timeout_ms(text) < 10**10


def _body(text: str) -> None:
    body_of(text.encode("utf-8", "surrogatepass"))


_TEXTS: Final[tuple[Callable[[str], None], ...]] = (
    _query,
    _signature,
    _duration,
    _path,
    _pattern,
    _cursor,
    _ids,
    _names,
    _time,
    _key,
    _header,
    _body,
)
_TEXT_SEEDS: Final = [
    b"\x00a=b&c=%ff&d",
    b"\x01t=1000000,v1=" + b"0" * 64,
    b"\x021d 2h 3m 4.5s",
    b"\x03data.a[0].b",
    b"\x04order.*.>",
    b"\x051234567890",
    b"\x06run_0192f0c0000070008000000000000001",
    b"\x07order.created",
    b"\x082030-01-01T00:00:00.123456+02:00",
    b"\x09ifkey_0123456789abcdef0123456789abcdef",
    b"\x0aapplication/connect+json; charset=utf-8",
    b'\x0b{"name": "order.created", "data": [1, null, {"a": "\\ud800"}]}',
]

TARGETS: Final = (
    Target("http1", http1, _HTTP1_SEEDS, _HTTP1_TOKENS),
    Target(
        "envelopes",
        envelopes,
        [
            b"\x01" + connect.envelope(b"hello") + connect.envelope(b""),
            b"\x12" + connect.envelope(b"\x1f\x8b", flags=1) + connect.envelope(b"x"),
            b"\x03" + connect.end_of_stream(),
        ],
        [b"\0\0\0\0", b"\1\0\0\0", b"\2", b"\x1f\x8b\x08"],
    ),
    Target("texts", texts, _TEXT_SEEDS, [b"\xed\xa0\x80", "٣".encode(), b"\0", b"*"]),
)
