"""Which bytes are requests of HTTP/1.1, and which are refused."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.http1_parser import Http1Parser

HOST = b"host: a\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
SMALL = Bounds(header_bytes_max=200, headers_max=5)


@dataclass(frozen=True)
class Seen:
    """What a parser made of some bytes."""

    requests: list[tuple[str, str, str, bytes, bool]]
    refusal: int | None
    rest: bytes


def parse(*pieces: bytes, bounds: Bounds | None = None) -> Seen:
    parser = Http1Parser(bounds or Bounds())
    for piece in pieces:
        parser.feed(piece)
    return Seen(
        [
            (
                each.method,
                each.path,
                each.query,
                b"".join(each.body),
                each.is_complete,
            )
            for each in parser.requests
        ],
        parser.refusal.status if parser.refusal else None,
        parser.rest,
    )


def test_requests_come_one_after_the_other() -> None:
    seen = parse(
        b"GET /a?x=1&y HTTP/1.1\r\n" + HOST + b"\r\n"
        b"POST /b HTTP/1.1\r\n" + HOST + b"content-length: 3\r\n\r\nabc"
        b"PUT /c HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n"
        b"2\r\nde\r\n1;ext=1\r\nf\r\n0\r\ntrailer: x\r\n\r\n"
        b"\r\nHEAD /d HTTP/1.0\r\n\r\n"
    )

    assert seen.requests == [
        ("GET", "/a", "x=1&y", b"", True),
        ("POST", "/b", "", b"abc", True),
        ("PUT", "/c", "", b"def", True),
        ("HEAD", "/d", "", b"", True),
    ]
    assert seen.refusal is None


def test_headers_are_kept_in_order_and_trailers_are_not() -> None:
    parser = Http1Parser(Bounds())
    parser.feed(CHUNKED.replace(b"\r\n\r\n", b"\r\nX: 1\r\nx: \xe4\r\n\r\n"))
    parser.feed(b"0\r\ny: 2\r\n\r\n")

    headers = parser.requests[0].headers
    assert headers.all("x") == ["1", "ä"]
    assert "y" not in headers


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"http://a.b:80/c?d", ("/c", "d")),
        (b"HTTP://a", ("/", "")),
        (b"https://a?b/c", ("/", "b/c")),
        (b"/a?b?c", ("/a", "b?c")),
        (b"//a/b", ("//a/b", "")),
        (b"/%2e%2e/a", ("/%2e%2e/a", "")),
    ],
)
def test_a_target_may_be_that_of_a_proxy(
    target: bytes, expected: tuple[str, str]
) -> None:
    seen = parse(b"GET %b HTTP/1.1\r\nhost: a\r\n\r\n" % target)

    assert seen.requests[0][1:3] == expected


def test_options_may_mean_the_server() -> None:
    assert parse(b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n").requests[0][1] == "*"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 5\r\ncontent-length: 5\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 5, 5\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"content-length: +5\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"content-length: -5\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 99999999999999999999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"content-length:\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"x: a\r\n b\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nhost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\nx: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\n\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\rx: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n host: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET ftp://a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /\xc3\xa4 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 501),
        (b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", 501),
        (b"\x16\x03\x01\x02\x00\x01", 501),
        (b"POST / HTTP/1.0\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: identity\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\n" + HOST + b"expect: more\r\n\r\n", 417),
        (b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
        (b"PROPFIND / HTTP/1.1\r\n" + HOST + b"\r\n", 501),
        (b"GET /\r\n\r\n", 505),
        (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
        (b"GET / HTTP/3.7\r\n" + HOST + b"\r\n", 400),
        (CHUNKED + b"5\nhello\r\n0\r\n\r\n", 400),
        (CHUNKED + b"5\r\nhello\n0\r\n\r\n", 400),
        (CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n", 400),
        (CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n", 400),
        (CHUNKED + b"-1\r\n", 400),
        (CHUNKED + b"0x1\r\na\r\n", 400),
        (CHUNKED + b"fffffffffffffffff\r\n", 400),
    ],
)  # fmt: skip
@pytest.mark.parametrize("cut", [1, 10_000])
def test_what_can_be_read_in_two_ways_is_refused(
    data: bytes, status: int, cut: int
) -> None:
    pieces = [data[at : at + cut] for at in range(0, len(data), cut)]

    seen = parse(*pieces, b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n")

    assert seen.refusal == status
    assert "/smuggled" not in [path for _, path, *_ in seen.requests]


def test_requests_before_a_refused_one_stand() -> None:
    seen = parse(b"GET /a HTTP/1.1\r\n" + HOST + b"\r\nnonsense\r\n\r\n")

    assert [path for _, path, *_ in seen.requests] == ["/a"]
    assert seen.refusal == 501


def test_nothing_is_read_behind_the_last_request() -> None:
    """Also no error: a client may send what it likes there."""
    close = b"GET /a HTTP/1.1\r\n" + HOST + b"connection: close\r\n\r\n"

    assert parse(close + b"nonsense", b"\0" * 10) == parse(close)
    assert parse(close).refusal is None


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n" + b"x: %b\r\n" % (b"y" * 200), 431),
        (b"GET / HTTP/1.1\r\n" + b"x:y\r\n" * 6, 431),
        (b"GET /%b HTTP/1.1\r\n" % (b"y" * 200), 414),
        (CHUNKED + b"0\r\n" + b"x: %b\r\n" % (b"y" * 200), 431),
    ],
)
def test_a_head_has_bounds(data: bytes, status: int) -> None:
    assert parse(data + b"z: z\r\n\r\n", bounds=SMALL).refusal == status


def test_a_header_that_never_ends_is_refused() -> None:
    pieces = [b"GET / HTTP/1.1\r\nx: "] + [b"y" * 50] * 5

    assert parse(*pieces, bounds=SMALL).refusal == 431
    assert parse(*pieces[:4], bounds=SMALL).refusal is None


def test_chunks_may_be_small_but_not_mostly_extensions() -> None:
    """A chunk of one byte is slow, and allowed; a megabyte of extension is not."""
    tiny = parse(CHUNKED, *[b"1\r\na\r\n"] * 20_000)
    extended = parse(CHUNKED, b"1;", *[b"x" * 1000] * 20)

    assert tiny.refusal is None
    assert extended.refusal == 400


def test_a_web_socket_takes_what_follows() -> None:
    upgrade = (
        b"GET /ws HTTP/1.1\r\nhost: a\r\nupgrade: WebSocket\r\nconnection: upgrade\r\n"
        b"\r\n"
    )

    seen = parse(upgrade + b"\x81", b"\x80GET")

    assert seen.requests == [("GET", "/ws", "", b"", True)]
    assert seen.rest == b"\x81\x80GET"


@pytest.mark.parametrize("cut", [1, 7, 1000])
@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"content-length: 2\r\n", b"hi"),
        (b"transfer-encoding: chunked\r\n", b"2\r\nhi\r\n0\r\n\r\n"),
    ],
)
def test_another_upgrade_is_ignored_and_its_body_is_read(
    framing: bytes, body: bytes, cut: int
) -> None:
    """Some clients ask for HTTP/2 so; the body must not be taken for a request."""
    head = (
        b"POST /a HTTP/1.1\r\nhost: a\r\nupgrade: h2c\r\nhttp2-settings: AAMA\r\n"
        b"connection: upgrade, http2-settings\r\n" + framing + b"\r\n"
    )
    data = head + body + b"GET /b HTTP/1.1\r\nhost: a\r\n\r\n"

    seen = parse(*[data[at : at + cut] for at in range(0, len(data), cut)])

    assert seen.requests == [
        ("POST", "/a", "", b"hi", True),
        ("GET", "/b", "", b"", True),
    ]
    assert (seen.refusal, seen.rest) == (None, b"")


def test_what_is_refused_behind_an_ignored_upgrade_has_its_own_reason() -> None:
    """Both in one packet: the upgrade is not what is wrong."""
    seen = parse(
        b"GET /a HTTP/1.1\r\nhost: a\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"
        b"TRACE /b HTTP/1.1\r\nhost: a\r\n\r\n"
    )

    assert [each[1] for each in seen.requests] == ["/a"]
    assert seen.refusal == 501


def test_an_ignored_upgrade_may_be_the_last_request() -> None:
    seen = parse(
        b"GET /a HTTP/1.1\r\nhost: a\r\nupgrade: h2c\r\n"
        b"connection: upgrade, close\r\n\r\nGET /b HTTP/1.1\r\nhost: a\r\n\r\n"
    )

    assert [path for _, path, *_ in seen.requests] == ["/a"]


token = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=10)
value = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE"]))
    path = draw(st.lists(token, max_size=3).map("/".join))
    lines = [f"{method} /{path} HTTP/1.1", "host: a"]
    lines += [f"x-{name}: {text}" for name, text in draw(st.lists(st.tuples(token, value), max_size=3))]  # fmt: skip
    chunks = draw(st.lists(st.binary(min_size=1, max_size=30), max_size=4))
    if draw(st.booleans()):
        lines.append("transfer-encoding: chunked")
        framed = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks)
        body = framed + b"0\r\n\r\n"
    else:
        body = b"".join(chunks)
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def cuts(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.lists(requests(), min_size=1, max_size=4), st.lists(st.integers(0, 10_000)))
def test_it_does_not_matter_where_bytes_are_cut(
    sent: list[bytes], places: list[int]
) -> None:
    data = b"".join(sent)

    seen = parse(*[piece for piece in cuts(data, places) if piece])

    assert seen == parse(data)
    assert len(seen.requests) == len(sent)
    assert all(is_complete for *_, is_complete in seen.requests)
    assert seen.refusal is None


@given(
    requests(),
    st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=5)), max_size=3),
    st.lists(st.integers(0, 10_000), max_size=4),
)
def test_damaged_requests_are_read_or_refused(
    sent: bytes, damage: list[tuple[int, bytes]], places: list[int]
) -> None:
    """Whatever comes, a parser has an opinion, and the same one for every cut."""
    data = sent
    for place, junk in damage:
        at = place % len(data)
        data = data[:at] + junk + data[at + len(junk) :]

    whole = parse(data + b"\r\n\r\n")
    cut = parse(*cuts(data, places), b"\r\n\r\n")

    assert (cut.refusal, cut.requests) == (whole.refusal, whole.requests)


@given(st.lists(st.binary(max_size=50)))
def test_any_bytes_are_read_or_refused(pieces: list[bytes]) -> None:
    parse(*[piece for piece in pieces if piece])
