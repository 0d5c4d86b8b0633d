"""Connections to endpoints: to which of a name's addresses, and to none that may not be."""

import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
import trio
from trio.testing import MockClock

from ironflow.policy.reach import ANYWHERE, Reach, reach
from ironflow.transport import rest
from ironflow.transport.push_client import Answered, CallFailed, Patience, exchange
from ironflow.transport.push_dial import Dialing
from ironflow.transport.segment_part import Segments
from tests.transport.conftest import open_server
from tests.transport.segment_scene import Scene

METADATA = "169.254.169.254"
HERE = "127.0.0.1"
PATIENCE = Patience(seconds=10, answer_bytes_max=1_000)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Peer:
    """A server at a port of this machine, which keeps what it was sent."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.requests: list[bytes] = []
        self.answer = ANSWER

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        received = b""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for piece in stream:
                received += piece
                if received.endswith(b"\r\n\r\n"):
                    self.requests.append(received)
                    received = b""
                    await stream.send_all(self.answer)


@asynccontextmanager
async def peer() -> AsyncGenerator[Peer]:
    own = Peer()
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host=HERE)
        nursery.start_soon(trio.serve_listeners, own.serve, listeners)
        own.port = listeners[0].socket.getsockname()[1]
        yield own
        nursery.cancel_scope.cancel()


class Names:
    """A resolver that says what it is told, one line for each question, then the last."""

    def __init__(self, *lines: Sequence[str]) -> None:
        self._lines = list(lines)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        await trio.lowlevel.checkpoint()
        self.asked.append(host)
        return list(self._lines.pop(0) if len(self._lines) > 1 else self._lines[0])


async def call(client: httpx.AsyncClient, url: str) -> Answered:
    return await exchange(client, url, b"", {}, patience=PATIENCE)


async def test_the_first_address_that_may_be_called_is() -> None:
    names = Names([METADATA, "fe80::1", HERE])
    async with peer() as own, Dialing(ANYWHERE, resolve=names).once() as client:
        answer = await call(client, f"http://app.test:{own.port}/there?a=b")

    assert answer.body == b"{}"
    assert names.asked == ["app.test"]
    [request] = own.requests
    assert request.startswith(b"POST /there?a=b HTTP/1.1\r\n")
    assert f"Host: app.test:{own.port}\r\n".lower().encode() in request.lower()


async def test_a_name_that_means_another_address_later_gains_nothing() -> None:
    """What was allowed a moment ago is looked at again with each connection."""
    names = Names([HERE], [METADATA])
    async with peer() as own, Dialing(ANYWHERE, resolve=names).once() as client:
        url = f"http://app.test:{own.port}/"
        await call(client, url)
        with pytest.raises(CallFailed, match=METADATA) as caught:
            await call(client, url)

    assert caught.value.code == "NOT_ALLOWED"
    assert own.connections == 1


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "2852039166",  # the same address, as some resolvers read it
        "0xa9fea9fe",
        "0.0.0.0",
        "[fe80::1]",
    ],
)
async def test_an_address_in_a_url_is_looked_at_as_well(host: str) -> None:
    async with Dialing(ANYWHERE).once() as client:
        with pytest.raises(CallFailed) as caught:
            await call(client, f"http://{host}/latest/meta-data")

    assert caught.value.code == "NOT_ALLOWED"


@pytest.mark.parametrize(
    ("within", "word"),
    [
        (reach(deny="127.0.0.0/8"), "--push-deny"),
        (reach(deny="*.test"), "--push-deny"),
        (reach(allow="10.0.0.0/8"), "--push-allow"),
    ],
)
async def test_the_lists_of_a_server_hold(within: Reach, word: str) -> None:
    dialing = Dialing(within, resolve=Names([HERE]))
    async with peer() as own, dialing.once() as client:
        with pytest.raises(CallFailed, match=word):
            await call(client, f"http://app.test:{own.port}/")

    assert own.connections == 0


async def test_a_host_that_is_named_is_called() -> None:
    dialing = Dialing(reach(allow="app.test"), resolve=Names([HERE]))
    async with peer() as own, dialing.once() as client:
        await call(client, f"http://app.test:{own.port}/")

    assert own.connections == 1


async def test_a_redirect_is_not_followed() -> None:
    async with peer() as own, Dialing(ANYWHERE).once() as client:
        own.answer = (
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:%d/other\r\n"
            b"content-length: 0\r\n\r\n"
        ) % own.port
        answer = await call(client, f"http://{HERE}:{own.port}/")

    assert answer.status == 302
    assert len(own.requests) == 1


async def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would look names up by itself, where nobody sees the address."""
    async with peer() as own, peer() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://{HERE}:{proxy.port}")
        async with Dialing(ANYWHERE).once() as client:
            await call(client, f"http://{HERE}:{own.port}/")

    assert (own.connections, proxy.connections) == (1, 0)


