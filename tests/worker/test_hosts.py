"""The same functions, wherever they live: embedded, pulled and pushed write one history."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
import trio

import ironflow
from ironflow import App, Context, Engine, Retry
from ironflow.authoring.definition import Function
from ironflow.engine.open import run_engine
from ironflow.journal.memory import MemoryJournal
from ironflow.transport.circuits import Circuits
from ironflow.transport.push import PushHost
from ironflow.wire.posts import SIGNATURE
from ironflow.worker.endpoint import open_endpoint
from tests.engine.bench import HandClock, settle
from tests.worker.pulled_bench import PulledBench

Host = Callable[[PulledBench], AbstractAsyncContextManager[Engine]]
KEY = "secret"
URL = "http://endpoint.test"


class Flaky:
    """A step that fails once; the world of one host."""

    def __init__(self) -> None:
        self.calls = 0

    async def step(self) -> str:
        self.calls += 1
        if self.calls == 1:
            raise ValueError("not yet")
        return "at last"


def functions() -> list[Function[Any, Any]]:
    flaky = Flaky()

    async def double(number: int) -> int:
        return 2 * number

    async def undo(outcome: ironflow.StepOutcome[int]) -> None:
        assert outcome.value == 2

    async def breaks() -> None:
        raise ValueError("broken")

    @ironflow.function(id="child")
    async def child(ctx: Context[Any]) -> int:
        return await ctx.step.run("double", double, ctx.event.data)

    @ironflow.function(id="flow", triggers=["go"], retry=Retry(max_attempts=3))
    async def flow(ctx: Context[Any]) -> Any:
        one = await ctx.step.run("flaky", flaky.step)
        both = await ctx.step.parallel(
            "both", [lambda s: s.run("a", double, 1), lambda s: s.run("b", double, 2)]
        )
        await ctx.step.sleep("nap", "1h")
        paid = await ctx.step.wait_for_event("paid", "paid", timeout="1d")
        kid = await ctx.step.invoke("child", paid.data)
        await ctx.step.publish("done", {"kid": kid})
        return [one, both, kid]

    @ironflow.function(id="fails", triggers=["fail"], retry=Retry(max_attempts=1))
    async def fails(ctx: Context[Any]) -> None:
        await ctx.step.run("made", double, 1, undo=undo)
        await ctx.step.run("breaks", breaks)

    return [flow, child, fails]


@asynccontextmanager
async def embedded(bench: PulledBench) -> AsyncGenerator[Engine]:
    app = App(functions=functions())
    async with run_engine(app, bench.journal, clock=bench.clock) as engine:
        yield engine


@asynccontextmanager
async def pulled(bench: PulledBench) -> AsyncGenerator[Engine]:
    async with bench.engine(*functions()) as engine:
        yield engine


@asynccontextmanager
async def pushed(bench: PulledBench) -> AsyncGenerator[Engine]:
    async with (
        run_engine(App(functions=[]), bench.journal, clock=bench.clock) as engine,
        open_endpoint(
            App(functions=functions()), signing_key=KEY, clock=bench.clock, shutdown=0
        ) as endpoint,
        trio.open_nursery() as nursery,
    ):

        async def answer(request: httpx.Request) -> httpx.Response:
            header = request.headers[SIGNATURE]
            body, signature = await endpoint.answer(header, request.content)
            return httpx.Response(200, content=body, headers={SIGNATURE: signature})

        def client() -> httpx.AsyncClient:
            return httpx.AsyncClient(transport=httpx.MockTransport(answer))

        host = PushHost(
            bench.journal,
            bench.clock.now,
            signing_key=KEY,
            client=client,
            circuits=Circuits(),
        )
        await nursery.start(host.run)
        await host.register(URL)
        yield engine
        nursery.cancel_scope.cancel()


async def completes(engine: Engine, clock: HandClock) -> None:
    await engine.emit("go")
    for _ in range(3):
        await settle()
        await clock.advance(3600)
    await engine.emit("paid", 21)
    await settle()


async def fails(engine: Engine, clock: HandClock) -> None:
    await engine.emit("fail")
    await settle()
    await clock.advance(1)


async def is_cancelled(engine: Engine, clock: HandClock) -> None:
    [run_id] = (await engine.emit("go")).run_ids
    await settle()
    await clock.advance(10)
    await engine.cancel(run_id, reason="enough")
    await settle()


def histories(journal: MemoryJournal) -> list[list[Any]]:
    """Return what every run has recorded: kinds, ids and values, without times."""
    return [
        [
            (
                type(entry.record).__name__,
                entry.record.id,
                entry.record.attempt,
                _value(bytes(entry.payload)),
            )
            for entry in journal.history_now(run_id)
        ]
        for run_id in journal._durable.runs
    ]


def _value(payload: bytes) -> Any:
    value = msgspec.msgpack.decode(payload) if payload else None
    if isinstance(value, dict) and ("traceback" in value or "timestamp" in value):
        return {key: value.get(key) for key in ("name", "data", "type", "message")}
    return value


@pytest.mark.parametrize("story", [completes, fails, is_cancelled])
@pytest.mark.parametrize("host", [pulled, pushed])
async def test_a_function_writes_the_same_wherever_it_lives(
    host: Host, story: Callable[[Engine, HandClock], Coroutine[Any, Any, None]]
) -> None:
    found: list[list[list[Any]]] = []
    for each in (embedded, host):
        bench = PulledBench()
        with trio.fail_after(10):
            async with each(bench) as engine:
                await story(engine, bench.clock)
        found.append(histories(bench.journal.store))

    assert found[0] == found[1]
    assert all(history[-1][0] == "RunEnded" for history in found[0])
