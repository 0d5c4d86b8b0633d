"""Connections that speak HTTP/1.1, in memory and in virtual time."""

import logging
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, wait_all_tasks_blocked

from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.messages import ClientGone, Handler, Request, Response
from tests.transport.http.peers import ASK, HOST, echo, served

END = b"\r\n\r\n"


def post(path: bytes, body: bytes, *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    length = b"content-length: %d\r\n" % len(body)
    return b"POST %b HTTP/1.1\r\n" % path + HOST + length + lines + b"\r\n" + body


def body_of(answer: bytes) -> bytes:
    return answer.partition(END)[2]


async def test_an_answer_has_its_length_and_date(autojump_clock: MockClock) -> None:
    async with served() as peer:
        answer = await peer.ask(post(b"/a", b"hi"))

    head, _, body = answer.partition(END)
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert b"content-length: 10" in lines
    assert b"content-type: text/plain" in lines
    assert any(line.startswith(b"date: ") and line.endswith(b" GMT") for line in lines)
    assert body == b"POST /a hi"


async def test_a_connection_serves_one_request_after_the_other(
    autojump_clock: MockClock,
) -> None:
    async with served() as peer:
        for path in (b"a", b"b", b"c"):
            await peer.send(ASK % path)
            assert b"GET /" + path in await peer.receive(b"GET /" + path)


async def test_pipelined_requests_are_answered_in_order(
    autojump_clock: MockClock,
) -> None:
    async with served() as peer:
        answer = await peer.ask(ASK % b"1" + post(b"/2", b"two") + ASK % b"3")

    places = [answer.index(text) for text in (b"GET /1", b"POST /2 two", b"GET /3")]
    assert places == sorted(places)
    assert answer.count(b"HTTP/1.1 200 OK") == 3


async def test_bytes_may_come_one_by_one(autojump_clock: MockClock) -> None:
    async with served() as peer:
        for byte in post(b"/a", b"hello"):
            await peer.send(bytes([byte]))
            await wait_all_tasks_blocked()

        assert b"POST /a hello" in await peer.receive(b"hello")


async def test_the_client_may_end_the_connection(autojump_clock: MockClock) -> None:
    async with served() as peer:
        await peer.send(ASK.replace(END, b"\r\nconnection: close" + END) % b"a")
        answer = await peer.rest()

    assert b"connection: close\r\n" in answer
    assert answer.endswith(b"GET /a")


async def test_http_1_0_ends_with_the_answer_or_asks_to_go_on(
    autojump_clock: MockClock,
) -> None:
    async with served() as peer:
        await peer.send(b"GET /a HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        first = await peer.receive(b"GET /a")
        await peer.send(b"GET /b HTTP/1.0\r\n\r\n")
        second = await peer.rest()

    assert b"connection: keep-alive\r\n" in first
    assert second.endswith(b"GET /b")


async def test_head_has_the_length_and_no_body(autojump_clock: MockClock) -> None:
    async with served() as peer:
        answer = await peer.ask(b"HEAD /a HTTP/1.1\r\n" + HOST + b"\r\n" + ASK % b"b")

    first, _, second = answer.partition(END)
    assert b"content-length: 7" in first
    assert second.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_body_has_none(
    status: int, autojump_clock: MockClock
) -> None:
    async def handler(request: Request) -> Response:
        return Response(status, [("content-length", "7")], b"nothing")

    async with served(handler) as peer:
        answer = await peer.ask(ASK % b"a")

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.endswith(END)
    assert b"content-length" not in answer


async def test_the_handler_does_not_say_how_bytes_are_framed(
    autojump_clock: MockClock,
) -> None:
    async def handler(request: Request) -> Response:
        framing = [("Content-Length", "99"), ("Transfer-Encoding", "chunked")]
        return Response(200, [*framing, ("Date", "today")], b"body")

    async with served(handler) as peer:
        answer = await peer.ask(ASK % b"a")

    assert b"content-length: 4\r\n" in answer
    assert b"chunked" not in answer
    assert answer.count(b"date: ") == 1


async def test_a_body_in_chunks_is_read(autojump_clock: MockClock) -> None:
    async with served() as peer:
        answer = await peer.ask(
            b"POST /a HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
        )

    assert body_of(answer) == b"POST /a abcde"


async def test_continue_is_sent_when_the_body_is_wanted(
    autojump_clock: MockClock,
) -> None:
    async with served() as peer:
        head, body = post(b"/a", b"hi", b"expect: 100-continue").split(END)
        await peer.send(head + END)
        assert await peer.receive(END) == b"HTTP/1.1 100 Continue\r\n\r\n"
        await peer.send(body)
        assert b"POST /a hi" in await peer.receive(b"hi")


async def test_continue_is_not_sent_when_the_body_is_not_wanted(
    autojump_clock: MockClock,
) -> None:
    """The connection ends: whether the body comes, nobody can know."""

    async def handler(request: Request) -> Response:
        return Response(401)

    async with served(handler) as peer:
        head, _ = post(b"/a", b"hi", b"expect: 100-continue").split(END)
        answer = await peer.ask(head + END)

    assert answer.startswith(b"HTTP/1.1 401 Unauthorized")
    assert b"connection: close" in answer


async def test_a_small_body_that_nobody_reads_does_not_end_the_connection(
    autojump_clock: MockClock,
) -> None:
    async def handler(request: Request) -> Response:
        return Response(401, body=request.path.encode())

    async with served(handler) as peer:
        await peer.send(b"POST /a HTTP/1.1\r\n" + HOST + b"content-length: 4\r\n\r\n")
        await wait_all_tasks_blocked()
        await peer.send(b"body")
        await peer.receive(b"/a")
        await peer.send(ASK % b"b")

        assert b"HTTP/1.1 401" in await peer.receive(b"/b")


async def test_a_large_body_that_nobody_reads_ends_the_connection(
    autojump_clock: MockClock,
) -> None:
    """And the answer is there before the client has sent it."""

    async def handler(request: Request) -> Response:
        return Response(413, body=b"too large")

    async with served(handler) as peer:
        await peer.send(
            b"POST /a HTTP/1.1\r\n" + HOST + b"content-length: 9000000\r\n\r\n"
        )
        answer = await peer.receive(b"too large")
        await peer.send(b"x" * 1000)
        rest = await peer.rest()

    assert b"connection: close" in answer
    assert rest == b""


async def test_a_body_over_the_limit_of_its_handler_is_413(
    autojump_clock: MockClock,
) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, body=await request.read(limit=3))

    async with served(handler) as peer:
        answer = await peer.ask(
            b"POST /a HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n"
            b"4\r\nabcd\r\n"
        )

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'{"error":"the body is larger than 3 bytes","code":"resource_exhausted"}' in answer  # fmt: skip


async def test_what_is_no_request_is_answered_and_ends_the_connection(
    autojump_clock: MockClock,
) -> None:
    async with served() as peer:
        answer = await peer.ask(ASK % b"a" + b"nonsense\r\n\r\n" + ASK % b"b")

    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 400 Bad Request" in answer
    assert b"connection: close" in answer
    assert b'"code":"invalid_argument"' in answer


async def test_a_body_that_turns_out_to_be_none_is_400(
    autojump_clock: MockClock,
) -> None:
    async with served() as peer:
        answer = await peer.ask(
            b"POST /a HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\nnonsense\r\n"
        )

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_handler_that_fails_is_logged_and_says_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: Request) -> Response:
        raise ValueError("a secret")

    async with served(handler) as peer:
        await peer.send(ASK % b"a")
        answer = await peer.receive(b"}")
        await peer.send(ASK % b"b")
        await peer.receive(b"}")

    assert answer.startswith(b"HTTP/1.1 500 Internal Server Error")
    assert body_of(answer) == b'{"error":"internal error","code":"internal"}'
    assert "a secret" in caplog.text
    assert [each.name for each in caplog.records] == ["ironflow.transport"] * 2


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b", "a\nb", "\0", "snow ☃"])
async def test_a_header_cannot_be_split(
    value: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, [("x-name", value)])

    async with served(handler) as peer:
        answer = await peer.ask(ASK % b"a")

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"set-cookie" not in answer


