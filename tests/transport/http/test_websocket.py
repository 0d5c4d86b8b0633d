"""WebSockets, with the client's side of another implementation's sans-I/O part."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, wait_all_tasks_blocked
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response as HandshakeResponse
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.messages import (
    Answer,
    Handler,
    HttpError,
    Request,
    Response,
    WebSocket,
    WebSocketClosed,
    WebSocketUpgrade,
)
from tests.transport.http.peers import ASK, Served, served

Serve = Callable[[WebSocket], Awaitable[None]]
KEY = b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
HELLO = (
    b"GET /ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\n" + KEY + b"\r\n"
)
MASK = b"\0\0\0\0"


async def echoing(socket: WebSocket) -> None:
    while True:
        await socket.send(await socket.receive())


def upgrading(serve: Serve = echoing, message_bytes_max: int = 1 << 20) -> Handler:
    async def handler(request: Request) -> Answer:
        return WebSocketUpgrade(serve, message_bytes_max=message_bytes_max)

    return handler


class Client:
    """The client's side of a WebSocket."""

    def __init__(self, connection: Served, *, is_compressing: bool) -> None:
        self.connection = connection
        extensions = [ClientPerMessageDeflateFactory()] if is_compressing else None
        self.protocol = ClientProtocol(
            parse_uri("ws://test/ws"),
            subprotocols=[Subprotocol("soft"), Subprotocol("loud")],
            extensions=extensions,
        )
        self.frames: list[Frame] = []
        self.response: HandshakeResponse | None = None

    async def flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                await self.connection.stream.send_all(data)

    async def open(self) -> None:
        self.protocol.send_request(self.protocol.connect())
        await self.flush()
        while self.response is None:
            await self.pump()

    async def pump(self) -> None:
        data = bytes(await self.connection.stream.receive_some())
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        for event in self.protocol.events_received():
            if isinstance(event, Frame):
                self.frames.append(event)
            elif isinstance(event, HandshakeResponse):
                self.response = event
        await self.flush()

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.protocol.send_text(message.encode())
        else:
            self.protocol.send_binary(message)
        await self.flush()

    async def receive(self) -> str | bytes:
        """Return the next message, or the code with which it was closed."""
        while True:
            for place, frame in enumerate(self.frames):
                if frame.opcode in {Opcode.TEXT, Opcode.BINARY}:
                    del self.frames[place]
                    is_text = frame.opcode is Opcode.TEXT
                    return bytes(frame.data).decode() if is_text else bytes(frame.data)
            await self.pump()

    async def until_closed(self) -> tuple[int | None, str | None]:
        while self.protocol.state is not State.CLOSED:
            await self.pump()
        return self.protocol.close_code, self.protocol.close_reason


@asynccontextmanager
async def opened(
    handler: Handler,
    *,
    bounds: Bounds | None = None,
    pair: tuple[trio.abc.Stream, trio.abc.Stream] | None = None,
    is_compressing: bool = False,
) -> AsyncGenerator[Client]:
    async with served(handler, bounds=bounds, pair=pair) as connection:
        client = Client(connection, is_compressing=is_compressing)
        await client.open()
        yield client


@pytest.mark.parametrize("compressing", ["plain", "deflate"])
async def test_messages_go_both_ways(
    compressing: str, autojump_clock: MockClock
) -> None:
    is_compressing = compressing == "deflate"
    async with opened(upgrading(), is_compressing=is_compressing) as client:
        assert bool(client.protocol.extensions) == is_compressing
        for message in ("one", b"two", "", "\xe4" * 1000, b"x" * 300_000):
            await client.send(message)
            assert await client.receive() == message


async def test_a_handler_sees_the_request_and_chooses_the_subprotocol(
    autojump_clock: MockClock,
) -> None:
    seen: list[Request] = []

    async def serve(socket: WebSocket) -> None:
        seen.append(socket.request)

    async def handler(request: Request) -> Answer:
        return WebSocketUpgrade(serve, subprotocol="loud")

    async with opened(handler) as client:
        assert client.protocol.subprotocol == "loud"
        assert await client.until_closed() == (1000, "")

    assert seen[0].path == "/ws"


async def test_what_comes_with_the_request_is_read(autojump_clock: MockClock) -> None:
    """A client may send frames before it has the answer."""
    async with served(upgrading()) as peer:
        await peer.send(HELLO + b"\x81\x82" + MASK + b"hi")

        assert (await peer.receive(b"\x81\x02hi")).startswith(b"HTTP/1.1 101 ")


