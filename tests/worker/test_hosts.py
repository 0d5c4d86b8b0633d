"""The same functions, wherever they live: embedded, pulled, pushed, by the published rules."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

import ironflow
from ironflow import App, Context, Engine
from ironflow.engine.open import run_engine
from ironflow.journal.memory import MemoryJournal
from ironflow.testing.host_checks import HOST_CHECKS, OUTCOME_CHECKS, check_host
from ironflow.testing.host_scene import HostCheck, OpenHost
from ironflow.testing.virtual_clock import VirtualClock
from ironflow.transport.circuits import Circuits
from ironflow.transport.pull import PullHost
from ironflow.transport.push import PushHost
from ironflow.wire.posts import SIGNATURE
from ironflow.worker.endpoint import open_endpoint
from ironflow.worker.remote_journal import Identity, RemoteJournal
from ironflow.worker.server_clock import ServerClock
from tests.worker.links import pair
from tests.worker.published_rules import published

ROOT = Path(__file__).parents[2]
KEY = "secret"
URL = "http://endpoint.test"


@asynccontextmanager
async def embedded(
    app: App, journal: MemoryJournal, clock: VirtualClock
) -> AsyncGenerator[Engine]:
    async with run_engine(app, journal, clock=clock) as engine:
        yield engine


@asynccontextmanager
async def pulled(
    app: App, journal: MemoryJournal, clock: VirtualClock
) -> AsyncGenerator[Engine]:
    """A server, and a worker that is connected to it."""
    host = PullHost(journal, clock.now)
    here = ServerClock(clock)
    remote = RemoteJournal(Identity("worker", "process", "test"), here)
    async with (
        run_engine(App(functions=[]), journal, clock=clock) as engine,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(host.run)
        async with run_engine(app, remote, clock=here):
            ours, theirs = pair()
            nursery.start_soon(host.serve, ours)
            nursery.start_soon(remote.serve, theirs)
            await remote.connected.wait()
            yield engine
        await remote.close()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def pushed(
    app: App, journal: MemoryJournal, clock: VirtualClock
) -> AsyncGenerator[Engine]:
    """A server that calls an endpoint."""
    async with (
        run_engine(App(functions=[]), journal, clock=clock) as engine,
        open_endpoint(app, signing_key=KEY, clock=clock, shutdown=0) as endpoint,
        trio.open_nursery() as nursery,
    ):

        async def answer(request: httpx.Request) -> httpx.Response:
            header = request.headers[SIGNATURE]
            body, signature = await endpoint.answer(header, request.content)
            return httpx.Response(200, content=body, headers={SIGNATURE: signature})

        def client() -> httpx.AsyncClient:
            return httpx.AsyncClient(transport=httpx.MockTransport(answer))

        host = PushHost(
            journal, clock.now, signing_key=KEY, client=client, circuits=Circuits()
        )
        await nursery.start(host.run)
        await host.register(URL)
        yield engine
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("check", HOST_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("host", [pulled, pushed])
async def test_a_function_writes_the_same_wherever_it_lives(
    host: OpenHost, check: HostCheck
) -> None:
    await check(host, "histories")


@pytest.mark.parametrize("check", OUTCOME_CHECKS, ids=lambda check: check.__name__)
async def test_a_function_comes_to_the_same_by_the_published_rules(
    check: HostCheck,
) -> None:
    await check(published, "outcomes")


async def test_an_engine_is_a_host() -> None:
    await check_host(embedded)
    await check_host(embedded, compared="outcomes")


def test_each_check_is_described() -> None:
    page = (ROOT / "docs/reference/checks.md").read_text(encoding="utf-8")

    assert not [each for each in HOST_CHECKS if f"`{each.__name__}`" not in page]


# --- the checks find what is wrong --------------------------------------------------------


@asynccontextmanager
async def forgetful(
    app: App, journal: MemoryJournal, clock: VirtualClock
) -> AsyncGenerator[Engine]:
    """A host that has its own functions in place of those it is given."""
    functions = [_other(each.id, each.triggers) for each in app.functions]
    async with embedded(App(functions=functions), journal, clock) as engine:
        yield engine


def _other(function_id: str, triggers: Any) -> Any:
    @ironflow.function(id=function_id, triggers=[*triggers])
    async def other(ctx: Context[Any]) -> str:
        return "something else"

    return other


@pytest.mark.parametrize("compared", ["histories", "outcomes"])
async def test_a_host_that_does_something_else_is_found(compared: Any) -> None:
    with pytest.raises((AssertionError, ExceptionGroup)) as found:
        await check_host(forgetful, compared=compared)

    assert "steps are executed in order" in "".join(_messages(found.value))


def _messages(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        return [text for each in error.exceptions for text in _messages(each)]
    return [str(error)]
