"""Histories of runs that have ended are few rows instead of many, and read as before."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

import pytest
import trio

from ironflow import codec, limits
from ironflow.errors import JournalDamaged
from ironflow.journal.base import (
    Journal,
    Packing,
    PackingJournal,
    RunQuery,
)
from ironflow.journal.postgres._psycopg import Statement
from ironflow.journal.postgres.link import Options
from ironflow.journal.postgres.store import PostgresJournal, open_postgres
from ironflow.records import RunStarted
from ironflow.testing.checks import JOURNAL_CHECKS, JournalCheck
from ironflow.testing.checks_asks import completed, ended, failed
from tests.journal.packing import (
    FAR_US,
    LARGE,
    content,
    forget,
    live,
    live_all,
    packing_store,
    retry,
    steps,
)
from tests.journal.postgres.test_nodes import node
from tests.journal.postgres.test_schema import connected

KILL = Statement("kill", "SELECT pg_terminate_backend(pg_backend_pid())")


async def pack(journal: Journal, before: int = FAR_US) -> Packing:
    assert isinstance(journal, PackingJournal)
    return await journal.pack(ended_before=before, go_on=lambda: True)


# Of this one, what is left after the first commit is packed into so little that it is
# gone after the next.
UNPACKED = {"check_a_long_run_goes_in_many_commits"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "check",
    [check for check in JOURNAL_CHECKS if check.__name__ not in UNPACKED],
    ids=lambda check: check.__name__,
)
async def test_the_journal_keeps_when_it_packs_after_every_commit(
    check: JournalCheck, url: str
) -> None:
    await check(packing_store(lambda: open_postgres(url), pack))


def rows(url: str, sql: str) -> list[tuple[object, ...]]:
    with connected(url) as database:
        return database.execute(sql.encode()).fetchall()


def count(url: str, table: str) -> int:
    [[found]] = rows(url, f"SELECT count(*) FROM {table}")
    assert isinstance(found, int)
    return found


async def test_everything_is_read_as_before(url: str) -> None:
    async with node(url, Options()) as one:
        *closed, left = await live_all(one.scene)
        before, summaries = await content(one.journal), await all_runs(one.journal)
        packing = await pack(one.journal)
        again = await pack(one.journal)

        assert packing.runs == len(closed)
        assert packing.records == sum(len(before[run]) for run in closed)
        assert 0 < packing.bytes_after < packing.bytes_before
        assert again == Packing()
        assert await content(one.journal) == before
        assert await all_runs(one.journal) == summaries
        for after in range(0, 702, 7):
            page = await one.journal.history(closed[1], after=after, limit=3)
            found = [(each.record, each.digest, bytes(each.payload)) for each in page]
            assert found == before[closed[1]][after : after + 3]
        assert {run for (run,) in rows(url, "SELECT run FROM records")} == {uuid(left)}
    async with node(url, Options()) as other:
        assert await content(other.journal) == before


async def all_runs(journal: Journal) -> list[object]:
    return [*await journal.find(RunQuery(limit=1_000))]


def uuid(run_id: str) -> UUID:
    return UUID(run_id.removeprefix("run_"))


async def test_a_person_sees_the_records_one_by_one(url: str) -> None:
    """By the view `histories`, with the columns that `records` has."""
    query = (
        "SELECT run, sequence, kind, step, recorded_at, data FROM {}"
        " ORDER BY run, sequence"
    )
    async with node(url, Options()) as one:
        await live_all(one.scene)
        before = rows(url, query.format("records"))
        assert rows(url, query.format("histories")) == before
        await pack(one.journal)

        assert rows(url, query.format("histories")) == before
        [(first,)] = rows(url, "SELECT data[1] FROM packed ORDER BY run, last LIMIT 1")
    assert isinstance(first, bytes)
    assert isinstance(codec.decode(first).record, RunStarted)


async def test_a_value_has_so_many_bytes_and_a_transaction_so_many_records(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PACKED_BYTES_MIN", 2_000)
    monkeypatch.setattr(limits, "PACKED_RECORDS_PER_COMMIT_MAX", 70)
    monkeypatch.setattr(limits, "PACKED_RUNS_PER_COMMIT_MAX", 1)
    async with node(url, Options()) as one:
        runs = [await live(one.scene, *steps(*range(150))) for _ in range(2)]
        before = await content(one.journal)
        rounds = 0

        def go_on() -> bool:
            nonlocal rounds
            rounds += 1
            return True

        packing = await one.journal.pack(ended_before=FAR_US, go_on=go_on)

        assert packing.runs == len(runs)
        assert rounds == 7  # three for each run, and one that finds nothing
        sizes = rows(url, "SELECT last - first, cardinality(data) FROM packed")
        assert len(sizes) > 10
        assert all(0 < size <= 70 for _, size in sizes if isinstance(size, int))
        assert await content(one.journal) == before


async def test_only_runs_that_ended_before_are_packed(url: str) -> None:
    async with node(url, Options()) as one:
        await live(one.scene, *steps(1))
        edge = one.scene.now + 1
        late = await live(one.scene, *steps(2))
        none = await pack(one.journal, 0)
        first = await pack(one.journal, edge)
        left = {run for (run,) in rows(url, "SELECT run FROM records")}
        stopped = await one.journal.pack(ended_before=FAR_US, go_on=lambda: False)

        assert (none.runs, first.runs, stopped.runs) == (0, 1, 0)
        assert left == {uuid(late)}


async def test_a_failed_run_is_retried_behind_what_is_packed(url: str) -> None:
    async with node(url, Options()) as one:
        lost = (*steps("p" + LARGE), failed("t:0", attempt=1))
        run_id = await live(one.scene, *lost, end="failed")
        await pack(one.journal)
        before = (await content(one.journal))[run_id]
        await retry(one.scene, run_id, completed("t:0", 1), ended())
        assert count(url, "records") == 3
        once = (await content(one.journal))[run_id]
        packing = await pack(one.journal)

        assert (packing.runs, packing.records) == (1, 3)
        assert once[: len(before)] == before
        assert (await content(one.journal))[run_id] == once
        assert count(url, "packed") == 2


async def test_a_retried_run_is_not_queued_for_the_first_time(url: str) -> None:
    async with node(url, Options()) as one:
        lost = (*steps(1), failed("t:0", attempt=1))
        run_id = await live(one.scene, *lost, end="failed")
        await pack(one.journal)
        await retry(one.scene, run_id, completed("t:0", 1))
        claims = [
            claim for claim in await one.scene.claim("job") if claim.run_id == run_id
        ]
        await one.journal.release(claims)

        found = await one.journal.find(RunQuery(status="running"))
        assert [summary.row.run_id for summary in found] == [run_id]
        assert await one.journal.find(RunQuery(status="queued")) == []


async def test_what_is_packed_is_deleted_in_its_time(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Little by little, and nothing stays behind."""
    monkeypatch.setattr(limits, "PACKED_BYTES_MIN", 500)
    monkeypatch.setattr(limits, "RETENTION_RECORDS_PER_COMMIT_MAX", 10)
    async with node(url, Options()) as one:
        runs = [await live(one.scene, *steps(*range(90), n + LARGE)) for n in "ab"]
        await pack(one.journal)
        values = count(url, "packed")
        kept = (await content(one.journal))[runs[1]]
        await forget(one.scene, runs[0])
        assert (await content(one.journal))[runs[1]] == kept
        assert 0 < count(url, "packed") < values
        await forget(one.scene, runs[1])

        for table in ("runs", "records", "packed", "gone", "blobs", "blob_runs"):
            assert count(url, table) == 0, table


