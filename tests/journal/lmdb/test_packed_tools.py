"""Whatever works on a data directory takes its segments along, and says what is wrong."""

from pathlib import Path

import pytest
import trio

from ironflow.errors import JournalDamaged, JournalNewer
from ironflow.journal.archive import Selection, export_runs
from ironflow.journal.base import RunQuery
from ironflow.journal.lmdb import backup, segments
from ironflow.journal.lmdb.backup import back_up, restore
from ironflow.journal.lmdb.compacting import compact
from ironflow.journal.lmdb.doctor import Diagnosis, diagnose
from ironflow.journal.lmdb.salvage import Plan, Salvaged, salvage
from ironflow.journal.lmdb.store import LmdbJournal, open_reader
from ironflow.journal.lmdb.verify import Finding, verify
from ironflow.testing.checks_scene import Scene
from tests.journal.bundling import imported
from tests.journal.lmdb.commits import opened
from tests.journal.lmdb.conftest import started, store_in
from tests.journal.lmdb.packing import findings, live_by_pages, pack, pages, places
from tests.journal.packing import LARGE, content, forget, live, live_all, steps

SEGMENT = "0000000000000001.seg"


def nobody(*_: object) -> None:
    """Look at no progress."""


async def fill(directory: Path) -> list[str]:
    scene = Scene("tools", store_in(directory))
    async with scene.open() as journal:
        runs = await live_all(scene)
        await pack(journal)
        runs.append(await live(scene, *steps("not packed")))
    return runs


@pytest.fixture
def runs(directory: Path) -> list[str]:
    """The runs of a directory whose first five are packed; nobody owns it."""
    return trio.run(fill, directory)


def segment_of(directory: Path) -> Path:
    return directory / segments.FOLDER / SEGMENT


async def read_in(directory: Path) -> dict[str, list[object]]:
    async with opened(directory) as journal:
        return await content(journal)


# --- copies ------------------------------------------------------------------------------


async def test_a_backup_has_the_segments(
    runs: list[str], directory: Path, tmp_path: Path
) -> None:
    wanted = await read_in(directory)
    seen: list[tuple[int, int]] = []

    back_up(directory, tmp_path / "copy", lambda *at: seen.append(at))
    restore(tmp_path / "copy", tmp_path / "new", nobody)

    assert await read_in(tmp_path / "new") == wanted
    assert findings(tmp_path / "new") == []
    assert (
        segment_of(tmp_path / "new").read_bytes() == segment_of(directory).read_bytes()
    )
    assert segment_of(tmp_path / "new").stat().st_mode & 0o077 == 0
    assert all(done <= total for done, total in seen)
    assert {*runs} == {*wanted}