async def test_a_message_in_fragments_is_one_with_pings_between(
    autojump_clock: MockClock,
) -> None:
    async with opened(upgrading()) as client:
        client.protocol.send_text(b"o", fin=False)
        client.protocol.send_ping(b"?")
        client.protocol.send_continuation(b"n", fin=False)
        client.protocol.send_continuation(b"e", fin=True)
        await client.flush()

        assert await client.receive() == "one"
        assert [frame.opcode for frame in client.frames] == [Opcode.PONG]


async def test_a_handler_may_refuse(autojump_clock: MockClock) -> None:
    async def handler(request: Request) -> Answer:
        raise HttpError(403, "permission_denied", "no")

    async with served(handler) as peer:
        answer = await peer.ask(HELLO + ASK % b"smuggled")

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (ASK % b"a", 426),
        (HELLO.replace(b"version: 13", b"version: 8"), 400),
        (HELLO.replace(KEY, b""), 400),
        (HELLO.replace(b"GET", b"POST"), 405),
    ],
)
async def test_what_is_no_handshake_is_refused(
    ask: bytes, status: int, autojump_clock: MockClock
) -> None:
    async with served(upgrading()) as peer:
        await peer.send(ask)
        answer = await peer.rest()

    assert answer.startswith(b"HTTP/1.1 %d " % status)


async def test_the_client_may_close(autojump_clock: MockClock) -> None:
    closed: list[WebSocketClosed] = []

    async def serve(socket: WebSocket) -> None:
        try:
            await echoing(socket)
        except WebSocketClosed as error:
            closed.append(error)
            with pytest.raises(WebSocketClosed):
                await socket.send("more")
            raise

    async with opened(upgrading(serve)) as client:
        client.protocol.send_close(4001, "enough")
        await client.flush()
        assert await client.until_closed() == (4001, "enough")

    assert (closed[0].code, closed[0].reason) == (4001, "enough")


async def test_the_handler_may_close_and_gets_what_comes_before_the_answer(
    autojump_clock: MockClock,
) -> None:
    got: list[str | bytes] = []

    async def serve(socket: WebSocket) -> None:
        await socket.close(4002, "later")
        await socket.close(4003, "twice does nothing")
        while True:
            got.append(await socket.receive())

    async with served(upgrading(serve)) as connection:
        client = Client(connection, is_compressing=False)
        client.protocol.send_request(client.protocol.connect())
        await client.flush()
        await wait_all_tasks_blocked()
        # Before the client has read the close.
        await connection.send(b"\x81\x82" + MASK + b"hi")
        assert await client.until_closed() == (4002, "later")

    assert got == ["hi"]


async def test_a_client_that_goes_without_a_word_is_1006(
    autojump_clock: MockClock,
) -> None:
    codes: list[int] = []

    async def serve(socket: WebSocket) -> None:
        with pytest.raises(WebSocketClosed) as raised:
            await socket.receive()
        codes.append(raised.value.code)

    async with opened(upgrading(serve)) as client:
        await client.connection.stream.aclose()

    assert codes == [1006]


async def test_messages_that_have_come_are_read_before_the_end(
    autojump_clock: MockClock,
) -> None:
    got: list[str | bytes] = []
    go_on = trio.Event()

    async def serve(socket: WebSocket) -> None:
        await go_on.wait()
        while True:
            got.append(await socket.receive())

    async with opened(upgrading(serve)) as client:
        for message in ("one", "two", "three"):
            await client.send(message)
        await client.connection.stream.aclose()
        await wait_all_tasks_blocked()
        go_on.set()

    assert got == ["one", "two", "three"]


