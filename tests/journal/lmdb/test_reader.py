"""Other processes read while one owns the directory."""

import json
from pathlib import Path

import pytest

from ironflow.errors import ConfigurationError, JournalError
from ironflow.journal.base import RunQuery
from ironflow.journal.lmdb import event_reads, search
from ironflow.journal.lmdb.store import LmdbJournal, open_reader
from ironflow.records import Draft, SleepStarted, StepCompleted
from ironflow.testing.checks_scene import Scene, encoded
from tests.journal.lmdb.conftest import Program, started

READ = """
import json, sys, trio
from ironflow.journal.base import RunQuery
from ironflow.journal.lmdb.store import LmdbJournal, open_reader
async def main():
    reader = await open_reader(sys.argv[1])
    [run] = await reader.find(RunQuery())
    history = await reader.history(run.row.run_id)
    print(json.dumps({
        "status": run.status,
        "length": run.length,
        "same": run == await reader.run(run.row.run_id),
        "payloads": [len(entry.payload) for entry in history],
        "events": [stored.event.name for stored in await reader.events()],
        "due": (await reader.due(0, limit=1))[1],
        "timers": [timer.kind for timer in await reader.timers(run.row.run_id)],
    }))
    await reader.close()
    await reader.close()
trio.run(main)
"""

HOLD_A_READER = """
import sys, lmdb
store = lmdb.open(sys.argv[1], readonly=True, max_dbs=40)
txn = store.begin()
print("reading", flush=True)
sys.stdin.read()
"""


async def test_it_sees_what_the_owner_has_committed(
    scene: Scene, directory: Path, program: Program
) -> None:
    async with scene.open():
        holder = await scene.start()
        due = scene.now + 5
        await holder.park(
            Draft(StepCompleted(id="s:0"), encoded("x" * 9_000)),
            Draft(SleepStarted(id="nap:0", until=due)),
        )

        read = program(READ)

        assert json.loads(read.stdout or read.stderr) == {
            "status": "waiting",
            "length": 3,
            "same": True,
            "payloads": [
                len((await scene.journal.history(holder.run_id))[0].payload),
                9_003,
                0,
            ],
            "events": ["lmdb.job.go"],
            "due": due,
            "timers": ["sleep"],
        }


async def test_it_reads_a_directory_that_nobody_owns(
    scene: Scene, directory: Path
) -> None:
    async with scene.open():
        await scene.start()

    reader = await open_reader(directory)
    assert [run.status for run in await reader.find(RunQuery())] == ["queued"]
    await reader.close()

    with pytest.raises(JournalError, match="closed"):
        await reader.events()


async def test_it_does_not_write(scene: Scene, directory: Path) -> None:
    async with scene.open():
        pass
    reader = await open_reader(directory)

    with pytest.raises(ConfigurationError, match="cannot commit 0 commands; ask"):
        await reader.commit([])
    with pytest.raises(ConfigurationError, match="cannot claim 3 runs"):
        await reader.claim(frozenset({"f"}), limit=3)
    with pytest.raises(ConfigurationError, match="cannot release"):
        await reader.release([])
    with pytest.raises(ConfigurationError, match="cannot call"):
        reader.watch(print)
    await reader.close()


@pytest.mark.e2e
async def test_a_reader_that_was_killed_is_forgotten(
    scene: Scene, directory: Path
) -> None:
    async with scene.open() as journal:
        with started(HOLD_A_READER, directory) as process:
            assert process.stdout
            assert process.stdout.readline() == b"reading\n"
            process.kill()
            process.wait()

        assert isinstance(journal, LmdbJournal)
        assert journal.source.environment.reader_check() == 1


async def test_text_that_is_no_run_id_finds_nothing(scene: Scene) -> None:
    async with scene.open() as journal:
        assert await journal.run("run_1") is None
        assert not await journal.history("nonsense")
        assert not await journal.timers("run_zz")
        assert not await journal.find(RunQuery(parent_run="nonsense"))


async def test_a_search_goes_on_over_many_pages(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SEARCHED_ROWS_MAX", 3)
    monkeypatch.setattr(event_reads, "SEARCHED_EVENTS_MAX", 3)
    async with scene.open() as journal:
        await scene.register(scene.function("a", "go"), scene.function("b", "rare"))
        for number in range(20):
            await scene.emit(scene.event("rare" if number == 10 else "go"))

        [found] = await journal.find(RunQuery(function_id="lmdb.b"))
        waiting = await journal.find(RunQuery(status="waiting"))
        queued = await journal.find(RunQuery(status="queued", limit=7))
        rare = await journal.events("*.rarely")
        named = await journal.events("lmdb.rare", after=10)
        of_any = await journal.events(">", limit=13)

    assert found.row.event_name == "lmdb.rare"
    assert not waiting
    assert len(queued) == 7
    assert queued == sorted(queued, key=lambda run: run.row.run_id, reverse=True)
    assert not rare
    assert [stored.position for stored in named] == [11]
    assert len(of_any) == 13


async def test_children_are_sought_only_among_younger_runs(scene: Scene) -> None:
    async with scene.open() as journal:
        await scene.start("old")
        parent = await scene.start("parent")

        assert not await journal.find(RunQuery(parent_run=parent.run_id))


async def test_a_cursor_goes_on_after_a_run(scene: Scene) -> None:
    async with scene.open() as journal:
        await scene.register(scene.function("a", "go"))
        for _ in range(5):
            await scene.emit(scene.event("go"))
        everything = await journal.find(RunQuery())

        first = await journal.find(RunQuery(limit=2))
        rest = await journal.find(RunQuery(cursor=first[-1].row.run_id))

    assert [*first, *rest] == everything
    assert len(everything) == 5
