"""A reader beside an owner sees whole commits, all that is durable, and never less."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ironflow.errors import JournalDamaged, JournalFailed
from ironflow.journal.lmdb import follower, owner, wal
from ironflow.journal.lmdb.store import LmdbReader, open_reader
from ironflow.journal.lmdb.verify import verify
from ironflow.testing.checks_scene import Scene
from tests.journal.lmdb.commits import emits, is_finding, opened
from tests.journal.lmdb.conftest import started

WRITE_ALL_THE_TIME = """
import sys, trio
from ironflow.journal.base import EmitEvents
from ironflow.journal.lmdb import writer
from ironflow.journal.lmdb.store import open_lmdb
from ironflow.testing.checks_scene import Scene
writer.CHECKPOINT_BYTES = 8_192
async def main():
    scene = Scene("s", None)
    journal = await open_lmdb(sys.argv[1])
    print("open", flush=True)
    for number in range(100_000):
        size = [1, 600, 3_000][number % 3]
        event = scene.event("e", "x" * size)
        await journal.commit([EmitEvents((event,), scene.now)])
trio.run(main)
"""
COMMITS = 600  # some hundred checkpoints


@pytest.mark.e2e
async def test_a_reader_beside_a_writer_that_checkpoints_all_the_time(
    directory: Path,
) -> None:
    with started(WRITE_ALL_THE_TIME, directory) as process:
        assert process.stdout
        assert process.stdout.readline() == b"open\n"
        reader = await open_reader(directory)
        seen = 0
        while seen < COMMITS:
            length = await length_of(reader)
            after = max(0, length - 20)
            page = await reader.events(after=after, limit=20)

            assert length >= seen
            places = [stored.position for stored in page]
            assert places == [*range(after + 1, after + 1 + len(page))]
            assert len(page) >= length - after
            seen = length
        process.kill()
    assert await length_of(reader) >= seen
    await reader.close()
    assert not list(filter(is_finding, verify(directory)))


async def length_of(reader: LmdbReader) -> int:
    with reader.source.snapshot() as snapshot:
        places = snapshot.scan_back("events", b"\0\0", before=b"\0\0" + b"\xff" * 8)
        return next((int.from_bytes(key[2:], "big") for key, _ in places), 0)


class Files:
    """A copy of the files of an open journal: what a process that dies leaves."""

    def __init__(self, directory: Path) -> None:
        self._content = {
            name: (directory / name).read_bytes()
            for name in ("data.mdb", "wal", "head")
        }

    def put(self, directory: Path, *names: str) -> None:
        """Put files into another directory."""
        directory.mkdir(exist_ok=True)
        for name in names or self._content:
            (directory / name).write_bytes(self._content[name])


async def test_it_shows_what_a_killed_owner_left_in_the_log(
    scene: Scene, directory: Path, tmp_path: Path
) -> None:
    async with opened(directory) as journal:
        await journal.commit(emits(scene, 3))
        Files(directory).put(tmp_path / "left")

    reader = await open_reader(tmp_path / "left")
    assert len(await reader.events()) == 3
    await reader.close()


async def test_it_follows_the_log_frame_by_frame(
    scene: Scene, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step by step: the files of an owner's life are laid before one reader."""
    left = tmp_path / "left"
    async with opened(directory) as journal:
        await journal.commit(emits(scene, 1))
        Files(directory).put(left)
        reader = await open_reader(left)
        whole = wal.WalFile.frames
        monkeypatch.setattr(wal.WalFile, "frames", read_all := Counted(whole))
        for number in range(2, 30):
            await journal.commit(emits(scene, 1))
            Files(directory).put(left, "wal", "head")

            assert len(await reader.events()) == number
        # A missing head file explains nothing, so all is read again.
        assert read_all.calls == 0
        (left / "head").write_bytes(b"")
        assert len(await reader.events()) == 29
        assert read_all.calls == 1
    await reader.close()


class Counted:
    """A method whose calls are counted."""

    def __init__(self, method: Callable[..., list[wal.Frame]]) -> None:
        self.calls = 0
        self._method = method

    def __get__(self, log: wal.WalFile, _: type) -> Callable[..., list[wal.Frame]]:
        def called(after: int, head: bytes) -> list[wal.Frame]:
            self.calls += 1
            return self._method(log, after, head)

        return called


async def test_what_the_head_does_not_name_is_flushed_before_it_is_shown(
    scene: Scene, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be in memory only: of a process that died before its write came back."""
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    async with opened(directory) as journal:
        await journal.commit(emits(scene, 1))
        Files(directory).put(tmp_path / "left")
        await journal.commit(emits(scene, 1))
        Files(directory).put(tmp_path / "left", "wal")
        flushed.clear()

        reader = await open_reader(tmp_path / "left")

        assert len(await reader.events()) == 2
        assert flushed
    await reader.close()


async def test_damage_in_the_log_is_told(
    scene: Scene, directory: Path, tmp_path: Path
) -> None:
    left = tmp_path / "left"
    async with opened(directory) as journal:
        for _ in range(3):
            await journal.commit(emits(scene, 1))
        Files(directory).put(left)
    damage(left / "wal")

    with pytest.raises(JournalDamaged, match="without commit 2, which was ack"):
        await open_reader(left)
    [found, *_] = filter(is_finding, verify(left))
    assert "without commit 2" in str(found)


async def test_damage_beside_an_owner_is_told_after_many_looks(
    scene: Scene, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "left"
    async with opened(directory) as journal:
        for _ in range(3):
            await journal.commit(emits(scene, 1))
        Files(directory).put(left)
    damage(left / "wal")
    monkeypatch.setattr(follower, "TRIES_MAX", 3)
    monkeypatch.setattr(owner, "is_owned", lambda _: True)

    with pytest.raises(JournalDamaged, match="without commit 2, which was ack"):
        await open_reader(left)


async def test_a_log_that_moves_on_at_every_look_is_told(
    scene: Scene, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(directory) as journal:
        await journal.commit(emits(scene, 1))
    reader = await open_reader(directory)
    (directory / "head").write_bytes(b"")
    moved = iter(range(1_000))
    monkeypatch.setattr(follower.Follower, "_newest", lambda _: next(moved))

    with pytest.raises(JournalFailed, match="moved on 100 times"):
        await reader.events()
    await reader.close()


def damage(path: Path) -> None:
    """Flip a bit in the first frame."""
    with path.open("r+b") as file:
        file.seek(4096 + 40)
        byte = file.read(1)
        file.seek(4096 + 40)
        file.write(bytes([byte[0] ^ 4]))
