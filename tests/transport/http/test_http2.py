"""Connections that speak HTTP/2, in memory and in virtual time."""

from collections.abc import AsyncIterator

import pytest
import trio
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from trio.testing import MockClock, wait_all_tasks_blocked

from ironflow import limits
from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.messages import (
    Answer,
    ClientGone,
    Request,
    Response,
    WebSocket,
    WebSocketUpgrade,
)
from tests.transport.http.http2_peer import http2_served
from tests.transport.http.peers import INTERNAL, echo


async def test_a_request_is_answered(autojump_clock: MockClock) -> None:
    async with http2_served() as peer:
        stream = await peer.ask("/a?b", b"hi")

        assert await peer.until_ended(stream) == "POST /a hi"
    headers = peer.headers(stream)
    assert headers[":status"] == "200"
    assert headers["content-length"] == "10"
    assert headers["date"].endswith("GMT")


async def test_requests_are_answered_as_they_are_done(
    autojump_clock: MockClock,
) -> None:
    async def handler(request: Request) -> Response:
        await trio.sleep(10 if request.path == "/slow" else 1)
        return await echo(request)

    async with http2_served(handler) as peer:
        slow = await peer.ask("/slow")
        quick = await peer.ask("/quick")

        assert await peer.until_ended(quick) == "POST /quick"
        assert not peer.ended(slow)
        assert await peer.until_ended(slow) == "POST /slow"


async def test_headers_are_what_they_are_over_http_1(
    autojump_clock: MockClock,
) -> None:
    seen: list[Request] = []

    async def handler(request: Request) -> Response:
        seen.append(request)
        return Response(200, [("X-Name", "\xe4"), ("Connection", "close")])

    async with http2_served(handler) as peer:
        stream = await peer.begin("/a%20b?c=d", x_one="1")
        peer.h2.end_stream(stream)
        await peer.flush()
        await peer.until_ended(stream)

    assert (seen[0].path, seen[0].query) == ("/a%20b", "c=d")
    assert seen[0].headers.get("host") == "test"
    assert seen[0].headers.get("x-one") == "1"
    assert seen[0].http_version == "2"
    assert peer.headers(stream)["x-name"] == "\xe4"
    assert "connection" not in peer.headers(stream)


async def test_head_has_the_length_and_no_body(autojump_clock: MockClock) -> None:
    async with http2_served() as peer:
        stream = await peer.begin("/a", "HEAD")
        peer.h2.end_stream(stream)
        await peer.flush()

        assert await peer.until_ended(stream) == ""
    assert peer.headers(stream)["content-length"] == "7"


async def test_a_large_body_waits_for_windows(autojump_clock: MockClock) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, body=b"x" * 300_000)

    async with http2_served(handler, window=1_000) as peer:
        stream = await peer.ask()
        taken = 0
        while not peer.ended(stream):
            await wait_all_tasks_blocked()
            await peer.pump()
            size = len(peer.body(stream)) - taken
            assert size <= 1_000
            taken += size
            peer.take(stream, size)
            await peer.flush()

    assert taken == 300_000


@pytest.mark.parametrize("who", ["stream", "settings"])
async def test_a_window_that_is_opened_late_is_noticed(
    who: str, autojump_clock: MockClock
) -> None:
    """By the stream, or for all of them by new settings."""
    async with http2_served(window=0) as peer:
        stream = await peer.ask("/abc")
        await peer.settle()
        assert peer.status(stream) == "200"
        assert peer.body(stream) == b""
        if who == "settings":
            peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
        else:
            peer.h2.increment_flow_control_window(1000, stream)
        await peer.flush()

        assert await peer.until_ended(stream) == "POST /abc"


async def test_bodies_that_nobody_reads_make_their_clients_wait(
    autojump_clock: MockClock,
) -> None:
    go_on = trio.Event()

    async def handler(request: Request) -> Response:
        await go_on.wait()
        return Response(200, body=str(len(await request.read())).encode())

    async with http2_served(handler) as peer:
        await peer.settle()
        stream = await peer.begin()
        sent = 0
        while (room := peer.h2.local_flow_control_window(stream)) > 0:
            peer.h2.send_data(stream, b"x" * min(room, 16_000))
            sent += min(room, 16_000)
            await peer.flush()
            await peer.settle()
        assert sent == limits.HTTP_BODY_UNREAD_BYTES_MAX
        go_on.set()
        while peer.h2.local_flow_control_window(stream) == 0:
            await peer.pump()
        peer.h2.send_data(stream, b"x", end_stream=True)
        await peer.flush()

        assert await peer.until_ended(stream) == str(sent + 1)


