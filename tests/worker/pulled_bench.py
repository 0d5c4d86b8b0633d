"""The bench of the engine's tests, with the functions in a worker.

The tests of the engine are run on it as they are: whatever they say of an engine holds
for a server and a worker together.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import trio

from ironflow import App, Engine
from ironflow.authoring.definition import Function
from ironflow.engine.open import run_engine
from ironflow.policy.duration import Duration
from ironflow.transport.pull import PullHost
from ironflow.worker.remote_journal import Identity, RemoteJournal
from ironflow.worker.server_clock import ServerClock
from tests.engine.bench import PATIENCE, Bench, TestJournal
from tests.worker.links import pair


class PulledBench(Bench):
    """A bench whose engine has no functions; a worker beside it has them."""

    @asynccontextmanager
    async def engine(
        self,
        *functions: Function[Any, Any],
        shutdown: Duration = 10,
        on: TestJournal | None = None,
        **options: Any,
    ) -> AsyncGenerator[Engine]:
        """Run server and worker for a block, and close both in order."""
        journal = on or self.journal
        host = PullHost(journal, self.clock.now)
        clock = ServerClock(self.clock)
        remote = RemoteJournal(Identity("bench", "bench", "test"), clock)
        app = App(functions=functions)
        with trio.fail_after(PATIENCE):
            async with (
                run_engine(App(functions=[]), journal, clock=self.clock) as engine,
                trio.open_nursery() as nursery,
            ):
                await nursery.start(host.run)
                async with run_engine(
                    app, remote, clock=clock, shutdown=shutdown, **options
                ):
                    await _connect(host, remote, nursery)
                    yield engine
                await remote.close()
                nursery.cancel_scope.cancel()


async def _connect(
    host: PullHost, remote: RemoteJournal, nursery: trio.Nursery
) -> None:
    if await remote.functions():
        ours, theirs = pair()
        nursery.start_soon(host.serve, ours)
        nursery.start_soon(remote.serve, theirs)
        await remote.connected.wait()
