"""A whole server without a socket, in memory and in virtual time."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

import ironflow
from ironflow.testing.harness import Harness, open_harness
from ironflow.transport.context import Context
from ironflow.transport.http.messages import Handler, Headers, Request, Response
from ironflow.transport.server import open_handler


@dataclass(frozen=True)
class Order:
    id: str
    total: int = 0


def charge(order: Order) -> str:
    return f"charged {order.total}"


@ironflow.function(id="process-order", triggers=["order.placed"])
async def process_order(ctx: ironflow.Context[Order]) -> dict[str, str]:
    receipt = await ctx.step.run("charge", charge, ctx.event.data)
    return {"order": ctx.event.data.id, "receipt": receipt}


@ironflow.function(id="ask", triggers=["approval.asked"])
async def ask(ctx: ironflow.Context[Any]) -> Any:
    answer = await ctx.step.wait_for_event("answer", "approval.given", timeout="7d")
    return answer.data


@ironflow.function(id="fail", triggers=["order.lost"])
async def fail(ctx: ironflow.Context[Any]) -> None:
    raise ironflow.NonRetryableError(f"lost: {ctx.event.data}")


@ironflow.function(id="stuck", triggers=["order.odd"])
async def stuck(ctx: ironflow.Context[Any]) -> None:
    raise KeyError(ctx.event.name)


def decline(order: Any) -> str:
    raise ironflow.NonRetryableError("declined")


@ironflow.function(id="pay", triggers=["payment.asked"])
async def pay(ctx: ironflow.Context[Any]) -> Any:
    limit = await ctx.step.run("limit", lambda: 10)
    await ctx.step.sleep("cool-off", "1d")
    return [limit, await ctx.step.run("charge", decline, ctx.event.data)]


APP = ironflow.App(functions=[process_order, ask, fail, stuck, pay])


@dataclass(frozen=True)
class Answered:
    """An answer, read."""

    status: int
    headers: Headers
    body: bytes

    @property
    def document(self) -> Any:
        """The body; it must be what its header says."""
        assert self.headers.get("content-type") == "application/json"
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """A server and the harness below it."""

    harness: Harness
    handler: Handler
    context: Context

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> Answered:
        """Send a request; a body that is no bytes is sent as JSON."""
        path, _, query = path.partition("?")
        data = b"" if body is None else msgspec.json.encode(body)
        request = Request(
            method,
            path,
            query=query,
            headers=Headers((headers or {}).items()),
            body=body if isinstance(body, bytes) else data,
        )
        found = await self.handler(request)
        assert isinstance(found, Response)
        assert isinstance(found.body, bytes)
        return Answered(found.status, Headers(found.headers), found.body)

    async def get(self, path: str) -> Any:
        """Return the document at a path that must be there."""
        found = await self.request("GET", path)
        assert found.status == 200, found.body
        return found.document

    async def post(self, path: str, body: object = None) -> Any:
        """Return the document that a post gives; it must be taken."""
        found = await self.request("POST", path, body)
        assert found.status == 200, found.body
        return found.document

    async def emit(self, name: str, data: object = None) -> str:
        """Emit an event, settle, and return the id of the run that it started."""
        found = await self.post("/api/v1/events", {"name": name, "data": data})
        await self.harness.clock.settle()
        [run_id] = found["run_ids"]
        return str(run_id)


@asynccontextmanager
async def open_server(
    app: ironflow.App = APP, **options: Any
) -> AsyncGenerator[Server]:
    """Open a server on an engine in memory."""
    async with (
        open_harness(app) as harness,
        open_handler(harness.engine, harness.journal, harness.clock, **options) as (
            handler,
            context,
        ),
    ):
        yield Server(harness, handler, context)


@pytest.fixture
async def server() -> AsyncGenerator[Server]:
    """Return a server that is ready."""
    async with open_server() as opened:
        yield opened
