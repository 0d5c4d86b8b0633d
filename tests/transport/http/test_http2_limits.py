"""Clients of HTTP/2 that ask for too much, too slowly or not at all."""

from collections.abc import AsyncIterator

import pytest
import trio
from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame, PingFrame, PriorityFrame, SettingsFrame
from trio.testing import MockClock, lockstep_stream_pair, wait_all_tasks_blocked

from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.messages import Request, Response
from tests.transport.http.http2_peer import http2_served
from tests.transport.http.peers import echo


async def test_rapid_resets_end_the_connection(autojump_clock: MockClock) -> None:
    """Each is cheap for the client, and would be a handler for the server."""
    handled: list[str] = []

    async def handler(request: Request) -> Response:
        handled.append(request.path)
        await trio.sleep(1)
        return await echo(request)

    async with http2_served(handler, bounds=Bounds(resets_max=50)) as peer:
        for _ in range(500):
            stream = peer.h2.get_next_available_stream_id()
            head = [
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", "/"),
            ]
            peer.h2.send_headers(stream, head, end_stream=True)
            peer.h2.reset_stream(stream)
        await peer.flush()
        await peer.until_over()

    assert peer.goodbye() == ErrorCodes.ENHANCE_YOUR_CALM
    assert handled == []


async def test_resets_now_and_then_are_fine(autojump_clock: MockClock) -> None:
    async with http2_served(bounds=Bounds(resets_max=5)) as peer:
        for _ in range(30):
            stream = await peer.begin()
            peer.h2.reset_stream(stream)
            await peer.flush()
            await trio.sleep(5)
        stream = await peer.ask("/last")

        assert await peer.until_ended(stream) == "POST /last"


@pytest.mark.parametrize(
    "frame",
    [
        PingFrame(0, b"12345678").serialize(),
        SettingsFrame(0).serialize(),
        PriorityFrame(1).serialize(),
        b"\0\0\0\xee\0\0\0\0\0",
    ],
    ids=["ping", "settings", "priority", "unknown"],
)
async def test_a_flood_of_frames_that_ask_nothing_ends_the_connection(
    frame: bytes, autojump_clock: MockClock
) -> None:
    async with http2_served(bounds=Bounds(controls_max=100)) as peer:
        await peer.connection.send(frame * 90)
        stream = await peer.ask("/alive")
        assert await peer.until_ended(stream) == "POST /alive"
        await peer.connection.send(frame * 50)
        await peer.until_over()

    assert peer.goodbye() == ErrorCodes.ENHANCE_YOUR_CALM


async def test_empty_pieces_of_a_body_are_a_flood(autojump_clock: MockClock) -> None:
    async with http2_served(bounds=Bounds(controls_max=100)) as peer:
        stream = await peer.begin()
        for _ in range(200):
            peer.h2.send_data(stream, b"")
        await peer.flush()
        await peer.until_over()

    assert peer.goodbye() == ErrorCodes.ENHANCE_YOUR_CALM


async def test_a_priority_that_comes_with_a_request_is_no_flood(
    autojump_clock: MockClock,
) -> None:
    """Some clients send one with each."""
    statuses: set[str | None] = set()
    async with http2_served(bounds=Bounds(controls_max=10)) as peer:
        for _ in range(50):
            stream = peer.h2.get_next_available_stream_id()
            head = [
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", "/"),
            ]
            peer.h2.send_headers(stream, head, end_stream=True, priority_weight=16)
            await peer.flush()
            await peer.until_ended(stream)
            statuses.add(peer.status(stream))

    assert statuses == {"200"}


async def test_requests_beyond_the_limit_are_refused(
    autojump_clock: MockClock,
) -> None:
    """Also when the client takes those before them back, whose handlers still run."""
    started: list[str] = []

    async def handler(request: Request) -> Response:
        started.append(request.path)
        await trio.sleep(20)
        return Response(200)

    async with http2_served(handler, bounds=Bounds(streams_max=3)) as peer:
        for _ in range(3):
            stream = await peer.ask()
            await wait_all_tasks_blocked()
            peer.h2.reset_stream(stream)
        extra = await peer.ask("/extra")
        await peer.until_ended(extra)
        reset = peer.reset(extra)
        await trio.sleep(20)
        later = await peer.ask("/later")
        await peer.until_ended(later)

    assert reset == ErrorCodes.REFUSED_STREAM
    assert started == ["/a", "/a", "/a", "/later"]


SLOW = Bounds(
    idle_us_max=60_000_000,
    body_stall_us_max=20_000_000,
    body_bytes_per_second_min=1_000,
    write_stall_us_max=30_000_000,
    silence_us_max=40_000_000,
)


