"""A worker from its start to its end: connections that fail, and a drain."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import ironflow
from ironflow import App, Context
from ironflow.errors import ProtocolError
from ironflow.wire import frames
from ironflow.wire.link import Link, LinkClosed
from ironflow.worker.puller import Worker, run_worker
from tests.engine.bench import settle
from tests.worker.links import MemoryLink, pair
from tests.worker.stage import Stage, server


@dataclass
class Network:
    """Where a worker dials: a server, if one is there."""

    stage: Stage
    is_up: bool = True
    dialled: list[float] = field(default_factory=list)
    links: list[MemoryLink] = field(default_factory=list)

    @asynccontextmanager
    async def dial(self) -> AsyncGenerator[Link]:
        self.dialled.append(trio.current_time())
        if not self.is_up:
            raise LinkClosed(1006, "nobody is there")
        assert self.stage.nursery is not None
        ours, theirs = pair()
        self.links.append(theirs)
        self.stage.nursery.start_soon(self.stage.host.serve, ours)
        yield theirs


class Slow:
    """A step that waits for its gate."""

    def __init__(self) -> None:
        self.gate = trio.Event()
        self.calls = 0

    async def step(self) -> str:
        self.calls += 1
        await self.gate.wait()
        return "done"

    def flow(self) -> Any:
        @ironflow.function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> str:
            first = await ctx.step.run("one", self.step)
            return first + await ctx.step.run("two", self.step)

        return flow


def worker(network: Network, slow: Slow) -> Worker:
    return Worker(app=App(functions=[slow.flow()]), dial=network.dial, name="w")


async def test_it_connects_again_and_waits_longer_each_time(
    mock_clock: MockClock,
) -> None:
    async with server() as stage:
        network, stop = Network(stage), trio.Event()
        network.is_up = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_worker, worker(network, Slow()), stop)
            for _ in range(60):
                mock_clock.jump(1)
                await settle()
            waits = [
                after - before
                for before, after in zip(
                    network.dialled, network.dialled[1:], strict=False
                )
            ]
            network.is_up = True
            for _ in range(16):
                mock_clock.jump(1)
                await settle()
            names = [info.id for info in stage.host.workers()]
            nursery.cancel_scope.cancel()

    assert 5 <= len(waits) <= 12
    assert waits[-1] > 3 * waits[0]
    assert max(waits) <= 16
    assert names == ["w"]


async def test_a_stop_lets_steps_end_and_begins_no_others() -> None:
    async with server() as stage:
        network, stop, slow = Network(stage), trio.Event(), Slow()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_worker, worker(network, slow), stop)
            await settle()
            run_id = await stage.emit("go")
            stop.set()
            await settle()
            draining = stage.host.workers()[0].max_concurrent
            slow.gate.set()
        await settle()
        summary = await stage.journal.run(run_id)

        assert draining == 0
        assert slow.calls == 1
        assert await stage.kinds(run_id) == ["RunStarted", "StepCompleted"]
        assert summary is not None
        assert (summary.status, summary.row.claims) == ("running", 0)
        assert stage.host.workers() == []


async def test_a_server_may_ask_a_worker_to_leave() -> None:
    async with server() as stage:
        network, slow = Network(stage), Slow()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_worker, worker(network, slow), trio.Event())
            await settle()
            assert await stage.host.drain("w", reason="a new version")
            assert not await stage.host.drain("nobody", reason="")
        await settle()

        assert stage.host.workers() == []


async def test_a_server_that_has_the_function_itself_refuses_for_good() -> None:
    async with server() as stage:
        stage.host._hosted = lambda: ["flow"]  # type: ignore[misc]  # the test says so
        network = Network(stage)
        with pytest.raises(ExceptionGroup) as caught:
            await run_worker(worker(network, Slow()), trio.Event())

        assert caught.group_contains(ProtocolError, match="carries out flow by itself")
        assert len(network.dialled) == 1


async def test_a_server_that_is_full_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    async with server() as stage:
        monkeypatch.setattr("ironflow.limits.WORKERS_MAX", 0)
        network = Network(stage)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_worker, worker(network, Slow()), trio.Event())
            await settle()
            monkeypatch.undo()
            mock_clock.jump(1)
            await settle()
            names = [info.id for info in stage.host.workers()]
            nursery.cancel_scope.cancel()

    assert names == ["w"]
    assert len(network.dialled) == 2


async def test_bytes_from_a_server_that_are_no_frame_end_the_connection(
    mock_clock: MockClock,
) -> None:
    """The worker goes on, and connects again."""

    class Strange(Network):
        @asynccontextmanager
        async def dial(self) -> AsyncGenerator[Link]:
            async with super().dial() as link:
                if len(self.links) > 1:
                    yield link
                    return
                ours, theirs = pair()
                await ours.send(
                    frames.encode(frames.Welcome(2, "default", "s", 0, 5_000_000))
                )
                await ours.send(b"\xc1")
                yield theirs

    async with server() as stage:
        network = Strange(stage)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_worker, worker(network, Slow()), trio.Event())
            await settle()
            mock_clock.jump(1)
            await settle()
            nursery.cancel_scope.cancel()

    assert len(network.dialled) == 2


async def test_a_worker_leaves_what_is_past_its_retention_to_the_server(
    mock_clock: MockClock,
) -> None:
    """It says how long its runs are kept, and the server deletes them."""

    @ironflow.function(id="flow", triggers=["go"], retention="2h")
    async def flow(ctx: Context[Any]) -> str:
        return "done"

    async with server() as stage:
        network, stop = Network(stage), trio.Event()
        ours = Worker(app=App(functions=[flow]), dial=network.dial, name="w")
        carry_on = partial(run_worker, ours, stop, clock=stage.clock)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(carry_on)
            await settle()
            await stage.emit("go")
            assert stage.engine is not None
            early = len(await stage.engine.list_runs())
            await stage.clock.advance(4 * 3600)
            late = len(await stage.engine.list_runs())
            stop.set()

    assert (early, late) == (1, 0)
    assert len(network.dialled) == 1
