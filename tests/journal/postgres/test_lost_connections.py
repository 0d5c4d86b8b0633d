"""Connections are lost and servers go away: nothing is lost with them, or made twice."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
import trio

from ironflow.errors import ConfigurationError, JournalFailed, LeaseLost
from ironflow.journal.postgres._psycopg import Call, Connection, ConnectionLost
from ironflow.journal.postgres.address import parse_address
from ironflow.journal.postgres.link import Options
from ironflow.journal.postgres.store import open_postgres
from ironflow.testing.checks_asks import completed
from ironflow.testing.checks_scene import Scene, refused
from tests.journal.postgres.conftest import store_at
from tests.journal.postgres.server import Server

EVENTS = 240

pytestmark = pytest.mark.slow


@asynccontextmanager
async def stopped(server: Server) -> AsyncGenerator[None]:
    """Stop the server as a crash would; start it again at the end of the block."""
    await trio.to_thread.run_sync(server.stop)
    try:
        yield
    finally:
        await trio.to_thread.run_sync(server.start)


class Cut:
    """Loses the connection at a call, once: before it is carried out, or after."""

    def __init__(self, name: str, *, after: bool) -> None:
        self.name = name
        self.after = after
        self.times = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        run = Connection.run
        cut = self

        async def cut_run(connection: Connection, calls: Sequence[Call]) -> Any:
            names = [statement.name for statement, _ in calls]
            if cut.times or cut.name not in names:
                return await run(connection, calls)
            cut.times += 1
            if cut.after:
                await run(connection, calls)
            connection.close()
            raise ConnectionLost("cut", state="08006")

        monkeypatch.setattr(Connection, "run", cut_run)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_an_append_is_made_once_wherever_its_connection_is_lost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    """Also if it is decided from memory: what is known then may be out of date."""
    async with scene.open() as journal:
        holder = await scene.start()
        await holder.append(completed("a:0", 1))
        cut = Cut("guard", after=after)
        cut.install(monkeypatch)

        await holder.append(completed("b:0", 1))
        await holder.append(completed("c:0", 1))

        assert cut.times == 1
        history = await journal.history(holder.run_id)
        assert [each.record.sequence for each in history] == [1, 2, 3, 4]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", ["head", "put_commit", "was_committed"])
async def test_a_commit_is_made_once_wherever_its_connection_is_lost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, name: str, *, after: bool
) -> None:
    """Invariant 6: whether it was made is looked up, not assumed."""
    async with scene.open() as journal:
        await scene.emit(scene.event("first"))
        if name == "was_committed":
            Cut("put_commit", after=True).install(monkeypatch)
        cut = Cut(name, after=after)
        cut.install(monkeypatch)

        [receipt] = await scene.emit(scene.event("second"))

        assert cut.times == 1
        stored = await journal.events()
        assert [each.position for each in stored] == [1, 2]
        assert stored[1].event.id == receipt.event_id


async def test_callers_of_one_lost_commit_all_get_their_answers(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They shared a transaction, and they share its fate."""
    async with scene.open() as journal:
        Cut("put_commit", after=True).install(monkeypatch)
        async with trio.open_nursery() as nursery:
            for _ in range(9):
                nursery.start_soon(scene.emit, scene.event("e"))

        positions = [each.position for each in await journal.events()]
        assert positions == list(range(1, 10))


