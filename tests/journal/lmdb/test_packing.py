"""Histories of runs that have ended lie in segments, and nothing is read differently."""

import logging
import shutil
from pathlib import Path

import pytest

from ironflow import limits
from ironflow.errors import JournalDamaged
from ironflow.journal.lmdb import keys, segments
from ironflow.journal.lmdb.store import LmdbJournal, LmdbReader, open_reader
from ironflow.testing.checks_asks import completed, ended, failed
from ironflow.testing.checks_scene import Scene
from tests.journal.lmdb.commits import opened
from tests.journal.lmdb.packing import findings, pack, pages, places, rows_of
from tests.journal.packing import (
    FAR_US,
    LARGE,
    content,
    forget,
    live,
    live_all,
    retry,
    steps,
)


async def test_everything_is_read_as_before(scene: Scene, directory: Path) -> None:
    async with scene.open() as journal:
        *closed, left = await live_all(scene)
        before = await content(journal)
        await pack(journal)
        assert isinstance(journal, LmdbJournal)
        packed, unpacked = places(journal), pages(journal)
        after = await content(journal)
    async with scene.open() as journal:
        again = await content(journal)

    assert after == again == before
    assert {keys.shown_run(key[2:18]) for key in packed} == {*closed}
    assert {keys.shown_run(key[2:18]) for key in unpacked} == {left}
    assert findings(directory) == []


async def test_small_pages_become_one_value(scene: Scene) -> None:
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        holder = await scene.start()
        for draft in (*steps(*range(20)), ended()):
            await holder.append(draft)
            await journal._writer._empty_log()
        before = await content(journal)
        assert len(pages(journal)) == 21
        await pack(journal)

        assert [*places(journal)] == [
            keys.environment_prefix(0) + keys.run(holder.run_id) + keys.number(22)
        ]
        assert pages(journal) == []
        assert await content(journal) == before


