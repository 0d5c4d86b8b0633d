"""What an owner keeps in memory of runs and waits is what its store says."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

import pytest

from ironflow.journal.base import EmitEvents, Hint, InboxRow
from ironflow.journal.lmdb import keys, rows
from ironflow.journal.lmdb.known import WAIT_NAMES_MAX, WAIT_PATHS_MAX, Known
from ironflow.journal.lmdb.layers import Layered
from ironflow.journal.lmdb.reads import read_inbox
from ironflow.journal.lmdb.store import LmdbJournal
from ironflow.journal.lmdb.tables import read_run
from ironflow.testing.checks import JOURNAL_CHECKS, JournalCheck
from ironflow.testing.checks_asks import wait
from ironflow.testing.checks_scene import Scene
from tests.journal.lmdb.commits import opened

_AT_ONCE = 50  # some checks start hundreds
_OF_A_RUN = (keys.RUN_TIMERS, keys.RUN_WAITS, keys.SEEKS, keys.CONSUMED)


def compare(journal: LmdbJournal) -> int:
    """Compare what is known with what is committed; return how much there is."""
    memory = journal._memory
    prefix = keys.environment_prefix(memory.environment)
    known = {run: each for run, (each, _) in memory.fresh.items()} | memory.held
    with journal.source.snapshot() as snapshot:
        for run_id, each in list(known.items())[-_AT_ONCE:]:
            compare_run(snapshot, prefix, run_id, each)
        found = islice(snapshot.scan(keys.WAITS, b""), _AT_ONCE)
        waits = [rows.WAIT.decode(data) for _, data in found]
    for row in waits:
        paths = memory.wait_paths.get(row.event)
        assert paths is None or row.path in paths
    return len(known) + len(memory.wait_paths)


def compare_run(tables: Layered, prefix: bytes, run_id: str, known: Known) -> None:
    assert known.key == prefix + keys.run(run_id)
    assert known.row == read_run(tables, prefix, run_id)
    assert known.length in {None, tables.length(known.key)}
    if known.inbox is not None:
        stored = read_inbox(tables, known.key)
        assert list(map(plain, known.inbox)) == list(map(plain, stored))
    if known.is_bare:
        assert not any(tables.rows(table, known.key) for table in _OF_A_RUN)


def plain(row: InboxRow) -> tuple[int, object, bytes, int]:
    return row.number, row.draft.record, bytes(row.draft.payload), row.position


@pytest.mark.parametrize("check", JOURNAL_CHECKS, ids=lambda check: check.__name__)
async def test_after_each_commit_memory_is_as_the_store(
    check: JournalCheck, tmp_path: Path
) -> None:
    compared: list[int] = []

    @asynccontextmanager
    async def open_journal() -> AsyncGenerator[LmdbJournal]:
        async with opened(tmp_path) as journal:

            def look(_: Hint) -> None:
                compared.append(compare(journal))

            look(Hint())
            journal.watch(look)
            yield journal

    await check(open_journal)

    assert compared


async def test_a_wait_by_a_path_that_is_new_to_a_name_is_found(scene: Scene) -> None:
    async with scene.open():
        holder = await scene.start()
        await scene.emit(scene.event("e", {"id": 1}))  # nobody waits for the name
        await holder.park(wait("w:0", scene.name("e"), path="data.id", value=2))
        await scene.emit(scene.event("e", {"id": 2}))

        [claim] = await scene.claim("job")

    assert [row.draft.record.id for row in claim.inbox] == ["w:0"]


async def test_waits_by_more_paths_than_are_kept_in_memory_are_found(
    scene: Scene,
) -> None:
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        holder = await scene.start()
        name = scene.name("e")
        await scene.emit(scene.event("e"))
        paths = [f"data.p{number}" for number in range(WAIT_PATHS_MAX + 1)]
        waits = [wait(f"{path}:0", name, path=path, value=1) for path in paths]
        await holder.append(*waits[:-1])
        assert len(journal._memory.wait_paths[name]) == WAIT_PATHS_MAX
        await holder.park(waits[-1])
        await scene.emit(scene.event("e"))
        assert name not in journal._memory.wait_paths

        for path in paths:
            await scene.emit(scene.event("e", {path.removeprefix("data."): 1}))
        [claim] = await scene.claim("job")

    assert [row.draft.record.id for row in claim.inbox] == [f"{p}:0" for p in paths]


async def test_names_of_events_do_not_fill_the_memory(scene: Scene) -> None:
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        events = [scene.event(f"e{number}") for number in range(WAIT_NAMES_MAX + 1)]
        await journal.commit([EmitEvents(tuple(events[:-1]), scene.now)])
        assert len(journal._memory.wait_paths) == WAIT_NAMES_MAX
        await scene.emit(events[-1])

        assert not journal._memory.wait_paths
