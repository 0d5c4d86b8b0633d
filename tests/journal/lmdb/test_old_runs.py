"""A round finds what is old by the index of runs, and brings in what the log has."""

import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from ironflow import codec, limits
from ironflow.errors import JournalFailed
from ironflow.journal.base import Packing
from ironflow.journal.lmdb import keys, old_runs, run_index, run_states, segments
from ironflow.journal.lmdb._lmdb import Environment, Snapshot
from ironflow.journal.lmdb.packed import Rests
from ironflow.journal.lmdb.store import LmdbJournal
from ironflow.journal.lmdb.wal import Wal
from ironflow.testing.checks_asks import completed, ended, failed
from ironflow.testing.checks_scene import Scene
from tests.journal.lmdb.packing import findings, pack, places, rows_of
from tests.journal.packing import (
    FAR_US,
    LARGE,
    begin,
    content,
    forget,
    live,
    retry,
    steps,
)


async def settle(journal: LmdbJournal) -> None:
    await journal._writer._empty_log()
    journal._keeper.wait_idle()


def packed_runs(journal: LmdbJournal) -> set[str]:
    return {keys.shown_run(key[2:18]) for key in places(journal)}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many rows were read of each table."""
    found = Counter[str]()
    get, scan = Snapshot.get, Snapshot.scan

    def counted_get(self: Snapshot, table: str, key: bytes) -> bytes | None:
        found[table] += 1
        return get(self, table, key)

    def counted_scan(
        self: Snapshot, table: str, *args: Any, **options: Any
    ) -> Iterator[tuple[bytes, bytes]]:
        for row in scan(self, table, *args, **options):
            found[table] += 1
            yield row

    monkeypatch.setattr(Snapshot, "get", counted_get)
    monkeypatch.setattr(Snapshot, "scan", counted_scan)
    return found


async def test_a_round_reads_what_it_packs_and_not_what_there_is(
    scene: Scene, directory: Path, reads: Counter[str]
) -> None:
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        counts: list[int] = []
        for _ in range(2):
            for number in range(60):  # these are packed before, and those not at all
                await live(scene, *steps(number))
                await live(scene, end="")
            await pack(journal)
            new = [await live(scene, *steps(1)) for _ in range(3)]
            await settle(journal)
            reads.clear()
            packing = await journal.pack(ended_before=FAR_US, go_on=lambda: True)
            counts.append(reads[keys.RUNS] + reads[keys.LOG] + reads[run_states.ENDED])

            assert packing.runs == len(new) == 3
        # One row tells of each segment that somebody needs it.
        assert counts[0] <= counts[1] <= counts[0] + len(segments.numbers(directory))
        assert counts[1] < 30

        await settle(journal)
        reads.clear()
        await journal.pack(ended_before=FAR_US, go_on=lambda: True)
        assert reads[keys.RUNS] == 0
        assert reads[run_states.ENDED] == 0


async def test_with_and_without_the_index_the_same_is_found(scene: Scene) -> None:
    """Also of runs that have changed since, and by pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(old_runs, "RUNS_READ_MAX", 2)
        async with scene.open() as journal:
            assert isinstance(journal, LmdbJournal)
            early = [await live(scene, *steps(n)) for n in range(5)]
            edge = scene.now + 1
            late = await live(scene, *steps(1))
            await live(scene, end="")
            await settle(journal)
            index, store = journal._keeper.index, journal.source.environment
            assert index is not None
            prefix = keys.environment_prefix(0)

            def found(index: run_index.RunIndex | None, before: int) -> set[str]:
                old = old_runs.old_runs(
                    store, index, prefix, before=before, rest=lambda: None
                )
                keys_ = [keys.shown_run(each.key[2:]) for each in old]
                assert len(keys_) == len(set(keys_))
                return {*keys_}

            assert found(index, edge) == found(None, edge) == {*early}
            assert found(index, FAR_US) == found(None, FAR_US) == {*early, late}
            patch.setattr(journal._keeper, "poke", lambda: None)
            newer = await live(scene, *steps(2))
            lost = await live(scene, *steps("x"), end="failed")
            await journal._writer._empty_log()
            assert index.reach() is not None
            assert found(index, FAR_US) == found(None, FAR_US)
            assert {newer, lost} < found(index, FAR_US)


async def test_what_is_packed_leaves_the_index_and_comes_again_with_a_retry(
    scene: Scene, directory: Path
) -> None:
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        await settle(journal)
        index = journal._keeper.index
        assert index is not None

        def listed() -> list[str]:
            with index.environment.snapshot() as snapshot:
                found = [key for key, _ in snapshot.scan(run_states.ENDED, b"")]
            return [keys.shown_run(key[-16:]) for key in found]

        lost = (*steps(1), failed("t:0", attempt=1))
        run_id = await live(scene, *lost, end="failed")
        other = await live(scene, *steps(1))
        await settle(journal)
        assert listed() == [run_id, other]
        await pack(journal)
        await settle(journal)
        assert listed() == []
        await retry(scene, run_id, completed("t:0", 1), ended())
        await settle(journal)
        assert listed() == [run_id]
    assert findings(directory) == []