async def test_both_bodies_stream_at_once(autojump_clock: MockClock) -> None:
    async def handler(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            async for piece in request.stream():
                yield piece.upper()

        return Response(200, body=body())

    async with http2_served(handler) as peer:
        stream = await peer.begin()
        while not peer.status(stream):
            await peer.pump()
        for piece in (b"a", b"b"):
            peer.h2.send_data(stream, piece)
            await peer.flush()
            while not peer.body(stream).endswith(piece.upper()):
                await peer.pump()
        peer.h2.end_stream(stream)
        await peer.flush()

        assert await peer.until_ended(stream) == "AB"
        assert peer.reset(stream) is None


async def test_continue_is_sent_when_the_body_is_wanted(
    autojump_clock: MockClock,
) -> None:
    async with http2_served() as peer:
        stream = await peer.begin(expect="100-continue")
        while not peer.was_told_to_go_on(stream):
            await peer.pump()
        peer.h2.send_data(stream, b"hi", end_stream=True)
        await peer.flush()

        assert await peer.until_ended(stream) == "POST /a hi"


async def test_a_body_that_nobody_wants_does_not_break_the_answer(
    autojump_clock: MockClock,
) -> None:
    """Not even for clients to which a reset is a failure; but it has an end."""

    async def handler(request: Request) -> Response:
        return Response(401, body=b"no")

    async with http2_served(handler) as peer:
        stream = await peer.begin()
        assert await peer.until_ended(stream) == "no"
        sent = 0
        while peer.reset(stream) is None:
            peer.h2.send_data(stream, b"x" * 16_000)
            sent += 16_000
            await peer.flush()
            while (
                peer.h2.local_flow_control_window(stream) < 16_000
                and peer.reset(stream) is None
            ):
                await peer.pump()
        other = await peer.ask()
        await peer.until_ended(other)

    assert peer.reset(stream) == ErrorCodes.NO_ERROR
    assert sent > limits.HTTP_BODY_DISCARDED_BYTES_MAX
    assert peer.status(other) == "401"


async def test_a_handler_learns_that_its_stream_was_reset(
    autojump_clock: MockClock,
) -> None:
    gone: list[bool] = []

    async def handler(request: Request) -> Response:
        await request.wait_gone()
        gone.append(request.is_gone())
        return Response(200)

    async with http2_served(handler) as peer:
        stream = await peer.begin()
        await wait_all_tasks_blocked()
        peer.h2.reset_stream(stream, ErrorCodes.CANCEL)
        await peer.flush()
        await wait_all_tasks_blocked()

        assert gone == [True]


async def test_handlers_learn_that_the_connection_ended(
    autojump_clock: MockClock,
) -> None:
    seen: list[str] = []

    async def handler(request: Request) -> Response:
        try:
            await request.read()
        except ClientGone:
            seen.append("body")
        await request.wait_gone()
        seen.append("gone")
        return Response(200)

    async with http2_served(handler) as peer:
        await peer.begin()
        await wait_all_tasks_blocked()
        await peer.connection.stream.aclose()
        await wait_all_tasks_blocked()

    assert seen == ["body", "gone"]


@pytest.mark.parametrize("how", ["reset", "closed"])
async def test_a_response_is_closed_when_nobody_wants_it(
    how: str, autojump_clock: MockClock
) -> None:
    closed: list[bool] = []

    async def handler(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            try:
                yield b"one"
                await trio.sleep_forever()
            finally:
                closed.append(True)

        return Response(200, body=body())

    async with http2_served(handler) as peer:
        stream = await peer.ask()
        while peer.body(stream) != b"one":
            await peer.pump()
        if how == "reset":
            peer.h2.reset_stream(stream, ErrorCodes.CANCEL)
            await peer.flush()
        else:
            await peer.connection.stream.aclose()
        await wait_all_tasks_blocked()

        assert closed == [True]


async def test_a_response_that_breaks_off_is_reset(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"one"
            raise ValueError("broken")

        return Response(200, body=body())

    async with http2_served(handler) as peer:
        stream = await peer.ask()
        await peer.until_ended(stream)

    assert peer.reset(stream) == ErrorCodes.INTERNAL_ERROR
    assert "broken" in caplog.text


async def test_a_handler_that_fails_is_logged_and_says_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: Request) -> Response:
        if request.path == "/header":
            return Response(200, [("x", "a\nb")])
        raise ValueError("a secret")

    async with http2_served(handler) as peer:
        first = await peer.ask()
        second = await peer.ask("/header")
        answers = [await peer.until_ended(each) for each in (first, second)]

    assert answers == [INTERNAL.decode()] * 2
    assert peer.status(first) == "500"
    assert "a secret" in caplog.text


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("a", "GET", "400"), ("*", "GET", "400"), ("/a", "PROPFIND", "501")],
)
async def test_what_is_not_implemented_is_refused(
    path: str, method: str, status: str, autojump_clock: MockClock
) -> None:
    async with http2_served() as peer:
        stream = await peer.begin(path, method)
        peer.h2.end_stream(stream)
        await peer.flush()
        await peer.until_ended(stream)

    assert peer.status(stream) == status


async def test_there_are_no_web_sockets(autojump_clock: MockClock) -> None:
    async def handler(request: Request) -> Answer:
        async def serve(socket: WebSocket) -> None:
            raise AssertionError

        return WebSocketUpgrade(serve)

    async with http2_served(handler) as peer:
        stream = await peer.ask()
        await peer.until_ended(stream)

    assert peer.status(stream) == "501"


async def test_too_many_headers_are_431(autojump_clock: MockClock) -> None:
    async with http2_served(bounds=Bounds(headers_max=5)) as peer:
        stream = await peer.begin(**{f"x_{n}": "1" for n in range(6)})
        peer.h2.end_stream(stream)
        await peer.flush()
        await peer.until_ended(stream)

    assert peer.status(stream) == "431"
