"""A bundle read like a journal."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ironflow import ids
from ironflow.errors import (
    ConfigurationError,
)
from ironflow.journal.base import (
    Claim,
    RunQuery,
)
from ironflow.journal.bundle_journal import open_bundle
from ironflow.journal.memory import MemoryJournal
from ironflow.records import Entry
from tests.journal.bundling import exported, family


async def test_a_bundle_answers_like_the_journal(tmp_path: Path) -> None:
    journal, run_ids = await family()
    await exported(journal, tmp_path / "bundle")
    bundle = await open_bundle(tmp_path / "bundle")

    for query in (
        RunQuery(),
        RunQuery(limit=2),
        RunQuery(cursor=run_ids[2]),
        RunQuery(status="failed"),
        RunQuery(function_id="other"),
        RunQuery(parent_run=run_ids[0]),
        RunQuery(since=ids.time_us(run_ids[1])),
        RunQuery(until=ids.time_us(run_ids[1])),
    ):
        assert await bundle.find(query) == journal.find_now(query)
    assert await bundle.counts() == journal.counts_now()
    for run_id in [*run_ids, "run_1"]:
        standing = await bundle.standing(run_id)
        assert standing == journal.standing_now(run_id)
        assert await bundle.run(run_id) == journal.run_now(run_id)
        assert list(await bundle.timers(run_id)) == []
        assert plain(await bundle.history(run_id)) == plain(journal.history_now(run_id))
    page = await bundle.history(run_ids[0], after=1, limit=1)
    assert plain(page) == plain(journal.history_now(run_ids[0], after=1, limit=1))
    assert bundle.environment == "default"
    assert await bundle.events() == []
    assert await bundle.due(1, limit=1) == ([], 0)
    await bundle.close()


def plain(entries: Sequence[Entry]) -> list[tuple[object, ...]]:
    return [(e.record, e.digest, bytes(e.payload)) for e in entries]


async def test_a_bundle_is_only_read(tmp_path: Path) -> None:
    await exported(MemoryJournal(), tmp_path / "bundle")
    bundle = await open_bundle(tmp_path / "bundle")

    with pytest.raises(ConfigurationError, match="cannot commit 0 commands"):
        await bundle.commit([])
    with pytest.raises(ConfigurationError, match="cannot claim 1 runs"):
        await bundle.claim(frozenset(), limit=1)
    with pytest.raises(ConfigurationError, match="cannot release 1 runs"):
        await bundle.release([Claim("run_1", "f", 1, 1, ())])
    with pytest.raises(ConfigurationError, match="cannot call"):
        bundle.watch(print)
    await bundle.close()
