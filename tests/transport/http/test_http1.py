"""Connections that speak HTTP/1.1, in memory and in virtual time."""

import logging

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from ironflow.transport.http.messages import Request, Response
from tests.transport.http.peers import ASK, HOST, INTERNAL, served

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
    assert b'{"error":"the body is larger than 3 bytes","code":"resource_exhausted",' in answer  # fmt: skip


async def test_what_is_no_request_is_answered_and_ends_the_connection(
    autojump_clock: MockClock,
) -> None:
    async with served() as peer:
        answer = await peer.ask(ASK % b"a" + b"nonsense\r\n\r\n" + ASK % b"b")

    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 501 Not Implemented" in answer
    assert b"connection: close" in answer
    assert b'"code":"unimplemented"' in answer


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
    assert body_of(answer) == INTERNAL
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
