"""An engine that lost its lease stops what it does, and nothing of it is recorded."""

import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

import ironflow
from ironflow.journal.postgres._psycopg import Database
from ironflow.journal.postgres.store import PostgresJournal

LEASE = "400ms"

pytestmark = pytest.mark.slow


@dataclass
class Place:
    """An engine's side of the one step: what became of its attempts there."""

    name: str
    told: list[str] = field(default_factory=list[str])
    begun: trio.Event = field(default_factory=trio.Event)
    stopped: trio.Event = field(default_factory=trio.Event)
    gate: trio.Event = field(default_factory=trio.Event)

    def app(self) -> ironflow.App:
        async def work() -> str:
            self.told.append("begun")
            self.begun.set()
            try:
                await self.gate.wait()
            except trio.Cancelled:
                self.told.append("stopped")
                self.stopped.set()
                raise
            self.told.append("returned")
            return self.name

        @ironflow.function(id="job", triggers=["go"])
        async def job(ctx: ironflow.Context[Any]) -> str:
            return await ctx.step.run("work", work)

        return ironflow.App(functions=[job])


@contextmanager
def silent(engine: ironflow.Engine) -> Iterator[threading.Event]:
    """Let the heartbeat of an engine stand still until the event is set."""
    journal = engine._runtime.journal
    assert isinstance(journal, PostgresJournal)
    over = threading.Event()
    do_what_is_due = journal._heartbeat._do_what_is_due

    def wait_first(database: Database) -> None:
        over.wait()
        do_what_is_due(database)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal._heartbeat, "_do_what_is_due", wait_first)
        try:
            yield over
        finally:
            over.set()


@asynccontextmanager
async def taken_over(
    first: ironflow.Engine, other: Place, url: str
) -> AsyncGenerator[tuple[ironflow.Engine, threading.Event]]:
    """Let another engine take over what the silent first one still does."""
    with silent(first) as over:
        async with ironflow.open_engine(other.app(), url) as second:
            await other.begun.wait()
            yield second, over


@pytest.mark.parametrize("late", [False, True], ids=["learns", "returns"])
async def test_the_attempt_of_an_engine_that_lost_its_lease_comes_to_nothing(
    url: str, *, late: bool
) -> None:
    """Invariant 7: it is stopped when the engine learns; what it returned is refused."""
    one, other = Place("one"), Place("other")
    at = f"{url}&lease={LEASE}"
    async with ironflow.open_engine(one.app(), at) as first:
        run_id = (await first.emit("go")).run_ids[0]
        await one.begun.wait()
        async with taken_over(first, other, at) as (second, over):
            assert one.told == ["begun"], "both are at it: that can happen"
            if late:
                one.gate.set()
                await given_up(first, run_id)
            else:
                over.set()
                await one.stopped.wait()
            other.gate.set()
            run = await second.result(run_id)
            history = await second.history(run_id)

    assert run.unwrap() == "other"
    kinds = [type(entry.record).__name__ for entry in history]
    assert kinds == ["RunStarted", "StepCompleted", "RunEnded"]
    assert one.told == ["begun", "returned" if late else "stopped"]
    assert other.told == ["begun", "returned"]


async def given_up(engine: ironflow.Engine, run_id: str) -> None:
    """Return when an engine has given a run up."""
    while run_id in engine._runtime.active:  # noqa: ASYNC110 - a log line is no event
        await trio.sleep(0.01)


async def test_an_engine_that_lost_its_lease_goes_on_as_another_node(url: str) -> None:
    """What it claims then is its own again, and begins when its former attempt has ended."""
    one, other = Place("one"), Place("other")
    at = f"{url}&lease={LEASE}"
    async with ironflow.open_engine(one.app(), at) as first:
        run_id = (await first.emit("go")).run_ids[0]
        await one.begun.wait()
        async with taken_over(first, other, at):
            pass
        await one.stopped.wait()
        one.gate.set()
        run = await first.result(run_id)

    assert run.unwrap() == "one"
    assert one.told == ["begun", "stopped", "begun", "returned"]
