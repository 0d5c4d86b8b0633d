"""Workers of a server whose journal is in PostgreSQL: the server's holds are their runs."""

from typing import Any

import trio

import ironflow
from ironflow import App, Context
from ironflow.engine.clock import SystemClock
from ironflow.engine.open import run_engine
from ironflow.journal.postgres.store import open_postgres
from ironflow.transport.pull import PullHost
from ironflow.worker.remote_journal import Identity, RemoteJournal
from ironflow.worker.server_clock import ServerClock
from tests.worker.links import MemoryLink, pair

calls: list[str] = []
begun = trio.Event()
gate = trio.Event()


async def quick() -> str:
    calls.append("quick")
    return "a"


async def slow() -> str:
    calls.append("slow")
    begun.set()
    await gate.wait()
    return "b"


@ironflow.function(id="flow", triggers=["go"])
async def flow(ctx: Context[Any]) -> str:
    first = await ctx.step.run("quick", quick)
    await ctx.step.sleep("nap", 0.01)
    return first + await ctx.step.run("slow", slow)


async def work(
    host: PullHost, name: str, task_status: trio.TaskStatus[MemoryLink]
) -> None:
    clock = ServerClock(SystemClock())
    journal = RemoteJournal(Identity(name, name, "test"), clock)
    async with (
        trio.open_nursery() as nursery,
        run_engine(App(functions=[flow]), journal, clock=clock, shutdown=0),
    ):
        ours, theirs = pair()
        nursery.start_soon(host.serve, ours)
        nursery.start_soon(journal.serve, theirs)
        await journal.connected.wait()
        task_status.started(theirs)
        await trio.sleep_forever()


async def test_a_lost_worker_is_followed_by_another(url: str) -> None:
    clock = SystemClock()
    journal = await open_postgres(url)
    with trio.fail_after(20):
        async with (
            trio.open_nursery() as nursery,
            run_engine(App(functions=[]), journal, clock=clock) as engine,
        ):
            host = PullHost(journal, clock.now)
            await nursery.start(host.run)
            one: MemoryLink = await nursery.start(work, host, "one")
            [run_id] = (await engine.emit("go")).run_ids
            await begun.wait()
            one.cut()
            await nursery.start(work, host, "two")
            gate.set()
            run = await engine.result(run_id)
            summary = await journal.run(run_id)
            nursery.cancel_scope.cancel()
    await journal.close()

    assert run.unwrap() == "ab"
    assert calls.count("quick") == 1
    assert summary is not None
    assert summary.row.lost is not None
    assert summary.row.lost.worker == "one"
