"""`ironflow.serve` in an ASGI server on asyncio."""

import asyncio
import threading
from typing import Any

import httpx
import msgspec
import pytest

import ironflow
from ironflow import App, ConfigurationError, Context, codec
from ironflow.engine.clock import SystemClock
from ironflow.journal.base import EmitEvents, FunctionRow, RegisterFunctions
from ironflow.journal.memory import MemoryStore
from ironflow.records import EventData
from ironflow.wire import frames
from ironflow.wire.posts import (
    SIGNATURE,
    Describe,
    Described,
    Post,
    Reply,
    packed,
    read_reply,
    signed,
    worker_frames,
)

KEY = "secret"
threads: list[str] = []


@ironflow.asyncio_step
async def on_loop() -> str:
    await asyncio.sleep(0)
    threads.append(threading.current_thread().name)
    return "from asyncio"


@ironflow.function(id="flow", triggers=["go"])
async def flow(ctx: Context[Any]) -> str:
    return await ctx.step.run("on-loop", on_loop)


def claimed() -> frames.Claimed:
    """Return a run that a server would give away."""
    store = MemoryStore()
    now = SystemClock().now()
    row = FunctionRow("flow", flow.program.version, ("go",))
    event = EventData(
        id="evt_" + "0" * 12 + "7" + "0" * 19, name="go", data=msgspec.Raw(b"\xc0")
    )
    store.commit_now([RegisterFunctions((row,), now), EmitEvents((event,), now)])
    [claim] = store.claim_now(frozenset({"flow"}), limit=1)
    records = [codec.encode_whole(entry)[0] for entry in claim.entries]
    page = msgspec.Raw(codec.page(records))
    return frames.Claimed(claim.run_id, "flow", claim.epoch, 1, (), page)


async def post(client: httpx.AsyncClient, said: Any) -> Any:
    body = msgspec.msgpack.encode(said)
    now_s = SystemClock().now() // 1_000_000
    answer = await client.post(
        "/", content=body, headers={SIGNATURE: signed(KEY, body, now_s=now_s)}
    )
    assert answer.status_code == 200, answer.text
    return read_reply(answer.content)


async def converse() -> tuple[Any, Reply, list[frames.WorkerFrame], list[int]]:
    application = ironflow.serve(App(functions=[flow]), signing_key=KEY)
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://e") as client:
        described = await post(client, Describe(SystemClock().now()))
        claim = claimed()
        now = SystemClock().now()
        said = packed([frames.Claims((claim,))])
        reply = await post(
            client, Post("default", now, claim.run_id, claim.epoch, "", said)
        )
        refused = [
            (await client.get("/")).status_code,
            (await client.post("/", content=b"x")).status_code,
        ]
    await application._close()
    return described, reply, worker_frames(reply), refused


def test_a_run_is_carried_on_beside_an_asyncio_loop() -> None:
    """Its asyncio steps run on the loop of the caller."""
    described, reply, said, refused = asyncio.run(converse())

    assert isinstance(described, Described)
    assert len(described.functions) == 1
    assert reply.state == "open"
    [commit] = said
    assert isinstance(commit, frames.ReceivedCommit)
    [append] = commit.commands
    assert isinstance(append, frames.ReceivedAppend)
    kinds = [type(record.header).__name__ for record in append.records]
    assert kinds == ["StepCompleted", "RunEnded"]
    assert threads == [threading.current_thread().name]
    assert refused == [405, 401]


def test_a_lifespan_starts_and_ends_the_engine() -> None:
    async def live() -> list[str]:
        said: list[str] = []
        messages = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive() -> Any:
            return {"type": next(messages)}

        async def send(message: Any) -> None:
            said.append(message["type"])

        application = ironflow.serve(App(functions=[flow]), signing_key=KEY)
        await application({"type": "lifespan"}, receive, send)
        return said

    assert asyncio.run(live()) == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


def test_an_endpoint_without_a_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="would run for anybody"):
        ironflow.serve(App(functions=[flow]), signing_key="")
