"""A server on a real port: who is served, and how it ends."""

import resource
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from ironflow.transport.http.bounds import Bounds
from ironflow.transport.http.messages import Handler, Request, Response
from ironflow.transport.http.server import HttpServer, serve_http, tls_context
from tests.transport.http.peers import ASK, echo


async def start(
    nursery: trio.Nursery,
    handler: Handler = echo,
    *,
    bounds: Bounds | None = None,
    tls: ssl.SSLContext | None = None,
) -> HttpServer:
    serve = partial(serve_http, handler, port=0, bounds=bounds, tls=tls)
    server = await nursery.start(serve)
    assert isinstance(server, HttpServer)
    return server


def url_of(server: HttpServer, scheme: str = "http") -> str:
    host, port = server.addresses[0]
    return f"{scheme}://{host}:{port}"


Connect = Callable[[HttpServer], Awaitable[trio.SocketStream]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Clients that are closed behind the test."""
    streams: list[trio.SocketStream] = []

    async def open_one(server: HttpServer) -> trio.SocketStream:
        streams.append(await trio.open_tcp_stream(*server.addresses[0]))
        return streams[-1]

    yield open_one
    for stream in streams:
        await trio.aclose_forcefully(stream)


async def rest_of(stream: trio.SocketStream) -> bytes:
    data = b""
    try:
        while piece := await stream.receive_some():
            data += piece
    except trio.BrokenResourceError:  # reset
        pass
    return data


@pytest.mark.parametrize("version", [1, 2])
async def test_httpx_is_served(version: int, nursery: trio.Nursery) -> None:
    server = await start(nursery)
    url = url_of(server)

    async with httpx.AsyncClient(http1=version == 1, http2=version == 2) as client:
        answers = [await client.post(f"{url}/{n}", content=b"hi") for n in range(3)]
        large = await client.post(url, content=b"x" * 3_000_000)

    assert [each.text for each in answers] == [f"POST /{n} hi" for n in range(3)]
    assert answers[0].http_version == ("HTTP/1.1" if version == 1 else "HTTP/2")
    assert len(large.content) == 3_000_007
    assert server.statistics().requests == 4
    await server.drain()
    assert server.statistics().connections == 0


async def test_a_request_knows_its_client(
    connect: Connect, nursery: trio.Nursery
) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, body=f"{request.client} {request.scheme}".encode())

    server = await start(nursery, handler)
    stream = await connect(server)
    host, port = stream.socket.getsockname()
    await stream.send_all(ASK % b"a")
    answer = await stream.receive_some()

    assert answer.endswith(f"{host}:{port} http".encode())
    await stream.aclose()
    await server.drain()


async def test_a_client_too_many_is_turned_away(
    connect: Connect, nursery: trio.Nursery
) -> None:
    server = await start(nursery, bounds=Bounds(connections_max=2))
    held = [await connect(server) for _ in range(2)]
    for stream in held:
        await stream.send_all(ASK % b"a")
        await stream.receive_some()

    extra = await connect(server)
    answer = await rest_of(extra)
    await held[0].aclose()
    while server.statistics().connections == 2:
        await trio.lowlevel.checkpoint()
    other = await connect(server)
    await other.send_all(ASK % b"b")

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"unavailable"' in answer
    assert b"200 OK" in await other.receive_some()
    await server.drain()


async def test_connections_leave_files_for_the_journal(
    connect: Connect, nursery: trio.Nursery
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (2, hard))
    try:
        server = HttpServer(echo)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    await nursery.start(server.serve, listeners)
    first = await connect(server)
    await first.send_all(ASK % b"a")
    await first.receive_some()
    second = await connect(server)

    assert (await rest_of(second)).startswith(b"HTTP/1.1 503 ")
    await server.drain()


async def test_a_reset_connection_is_let_go(
    connect: Connect, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    server = await start(nursery)
    for data in (b"", b"GET", ASK % b"a", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        stream = await connect(server)
        if data:
            await stream.send_all(data)
        # On, with no time: closing it is a reset.
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # fmt: skip
        await stream.aclose()
    await server.drain()

    assert server.statistics().connections == 0
    assert not caplog.records


async def test_drain_ends_idle_connections_and_waits_for_the_others(
    connect: Connect,
    nursery: trio.Nursery,
) -> None:
    go_on = trio.Event()

    async def handler(request: Request) -> Response:
        await go_on.wait()
        return Response(200, body=b"done")

    server = await start(nursery, handler)
    idle, busy = await connect(server), await connect(server)
    await busy.send_all(ASK % b"a")
    while server.statistics().requests == 0 or server.statistics().connections < 2:
        await trio.lowlevel.checkpoint()
    nursery.start_soon(server.drain)

    assert await rest_of(idle) == b""
    go_on.set()
    answer = await rest_of(busy)
    assert b"connection: close" in answer
    assert answer.endswith(b"done")
    with pytest.raises(OSError, match="connect"):
        await connect(server)


async def test_what_is_not_done_in_time_is_cut_off(
    connect: Connect, nursery: trio.Nursery
) -> None:
    cancelled = trio.Event()

    async def handler(request: Request) -> Response:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    server = await start(nursery, handler)
    stream = await connect(server)
    await stream.send_all(ASK % b"a")
    while server.statistics().requests == 0:
        await trio.lowlevel.checkpoint()
    await server.drain(0.01)

    assert cancelled.is_set()
    assert await rest_of(stream) == b""


async def test_a_server_that_was_drained_does_not_begin() -> None:
    server = HttpServer(echo)
    await server.drain()
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    with trio.fail_after(5):
        await server.serve(listeners)

    assert [listener.socket.fileno() for listener in listeners] == [-1]


async def test_a_cancelled_server_leaves_nothing(
    connect: Connect, nursery: trio.Nursery
) -> None:
    async with trio.open_nursery() as inner:
        server = await start(inner)
        stream = await connect(server)
        await stream.send_all(ASK % b"a")
        await stream.receive_some()
        inner.cancel_scope.cancel()

    assert server.statistics().connections == 0
    assert await rest_of(stream) == b""


async def test_an_error_of_the_server_itself_ends_one_connection(
    connect: Connect,
    nursery: trio.Nursery,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(request: Request) -> Response:
        if request.path == "/odd":
            return None  # type: ignore[return-value] # what types would forbid
        return await echo(request)

    server = await start(nursery, handler)
    first = await connect(server)
    await first.send_all(ASK % b"odd")
    await rest_of(first)
    second = await connect(server)
    await second.send_all(ASK % b"a")

    assert b"200 OK" in await second.receive_some()
    assert "bug" in caplog.text
    await server.drain()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    chain, key = folder / "chain.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(chain)),
        ],
        check=True,
        capture_output=True,
    )
    return chain, key


@pytest.mark.parametrize("version", [1, 2])
async def test_tls_is_served(
    version: int, certificate: tuple[Path, Path], nursery: trio.Nursery
) -> None:
    server = await start(nursery, tls=tls_context(*certificate))
    trusting = ssl.create_default_context(cafile=str(certificate[0]))

    async with httpx.AsyncClient(verify=trusting, http2=version == 2) as client:
        answer = await client.post(url_of(server, "https") + "/a", content=b"hi")

    assert answer.text == "POST /a hi"
    assert answer.http_version == ("HTTP/1.1" if version == 1 else "HTTP/2")
    await server.drain()


async def test_what_is_not_tls_ends_one_connection(
    connect: Connect,
    certificate: tuple[Path, Path],
    nursery: trio.Nursery,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = await start(nursery, tls=tls_context(*certificate))
    stream = await connect(server)
    await stream.send_all(ASK % b"a")
    await rest_of(stream)
    await stream.aclose()
    silent = await connect(server)
    await wait_all_tasks_blocked()
    await server.drain()

    assert await rest_of(silent) == b""
    assert not caplog.records