async def test_a_quiet_journal_is_packed_by_the_next_round(scene: Scene) -> None:
    """Nothing but the round itself brings into LMDB what the log has."""
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        run_id = await live(scene, *steps(1, 2))
        assert rows_of(journal, keys.LOG) == {}

        packing = await journal.pack(ended_before=FAR_US, go_on=lambda: True)

        assert (packing.runs, packing.records) == (1, 4)
        assert len((await content(journal))[run_id]) == 4
        await journal._writer._empty_log()
        assert packed_runs(journal) == {run_id}


async def test_a_round_says_how_much_it_has_packed(
    scene: Scene, directory: Path
) -> None:
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        await live(scene, *steps("own" + LARGE, *range(50)))
        await live(scene, *steps(1))
        packing = await journal.pack(ended_before=FAR_US, go_on=lambda: True)
        nothing = await journal.pack(ended_before=FAR_US, go_on=lambda: True)

    size = segments.path_of(directory, 1).stat().st_size
    assert (packing.runs, packing.records) == (2, 56)
    assert packing.bytes_after + 8_000 > 9_000
    assert packing.bytes_after < size < packing.bytes_before
    assert packing.bytes_before > len(LARGE)
    assert nothing == Packing()


async def test_few_runs_of_a_day_are_packed_at_once_if_asked(scene: Scene) -> None:
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        await live(scene, *steps(1))
        before = scene.now + 1
        waits = await journal.pack(ended_before=before, go_on=lambda: True)
        done = await journal.pack(ended_before=before, go_on=lambda: True, at_once=True)

    assert (waits.runs, done.runs) == (0, 1)


async def test_a_round_beside_commits_waits_for_its_own_checkpoint_only(
    scene: Scene,
) -> None:
    """Commits go on, and a second round asks for a checkpoint while one is made."""
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        await live(scene, *steps(1))
        holder = await begin(scene)
        writer = journal._writer
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(writer.bring_in)
                await holder.append(completed(f"a:{number}", number))
                nursery.start_soon(writer.bring_in)
        number = journal._memory.commit_number
        await writer.bring_in()
        assert writer._committed.is_in_store(number)
        assert len((await content(journal))[holder.run_id]) == 21


def broken(*_: object, **__: object) -> None:
    raise JournalFailed("it burns")


async def test_a_checkpoint_that_fails_ends_the_round(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene.open() as journal:
        await live(scene, *steps(1))
        assert isinstance(journal, LmdbJournal)
        with monkeypatch.context() as patch:
            patch.setattr(Environment, "write", broken)
            with pytest.raises(JournalFailed, match="it burns"):
                await journal.pack(ended_before=FAR_US, go_on=lambda: True)


async def test_a_commit_that_fails_ends_the_round_that_waits_for_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene.open() as journal:
        await live(scene, *steps(1))
        assert isinstance(journal, LmdbJournal)
        writer, told, asked = journal._writer, list[str](), trio.Event()

        async def bring_in() -> None:
            assert writer._busy
            asked.set()
            with pytest.raises(JournalFailed, match="it burns"):
                await writer.bring_in()
            told.append("the round")

        async with trio.open_nursery() as nursery:

            async def gather() -> None:
                nursery.start_soon(bring_in)
                await asked.wait()

            monkeypatch.setattr(writer, "_gather", gather)
            monkeypatch.setattr(Wal, "append", broken)
            with pytest.raises(JournalFailed, match="it burns"):
                await scene.emit(scene.event("job.go"))

        assert told == ["the round"]


async def test_between_two_rests_little_is_done(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever computes keeps the interpreter: a commit would wait for all of it."""
    most, since = Counter[str](), Counter[str]()

    def rested(self: Rests) -> None:
        for what, count in since.items():
            most[what] = max(most[what], count)
        since.clear()

    def counted(what: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            since[what] += 1
            return real(*args, **options)

        return call

    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        await live(scene, *steps(*range(2_000)))
        await live(scene, *steps(*(f"{n}{LARGE}" for n in range(150))))
        for number in range(100):
            await live(scene, *steps(number))
        await settle(journal)
        with monkeypatch.context() as patch:
            patch.setattr(Rests, "__call__", rested)
            for name in ("decode", "decode_page", "filled", "page"):
                patch.setattr(codec, name, counted(name, getattr(codec, name)))
            patch.setattr(zlib, "compress", counted("compress", zlib.compress))
            packing = await journal.pack(ended_before=FAR_US, go_on=lambda: True)

    assert packing.runs == 102
    assert most == {
        "decode": 1,
        "decode_page": 1,
        "filled": 1,
        "page": 1,
        "compress": 1,
    }


async def test_what_is_too_large_or_too_much_at_once_stays_in_the_store(
    scene: Scene, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PACKED_PAYLOADS_PER_COMMIT_MAX", 3)
    monkeypatch.setattr(limits, "PACKED_PAYLOAD_BYTES_MAX", 10_000)
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        large = await live(scene, *steps("l" * 9_900, "m" * 10_100))
        many = await live(scene, *steps(*(f"{n}{LARGE}" for n in range(5))))
        before = await content(journal)
        await pack(journal)
        left = [value for value in rows_of(journal, keys.BLOBS).values() if value]

        assert packed_runs(journal) == {large, many}
        assert await content(journal) == before
        assert sorted(value[3:5] for value in left) == [b"3x", b"4x", b"mm"]
        await forget(scene, large, many)
        await journal._writer._empty_log()
        assert rows_of(journal, keys.BLOBS) == {}
    assert findings(directory) == []