async def test_a_claim_whose_answer_was_lost_is_made_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else would get the run as long as this node lives."""
    async with scene.open():
        await scene.register(scene.function("job", "go"))
        [receipt] = await scene.emit(scene.event("go"))
        Cut("claim", after=True).install(monkeypatch)

        holder = await scene.hold("job")

        assert holder.run_id == receipt.run_ids[0]
        await holder.append(completed("a:0", 1))


async def test_what_is_asked_while_the_server_restarts_is_answered(
    server: Server, scene: Scene
) -> None:
    """Commits and reads wait for it; every event is there once, and in order."""
    async with scene.open() as journal:
        await scene.register(scene.function("job", "go"))
        await scene.emit(scene.event("go"))
        holder = await scene.hold("job")
        await holder.append(completed("a:0", 1))
        async with trio.open_nursery() as nursery, stopped(server):
            nursery.start_soon(scene.emit, scene.event("e"))
            nursery.start_soon(journal.events)

        names = [each.event.name for each in await journal.events()]
        assert names == [scene.name("go"), scene.name("e")]
        await holder.append(completed("b:0", 1))


async def test_a_claim_that_a_crash_of_the_server_took_back_can_be_made_again(
    server: Server, scene: Scene
) -> None:
    """A claim is not flushed; its epoch holds nothing then, and is not used again."""
    async with scene.open():
        await scene.register(scene.function("job", "go"))
        await scene.emit(scene.event("go"))
        holder = await scene.hold("job")
        late = holder.command(completed("a:0", 1))
        async with stopped(server):
            pass
        if (await scene.summary(holder.run_id)).status == "running":
            pytest.skip("the server has flushed the claim by itself")

        refused(await scene.commit(late), LeaseLost, what="an append")
        again = await scene.hold("job")
        refused(await scene.commit(late), LeaseLost, what="an append")
        await again.append(completed("a:0", 1))


async def test_a_server_that_stays_away_ends_the_journal(
    server: Server, url: str
) -> None:
    """After its patience it says so, and takes no more commits."""
    scene = Scene("away", store_at(url, options=Options(patience=0.2)))
    async with scene.open() as journal:
        await scene.emit(scene.event("e"))
        async with stopped(server):
            with pytest.raises(JournalFailed, match="start again when the server"):
                await scene.emit(scene.event("e"))
            with pytest.raises(JournalFailed, match="start again when the server"):
                await scene.emit(scene.event("e"))
            with pytest.raises(JournalFailed):
                await journal.events()
    async with scene.open() as journal:
        assert len(await journal.events()) == 1


async def test_a_server_that_is_away_at_the_start_is_not_waited_for(
    server: Server, url: str
) -> None:
    """Whoever starts an engine wants to know at once."""
    async with stopped(server):
        with pytest.raises(JournalFailed, match="cannot be reached"):
            await open_postgres(url)


@pytest.mark.parametrize("part", ["user=nobody", "dbname=nowhere"])
async def test_a_server_that_refuses_is_the_url_s_fault(url: str, part: str) -> None:
    """Trying again would not help."""
    with pytest.raises(ConfigurationError, match="correct the URL"):
        await open_postgres(f"{url}&{part}")


async def test_sessions_that_are_ended_at_random_lose_nothing(url: str) -> None:
    """Every acknowledged event is there, once, without a gap."""
    scene = Scene("random", store_at(url))
    async with scene.open() as journal:
        ended = await while_sessions_are_ended(url, lambda: emit_all(scene))

        stored = await journal.events(limit=EVENTS * 2)
        assert [each.position for each in stored] == list(range(1, EVENTS + 1))
        assert len({each.event.id for each in stored}) == EVENTS
        assert ended


async def emit_all(scene: Scene) -> None:
    for _ in range(EVENTS // 3):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(scene.emit, scene.event("e"))


async def while_sessions_are_ended(
    url: str, work: Callable[[], Awaitable[None]]
) -> int:
    """End every session of the journal, again and again, until the work is done."""
    ended = 0
    with psycopg.connect(parse_address(url).conninfo, autocommit=True) as database:
        async with trio.open_nursery() as nursery:

            async def end_sessions() -> None:
                nonlocal ended
                while True:
                    ended += len(
                        database.execute(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                            " WHERE pid <> pg_backend_pid()"
                            " AND backend_type = 'client backend'"
                        ).fetchall()
                    )
                    await trio.sleep(0.02)

            nursery.start_soon(end_sessions)
            await work()
            nursery.cancel_scope.cancel()
    return ended