@pytest.mark.usefixtures("runs")
async def test_only_a_backup_with_segments_is_of_the_newer_format(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(directory, tmp_path / "with", nobody)
    async with opened(tmp_path / "plain"):
        pass
    back_up(tmp_path / "plain", tmp_path / "without", nobody)
    monkeypatch.setattr(backup, "BACKUP_FORMAT", 1)  # as a former ironflow has it

    restore(tmp_path / "without", tmp_path / "new", nobody)
    with pytest.raises(JournalNewer):
        restore(tmp_path / "with", tmp_path / "newer", nobody)


@pytest.mark.usefixtures("runs")
def test_a_segment_that_is_changed_in_a_backup_is_found(
    directory: Path, tmp_path: Path
) -> None:
    back_up(directory, tmp_path / "copy", nobody)
    data = bytearray((tmp_path / "copy").read_bytes())
    sound = segment_of(directory).read_bytes()
    data[data.index(sound) + len(sound) // 2] ^= 1
    (tmp_path / "copy").write_bytes(data)

    with pytest.raises(JournalDamaged):
        restore(tmp_path / "copy", tmp_path / "new", nobody)


@pytest.mark.usefixtures("runs")
async def test_a_restore_that_was_killed_leaves_no_segments_behind(
    directory: Path, tmp_path: Path
) -> None:
    wanted = await read_in(directory)
    back_up(directory, tmp_path / "copy", nobody)
    left = tmp_path / ".new.restoring" / segments.FOLDER / SEGMENT
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")

    restore(tmp_path / "copy", tmp_path / "new", nobody)

    assert await read_in(tmp_path / "new") == wanted


async def test_a_segment_that_goes_during_a_backup_is_in_it(
    scene: Scene, directory: Path, tmp_path: Path
) -> None:
    """Its runs were there when the backup began, in another process."""
    async with scene.open() as journal:
        run_id = await live(scene, *steps("l" + LARGE))
        await pack(journal)
        with started(BACKS_UP, directory) as process:
            assert process.stdout
            assert process.stdin
            assert process.stdout.readline() == b"ready\n"
            await forget(scene, run_id)
            await pack(journal)
            process.stdin.close()
            assert process.wait(20) == 0
        assert await journal.run(run_id) is None
    restore(directory / "copy", tmp_path / "new", nobody)

    assert len((await read_in(tmp_path / "new"))[run_id]) == 3


BACKS_UP = """
import sys
from pathlib import Path
from ironflow.journal.lmdb import backup

copied = backup._copied
def wait(*args):
    print("ready", flush=True)
    sys.stdin.read()
    return copied(*args)
backup._copied = wait
directory = Path(sys.argv[1])
backup.back_up(directory, directory / "copy", lambda done, total: None)
"""


@pytest.mark.usefixtures("runs")
async def test_a_compact_store_has_its_histories(directory: Path) -> None:
    wanted = await read_in(directory)

    compact(directory)

    assert await read_in(directory) == wanted
    assert findings(directory) == []


async def test_packing_leaves_room_that_compact_gives_back(
    scene: Scene, directory: Path
) -> None:
    async with scene.open() as journal:
        for run in range(20):
            results = (f"{run}.{number}{LARGE}" for number in range(20))
            await live(scene, *steps(*results))
        await pack(journal)

    found = compact(directory)

    size = sum(path.stat().st_size for path in segments.files(directory))
    assert found.before > 3_500_000
    assert found.after < 300_000
    assert size < 500_000


async def test_a_packed_run_is_exported_and_imported(
    runs: list[str], directory: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bundle"
    async with opened(directory) as journal:
        wanted = await content(journal)
        await export_runs(journal, Selection(), path, nobody)
    async with opened(tmp_path / "other") as journal:
        await imported(journal, path)
        found = await content(journal)
        await pack(journal)
        packed = await content(journal)

    closed = {run: wanted[run] for run in runs if run != runs[6]}
    assert {run: found[run] for run in closed} == closed
    assert packed == found


# --- what is wrong -------------------------------------------------------------------------


def examined(directory: Path) -> Diagnosis:
    return diagnose(directory, nobody)


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped"])
async def test_a_damaged_segment_is_told_with_its_runs(
    runs: list[str], directory: Path, damage: str, tmp_path: Path
) -> None:
    wanted = await read_in(directory)
    path = segment_of(directory)
    data = bytearray(path.read_bytes())
    damaged = set(runs[:6])
    match damage:
        case "missing":
            path.unlink()
        case "cut":
            path.write_bytes(data[: len(data) // 2])
            damaged = {run for run in damaged if not await is_read(directory, run)}
        case _:
            data[100] ^= 1
            path.write_bytes(data)
            damaged = {run for run in damaged if not await is_read(directory, run)}
            assert len(damaged) == 1

    found = examined(directory)
    saved = await saved_of(directory, tmp_path / "saved", found)

    assert found.damaged == damaged
    assert any(SEGMENT in each for each in found.wrong)
    assert (
        found.intact[0]
        == f"{len(wanted) - len(damaged)} of {len(wanted)} runs are intact"
    )
    assert set(saved.lost) == damaged
    assert all("segment" in each or "damaged" in each for each in saved.lost.values())
    again = await read_in(tmp_path / "saved")
    intact = {run: records for run, records in wanted.items() if run not in damaged}
    closed = {run: again[run] for run in intact if run != runs[6]}
    assert closed == {run: records for run, records in intact.items() if run != runs[6]}


async def is_read(directory: Path, run_id: str) -> bool:
    reader = await open_reader(directory)
    try:
        await reader.history(run_id)
    except JournalDamaged:
        return False
    finally:
        await reader.close()
    return True


async def saved_of(directory: Path, target: Path, found: Diagnosis) -> Salvaged:
    damaged = sorted(found.damaged)
    return await trio.to_thread.run_sync(
        lambda: salvage(directory, target, nobody, damaged=damaged, plan=Plan())
    )


@pytest.mark.usefixtures("runs")
async def test_a_healthy_directory_with_segments_is_healthy(directory: Path) -> None:
    found = examined(directory)

    assert found.is_healthy
    assert found.files[segments.FOLDER] == segment_of(directory).stat().st_size


@pytest.mark.usefixtures("runs")
async def test_damage_that_no_history_meets_is_found_too(directory: Path) -> None:
    path = segment_of(directory)
    data = bytearray(path.read_bytes())
    data[-70] ^= 1  # in the index
    path.write_bytes(data)

    assert [SEGMENT in each for each in findings(directory)] == [True]


async def test_a_segment_that_cannot_be_read_is_not_deleted(
    runs: list[str], directory: Path
) -> None:
    """Whether somebody needs it cannot be told."""
    path = segment_of(directory)
    data = bytearray(path.read_bytes())
    data[-70] ^= 1
    path.write_bytes(data)
    scene = Scene("tools", store_in(directory))
    scene.now += 1_000_000
    async with scene.open() as journal:
        await forget(scene, *runs)
        await pack(journal)

    assert path.exists()


@pytest.mark.parametrize("looks", range(1, 12))
async def test_verify_looks_on_while_histories_are_packed(
    scene: Scene, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has seen as pages comes again as a value, with more behind it."""
    monkeypatch.setattr("ironflow.journal.lmdb.verify.PAGE_ROWS", 3)
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        await live_by_pages(scene, *steps(*range(10), "x" + LARGE))
        report = verify(journal)
        found = [next(report, None) for _ in range(looks)]
        await pack(journal)
        assert places(journal)
        assert not pages(journal)
        found += [*report]

    assert not [each for each in found if isinstance(each, Finding)]


# --- beside others -------------------------------------------------------------------------

PACKS_ALL_THE_TIME = """
import sys, trio
from pathlib import Path
from tests.journal.lmdb.conftest import store_in
from tests.journal.lmdb.packing import (pack)
from tests.journal.packing import (LARGE, forget, live, steps)
from ironflow.testing.checks_scene import Scene
async def main():
    scene = Scene("s", store_in(Path(sys.argv[1])))
    async with scene.open() as journal:
        print("open", flush=True)
        runs = []
        for number in range(100_000):
            runs.append(await live(scene, *steps(1, str(number) + LARGE, 3)))
            await pack(journal)
            if len(runs) > 5:
                await forget(scene, runs.pop(0))
            print(number, flush=True)
trio.run(main)
"""
ROUNDS = 150


@pytest.mark.e2e
async def test_a_reader_beside_a_packer_reads_whole_histories(
    directory: Path, tmp_path: Path
) -> None:
    """Segments come and go under it; so do they under a backup and under `verify`."""
    with started(PACKS_ALL_THE_TIME, directory) as process:
        assert process.stdout
        assert process.stdout.readline() == b"open\n"
        whole = 0
        for number in range(ROUNDS):
            process.stdout.readline()
            whole += await whole_histories(directory)
            if number % 30 == 0:
                assert findings(directory) == []
            if number % 30 == 15:
                back_up(directory, tmp_path / "copy", nobody)
                restore(tmp_path / "copy", tmp_path / f"new-{number}", nobody)
                assert findings(tmp_path / f"new-{number}") == []
        process.kill()
    assert whole > ROUNDS
    assert findings(directory) == []


async def whole_histories(directory: Path) -> int:
    """Read the histories of all runs that have ended; return how many were there."""
    reader = await open_reader(directory)
    count = 0
    for summary in await reader.find(RunQuery(limit=100)):
        history = await reader.history(summary.row.run_id)
        if (
            summary.row.status == "completed" and history
        ):  # else it has just been deleted
            assert len(history) == 5
            assert all(bytes(each.payload) for each in history)
            count += 1
    await reader.close()
    return count
