"""Bodies that come and go in pieces over HTTP/1.1, and clients that go meanwhile."""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ironflow.transport.http.messages import ClientGone, Request, Response
from tests.transport.http.peers import ASK, HOST, served

END = b"\r\n\r\n"


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
    assert answer.partition(END)[2] == b"one"


@pytest.mark.parametrize(
    ("headers", "line"),
    [([("content-length", "12")], b"content-length: 12\r\n"), ([], b"\r\n\r\n")],
    ids=["of a known length", "of an unknown length"],
)
async def test_head_closes_a_response_without_asking_for_it(
    headers: list[tuple[str, str]], line: bytes, autojump_clock: MockClock
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
        return Response(200, headers, Never())

    async with served(handler) as peer:
        answer = await peer.ask(b"HEAD /a HTTP/1.1\r\n" + HOST + b"\r\n")

    assert line in answer
    assert answer.count(b"content-length") == len(headers)
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
