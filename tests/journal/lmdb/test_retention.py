"""What is past its retention leaves nothing behind in LMDB, and `verify` knows of it."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import lmdb
from msgspec.structs import replace

from ironflow.journal.base import (
    DeleteEvents,
    DeleteRuns,
    Done,
    Journal,
    JournalCommand,
)
from ironflow.journal.lmdb import keys, rows
from ironflow.journal.lmdb.store import LmdbJournal
from ironflow.journal.lmdb.verify import Finding, verify
from ironflow.testing.checks_asks import completed, ended, wait
from ironflow.testing.checks_scene import SECOND_US, Scene, given
from tests.journal.lmdb.commits import opened
from tests.journal.lmdb.conftest import store_in

KEPT_US = 60 * SECOND_US
LARGE = "x" * 9_000
OF_RUNS = (keys.RUNS, keys.LOG, keys.BLOBS, keys.READY, keys.INBOX, keys.CONSUMED)
OF_EVENTS = (keys.EVENTS, keys.EVENT_NAMES, keys.EVENT_KEYS, keys.MATCHES)


def findings(directory: Path) -> list[str]:
    found = verify(directory)
    return [each.message for each in found if isinstance(each, Finding)]


def table(directory: Path, name: str) -> dict[bytes, bytes]:
    environment = lmdb.open(str(directory), max_dbs=64, readonly=True)
    with environment.begin(db=environment.open_db(name.encode())) as transaction:
        found = dict(transaction.cursor())
    environment.close()
    return found


def write(directory: Path, name: str, key: bytes, value: bytes | None) -> None:
    environment = lmdb.open(str(directory), max_dbs=64, map_size=1 << 30)
    database = environment.open_db(name.encode())
    with environment.begin(write=True, db=database) as transaction:
        if value is None:
            transaction.delete(key)
        else:
            transaction.put(key, value)
    environment.close()


async def live(scene: Scene, runs: int) -> list[str]:
    """Let runs begin and end, each in a life of the journal; return their ids."""
    ids: list[str] = []
    for number in range(runs):
        async with scene.open():
            await scene.register(
                replace(scene.function("job", "job.go"), retention_us=KEPT_US)
            )
            await scene.emit(scene.event("job.go", key=f"key-{scene.now}"))
            holder = await scene.hold("job")
            await scene.emit(*(scene.event("paid", {"order": n}) for n in range(40)))
            await holder.append(
                completed("read:0", LARGE),
                completed("read:1", f"{number}{LARGE}"),
                wait("paid:0", scene.name("paid"), path="data.order", value=7),
            )
            await holder.append(ended("completed", 1))
            ids.append(holder.run_id)
    return ids


async def sweep(scene: Scene, *commands: JournalCommand) -> int:
    """Commit each command while there is something to do; return how often there was."""
    count = 0
    for command in commands:
        while given(await scene.commit(command), Done, what="a sweep").changed:
            count += 1
    return count


@asynccontextmanager
async def over(scene: Scene) -> AsyncGenerator[Journal]:
    """Open the journal when every retention is over."""
    scene.now += 2 * KEPT_US
    async with scene.open() as journal:
        yield journal


async def test_nothing_is_left_of_runs_and_events(
    scene: Scene, directory: Path
) -> None:
    runs = await live(scene, 3)
    async with over(scene) as journal:
        [*_, last] = await journal.events(limit=1_000)
        await sweep(
            scene,
            DeleteRuns(tuple(runs), scene.now),
            DeleteEvents(last.position, scene.now),
        )

    assert not any(table(directory, name) for name in OF_RUNS)
    assert [len(table(directory, name)) for name in OF_EVENTS] == [1, 1, 0, 1]
    assert not [key for key in table(directory, keys.META) if b"gone" in key]
    assert findings(directory) == []


async def test_the_chain_of_commits_begins_behind_what_was_deleted(
    scene: Scene, directory: Path
) -> None:
    await live(scene, 3)
    before = table(directory, keys.COMMITS)
    async with over(scene) as journal:
        page = await journal.events(limit=1_000)
        await sweep(scene, DeleteEvents(page[82].position, scene.now))
    left = table(directory, keys.COMMITS)

    chain = rows.CHAIN.decode(table(directory, keys.META)[keys.CHAIN_KEY])
    assert min(before) not in left
    assert keys.number(chain.number) in before
    assert chain.number < keys.to_number(min(left))
    assert findings(directory) == []


async def test_what_was_not_deleted_is_missed_as_ever(
    scene: Scene, directory: Path
) -> None:
    runs = await live(scene, 3)
    async with over(scene) as journal:
        page = await journal.events(limit=1_000)
        await sweep(
            scene,
            DeleteRuns(tuple(runs[:1]), scene.now),
            DeleteEvents(page[10].position, scene.now),
        )
    event, *_ = table(directory, keys.EVENTS)
    run = keys.environment_prefix(0) + keys.run(runs[2])
    [page_key] = [key for key in table(directory, keys.LOG) if key.startswith(run)]

    write(directory, keys.EVENTS, event, None)
    write(directory, keys.LOG, page_key, None)
    write(directory, keys.RUNS, run, None)

    messages = findings(directory)
    assert any("event 12 of commit" in each and "gone" in each for each in messages)
    assert any(
        each.startswith("record ") and each.endswith("gone") for each in messages
    )
    assert any("started a run that is gone" in each for each in messages)


async def test_a_chain_that_begins_elsewhere_is_noticed(
    scene: Scene, directory: Path
) -> None:
    await live(scene, 3)
    async with over(scene) as journal:
        page = await journal.events(limit=1_000)
        await sweep(scene, DeleteEvents(page[82].position, scene.now))
    chain = rows.CHAIN.decode(table(directory, keys.META)[keys.CHAIN_KEY])

    moved = rows.Chain(chain.number, bytes(keys.DIGEST_BYTES))
    write(directory, keys.META, keys.CHAIN_KEY, rows.CHAIN.encode(moved))

    assert any("chain of commits" in each for each in findings(directory))
    write(directory, keys.META, keys.CHAIN_KEY, b"\xc1")
    assert any("begins is damaged" in each for each in findings(directory))


async def test_a_crash_between_any_two_commits_of_a_sweep_harms_nothing(
    scene: Scene, directory: Path, tmp_path: Path
) -> None:
    runs = await live(scene, 3)
    copies: list[Path] = []
    async with over(scene) as journal:
        page = await journal.events(limit=1_000)
        commands = (
            DeleteRuns(tuple(runs[:2]), scene.now),
            DeleteRuns(tuple(runs[2:]), scene.now),
            DeleteEvents(page[60].position, scene.now),
        )
        for command in commands:
            while given(await scene.commit(command), Done, what="a sweep").changed:
                copies.append(tmp_path / f"crash-{len(copies)}")
                shutil.copytree(directory, copies[-1])
    wanted = {name: table(directory, name) for name in (*OF_RUNS, *OF_EVENTS)}

    assert len(copies) == 3
    for copy in copies:
        (copy / "owner.json").unlink()
        assert findings(copy) == [], copy
        other = Scene("lmdb", store_in(copy))
        async with other.open():
            await sweep(other, *commands)
        assert {name: table(copy, name) for name in wanted} == wanted
        assert findings(copy) == [], copy


async def test_records_go_when_a_checkpoint_has_brought_them_into_lmdb(
    scene: Scene, directory: Path
) -> None:
    async with scene.open() as journal:
        await scene.register(
            replace(scene.function("job", "job.go"), retention_us=KEPT_US)
        )
        await scene.emit(scene.event("job.go"))
        holder = await scene.hold("job")
        await holder.append(ended("completed", 1))
        scene.now += 2 * KEPT_US

        count = await sweep(scene, DeleteRuns((holder.run_id,), scene.now))

        assert count == 1
        assert await journal.history(holder.run_id) == []
        assert isinstance(journal, LmdbJournal)
        assert [each for each in verify(journal) if isinstance(each, Finding)] == []
    assert len(table(directory, keys.LOG)) == 1
    assert findings(directory) == []
    async with scene.open():
        await sweep(scene, DeleteRuns((), scene.now))
    assert table(directory, keys.LOG) == {}


async def test_a_payload_of_which_nobody_noted_who_has_it_stays(
    scene: Scene, directory: Path
) -> None:
    """It may belong to runs from before it was noted."""
    [first] = await live(scene, 1)
    for key, value in table(directory, keys.BLOBS).items():
        if not value:
            write(directory, keys.BLOBS, key, None)
    [second] = await live(scene, 1)
    async with over(scene) as journal:
        await sweep(scene, DeleteRuns((second,), scene.now))
        history = await journal.history(first)

    assert len(history[1].payload) > len(LARGE)


async def test_verify_looks_on_while_a_sweep_goes_on(
    scene: Scene, directory: Path
) -> None:
    runs = await live(scene, 3)
    scene.now += 2 * KEPT_US
    async with opened(directory) as journal:
        report = verify(journal)
        for _ in range(2):
            next(report)  # the chain of commits
        for command in (
            DeleteRuns(tuple(runs), scene.now),
            DeleteEvents(60, scene.now),
        ):
            await journal.commit([command])
        await journal._writer._empty_log()

        assert [each for each in report if isinstance(each, Finding)] == []


async def test_verify_knows_of_deletions_that_come_into_lmdb_under_it(
    scene: Scene, directory: Path
) -> None:
    runs = await live(scene, 3)
    scene.now += 2 * KEPT_US
    async with opened(directory) as journal:
        await journal.commit([DeleteRuns(tuple(runs), scene.now)])
        report = verify(journal)
        next(report)  # the chain of commits: the log alone says what was deleted
        await journal._writer._empty_log()

        assert [each for each in report if isinstance(each, Finding)] == []
