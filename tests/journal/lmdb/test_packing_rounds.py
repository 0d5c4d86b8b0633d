"""What one round packs: which runs, how much at once, and when it ends."""

import zlib
from functools import partial
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from ironflow import limits
from ironflow.errors import JournalError
from ironflow.journal.base import PackingJournal
from ironflow.journal.lmdb import keys, segments
from ironflow.journal.lmdb.packed import Packed
from ironflow.journal.lmdb.packer import _swap_all
from ironflow.journal.lmdb.store import LmdbJournal
from ironflow.testing.checks_asks import ended
from ironflow.testing.checks_scene import Scene
from tests.journal.lmdb.commits import commits
from tests.journal.lmdb.packing import (
    findings,
    live_by_pages,
    pack,
    pages,
    places,
    rows_of,
)
from tests.journal.packing import FAR_US, KEPT_US, LARGE, content, live, steps


async def test_only_runs_that_ended_before_are_packed(scene: Scene) -> None:
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        assert isinstance(journal, PackingJournal)
        first = await live(scene, *steps(1))
        row = (await scene.summary(first)).row
        await live(scene, *steps(2))
        await journal._writer._empty_log()

        await journal.pack(ended_before=row.ended_at, go_on=lambda: True)
        await journal._writer._empty_log()
        assert places(journal) == {}
        # Its day is not over: a segment of one run is not worth while.
        await journal.pack(ended_before=row.ended_at + 1, go_on=lambda: True)
        await journal._writer._empty_log()
        assert places(journal) == {}
        next_day = (row.ended_at // keys.DAY_US + 1) * keys.DAY_US
        await journal.pack(ended_before=next_day, go_on=lambda: True)
        await journal._writer._empty_log()
        assert len(places(journal)) == 2


async def test_much_of_one_day_is_packed_before_it_is_over(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEGMENT_RECORDS_MIN", 10)
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        for _ in range(4):
            await live(scene, *steps(1))
        await journal._writer._empty_log()
        await journal.pack(ended_before=scene.now + 1, go_on=lambda: True)
        await journal._writer._empty_log()

        assert len(places(journal)) == 4


async def test_runs_lie_with_those_that_are_deleted_with_them(
    scene: Scene, directory: Path
) -> None:
    """By how long their functions keep them, and by the day of their end."""
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        today = [await live(scene), await live(scene)]
        scene.now += keys.DAY_US
        tomorrow = [await live(scene)]
        other = (await scene.start("other")).run_id
        claim = (await scene.summary(other)).row
        assert claim.status == "open"
        await pack(journal)
        found: dict[int, list[str]] = {}
        for key, place in places(journal).items():
            found.setdefault(place.segment, []).append(keys.shown_run(key[2:18]))

        assert [*found.values()] == [today, tomorrow]
        row = replace(scene.function("job", "job.go"), retention_us=2 * KEPT_US)
        await scene.register(row)
        longer = await live_with(scene, "job")
        plain = await live_with(scene, "plain")
        await pack(journal)
        by_run = {
            keys.shown_run(key[2:18]): place.segment
            for key, place in places(journal).items()
        }
    assert by_run[longer] != by_run[plain]
    assert len(segments.numbers(directory)) == 4


async def live_with(scene: Scene, word: str) -> str:
    if word == "plain":
        holder = await scene.start("plain")
    else:
        await scene.emit(scene.event(f"{word}.go"))
        holder = await scene.hold(word)
    await holder.append(ended())
    return holder.run_id


@pytest.mark.parametrize("bound", ["SEGMENT_BYTES_MAX", "SEGMENT_VALUES_MAX"])
async def test_a_full_segment_is_followed_by_another(
    scene: Scene, directory: Path, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """Also in the middle of a run, of which a payload is named on both sides."""
    monkeypatch.setattr(limits, bound, 3)
    monkeypatch.setattr(limits, "PACKED_BYTES_MIN", 300)
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        holder = await scene.start()
        for draft in steps("b" + LARGE, *range(30), "b" + LARGE, *range(10)):
            await holder.append(draft)
            await journal._writer._empty_log()
        await holder.append(ended())
        before = await content(journal)
        await pack(journal)

        assert await content(journal) == before
        assert pages(journal) == []
        assert rows_of(journal, keys.BLOBS) == {}
    assert len(segments.numbers(directory)) > 3
    assert findings(directory) == []


async def test_a_round_finds_so_many_runs_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PACKED_RUNS_PER_ROUND_MAX", 2)
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        runs = [await live(scene, *steps(1)) for _ in range(5)]
        await pack(journal)

        assert [keys.shown_run(key[2:18]) for key in places(journal)] == sorted(runs)


async def test_a_commit_swaps_so_much_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        for _ in range(6):
            await live(scene, *steps(1))
        await journal._writer._empty_log()
        for bound, value in (
            ("PACKED_ROWS_PER_COMMIT_MAX", 4),
            ("PACKED_BYTES_PER_COMMIT_MAX", 1),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(limits, bound, value)
                before = commits(journal)
                await pack(journal)
                wanted = 3 if "ROWS" in bound else 6
                assert commits(journal) - before == wanted
            for _ in range(6):
                await live(scene, *steps(1))


async def test_nothing_is_packed_twice_before_a_checkpoint_has_come(
    scene: Scene, directory: Path
) -> None:
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        await live(scene, *steps(1))
        await journal._writer._empty_log()
        files: list[tuple[int, int]] = []
        for _ in range(3):
            await journal.pack(ended_before=FAR_US, go_on=lambda: True)
            found = segments.path_of(directory, 1).stat()
            files.append((found.st_ino, found.st_mtime_ns))

        assert len(set(files)) == 1
        assert segments.numbers(directory) == [1]
        assert await content(journal)


async def test_it_ends_when_it_is_not_wanted_any_more(
    scene: Scene, directory: Path
) -> None:
    asked = 0

    def go_on() -> bool:
        nonlocal asked
        asked += 1
        return asked < 2

    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        await live(scene, *steps(*range(3_000)))
        await journal._writer._empty_log()
        await journal.pack(ended_before=FAR_US, go_on=go_on)

        assert places(journal) == {}
        assert segments.numbers(directory) == []
        assert [*(directory / segments.FOLDER).glob("*")] == []
    assert asked == 2


async def test_closing_ends_it(scene: Scene, directory: Path) -> None:
    asked = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def go_on() -> bool:
        token.run_sync_soon(asked.set)
        return True

    async with trio.open_nursery() as nursery, scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        for _ in range(30):
            await live(scene, *steps(*range(100)))
        await journal._writer._empty_log()
        before = await content(journal)
        nursery.start_soon(partial(journal.pack, ended_before=FAR_US, go_on=go_on))
        await asked.wait()
    assert isinstance(journal, LmdbJournal)
    with pytest.raises(JournalError, match="closed"):
        await journal.pack(ended_before=0, go_on=lambda: True)
    async with scene.open() as journal:
        assert await content(journal) == before
        await pack(journal)
        assert await content(journal) == before
    assert findings(directory) == []


async def test_of_a_run_with_other_pages_nothing_is_swapped(scene: Scene) -> None:
    """One that was deleted and imported again may be as long."""
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        run_id = await live_by_pages(scene, *steps(1, 2))
        run = keys.environment_prefix(0) + keys.run(run_id)
        before = rows_of(journal, keys.LOG)
        packed = [
            Packed(
                run, 4, 1, ((key, zlib.crc32(page) ^ (not place)),), ((key, b"\x90"),)
            )
            for place, (key, page) in enumerate(before.items())
        ]

        await journal._writer.change(partial(_swap_all, packed, set()))
        await journal._writer._empty_log()

        assert len(packed) == 3
        assert rows_of(journal, keys.LOG) == before