async def test_a_long_history_is_read_by_pieces(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PACKED_BYTES_MIN", 2_000)
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        run_id = await live(scene, *steps(*range(300)))
        before = (await content(journal))[run_id]
        await pack(journal)
        assert len(places(journal)) == 10

        for after in range(len(before)):
            page = await journal.history(run_id, after=after, limit=3)
            assert [
                (each.record, each.digest, bytes(each.payload)) for each in page
            ] == before[after : after + 3]


async def test_own_payloads_go_along_and_others_stay(scene: Scene) -> None:
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        runs = await live_all(scene)
        await pack(journal)
        blobs = rows_of(journal, keys.BLOBS)

    left = [value[3:8] for value in blobs.values() if value]
    assert sorted(left) == [b"often", b"openx", b"share"]
    assert len(runs) == 7


async def test_who_has_a_payload_may_be_deleted_first_or_last(
    scene: Scene, directory: Path
) -> None:
    for first in (0, 1):
        async with scene.open() as journal:
            assert isinstance(journal, LmdbJournal)
            runs = [await live(scene, *steps("s" + LARGE)) for _ in range(2)]
            await pack(journal)
            kept = (await content(journal))[runs[1 - first]]
            await forget(scene, runs[first])
            assert (await content(journal))[runs[1 - first]] == kept
            await forget(scene, runs[1 - first])
            await journal._writer._empty_log()
            assert rows_of(journal, keys.BLOBS) == {}
    assert findings(directory) == []


async def test_a_segment_goes_with_its_last_run(scene: Scene, directory: Path) -> None:
    async with scene.open() as journal:
        first, second = await live(scene, *steps(1)), await live(scene, *steps(2))
        await pack(journal)
        await forget(scene, first)
        await pack(journal)
        one_left = segments.numbers(directory)
        rest = (await content(journal))[second]
        await forget(scene, second)
        await pack(journal)

        assert one_left == [1]
        assert len(rest) == 3
        assert segments.numbers(directory) == []
        await live(scene)
        await pack(journal)
    assert segments.numbers(directory) == [2]  # no number comes again
    assert findings(directory) == []


async def test_a_segment_stays_as_long_as_somebody_sees_what_was_before(
    scene: Scene, directory: Path
) -> None:
    """Any snapshot of any process, such as that of a backup."""
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        run_id = await live(scene, *steps(1))
        await pack(journal)
        with journal.source.environment.snapshot() as snapshot:
            await forget(scene, run_id)
            await pack(journal)
            assert segments.numbers(directory) == [1]
            assert len([*snapshot.scan(keys.LOG, b"")]) == 1
        await pack(journal)

    assert segments.numbers(directory) == []


async def test_a_failed_run_is_retried_out_of_its_segment(
    scene: Scene, directory: Path
) -> None:
    """It goes on behind what is packed; what it adds is packed in its turn."""
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        *_, run_id, _ = await live_all(scene)
        await pack(journal)
        before = (await content(journal))[run_id]
        await retry(scene, run_id, completed("s:0", "again" + LARGE), ended())
        once = (await content(journal))[run_id]
        await pack(journal)
        assert (
            len([key for key in places(journal) if key[2:18] == keys.run(run_id)]) == 2
        )
        again = (await content(journal))[run_id]

    assert once[: len(before)] == before
    assert again == once
    assert len(once) == len(before) + 3
    assert findings(directory) == []


async def test_a_payload_that_a_value_names_stays(
    scene: Scene, directory: Path
) -> None:
    """Another run had it, too, when the value was made; now it is named by a page, too."""
    lost = (*steps("p" + LARGE), failed("t:0", attempt=1))
    async with scene.open() as journal:
        run_id = await live(scene, *lost, end="failed")
        other = await live(scene, *steps("p" + LARGE))
        await pack(journal)
        before = (await content(journal))[run_id]
        await retry(scene, run_id, completed("t:0", "p" + LARGE), ended())
        await forget(scene, other)
        await pack(journal)
        found = (await content(journal))[run_id]

    assert found[: len(before)] == before
    assert len(found) == len(before) + 3
    assert findings(directory) == []


async def test_a_run_that_changes_while_it_is_packed_stays_as_it_is(
    scene: Scene, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted, or retried with a payload that was on its way into the segment."""
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        gone = await live(scene, *steps(1))
        lost = (*steps("p" + LARGE), failed("t:0", attempt=1))
        again = await live(scene, *lost, end="failed")
        third = await live(scene, *steps(3))
        await journal._writer._empty_log()
        change = journal._packer._submit

        async def meanwhile(swap: object) -> int:
            await retry(scene, again, completed("t:0", "p" + LARGE), ended())
            await forget(scene, gone)
            return await change(swap)  # type: ignore[arg-type]  # as it is called

        monkeypatch.setattr(journal._packer, "_submit", meanwhile)
        await journal.pack(ended_before=FAR_US, go_on=lambda: True)
        monkeypatch.undo()
        await journal._writer._empty_log()

        assert {keys.shown_run(key[2:18]) for key in places(journal)} == {third}
        found = await content(journal)
        assert [*found] == [third, again]
        assert len(found[again]) == 7
        await pack(journal)
        assert await content(journal) == found
    assert findings(directory) == []


async def test_what_is_only_in_the_log_of_a_swap_is_there_after_a_restart(
    scene: Scene, directory: Path
) -> None:
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        await live_all(scene)
        before = await content(journal)
        await journal._writer._empty_log()
        await journal.pack(ended_before=FAR_US, go_on=lambda: True)
        assert places(journal) == {}
        # The pages are in LMDB yet, and the payloads that they name are dropped.
        assert await content(journal) == before
        assert findings(journal) == []
        reader = await open_copy(directory)
        assert await content(reader) == before
        await reader.close()
    async with opened(directory) as journal:
        assert places(journal)
        assert await content(journal) == before


async def open_copy(directory: Path) -> LmdbReader:
    """Open what another process would see now."""
    copy = directory.with_name("copy")
    shutil.copytree(directory, copy, ignore=shutil.ignore_patterns("owner.json"))
    return await open_reader(copy)


async def test_who_watches_hears_nothing_of_it(scene: Scene) -> None:
    async with scene.open() as journal:
        await live(scene, *steps(1))
        hints: list[object] = []
        journal.watch(hints.append)
        await pack(journal)

    assert hints == []


async def test_a_reader_elsewhere_reads_what_is_packed(
    scene: Scene, directory: Path
) -> None:
    async with scene.open() as journal:
        *_, last = await live_all(scene)
        await pack(journal)
        wanted = await content(journal)
        await scene.emit(scene.event("job.go"))
    reader = await open_reader(directory)
    found = await content(reader)
    await reader.close()

    assert {key: found[key] for key in wanted} == wanted
    assert last in found


async def test_a_damaged_history_is_not_packed(
    scene: Scene, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        damaged = await live(scene, *steps(1))
        lost = await live(scene, *steps("l" + LARGE))
        sound = await live(scene, *steps(3))
        await journal._writer._empty_log()
        store = journal.source.environment
        run = keys.environment_prefix(0) + keys.run(damaged)
        [key] = [key for key in rows_of(journal, keys.LOG) if key.startswith(run)]
        store.write({keys.LOG: {key: b"\xdd\xc1"}})
        blob = {
            key: None for key, value in rows_of(journal, keys.BLOBS).items() if value
        }
        store.write({keys.BLOBS: blob})
        with caplog.at_level(logging.WARNING):
            await pack(journal)

        assert {keys.shown_run(key[2:18]) for key in places(journal)} == {sound}
        assert f"{damaged} is not packed" in caplog.text
        assert f"{lost} is not packed" in caplog.text
        with pytest.raises(JournalDamaged):
            await journal.history(damaged)


async def test_a_store_without_segments_stays_readable_to_who_knows_none(
    scene: Scene,
) -> None:
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        await journal.pack(ended_before=FAR_US, go_on=lambda: True)
        before = rows_of(journal, keys.META)[keys.FORMAT_KEY]
        await live(scene)
        await pack(journal)
        after = rows_of(journal, keys.META)[keys.FORMAT_KEY]

    assert before == keys.number(keys.LAYOUT)
    assert after == keys.number(keys.LAYOUT_PACKED)
