"""Headers, and the bodies of requests."""

import gzip
from collections.abc import Sequence

import pytest
import trio

from ironflow.transport.http.messages import (
    BadBody,
    BodyTooLarge,
    Headers,
    HttpError,
    Request,
)


class Pieces:
    """A body that arrives in pieces; it counts what was taken."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.waiting = [*pieces]

    async def receive(self, *, is_timed: bool) -> bytes:
        return self.waiting.pop(0) if self.waiting else b""

    def is_gone(self) -> bool:
        return False

    async def wait_gone(self) -> None:
        await trio.sleep_forever()


def request(body: bytes | Pieces, **headers: str) -> Request:
    items = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Request("POST", "/", headers=Headers(items), body=body)


def test_headers_are_found_without_case() -> None:
    headers = Headers([("Content-Type", "a"), ("X-One", "1"), ("x-one", "2")])

    assert headers.get("CONTENT-type") == "a"
    assert headers.get("x-ONE") == "1"
    assert headers.all("X-one") == ["1", "2"]
    assert headers.get("x-two") is None
    assert headers.get("x-two", "none") == "none"
    assert "content-type" in headers
    assert "content" not in headers
    assert headers.items()[0] == ("content-type", "a")


async def test_a_body_in_pieces_is_read_whole_and_again() -> None:
    asked = request(Pieces([b"ab", b"c", b"def"]))

    assert await asked.read() == b"abcdef"
    assert await asked.read() == b"abcdef"


async def test_a_body_is_streamed_as_it_comes() -> None:
    asked = request(Pieces([b"ab", b"c"]))

    assert [piece async for piece in asked.stream()] == [b"ab", b"c"]


@pytest.mark.parametrize("cut", [1, 7, 1000])
async def test_gzip_is_taken_away(cut: int) -> None:
    body = gzip.compress(b"hello" * 100)
    pieces = Pieces([body[at : at + cut] for at in range(0, len(body), cut)])

    asked = request(pieces, content_encoding="gzip")

    assert await asked.read(limit=500) == b"hello" * 100


async def test_an_empty_body_may_call_itself_gzip() -> None:
    assert await request(b"", content_encoding="gzip").read() == b""


async def test_a_bomb_is_not_unpacked() -> None:
    """A megabyte that would be a gigabyte is refused at the limit."""
    bomb = gzip.compress(b"\0" * 50_000_000, compresslevel=9)
    asked = request(bomb, content_encoding="gzip")

    with pytest.raises(BodyTooLarge) as raised:
        await asked.read(limit=1_000_000)

    assert raised.value.status == 413


@pytest.mark.parametrize(
    "body",
    [
        b"no gzip",
        gzip.compress(b"hello")[:-1],
        gzip.compress(b"hello") + b"!",
        gzip.compress(b"a") + gzip.compress(b"b"),
        gzip.compress(b"hello")[:-8] + b"\0" * 8,
    ],
    ids=["other", "cut", "longer", "two", "checksum"],
)
async def test_what_is_not_gzip_is_400(body: bytes) -> None:
    with pytest.raises(BadBody) as raised:
        await request(body, content_encoding="gzip").read()

    assert raised.value.status == 400


async def test_another_encoding_is_415() -> None:
    with pytest.raises(HttpError) as raised:
        await request(b"x", content_encoding="br").read()

    assert raised.value.status == 415
    assert raised.value.headers == (("accept-encoding", "gzip"),)


async def test_a_body_over_the_limit_is_not_read_on() -> None:
    pieces = Pieces([b"1234"] * 10)

    with pytest.raises(BodyTooLarge):
        await request(pieces).read(limit=7)

    assert len(pieces.waiting) == 8


async def test_a_body_of_the_limit_is_taken() -> None:
    assert await request(Pieces([b"1234", b"567"])).read(limit=7) == b"1234567"


async def test_a_length_over_the_limit_is_refused_before_the_body() -> None:
    pieces = Pieces([b"1"])

    with pytest.raises(BodyTooLarge):
        await request(pieces, content_length="8").read(limit=7)

    assert len(pieces.waiting) == 1


async def test_gzip_over_the_limit_is_refused_as_it_is_sent() -> None:
    """Also what unpacks to nothing may not be sent without end."""
    pieces = Pieces([gzip.compress(b"")[:10], b"\x00\x00\x00\xff\xff" * 100, b"more"])

    with pytest.raises(BodyTooLarge):
        await request(pieces, content_encoding="gzip").read(limit=50)

    assert len(pieces.waiting) == 1