async def test_an_address_where_nobody_listens_is_followed_by_the_next() -> None:
    names = Names(["127.0.0.9", HERE])
    async with peer() as own, Dialing(ANYWHERE, resolve=names).once() as client:
        await call(client, f"http://app.test:{own.port}/")

    assert own.connections == 1


@pytest.mark.parametrize(
    ("lines", "what"),
    [([], "has no address"), (["127.0.0.9", "127.0.0.8"], "ConnectError")],
)
async def test_a_name_without_anybody_is_said(lines: list[str], what: str) -> None:
    async with Dialing(ANYWHERE, resolve=Names(lines)).once() as client:
        with pytest.raises(CallFailed, match=what) as caught:
            await call(client, "http://app.test:1/")

    assert caught.value.code == "CONNECTION_LOST"


async def test_a_name_that_is_none_is_said() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError(f"{host}: Name or service not known")

    async with Dialing(ANYWHERE, resolve=resolve).once() as client:
        with pytest.raises(CallFailed, match="Name or service not known"):
            await call(client, "http://app.test/")


async def test_a_name_is_not_looked_up_for_ever(autojump_clock: MockClock) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await trio.sleep(1_000)
        return []

    async with Dialing(ANYWHERE, resolve=resolve).once() as client:
        with pytest.raises(CallFailed, match="still looked up"):
            await call(client, "http://app.test/")

    assert trio.current_time() < PATIENCE.seconds


async def test_an_answer_that_breaks_off_is_said() -> None:
    async with trio.open_nursery() as nursery:

        async def serve(stream: trio.SocketStream) -> None:
            await stream.receive_some()
            await stream.send_all(ANSWER[:-1])
            await stream.aclose()

        listeners = await trio.open_tcp_listeners(0, host=HERE)
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        async with Dialing(ANYWHERE).once() as client:
            with pytest.raises(CallFailed, match="RemoteProtocolError") as caught:
                await call(client, f"http://{HERE}:{port}/")
        nursery.cancel_scope.cancel()

    assert caught.value.code == "CONNECTION_LOST"


async def test_one_client_keeps_its_connection_and_the_other_none() -> None:
    async with peer() as own:
        url = f"http://{HERE}:{own.port}/"
        async with Dialing(ANYWHERE).kept(silence_s=5) as client:
            for _ in range(3):
                await call(client, url)
        kept = own.connections
        async with Dialing(ANYWHERE).once() as client:
            for _ in range(3):
                await call(client, url)

    assert (kept, own.connections) == (1, 4)


async def test_certificates_are_read_once_for_all_connections() -> None:
    """To read them for each run would hold up the server for seconds."""
    read: list[ssl.SSLContext] = []

    def counted() -> ssl.SSLContext:
        read.append(ssl.create_default_context())
        return read[-1]

    dialing = Dialing(ANYWHERE, certificates=counted)
    for _ in range(3):
        await dialing.kept(silence_s=1).aclose()

    assert len(read) == 1


async def test_a_run_says_that_its_endpoint_may_not_be_called() -> None:
    parts = (rest.routes, Segments().routes)
    async with open_server(parts=parts, reach=reach(deny="127.0.0.0/8")) as server:
        scene = Scene(server)
        await scene.function(preferredMode="push", endpointUrl=f"http://{HERE}:9/")
        run_id = await scene.emit()
        steps = await scene.server.get(f"/api/v1/runs/{run_id}/steps")

    error = steps["steps"][0]["attempts"][0]["error"]
    assert error["code"] == "NOT_ALLOWED"
    assert "--push-deny" in error["message"]
