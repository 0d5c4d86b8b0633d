"""Endpoints over REST: they are registered by URL, and listed with their state."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio

from ironflow import App
from ironflow.engine.open import run_engine
from ironflow.journal.memory import MemoryJournal
from ironflow.transport.context import Context
from ironflow.transport.http.messages import Request, Response
from ironflow.transport.push_part import PATH, Pushes
from ironflow.transport.server import open_handler
from ironflow.wire.posts import SIGNATURE
from ironflow.worker.endpoint import open_endpoint
from tests.engine.bench import HandClock
from tests.transport.test_push import KEY, URL, Steps

Asked = tuple[int, Any]


class Served:
    def __init__(self, handler: Any, context: Context) -> None:
        self._handler = handler
        self.context = context

    async def ask(self, method: str, body: bytes = b"") -> Asked:
        answer = await self._handler(Request(method, PATH, body=body))
        assert isinstance(answer, Response)
        assert isinstance(answer.body, bytes)
        return answer.status, json.loads(answer.body)


@asynccontextmanager
async def serving(signing_key: str = KEY) -> AsyncGenerator[Served]:
    clock, journal = HandClock(), MemoryJournal()
    async with (
        open_endpoint(
            App(functions=[Steps().flow()]), signing_key=KEY, clock=clock, shutdown=0
        ) as endpoint,
        run_engine(App(functions=[]), journal, clock=clock) as engine,
    ):

        async def answer(request: httpx.Request) -> httpx.Response:
            if str(request.url) != URL:
                raise httpx.ConnectError("nobody is there")
            header = request.headers[SIGNATURE]
            body, signature = await endpoint.answer(header, request.content)
            return httpx.Response(200, content=body, headers={SIGNATURE: signature})

        part = Pushes(
            client=lambda: httpx.AsyncClient(transport=httpx.MockTransport(answer))
        )
        with trio.fail_after(5):
            async with open_handler(
                engine, journal, clock, parts=[part.routes], signing_key=signing_key
            ) as (handler, context):
                yield Served(handler, context)


async def test_an_endpoint_is_registered_with_its_functions() -> None:
    async with serving() as served:
        body = json.dumps({"url": URL}).encode()

        assert await served.ask("POST", body) == (
            200,
            {"url": URL, "functions": ["flow"]},
        )
        await trio.testing.wait_all_tasks_blocked()
        status, found = await served.ask("GET")
        assert status == 200
        assert [each["url"] for each in found["endpoints"]] == [URL]
        assert found["endpoints"][0]["state"] == "closed"


async def test_when_an_endpoint_is_left_alone_is_said_with_its_url() -> None:
    async with serving() as served:
        body = {"url": URL, "circuitBreaker": {"failureThreshold": 3}}
        await served.ask("POST", json.dumps(body).encode())
        await trio.testing.wait_all_tasks_blocked()
        breaker = served.context.operations.circuits.of("flow")

        assert breaker is not None
        assert (breaker.key, breaker.policy.failures) == (URL, 3)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"\xff", 400),
        (b'{"url": "ftp://a"}', 400),
        (b'{"url": "http://[x"}', 400),
        (b'{"url": "http://a:b@app.test"}', 400),
        (b'{"url": "http://a", "circuit_breaker": {"failure_threshold": -1}}', 400),
        (b'{"url": "http://nobody.test"}', 502),
    ],
)
async def test_what_is_no_endpoint_is_said(body: bytes, status: int) -> None:
    async with serving() as served:
        found, document = await served.ask("POST", body)

        assert found == status
        assert document["message"]


async def test_without_a_key_there_are_no_endpoints() -> None:
    async with serving(signing_key="") as served:
        for method in ("GET", "POST"):
            status, document = await served.ask(method)
            assert status == 400
            assert "--signing-key" in document["message"]
