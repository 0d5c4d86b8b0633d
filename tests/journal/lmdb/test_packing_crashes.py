"""Whatever happens while histories are packed, each is there, once or twice."""

import errno
import os
import random
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ironflow import limits
from ironflow.errors import JournalError, JournalFull
from ironflow.journal.base import DeleteRuns
from ironflow.journal.lmdb import segments, wal, writer
from ironflow.journal.lmdb._lmdb import Environment
from ironflow.journal.lmdb.store import LmdbJournal, open_lmdb, open_reader
from ironflow.testing.checks_scene import Scene
from tests.journal.lmdb.conftest import store_in
from tests.journal.lmdb.crash_images import Recorder, images
from tests.journal.lmdb.packing import findings, live_by_pages, pack, pages, places
from tests.journal.packing import FAR_US, KEPT_US, LARGE, content, live, live_all, steps

EACH = int(os.environ.get("IRONFLOW_CRASH_IMAGES", "6"))
# The one names this process, which goes on; the other is made again.
IGNORED = shutil.ignore_patterns("owner.json", "index")
HALF_BYTES = 64 * 1024

Content = dict[str, list[object]]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small values in many small segments, swapped by many small commits."""
    monkeypatch.setattr(limits, "PACKED_BYTES_MIN", 3_000)
    monkeypatch.setattr(limits, "PACKED_ROWS_PER_COMMIT_MAX", 3)
    monkeypatch.setattr(limits, "SEGMENT_BYTES_MAX", 9_000)


async def filled(directory: Path) -> tuple[Scene, list[str]]:
    scene = Scene("crash", store_in(directory))
    async with scene.open():
        paged = await live_by_pages(
            scene, *steps("p" + LARGE, *range(8), "p" + LARGE, 1)
        )
        runs = [paged, *await live_all(scene)]
    return scene, runs


async def read_in(directory: Path) -> Content:
    reader = await open_reader(directory)
    try:
        return await content(reader)
    finally:
        await reader.close()


def all_segments(journal: LmdbJournal) -> list[int]:
    return sorted({each.segment for each in places(journal).values()})


# --- crashes ---------------------------------------------------------------------------


class Camera:
    """Copies a directory before each call that changes something in it."""

    def __init__(self, directory: Path, into: Path, patch: pytest.MonkeyPatch) -> None:
        self.copies: list[Path] = []
        self.durable: list[set[str]] = []  # the segments whose names are, by then
        self.unlinked: dict[str, bytes] = {}
        self._directory, self._into = directory, into
        self._folder = directory / segments.FOLDER
        self._lock = threading.Lock()
        self._durable = {path.name for path in self._folder.glob("*.seg")}
        for name in ("write", "pwrite", "fsync"):
            patch.setattr(os, name, partial(self._call, getattr(os, name)))
        for name in ("rename", "unlink"):
            real = getattr(Path, name)
            patch.setattr(Path, name, self._named(real))
        patch.setattr(Environment, "write", self._named(Environment.write))

    def _call(self, real: Callable[..., Any], file: int, *args: Any) -> Any:
        path = Path(f"/proc/self/fd/{file}").readlink()
        if not self._shows(path):
            return real(file, *args)
        self._take()
        done = real(file, *args)
        if path == self._folder:  # it was synced
            self._durable = {each.name for each in self._folder.glob("*.seg")}
        return done

    def _named(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(own: Any, *args: Any, **options: Any) -> Any:
            path = own if isinstance(own, Path) else own.path
            if self._shows(path):
                self._take()
                if path.suffix == ".seg" and real.__name__ == "unlink":
                    self.unlinked[path.name] = path.read_bytes()
            return real(own, *args, **options)

        return call

    def _shows(self, path: Path) -> bool:
        inside = path.is_relative_to(self._directory)
        return inside and "index" not in path.relative_to(self._directory).parts

    def _take(self) -> None:
        with self._lock:
            copy = self._into / f"crash-{len(self.copies)}"
            shutil.copytree(self._directory, copy, ignore=IGNORED)
            self.copies.append(copy)
            self.durable.append(set(self._durable))


async def check_image(image: Path, wanted: Content) -> None:
    """Everything is read, nothing is wrong, and packing goes on where it was."""
    assert await read_in(image) == wanted, image
    assert findings(image) == [], image
    journal = await open_lmdb(image)
    try:
        assert await content(journal) == wanted
        await pack(journal)
        assert await content(journal) == wanted
        await pack(journal)
        assert segments.numbers(image) == all_segments(journal)
    finally:
        await journal.close()
    assert not [*(image / segments.FOLDER).glob("*.part")]
    assert findings(image) == [], image


@pytest.mark.slow
@pytest.mark.usefixtures("small")
@pytest.mark.timeout(280)
async def test_a_crash_at_any_call_of_a_round_is_made_good(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By kill, and by power loss: then what was not synced is lost or damaged."""
    directory = place / "data"
    await filled(directory)
    wanted = await read_in(directory)
    journal = await open_lmdb(directory)
    with monkeypatch.context() as patch:
        camera = Camera(directory, place, patch)
        await pack(journal)
    await journal.close()

    assert len(camera.copies) > 60
    for copy, durable in zip(camera.copies, camera.durable, strict=True):
        lost = place / "lost"
        shutil.copytree(copy, lost)
        for path in [*(lost / segments.FOLDER).glob("*")]:
            if path.suffix == ".part":
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            elif path.name not in durable:
                path.unlink()
        await check_image(copy, wanted)
        await check_image(lost, wanted)
        shutil.rmtree(copy)
        shutil.rmtree(lost)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_crash_at_any_call_of_deleting_a_segment_is_made_good(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was unlinked may be there again: nothing refers to it."""
    directory = place / "data"
    scene, runs = await filled(directory)
    async with scene.open() as journal:
        await pack(journal)
        scene.now += 2 * KEPT_US
        with monkeypatch.context() as patch:
            camera = Camera(directory, place, patch)
            command = DeleteRuns(tuple(runs[:-1]), scene.now)
            while await scene.done(command, what="a sweep"):
                command = DeleteRuns((), scene.now)
            await pack(journal)
            wanted = await content(journal)
    assert [*wanted] == [runs[-1]]
    assert camera.unlinked

    gone = 0
    for copy in camera.copies:
        found = await read_in(copy)
        assert found[runs[-1]] == wanted[runs[-1]]
        gone += found == wanted
        assert findings(copy) == []
        for name, data in camera.unlinked.items():
            (copy / segments.FOLDER / name).write_bytes(data)
        if found == wanted:
            await check_image(copy, wanted)
        shutil.rmtree(copy)
    assert 0 < gone < len(camera.copies)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
@pytest.mark.timeout(120 + 20 * EACH)
async def test_every_image_of_a_disk_has_every_history(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames and pages of swaps, torn and in any order, beside checkpoints."""
    monkeypatch.setattr(wal, "make", partial(wal.make, half_bytes=HALF_BYTES))
    monkeypatch.setattr(writer, "CHECKPOINT_ROWS", 25)
    number = random.randrange(2**32)
    print(f"seed {number}")
    directory = place / "data"
    await filled(directory)
    wanted = await read_in(directory)
    journal = await open_lmdb(directory)
    with monkeypatch.context() as patch:
        recorder = Recorder(directory, patch)
        recorder.let_checkpoints_end(may=True)
        await journal.pack(ended_before=FAR_US, go_on=lambda: True)
        await journal._writer._empty_log()
    await journal.close()

    count = 0
    for image in images(recorder, random.Random(number), each=EACH):
        image.write(place / "image")
        # Segments are durable before a frame refers to them; that there may be more
        # of them than at that instant harms nothing.
        folder = directory / segments.FOLDER
        shutil.copytree(folder, place / "image" / segments.FOLDER)
        assert await read_in(place / "image") == wanted, image.instant
        shutil.rmtree(place / "image")
        count += 1
    assert count > 20 * EACH


# --- failing disks -----------------------------------------------------------------------


class Faults:
    """Lets one of the calls that write segments fail."""

    def __init__(self, directory: Path, *, at: int, code: int) -> None:
        self.calls = 0
        self._folder = directory / segments.FOLDER
        self._at, self._code = at, code

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for name in ("write", "fsync"):
            patch.setattr(os, name, partial(self._call, getattr(os, name)))
        patch.setattr(Path, "rename", self._rename(Path.rename))

    def _call(self, real: Callable[..., Any], file: int, *args: Any) -> Any:
        self._count(Path(f"/proc/self/fd/{file}").readlink())
        return real(file, *args)

    def _rename(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def rename(own: Path, target: Path) -> Any:
            self._count(own)
            return real(own, target)

        return rename

    def _count(self, path: Path) -> None:
        if path.is_relative_to(self._folder):
            self.calls += 1
            if self.calls == self._at:
                raise OSError(self._code, os.strerror(self._code))


async def failure_of_packing(journal: LmdbJournal) -> JournalError | None:
    try:
        await pack(journal)
    except JournalError as error:
        return error
    return None


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
async def test_any_write_of_a_segment_may_fail(
    place: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The histories stay where they are, the journal goes on, and packs later."""
    monkeypatch.setattr(limits, "SEGMENT_SYNC_BYTES_MAX", 2_000)
    await filled(place / "origin")
    wanted = await read_in(place / "origin")
    failed = 0
    for at in range(1, 1_000):
        directory = place / str(at)
        shutil.copytree(place / "origin", directory)
        journal = await open_lmdb(directory)
        faults = Faults(directory, at=at, code=code)
        with monkeypatch.context() as patch:
            faults.install(patch)
            error = await failure_of_packing(journal)
        if error is not None:
            failed += 1
            assert isinstance(error, JournalFull) == (code == errno.ENOSPC)
            assert "histories stay in the store" in str(error)
        assert not [*(directory / segments.FOLDER).glob("*.part")]
        assert await content(journal) == wanted
        await journal._writer._empty_log()
        await pack(journal)
        assert len({key[2:18] for key in pages(journal)}) == 1  # it has not ended
        assert await content(journal) == wanted
        await journal.close()
        shutil.rmtree(directory)
        if faults.calls < at:
            break
    assert failed == at - 1 > 30


async def test_a_segment_that_fits_no_more_leaves_the_journal_at_work(
    scene: Scene, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, data: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    async with scene.open() as journal:
        first = await live(scene, *steps(1))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(JournalFull, match="no segment can be written"):
                await pack(journal)
        second = await live(scene, *steps(2))
        await pack(journal)

        assert isinstance(journal, LmdbJournal)
        assert [*await content(journal)] == [second, first]
        assert pages(journal) == []
    assert findings(directory) == []
