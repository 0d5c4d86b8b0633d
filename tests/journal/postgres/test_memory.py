"""What a node knows of its runs spares it a look, and never decides unchecked."""

from collections.abc import Sequence
from typing import Any

import pytest

from ironflow.errors import LeaseLost
from ironflow.journal.postgres import memory
from ironflow.journal.postgres._psycopg import Call, Connection
from ironflow.journal.postgres.batch import Batch
from ironflow.journal.postgres.link import Options
from ironflow.records import EventReceived
from ironflow.testing.checks import check_journal
from ironflow.testing.checks_asks import completed, ended, sleep, wait
from ironflow.testing.checks_scene import SECOND_US, Holder, refused
from tests.journal.postgres.conftest import store_at
from tests.journal.postgres.test_nodes import Node, end_node, node

# Nobody renews or looks while a test lasts, but for what it does itself.
QUIET = Options(lease=30.0, poll=30.0)


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the statements of each round trip from now on."""
    run, made = Connection.run, list[list[str]]()

    async def noted(connection: Connection, calls: Sequence[Call]) -> Any:
        made.append([statement.name for statement, _ in calls])
        return await run(connection, calls)

    monkeypatch.setattr(Connection, "run", noted)
    return made


def deaf(at: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a node miss what others tell it."""
    monkeypatch.setattr(at.journal, "_tell_of_others", lambda _: None)


async def test_what_a_holder_appends_takes_one_round_trip(
    url: str, trips: list[list[str]]
) -> None:
    """From its claim to its end; a sleep and its timer, too."""
    async with node(url, QUIET) as one:
        holder = await one.scene.start()
        trips.clear()
        await holder.append(completed("a:0", 1))
        await holder.append(completed("b:0", 2), sleep("nap:0", until=one.scene.now))
        await holder.append(ended("completed", 1))

    assert [names[2] for names in trips] == ["guard", "guard", "guard"]
    assert all(names[-1] == "commit" for names in trips)


async def test_a_guess_that_fails_is_made_good(
    url: str, trips: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event has come for a run while its holder, who has not heard of it, appends."""
    async with node(url, QUIET) as one, node(url, QUIET) as other:
        deaf(one, monkeypatch)
        scene = one.scene
        holder = await scene.start()
        await holder.append(wait("w:0", scene.name("e")))
        await other.scene.emit(scene.event("e"))
        trips.clear()

        answer = await holder.append(completed("a:0", 1))

        [row] = answer.inbox
        assert isinstance(row.draft.record, EventReceived)
        assert ["guard" in names for names in trips] == [True, False, False]
        trips.clear()
        await holder.append()
        assert ["guard" in names for names in trips] == [True], "it knows the inbox now"


@pytest.mark.parametrize("what", ["hold", "registry", "node"])
async def test_whatever_a_guess_rests_on_is_checked(
    url: str, trips: list[list[str]], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """An ended hold, another function, one more to be told: none of them is overlooked."""
    async with node(url, QUIET) as one, node(url, QUIET) as other:
        deaf(one, monkeypatch)
        holder = await one.scene.start()
        await holder.append(completed("a:0", 1))
        late = holder.command(completed("b:0", 2))
        if what == "hold":
            end_node(other, one.journal._memory.node)
        elif what == "registry":
            await other.scene.register(other.scene.function("later", "go"))
        trips.clear()
        async with node(url, QUIET):
            answer = await one.scene.commit(late)

        assert ["guard" in names for names in trips[:2]] == [True, False]
        if what == "hold":
            refused(answer, LeaseLost, what="a late append")
        assert (await one.scene.summary(holder.run_id)).length == (
            2 if what == "hold" else 3
        )


async def test_a_node_that_came_later_is_told(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known of the others is checked as well."""
    async with node(url, QUIET) as one:
        deaf(one, monkeypatch)
        holder = await one.scene.start()
        await holder.append(completed("a:0", 1))
        async with node(url, QUIET) as other:
            due = one.scene.now + SECOND_US
            await holder.append(sleep("nap:0", until=due))
            await other.told("due", due)


async def test_a_commit_of_another_is_no_reason_to_look(
    url: str, trips: list[list[str]]
) -> None:
    """What is appended rests on the run alone, and takes the next number."""
    async with node(url, QUIET) as one, node(url, QUIET) as other:
        holder = await one.scene.start()
        await holder.append(completed("a:0", 1))
        [receipt] = await other.scene.emit(other.scene.event("e"))
        trips.clear()

        await holder.append(completed("b:0", 1))
        assert ["guard" in names for names in trips] == [True]

        [following] = await other.scene.emit(other.scene.event("e"))
        assert following.position == receipt.position + 1


async def test_a_start_is_counted_after_a_guess(url: str) -> None:
    """Alone, a node knows the last commit as well: its number, and the event log."""
    async with node(url, QUIET) as one:
        scene = one.scene
        holder = await scene.start()
        await scene.emit(scene.event("e"))
        await holder.append(completed("a:0", 1))
        [receipt] = await scene.emit(scene.event("e"))

        positions = [each.position for each in await one.journal.events()]
        assert positions == list(range(1, receipt.position + 1))


async def test_an_event_that_wakes_a_run_asks_once(
    url: str, trips: list[list[str]]
) -> None:
    """Where waits looked of late is where an event is likely to find some."""
    async with node(url, QUIET) as one, node(url, QUIET) as other:
        scene = one.scene
        for _ in range(2):
            holder = await scene.start()
            await holder.park(wait("w:0", scene.name("e")))
            trips.clear()
            await other.scene.emit(scene.event("e"))
            assert [draft.record.id for draft in await holder.woken()] == ["w:0"]

    [asked, written, *_] = trips
    assert asked[-1] == "waits_for"
    assert written[-1] == "commit"


async def test_an_engine_of_no_functions_claims_nothing(
    url: str, trips: list[list[str]]
) -> None:
    """It need not ask."""
    async with node(url, QUIET) as one:
        trips.clear()
        assert await one.journal.claim(frozenset(), limit=9) == ()

    assert trips == []


async def test_no_more_is_remembered_than_an_engine_holds(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is forgotten is read again."""
    monkeypatch.setattr(memory, "HELD_MAX", 2)
    async with node(url, QUIET) as one:
        await one.scene.register(one.scene.function("job", "go"))
        holders = []
        for _ in range(5):
            await one.scene.emit(one.scene.event("go"))
            holders.append(await one.scene.hold("job"))
        for holder in holders:
            await holder.append(completed("a:0", 1))

        assert len(one.journal._memory.held) <= 2


async def test_what_has_ended_is_forgotten(url: str) -> None:
    """So is what was parked or given back."""
    async with node(url, QUIET) as one:
        scene = one.scene
        await scene.register(scene.function("job", "go"))
        await scene.emit(*(scene.event("go") for _ in range(3)))
        first, second, third = await scene.claim("job")
        ending, napping = await Holder.of(scene, first), await Holder.of(scene, second)
        await ending.append(ended("completed", 1))
        await napping.park(sleep("nap:0", until=scene.now + SECOND_US))
        await one.journal.release([third])

        assert one.journal._memory.held == {}


@pytest.mark.slow
async def test_a_journal_that_knows_nothing_decides_alike(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is decided from memory is what would be decided from the tables."""
    monkeypatch.setattr(Batch, "_decided_from_memory", lambda _: None)

    await check_journal(store_at(url))
