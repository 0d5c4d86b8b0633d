"""Clients whose machines vanish: what sockets are told, and who learns of it.

Over a network that is cut: tests/e2e/test_vanished_machines.py.
"""

import errno
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio

from ironflow import sockets
from ironflow.transport.http.link import Link
from ironflow.transport.http.messages import Request, Response
from ironflow.transport.http.server import HttpServer
from tests.transport.http.peers import ASK, assert_is_kept_alive


class Waiting:
    """A handler that waits until its client is gone."""

    def __init__(self) -> None:
        self.begun = trio.Event()
        self.ended = trio.Event()
        self.was_vanished: bool | None = None

    async def handle(self, request: Request) -> Response:
        self.begun.set()
        await request.wait_gone()
        self.was_vanished = request.is_vanished()
        self.ended.set()
        return Response(204)


@asynccontextmanager
async def two_ends(
    waiting: Waiting,
) -> AsyncGenerator[tuple[trio.SocketStream, trio.SocketStream]]:
    """A client with a request that waits: its socket, and the one that was accepted."""
    server = HttpServer(waiting.handle)
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    [own] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery, own:
        await nursery.start(server.serve, [listener])  # it looks after all
        client = await trio.open_tcp_stream(*own.socket.getsockname())
        accepted = await own.accept()
        nursery.start_soon(server.serve_stream, accepted)
        async with client:
            await client.send_all(ASK % b"wait")
            await waiting.begun.wait()
            yield client, accepted
        nursery.cancel_scope.cancel()


async def test_accepted_sockets_are_kept_alive() -> None:
    async with two_ends(Waiting()) as (_, accepted):
        assert_is_kept_alive(accepted)
        assert not sockets.is_unanswered(accepted)


async def test_a_client_that_acknowledges_nothing_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = Waiting()
    async with two_ends(waiting) as (client, _):
        monkeypatch.setattr(sockets, "is_unanswered", lambda connected: True)
        with trio.fail_after(20):
            await waiting.ended.wait()
            assert waiting.was_vanished
            assert await client.receive_some() == b""


async def test_a_client_that_closes_has_not_vanished() -> None:
    waiting = Waiting()
    async with two_ends(waiting) as (client, _):
        await client.aclose()
        await waiting.ended.wait()
        assert waiting.was_vanished is False


class _Broken(trio.abc.Stream):
    """A stream that the kernel has ended for a reason."""

    def __init__(self, number: int) -> None:
        self._number = number

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        try:
            raise OSError(self._number, "as the kernel says it")
        except OSError as error:
            raise trio.BrokenResourceError from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        raise AssertionError

    async def wait_send_all_might_not_block(self) -> None:
        raise AssertionError

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("number", "vanished"),
    [(errno.ETIMEDOUT, True), (errno.EHOSTUNREACH, True), (errno.ECONNRESET, False)],
)
async def test_the_kernel_says_how_a_connection_ended(
    *, number: int, vanished: bool
) -> None:
    link = Link(_Broken(number), write_stall_us_max=1_000_000)
    assert await link.receive() == b""
    assert link.is_vanished() is vanished
    link.look()  # there is no socket to ask
    assert link.is_vanished() is vanished
