"""Clients without a socket: onto a server in memory, or onto answers that are written down."""

from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, TypeVar

import httpx
import pytest
import trio

import ironflow
from ironflow.transport.http.messages import Handler, Headers, Request, Response
from tests.transport.conftest import Server, open_server

T = TypeVar("T")
URL = "http://server"
Scene = httpx.Response | Exception


def _request(request: httpx.Request, body: bytes) -> Request:
    return Request(
        request.method,
        request.url.raw_path.decode().partition("?")[0],
        query=request.url.query.decode(),
        headers=Headers(request.headers.items()),
        body=body,
    )


async def _carried(handler: Handler, request: httpx.Request) -> httpx.Response:
    found = await handler(_request(request, request.content))
    assert isinstance(found, Response)
    assert isinstance(found.body, bytes)
    return httpx.Response(found.status, headers=found.headers, content=found.body)


class HandlerTransport(httpx.AsyncBaseTransport):
    """Gives requests to a handler in this process."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return await _carried(self._handler, request)


class BlockingTransport(httpx.BaseTransport):
    """Gives requests of another thread to a handler in the Trio of this process."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return trio.from_thread.run(_carried, self._handler, request)


class Scripted(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Answers as it was told, one after the other, and keeps what it was asked."""

    def __init__(self, scenes: Iterable[Scene]) -> None:
        self._scenes = list(scenes)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        scene = self._scenes.pop(0)
        if isinstance(scene, Exception):
            raise scene
        return scene

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return self.handle_request(request)

    @property
    def asked(self) -> list[str]:
        """The methods and paths of the requests."""
        return [f"{each.method} {each.url.raw_path.decode()}" for each in self.requests]


def answer(document: Any, status: int = 200, **headers: str) -> httpx.Response:
    """Return an answer with a document."""
    return httpx.Response(
        status,
        json=document,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def scripted(*scenes: Scene, **options: Any) -> tuple[ironflow.AsyncClient, Scripted]:
    """Return a client and what it talks to."""
    transport = Scripted(scenes)
    return ironflow.AsyncClient(URL, transport=transport, **options), transport


@pytest.fixture
async def server() -> AsyncGenerator[Server]:
    """Return a server in memory."""
    async with open_server() as opened:
        yield opened


@pytest.fixture
async def client(server: Server) -> AsyncGenerator[ironflow.AsyncClient]:
    """Return a client of the server."""
    transport = HandlerTransport(server.handler)
    async with ironflow.AsyncClient(URL, transport=transport) as opened:
        yield opened


Blocking = Callable[[Callable[[ironflow.Client], T]], Any]


@pytest.fixture
def blocking(server: Server) -> Blocking[Any]:
    """Return a function that calls another in a thread, with a sync client."""

    async def call(work: Callable[[ironflow.Client], Any]) -> Any:
        def run() -> Any:
            with ironflow.Client(
                URL, transport=BlockingTransport(server.handler)
            ) as opened:
                return work(opened)

        return await trio.to_thread.run_sync(run)

    return call
