"""Several nodes on one environment: leases, takeovers, and hints between them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio

from ironflow.errors import LeaseLost
from ironflow.journal.base import Hint, RequestPause
from ironflow.journal.postgres import batch, heartbeat
from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres._psycopg import Statement, connect_plain
from ironflow.journal.postgres.link import Options
from ironflow.journal.postgres.store import PostgresJournal, open_postgres
from ironflow.testing.checks_asks import completed, ended, fire, sleep, wait
from ironflow.testing.checks_scene import SECOND_US, Scene, refused
from tests.journal.postgres.conftest import store_at

SHORT = Options(lease=0.3, poll=5.0)


@dataclass
class Node:
    """A journal beside others, with a scene of shared names, and what it was told."""

    journal: PostgresJournal
    scene: Scene
    hints: list[Hint] = field(default_factory=list[Hint])
    news: trio.Event = field(default_factory=trio.Event)

    def hear(self, hint: Hint) -> None:
        """Take a hint."""
        self.hints.append(hint)
        self.news.set()

    async def told(self, what: str, word: object) -> None:
        """Wait for a hint that names this."""
        with trio.fail_after(10):
            while not any(_names(hint, what, word) for hint in self.hints):
                self.news = trio.Event()
                await self.news.wait()

    def fall_silent(self) -> None:
        """Renew no lease any more, as a process that is stopped."""
        self.journal._heartbeat.stop()


def _names(hint: Hint, what: str, word: object) -> bool:
    found: object = getattr(hint, what)
    return word in found if isinstance(found, set) else found == word


@asynccontextmanager
async def node(url: str, options: Options = SHORT) -> AsyncGenerator[Node]:
    """Open the journal as one more node."""
    journal = await open_postgres(url, options=options)
    scene = Scene("nodes", store_at(url))
    scene._journal = journal
    found = Node(journal, scene)
    journal.watch(found.hear)
    try:
        yield found
    finally:
        await journal.close()


async def test_a_run_of_a_silent_node_is_taken_over(url: str) -> None:
    """Invariant 7: who comes back later is told that the hold has ended."""
    async with node(url) as one, node(url) as other:
        holder = await one.scene.start()
        late = holder.command(completed("a:0", 1))
        await other.told("ready", holder.run_id)  # when it was started
        other.hints.clear()
        assert await other.scene.claim("job") == ()

        one.fall_silent()
        await other.told("ready", holder.run_id)
        again = await other.scene.hold("job")

        assert again.run_id == holder.run_id
        refused(await one.scene.commit(late), LeaseLost, what="a late append")
        await again.append(completed("a:0", 1))
        refused(await one.scene.commit(late), LeaseLost, what="a late append")


async def test_a_lease_that_ran_out_ends_nothing_by_itself(url: str) -> None:
    """An engine that slept alone goes on where it was."""
    async with node(url) as one:
        holder = await one.scene.start()
        one.fall_silent()
        await trio.sleep(SHORT.lease * 2)

        await holder.append(completed("a:0", 1))

        assert (await one.scene.summary(holder.run_id)).length == 2


async def test_a_node_that_was_ended_begins_again(url: str) -> None:
    """It is told to look at everything, and claims under another number."""
    slow = Options(lease=0.3)
    async with node(url, slow) as one, node(url) as other:
        holder = await one.scene.start()
        before = one.journal._memory.node
        end_node(other, before)
        await one.told("everything", word=True)

        assert one.journal._memory.node != before
        again = await one.scene.hold("job")
        assert again.run_id == holder.run_id
        assert again.claim.epoch > holder.claim.epoch
        await again.append(completed("a:0", 1))


def end_node(by: Node, number: int) -> None:
    """End a node as if its lease had run out."""
    server = by.journal._server
    with connect_plain(server.address.conninfo, server.settings) as database:
        database.execute("DELETE FROM nodes WHERE id = %s", (number,))
        database.execute("UPDATE ready SET node = NULL WHERE node = %s", (number,))


async def test_a_claim_of_a_node_that_was_ended_takes_nothing(url: str) -> None:
    """Whom nobody could end would hold its runs for ever."""
    async with node(url) as one, node(url) as other:
        await one.scene.register(one.scene.function("job", "go"))
        [receipt] = await one.scene.emit(one.scene.event("go"))
        one.fall_silent()
        end_node(other, one.journal._memory.node)

        assert await one.scene.claim("job") == ()
        assert (await other.scene.hold("job")).run_id == receipt.run_ids[0]


async def test_two_nodes_never_claim_the_same_run(url: str) -> None:
    """However many ask at once."""
    async with node(url) as one, node(url) as other:
        scene = one.scene
        await scene.register(scene.function("job", "go"))
        receipts = await scene.emit(*(scene.event("go") for _ in range(40)))
        claimed: list[str] = []

        async def claim(at: Node) -> None:
            for _ in range(10):
                claims = await at.scene.claim("job", limit=3)
                claimed.extend(claim.run_id for claim in claims)

        async with trio.open_nursery() as nursery:
            for at in (one, other, one, other):
                nursery.start_soon(claim, at)

        assert sorted(claimed) == sorted(each.run_ids[0] for each in receipts)


@pytest.mark.parametrize("notified", [True, False], ids=["told", "by-looking"])
async def test_hints_reach_the_other_nodes(
    url: str, monkeypatch: pytest.MonkeyPatch, *, notified: bool
) -> None:
    """A lost notification costs latency, and nothing else."""
    if not notified:
        nothing = Statement("notify", "SELECT $1::text, $2::text")
        monkeypatch.setattr(batch, "_NOTIFY", nothing)
    options = Options(lease=10.0, poll=5.0 if notified else 0.05)
    async with node(url, options) as one, node(url, options) as other:
        scene = one.scene
        holder = await scene.start()
        await other.told("ready", holder.run_id)
        due = scene.now + SECOND_US
        await holder.append(wait("w:0", scene.name("e")), sleep("nap:0", until=due))
        await other.told("due", due)
        await scene.emit(scene.event("e"))
        await other.told("inbox", holder.run_id)
        await fire(scene, holder.run_id)
        await holder.append()
        await holder.append(ended())
        await other.told("ended", holder.run_id)


async def test_a_node_that_closes_gives_its_runs_back(url: str) -> None:
    """The others need not wait for its lease, and are told."""
    async with node(url) as other:
        async with node(url) as one:
            holder = await one.scene.start()
            await other.told("ready", holder.run_id)  # when it was started
            other.hints.clear()

        await other.told("ready", holder.run_id)
        assert (await other.scene.hold("job")).run_id == holder.run_id


async def test_old_commits_are_removed_and_the_last_is_kept(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log of commits is for hints, not for ever."""
    monkeypatch.setattr(heartbeat, "COMMITS_KEPT_SECONDS", 0.0)
    monkeypatch.setattr(heartbeat, "PRUNE_SECONDS", 0.05)
    async with node(url) as one:
        for _ in range(5):
            await one.scene.emit(one.scene.event("e"))
        await removed(one)

        [receipt] = await one.scene.emit(one.scene.event("e"))
        assert receipt.position == 6


