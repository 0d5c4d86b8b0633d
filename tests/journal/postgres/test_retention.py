"""What a sweep deletes leaves no row behind that nobody would ever ask for."""

import pytest
from msgspec import structs

from ironflow import limits
from ironflow.journal.base import DeleteRuns
from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres._psycopg import Statement
from ironflow.journal.postgres.link import Options
from ironflow.testing.checks_asks import completed, ended
from ironflow.testing.checks_scene import Holder
from tests.journal.postgres.test_nodes import Node, node

KEPT_US = 1_000_000
LARGE = "x" * 2 * limits.BLOB_BYTES_MIN
# A payload that both have, and one of each.
PAYLOADS = ((LARGE, LARGE + "1"), (LARGE, LARGE + "2"))


async def counted(at: Node) -> dict[str, int]:
    """Return how many rows there are of what runs leave behind."""
    tables = ("runs", "records", "gone", "blob_runs", "blobs")
    calls = [
        (Statement(f"count_{table}", f"SELECT count(*) FROM {table}"), ())
        for table in tables
    ]
    found = await at.journal._readers.run(calls)
    return {
        table: pg.to_int(row[0]) for table, [row] in zip(tables, found, strict=True)
    }


async def ended_runs(at: Node) -> list[Holder]:
    """Let two runs end that have large payloads."""
    function = structs.replace(at.scene.function("job", "go"), retention_us=KEPT_US)
    await at.scene.register(function)
    holders: list[Holder] = []
    for first, second in PAYLOADS:
        await at.scene.emit(at.scene.event("go"))
        holder = await at.scene.hold("job")
        steps = completed("a:0", first), completed("b:0", second)
        await holder.append(*steps, ended("completed", 1))
        holders.append(holder)
    at.scene.now += 2 * KEPT_US
    return holders


async def delete(at: Node, *run_ids: str) -> None:
    """Delete runs, and their records until nothing is left to do."""
    await at.scene.commit(DeleteRuns(run_ids, at.scene.now))
    while await at.scene.done(DeleteRuns((), at.scene.now), what="records deleted"):
        pass


async def test_a_payload_goes_with_the_last_run_that_has_it(url: str) -> None:
    """Not before, and then really."""
    async with node(url, Options()) as one:
        first, second = await ended_runs(one)

        await delete(one, first.run_id)
        one_left = await counted(one)
        await delete(one, second.run_id)
        none_left = await counted(one)

    assert one_left == {
        "runs": 1,
        "records": 4,
        "gone": 0,
        "blob_runs": 2,
        "blobs": 2,
    }
    assert set(none_left.values()) == {0}


async def test_runs_that_go_together_leave_nothing(url: str) -> None:
    """Also when a payload has no owner but them."""
    async with node(url, Options()) as one:
        holders = await ended_runs(one)

        await delete(one, *(holder.run_id for holder in holders))

        assert set((await counted(one)).values()) == {0}


async def test_records_that_go_in_many_commits_leave_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs of which nothing is left are found, commit by commit."""
    monkeypatch.setattr(limits, "RETENTION_RECORDS_PER_COMMIT_MAX", 3)
    async with node(url, Options()) as one:
        holders = await ended_runs(one)

        await delete(one, *(holder.run_id for holder in holders))

        assert set((await counted(one)).values()) == {0}
