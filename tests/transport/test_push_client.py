"""One POST to an endpoint: how much of an answer is read, and for how long."""

import gzip
import zlib
from collections.abc import AsyncIterator, Iterable

import httpx
import pytest
import trio
from trio.testing import MockClock

from ironflow import limits
from ironflow.transport.push_client import Answered, CallFailed, Patience, exchange

# httpx leaves generators of its own in the middle, which nobody else can close.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*async_generator object.*:pytest.PytestUnraisableExceptionWarning"
)
PATIENCE = Patience(seconds=10, answer_bytes_max=1_000)


class Body(httpx.AsyncByteStream):
    """Pieces of an answer, each after a pause; counts those that were wanted."""

    def __init__(self, pieces: Iterable[bytes], pause_s: float = 0) -> None:
        self._pieces = iter(pieces)
        self._pause_s = pause_s
        self.sent = 0
        self.is_closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await trio.sleep(self._pause_s)
        self.sent += 1
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.is_closed = True


async def asked(
    body: Body, *, status: int = 200, encoding: str = "", seen: list[str] | None = None
) -> Answered:
    async def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request.headers["accept-encoding"])
        headers = {"content-encoding": encoding} if encoding else {}
        return httpx.Response(status, headers=headers, stream=body)

    transport = httpx.MockTransport(answer)
    async with httpx.AsyncClient(transport=transport) as client:
        return await exchange(client, "http://a.test", b"", {}, patience=PATIENCE)


async def test_an_answer_is_read_whole_and_is_asked_for_as_it_is() -> None:
    seen: list[str] = []
    found = await asked(Body([b"a" * 999, b"b"]), seen=seen)

    assert found.body == b"a" * 999 + b"b"
    assert seen == ["identity"]


@pytest.mark.parametrize("level", [None, 0, 9])
async def test_an_answer_that_is_too_large_is_not_read_to_its_end(
    level: int | None,
) -> None:
    """Neither as it is sent nor as what becomes of it."""
    plain = b"\0" * 1_001
    sent = plain if level is None else gzip.compress(plain, level)
    encoding = "" if level is None else "gzip"
    body = Body([sent[:500], sent[500:], b"", b""])

    with pytest.raises(CallFailed, match=r"more than 1000|larger than 1000") as caught:
        await asked(body, encoding=encoding)
    assert caught.value.code == "ENDPOINT_ERROR"
    assert body.is_closed
    assert body.sent <= 2


async def test_a_gzip_that_becomes_a_thousand_times_as_large_is_stopped_at_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is ever decoded beyond it, also not within one piece."""
    made: list[int] = []
    real = zlib.decompressobj

    class Counted:
        def __init__(self, window: int) -> None:
            self._real = real(window)
            self.eof = False

        def decompress(self, data: bytes, size: int) -> bytes:
            piece = self._real.decompress(data, size)
            made.append(len(piece))
            return piece

    monkeypatch.setattr(zlib, "decompressobj", Counted)
    with pytest.raises(CallFailed, match="larger than 1000"):
        await asked(Body([gzip.compress(b"\0" * 900_000)]), encoding="gzip")

    assert made == [1_001]


async def test_gzip_that_nobody_asked_for_is_read() -> None:
    found = await asked(Body([gzip.compress(b"a" * 1_000)]), encoding="GZIP")

    assert found.body == b"a" * 1_000


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("br", b"xx"), ("gzip", b"xx"), ("gzip", gzip.compress(b"a" * 10)[:-9])],
)
async def test_an_encoding_that_cannot_be_read_is_said(
    encoding: str, body: bytes
) -> None:
    with pytest.raises(CallFailed, match="its answer") as caught:
        await asked(Body([body]), encoding=encoding)
    assert caught.value.code == "ENDPOINT_ERROR"


async def test_an_answer_that_trickles_is_given_up(autojump_clock: MockClock) -> None:
    body = Body([b"a"] * 100, pause_s=1)
    begun = trio.current_time()

    with pytest.raises(CallFailed, match="within 10 s") as caught:
        await asked(body)
    assert caught.value.code == "TIMEOUT"
    assert trio.current_time() - begun == pytest.approx(10)
    assert body.is_closed


async def test_of_an_error_only_the_beginning_is_read() -> None:
    body = Body([b"x" * 1_000] * 1_000)
    found = await asked(body, status=500)

    assert found.status == 500
    assert found.body == b"x" * limits.PUSH_ERROR_BYTES_MAX
    assert body.sent < 20
    assert body.is_closed


async def test_an_error_in_an_encoding_is_not_read() -> None:
    found = await asked(Body([b"\0" * 100]), status=502, encoding="br")

    assert (found.status, found.body) == (502, b"")


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    found = await asked(Body([b"there"]), status=307)

    assert (found.status, found.body) == (307, b"there")