async def test_a_handler_that_fails_closes_with_1011(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def serve(socket: WebSocket) -> None:
        raise ValueError("a secret")

    async with opened(upgrading(serve)) as client:
        assert await client.until_closed() == (1011, "internal error")

    assert "a secret" in caplog.text


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x02hi", 1002),  # without a mask
        (b"\xf1\x82" + MASK + b"hi", 1002),  # reserved bits
        (b"\x80\x82" + MASK + b"hi", 1002),  # goes on with nothing
        (b"\x81\x82" + MASK + b"\xff\xfe", 1007),
        (b"\x82\xfe\x00\x80" + MASK + b"x" * 128, 1009),
        (b"\x02\xe4" + MASK + b"x" * 100 + b"\x80\xe4" + MASK + b"x" * 100, 1009),
    ],
)
async def test_what_is_no_message_closes(
    data: bytes,
    code: int,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    handler = upgrading(message_bytes_max=127)
    async with opened(handler) as client:
        await client.connection.send(data)
        assert (await client.until_closed())[0] == code

    assert not caplog.records


async def test_a_compressed_bomb_closes(autojump_clock: MockClock) -> None:
    handler = upgrading(message_bytes_max=100_000)
    async with opened(handler, is_compressing=True) as client:
        await client.send(b"\0" * 50_000_000)
        assert (await client.until_closed())[0] == 1009


async def test_a_client_that_sends_too_much_has_to_wait(
    autojump_clock: MockClock,
) -> None:
    go_on = trio.Event()

    async def serve(socket: WebSocket) -> None:
        await go_on.wait()
        await echoing(socket)

    async with opened(upgrading(serve), pair=lockstep_stream_pair()) as client:
        sent = 0
        with trio.move_on_after(300) as scope:
            while sent < 1000:
                await client.connection.send(b"\x82\xe4" + MASK + b"x" * 100)
                sent += 1
        assert scope.cancelled_caught
        assert sent < 300
        go_on.set()
        assert len(await client.receive()) == 100


async def test_a_client_that_does_not_read_is_closed(
    autojump_clock: MockClock,
) -> None:
    ended: list[float] = []

    async def serve(socket: WebSocket) -> None:
        try:
            while True:
                await socket.send(b"x" * 1000)
        except WebSocketClosed:
            ended.append(trio.current_time())
            raise

    bounds = Bounds(write_stall_us_max=30_000_000)
    pair = lockstep_stream_pair()
    async with opened(upgrading(serve), bounds=bounds, pair=pair):
        await trio.sleep(40)

    assert 29 <= ended[0] <= 33


async def test_a_silent_client_is_pinged_and_kept(autojump_clock: MockClock) -> None:
    bounds = Bounds(silence_us_max=30_000_000)
    async with opened(upgrading(), bounds=bounds) as client:
        with trio.move_on_after(300):
            while True:
                await client.pump()
        await client.send("still here")
        assert await client.receive() == "still here"

    pings = [frame for frame in client.frames if frame.opcode is Opcode.PING]
    assert 8 <= len(pings) <= 10


async def test_a_dead_client_is_closed(autojump_clock: MockClock) -> None:
    ended: list[float] = []

    async def serve(socket: WebSocket) -> None:
        try:
            await socket.receive()
        except WebSocketClosed:
            ended.append(trio.current_time())

    bounds = Bounds(silence_us_max=30_000_000)
    async with opened(upgrading(serve), bounds=bounds):
        await trio.sleep(100)

    assert 59 <= ended[0] <= 63


async def test_drain_closes_with_1001(autojump_clock: MockClock) -> None:
    async with opened(upgrading()) as client:
        client.connection.service.drain()
        assert await client.until_closed() == (1001, "the server goes away")


async def test_a_handler_that_does_not_notice_the_end_is_stopped(
    autojump_clock: MockClock,
) -> None:
    stopped: list[float] = []

    async def serve(socket: WebSocket) -> None:
        try:
            await trio.sleep_forever()
        finally:
            stopped.append(trio.current_time())

    async with opened(upgrading(serve)) as client:
        await client.connection.stream.aclose()
        await trio.sleep(20)

    assert stopped[0] <= 8


async def test_a_message_that_is_cut_off_is_the_last(
    autojump_clock: MockClock,
) -> None:
    """A handler that gives up in the middle leaves half a frame behind."""
    codes: list[int] = []

    async def serve(socket: WebSocket) -> None:
        with trio.move_on_after(1):
            await socket.send(b"x" * 1000)
        with pytest.raises(WebSocketClosed) as raised:
            await socket.send(b"y")
        codes.append(raised.value.code)

    pair = lockstep_stream_pair()
    async with opened(upgrading(serve), pair=pair) as client:
        await trio.sleep(2)
        await client.until_closed()

    assert codes == [1006]


async def test_two_tasks_may_send(autojump_clock: MockClock) -> None:
    async def serve(socket: WebSocket) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(socket.send, b"x" * 100_000)

    async with opened(upgrading(serve), pair=lockstep_stream_pair()) as client:
        assert [len(await client.receive()) for _ in range(5)] == [100_000] * 5


async def test_a_response_is_no_web_socket(autojump_clock: MockClock) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, body=b"plain")

    async with served(handler) as peer:
        await peer.send(HELLO)
        answer = await peer.rest()

    assert b"connection: close" in answer
    assert answer.endswith(b"plain")