async def removed(at: Node) -> None:
    """Return when all commits but one are gone."""
    count = Statement("count_commits", "SELECT count(*) FROM commits")
    with trio.fail_after(10):
        for _ in range(1_000):
            [[[found]]] = await at.journal._readers.run([(count, ())])
            if pg.to_int(found) == 1:
                return
            await trio.sleep(0.02)


async def test_who_was_away_is_told_what_the_others_did(url: str) -> None:
    """The listener reads on where it was, on a new connection."""
    async with node(url) as one, node(url) as other:
        await one.scene.register(one.scene.function("job", "go"))
        server = other.journal._server
        with connect_plain(server.address.conninfo, server.settings) as database:
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        [receipt] = await one.scene.emit(one.scene.event("go"))

        await other.told("ready", receipt.run_ids[0])


async def test_a_pause_that_another_node_asks_for_is_seen_with_the_next_append(
    url: str,
) -> None:
    """What a holder knows of its run is out of date then, also before it is told."""
    async with node(url) as one, node(url) as other:
        holder = await one.scene.start()
        await holder.append(completed("a:0", 1))
        one.journal._heartbeat.stop()  # no hint reaches this node any more
        command = RequestPause(holder.run_id, "ann", "why", one.scene.now)
        await other.journal.commit([command])

        appended = await holder.append(completed("b:0", 1))
        await holder.park(wait("w:0", one.scene.name("e")))

        assert appended.asked is not None
        assert appended.asked.actor == "ann"
        assert (await other.scene.summary(holder.run_id)).status == "paused"