class Pieces:
    """A response that comes when the test says so."""

    def __init__(self) -> None:
        self.send, self.receive = trio.open_memory_channel[bytes](10)
        self.is_closed = False

    async def body(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self.receive:
                yield piece
        finally:
            self.is_closed = True

    async def handle(self, request: Request) -> Response:
        return Response(200, body=self.body())


async def test_a_response_is_sent_as_it_comes(autojump_clock: MockClock) -> None:
    pieces = Pieces()
    async with served(pieces.handle) as peer:
        await peer.send(ASK % b"a")
        head = await peer.receive(END)
        await pieces.send.send(b"one")
        await peer.receive(b"3\r\none\r\n")
        await pieces.send.send(b"")
        await pieces.send.send(b"two")
        await pieces.send.aclose()
        rest = await peer.receive(b"0\r\n\r\n")
        await peer.send(ASK % b"b")
        await peer.receive(END)

    assert b"transfer-encoding: chunked" in head
    assert rest == b"3\r\ntwo\r\n0\r\n\r\n"


async def test_http_1_0_gets_a_response_to_the_end_of_the_connection(
    autojump_clock: MockClock,
) -> None:
    pieces = Pieces()
    await pieces.send.send(b"one")
    await pieces.send.aclose()
    async with served(pieces.handle) as peer:
        await peer.send(b"GET /a HTTP/1.0\r\n\r\n")
        answer = await peer.rest()

    assert b"chunked" not in answer
    assert body_of(answer) == b"one"


async def test_head_closes_a_response_without_asking_for_it(
    autojump_clock: MockClock,
) -> None:
    closed = trio.Event()

    class Never:
        def __aiter__(self) -> "Never":
            return self

        async def __anext__(self) -> bytes:
            raise AssertionError

        async def aclose(self) -> None:
            closed.set()

    async def handler(request: Request) -> Response:
        return Response(200, [("content-length", "12")], Never())

    async with served(handler) as peer:
        answer = await peer.ask(b"HEAD /a HTTP/1.1\r\n" + HOST + b"\r\n")

    assert b"content-length: 12\r\n" in answer
    assert closed.is_set()


async def test_a_response_is_closed_when_the_client_goes(
    autojump_clock: MockClock,
) -> None:
    """While nothing is there to be sent; so it is not found out by sending."""
    pieces = Pieces()
    async with served(pieces.handle) as peer:
        await peer.send(ASK % b"a")
        await peer.receive(END)
        await peer.stream.aclose()
        await wait_all_tasks_blocked()

        assert pieces.is_closed


async def test_a_response_that_breaks_off_has_no_end(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        raise ValueError("broken")

    async def handler(request: Request) -> Response:
        return Response(200, body=body())

    async with served(handler) as peer:
        await peer.send(ASK % b"a" + ASK % b"b")
        answer = await peer.rest()

    assert answer.endswith(b"3\r\none\r\n")
    assert "broken" in caplog.text


async def test_a_body_may_be_read_while_the_response_is_sent(
    autojump_clock: MockClock,
) -> None:
    async def handler(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            async for piece in request.stream():
                yield piece.upper()

        return Response(200, body=body())

    async with served(handler) as peer:
        await peer.send(
            b"POST /a HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n"
        )
        await peer.receive(END)
        await peer.send(b"3\r\nabc\r\n")
        await peer.receive(b"ABC\r\n")
        await peer.send(b"1\r\nd\r\n0\r\n\r\n")
        await peer.receive(b"1\r\nD\r\n0\r\n\r\n")


async def long_poll(request: Request) -> Response:
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            await request.wait_gone()
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        await trio.sleep(900)
        nursery.cancel_scope.cancel()
    return Response(200, body=b"gone" if request.is_gone() else b"waited")


async def test_a_handler_learns_that_its_client_has_gone(
    autojump_clock: MockClock,
) -> None:
    async with served(long_poll) as peer:
        await peer.send(ASK % b"a")
        await wait_all_tasks_blocked()
        await peer.stream.aclose()

    assert trio.current_time() < 60


async def test_a_client_that_waits_is_not_gone(autojump_clock: MockClock) -> None:
    """Also with the next request sent already."""
    async with served(long_poll) as peer:
        await peer.send(ASK % b"a")
        await wait_all_tasks_blocked()
        await peer.send(ASK % b"b")
        answer = await peer.receive(b"waited")
        await peer.receive(b"waited")

    assert answer.startswith(b"HTTP/1.1 200 OK")


async def test_a_body_that_is_cut_off_says_so(autojump_clock: MockClock) -> None:
    seen: list[Exception] = []

    async def handler(request: Request) -> Response:
        try:
            await request.read()
        except ClientGone as error:
            seen.append(error)
            raise
        return Response(200)

    async with served(handler) as peer:
        await peer.send(b"POST /a HTTP/1.1\r\n" + HOST + b"content-length: 5\r\n\r\nab")
        await peer.stream.aclose()

    assert [type(each) for each in seen] == [ClientGone]


SLOW = Bounds(
    headers_us_max=10_000_000,
    idle_us_max=60_000_000,
    body_stall_us_max=20_000_000,
    body_bytes_per_second_min=1_000,
    write_stall_us_max=30_000_000,
)


@pytest.mark.parametrize(
    ("handler", "step", "ends_by"),
    [(echo, b"x: y\r\n", 12.0)],
    ids=["headers"],
)
async def test_headers_have_to_be_whole_in_time(
    handler: Handler, step: bytes, ends_by: float, autojump_clock: MockClock
) -> None:
    """However many of them come."""
    answer = b""
    async with served(handler, bounds=SLOW) as peer:
        await peer.send(b"GET / HTTP/1.1\r\n")
        with trio.move_on_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(drip, peer.stream, step)
                answer = await peer.rest()
                nursery.cancel_scope.cancel()
        elapsed = trio.current_time()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert 10 <= elapsed <= ends_by


async def drip(stream: trio.abc.Stream, step: bytes) -> None:
    while True:
        await trio.sleep(1)
        try:
            await stream.send_all(step)
        except trio.BrokenResourceError:
            return


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


async def test_half_a_request_holds_nothing_when_its_client_goes(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    whole = post(b"/a", b"hello")
    for size in range(0, len(whole), 7):
        async with served() as peer:
            await peer.send(whole[:size]) if size else None
            await wait_all_tasks_blocked()
            await peer.stream.aclose()
            await wait_all_tasks_blocked()

            assert peer.service.connections == set()
    assert not caplog.records
