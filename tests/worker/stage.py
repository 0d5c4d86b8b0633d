"""A server with a journal, and workers that come and go, in virtual time."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from ironflow import App, Engine
from ironflow.authoring.definition import Function
from ironflow.engine.open import run_engine
from ironflow.journal.base import Journal
from ironflow.journal.memory import MemoryJournal
from ironflow.records import Record
from ironflow.transport.pull import PullHost
from ironflow.worker.remote_journal import Identity, RemoteJournal
from ironflow.worker.server_clock import ServerClock
from tests.engine.bench import HandClock, settle
from tests.worker.links import MemoryLink, pair

Functions = Sequence[Function[Any, Any]]
PATIENCE = 300  # of the clock of a test


class Worker:
    """A worker that runs: its journal, and the end of its link."""

    def __init__(self, journal: RemoteJournal, scope: trio.CancelScope) -> None:
        self.journal = journal
        self.link: MemoryLink | None = None
        self._scope = scope

    def kill(self) -> None:
        """End it at once, as by kill -9: its socket is closed by the system."""
        if self.link is not None:
            self.link.cut()
        self._scope.cancel()

    def fall_silent(self) -> None:
        """Let its network fall away; it does not know, and goes on."""
        assert self.link is not None
        self.link.is_silent = True

    def disconnect(self) -> None:
        """Cut its connection; it goes on, and may connect again."""
        assert self.link is not None
        self.link.cut()


class Stage:
    """The server: a journal, an engine without functions, and a pull host."""

    def __init__(self, journal: Journal, clock: HandClock) -> None:
        self.journal = journal
        self.clock = clock
        self.host = PullHost(journal, clock.now)
        self.nursery: trio.Nursery | None = None
        self.engine: Engine | None = None

    async def emit(self, name: str, data: Any = None) -> str:
        """Emit an event; return the one run that it starts."""
        assert self.engine is not None
        receipt = await self.engine.emit(name, data)
        [run_id] = receipt.run_ids
        await settle()
        return run_id

    async def records(self, run_id: str) -> list[Record]:
        """Return the records of a run."""
        return [entry.record for entry in await self.journal.history(run_id)]

    async def kinds(self, run_id: str) -> list[str]:
        """Return the names of the records of a run."""
        return [type(record).__name__ for record in await self.records(run_id)]

    async def status(self, run_id: str) -> str:
        """Return how a run stands, when nothing more can happen by itself."""
        assert self.engine is not None
        await settle()
        return (await self.engine.get_run(run_id)).status

    async def start(
        self,
        *functions: Function[Any, Any],
        name: str = "one",
        credit: int = 100,
        process: str = "",
    ) -> Worker:
        """Start a worker and connect it."""
        assert self.nursery is not None
        worker: Worker = await self.nursery.start(
            self._work, functions, Identity(name, process or name, "test"), credit
        )
        await self.connect(worker)
        return worker

    async def connect(self, worker: Worker) -> None:
        """Give a worker a new link to this server."""
        assert self.nursery is not None
        ours, theirs = pair()
        worker.link = theirs
        self.nursery.start_soon(self.host.serve, ours)
        self.nursery.start_soon(worker.journal.serve, theirs)
        await settle()

    async def _work(
        self,
        functions: Functions,
        identity: Identity,
        credit: int,
        task_status: trio.TaskStatus[Worker],
    ) -> None:
        clock = ServerClock(self.clock)
        journal = RemoteJournal(identity, clock, credit=credit)
        with trio.CancelScope() as scope:
            async with run_engine(App(functions=functions), journal, clock=clock):
                task_status.started(Worker(journal, scope))
                await trio.sleep_forever()


@asynccontextmanager
async def server(
    journal: Journal | None = None, clock: HandClock | None = None
) -> AsyncGenerator[Stage]:
    """Run a server for a block; workers that are left are killed at its end."""
    clock = clock or HandClock()
    stage = Stage(journal or MemoryJournal(), clock)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            stage.nursery = nursery
            app = App(functions=[])
            async with run_engine(app, stage.journal, clock=clock) as stage.engine:
                await nursery.start(stage.host.run)
                yield stage
                nursery.cancel_scope.cancel()
