"""Clients of HTTP/1.1 that are slow on purpose, in virtual time."""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair

from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.messages import Request, Response
from tests.transport.http.peers import ASK, HOST, served

SLOW = Bounds(
    headers_us_max=10_000_000,
    idle_us_max=60_000_000,
    body_stall_us_max=20_000_000,
    body_bytes_per_second_min=1_000,
    write_stall_us_max=30_000_000,
)


async def test_headers_have_to_be_whole_in_time(autojump_clock: MockClock) -> None:
    """However many of them come."""
    answer = b""
    async with served(bounds=SLOW) as peer:
        await peer.send(b"GET / HTTP/1.1\r\n")
        with trio.move_on_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(drip, peer.stream, b"x: y\r\n")
                answer = await peer.rest()
                nursery.cancel_scope.cancel()
        elapsed = trio.current_time()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert 10 <= elapsed <= 12


async def drip(stream: trio.abc.Stream, step: bytes) -> None:
    while True:
        await trio.sleep(1)
        try:
            await stream.send_all(step)
        except trio.BrokenResourceError:
            return


async def test_a_request_after_a_long_pause_has_its_time(
    autojump_clock: MockClock,
) -> None:
    async with served(bounds=SLOW) as peer:
        await peer.send(ASK % b"a")
        await peer.receive(b"GET /a")
        await trio.sleep(57)
        await peer.send(b"GET /b HTTP/1.1\r\n")
        await trio.sleep(8)
        await peer.send(HOST + b"\r\n")

        assert b"200 OK" in await peer.receive(b"GET /b")


@pytest.mark.parametrize("first", [b"", b"G", b"PRI * HT", b"\r\n"])
async def test_a_client_that_says_nothing_is_closed(
    first: bytes, autojump_clock: MockClock
) -> None:
    async with served(bounds=SLOW) as peer:
        if first:
            await peer.send(first)
        answer = await peer.rest()
        elapsed = trio.current_time()

    assert elapsed <= 75
    assert answer.count(b"HTTP/1.1") <= 1


async def test_an_idle_connection_is_closed_without_a_word(
    autojump_clock: MockClock,
) -> None:
    async with served(bounds=SLOW) as peer:
        await peer.send(ASK % b"a")
        await peer.receive(b"GET /a")
        rest = await peer.rest()
        elapsed = trio.current_time()

    assert rest == b""
    assert 60 <= elapsed <= 62


@pytest.mark.parametrize("step", [b"", b"x"], ids=["nothing", "a byte a second"])
async def test_a_body_that_does_not_come_is_408(
    step: bytes, autojump_clock: MockClock
) -> None:
    async with served(bounds=SLOW) as peer:
        await peer.send(
            b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 100000\r\n\r\nx"
        )
        async with trio.open_nursery() as nursery:
            if step:
                nursery.start_soon(drip, peer.stream, step)
            answer = await peer.receive(b"}")
            nursery.cancel_scope.cancel()
        elapsed = trio.current_time()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert 19 <= elapsed <= 23


async def test_a_streamed_body_may_be_silent_for_long(
    autojump_clock: MockClock,
) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, body=b"".join([each async for each in request.stream()]))

    async with served(handler, bounds=SLOW) as peer:
        await peer.send(b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 2\r\n\r\na")
        await trio.sleep(900)
        await peer.send(b"b")

        assert b"200 OK" in await peer.receive(b"ab")


async def test_a_client_that_does_not_read_is_closed(
    autojump_clock: MockClock,
) -> None:
    sent: list[int] = []

    async def handler(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            while True:
                sent.append(1)
                yield b"x" * 1000

        return Response(200, body=body())

    async with served(handler, bounds=SLOW, pair=lockstep_stream_pair()) as peer:
        await peer.send(ASK % b"a")
        await trio.sleep(32)

        assert len(peer.service.connections) == 0
    assert len(sent) <= 2