async def test_nodes_that_pack_at_once_pack_each_run_once(url: str) -> None:
    async with node(url, Options()) as one, node(url, Options()) as other:
        runs = [await live(one.scene, *steps(*range(40))) for _ in range(30)]
        before = await content(one.journal)
        packings: list[Packing] = []

        async def do(journal: PostgresJournal) -> None:
            packings.append(await pack(journal))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(limits, "PACKED_RUNS_PER_COMMIT_MAX", 2)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(do, one.journal))
                nursery.start_soon(partial(do, other.journal))

        assert sum(each.runs for each in packings) == len(runs)
        assert sum(each.records for each in packings) == 42 * len(runs)
        assert await content(one.journal) == before


async def test_a_run_that_somebody_changes_is_passed_over(url: str) -> None:
    """Packing waits for nobody: the next round packs it."""
    async with node(url, Options()) as one:
        held = await live(one.scene, *steps(1))
        await live(one.scene, *steps(2))
        with connected(url) as database:
            database.autocommit = False
            database.execute(
                "UPDATE runs SET attempt = attempt WHERE run = %s", (uuid(held),)
            )
            beside = await pack(one.journal)
            database.rollback()
        after = await pack(one.journal)

    assert (beside.runs, after.runs) == (1, 1)


async def test_a_history_with_a_gap_is_packed_as_it_is(url: str) -> None:
    """What is damaged must not keep the others from being packed."""
    async with node(url, Options()) as one:
        damaged = await live(one.scene, *steps(1, 2, 3))
        other = await live(one.scene, *steps(1))
        with connected(url) as database:
            database.execute(
                "DELETE FROM records WHERE run = %s AND sequence = 3", (uuid(damaged),)
            )
        packing = await pack(one.journal)

        assert packing.runs == 2
        assert len(await one.journal.history(other)) == 3
        places = rows(url, "SELECT first, last FROM packed ORDER BY run, last")
        assert places == [(1, 2), (4, 5), (1, 3)]
        with pytest.raises(JournalDamaged, match="lacks record 3"):
            await one.journal.history(damaged)


async def test_a_kill_in_the_middle_leaves_all_or_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends the session behind each statement of a round in turn."""
    async with node(url, Options()) as one:
        for number in range(4):
            await live(one.scene, *steps(*range(number * 10), LARGE))
        before = await content(one.journal)
        monkeypatch.setattr(limits, "PACKED_RUNS_PER_COMMIT_MAX", 1)
        lost = 0
        readers = one.journal._readers
        run_once = readers.run_once

        async def cut_off(calls: Sequence[object]) -> object:
            nonlocal lost
            if len(calls) == 5 and lost < 4:
                lost += 1
                cut = [*calls[:lost], (KILL, ())]
                calls = cut
            return await run_once(calls)  # type: ignore[arg-type]  # as it is called

        monkeypatch.setattr(readers, "run_once", cut_off)
        packing = await pack(one.journal)

        assert lost == 4
        assert packing.runs == 4
        assert await content(one.journal) == before
        assert count(url, "records") == 0