@pytest.mark.parametrize("step", [b"", b"x"], ids=["nothing", "a byte a second"])
async def test_a_body_that_does_not_come_is_408(
    step: bytes, autojump_clock: MockClock
) -> None:
    async with http2_served(bounds=SLOW) as peer:
        stream = await peer.begin()
        other = await peer.ask("/other")
        while not peer.ended(stream) and trio.current_time() < 60:
            if step:
                peer.h2.send_data(stream, step)
                await peer.flush()
            with trio.move_on_after(1):
                await peer.until_ended(stream)
        elapsed = trio.current_time()

    assert peer.status(stream) == "408"
    assert 19 <= elapsed <= 23
    assert peer.status(other) == "200"


async def test_a_stream_that_is_not_taken_is_reset(autojump_clock: MockClock) -> None:
    closed: list[float] = []

    async def handler(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 1000
            finally:
                closed.append(trio.current_time())

        return Response(200, body=body())

    async with http2_served(handler, bounds=SLOW, window=5_000) as peer:
        stream = await peer.ask()
        await peer.until_ended(stream)

    assert peer.reset(stream) == ErrorCodes.CANCEL
    assert len(peer.body(stream)) == 5_000
    assert 29 <= closed[0] <= 33


async def test_a_client_that_does_not_read_is_closed(
    autojump_clock: MockClock,
) -> None:
    async with http2_served(bounds=SLOW, pair=lockstep_stream_pair()) as peer:
        await peer.ask()
        await trio.sleep(40)

        assert peer.connection.service.connections == set()


async def test_an_idle_connection_is_closed(autojump_clock: MockClock) -> None:
    async with http2_served(bounds=SLOW) as peer:
        stream = await peer.ask()
        await peer.until_ended(stream)
        await peer.until_over()
        elapsed = trio.current_time()

    assert peer.goodbye() == ErrorCodes.NO_ERROR
    assert 59 <= elapsed <= 65


async def test_a_client_with_a_stream_is_pinged_and_kept(
    autojump_clock: MockClock,
) -> None:
    async def handler(request: Request) -> Response:
        await trio.sleep(600)
        return await echo(request)

    async with http2_served(handler, bounds=SLOW) as peer:
        stream = await peer.ask()

        assert await peer.until_ended(stream) == "POST /a"
    assert trio.current_time() >= 600


async def test_a_client_with_a_stream_that_is_dead_is_closed(
    autojump_clock: MockClock,
) -> None:
    gone: list[float] = []

    async def handler(request: Request) -> Response:
        await request.wait_gone()
        gone.append(trio.current_time())
        return Response(200)

    async with http2_served(handler, bounds=SLOW) as peer:
        await peer.ask()
        await trio.sleep(100)

    assert 79 <= gone[0] <= 83


async def test_a_client_that_says_goodbye_gets_what_it_has_asked(
    autojump_clock: MockClock,
) -> None:
    async def handler(request: Request) -> Response:
        await trio.sleep(5)
        return await echo(request)

    async with http2_served(handler) as peer:
        stream = await peer.ask("/last")
        await wait_all_tasks_blocked()
        await peer.connection.send(GoAwayFrame(0).serialize())

        assert await peer.until_ended(stream) == "POST /last"
        await peer.until_over()


async def test_drain_says_goodbye_and_lets_requests_end(
    autojump_clock: MockClock,
) -> None:
    async def handler(request: Request) -> Response:
        await trio.sleep(5)
        return await echo(request)

    async with http2_served(handler) as peer:
        stream = await peer.ask("/last")
        await wait_all_tasks_blocked()
        peer.connection.service.drain()

        assert await peer.until_ended(stream) == "POST /last"
        assert peer.goodbye() == ErrorCodes.NO_ERROR
        await peer.until_over()
        assert trio.current_time() < 10


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\x00\0\0\0\0\0",  # DATA on the connection itself
        b"\xff\xff\xff\x00\0\0\0\0\1",  # a frame that is too large
        b"\0\0\x01\x01\x04\0\0\0\1\xff",  # headers that are no HPACK
        b"\0\0\x04\x08\0\0\0\0\0\0\0\0\0",  # a window that grows by nothing
        b"GET / HTTP/1.1\r\n\r\n" * 10,
    ],
)
async def test_what_is_no_http_2_ends_the_connection(
    data: bytes, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with http2_served() as peer:
        await peer.connection.send(data)
        await peer.until_over()

    assert peer.goodbye() not in {None, ErrorCodes.NO_ERROR}
    assert not caplog.records


async def test_a_flood_of_tiny_frames_does_not_stop_the_loop(
    autojump_clock: MockClock,
) -> None:
    """They are as many as fit into a read; so a read is small."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with http2_served() as peer:
        await peer.settle()
        size = 16 * 16 * 1024
        await peer.connection.send(b"\0\0\4\x08\0\0\0\0\0\0\0\0\1" * (size // 13))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            stream = await peer.ask()
            await peer.until_ended(stream)
            nursery.cancel_scope.cancel()

    assert turns >= 16
