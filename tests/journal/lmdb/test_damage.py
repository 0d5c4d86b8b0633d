"""Damage and failing disks: told, never silent, and never the end of the process."""

import errno
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from ironflow.errors import JournalError
from ironflow.journal.base import EmitEvents, Emitted
from ironflow.journal.lmdb import wal
from ironflow.journal.lmdb.store import open_lmdb
from ironflow.journal.lmdb.verify import verify
from ironflow.records import Draft, StepCompleted
from ironflow.testing.checks_scene import Scene, encoded
from tests.journal.lmdb.commits import file_size_limited_to, is_finding, size_of
from tests.journal.lmdb.conftest import store_in

ROOT = Path(__file__).parents[3]
# More of them by the environment.
COPIES = int(os.environ.get("IRONFLOW_DAMAGED_COPIES", "200"))
HALF_BYTES = 64 * 1024
COMMITS = 12


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "make", partial(wal.make, half_bytes=HALF_BYTES))


async def live(scene: Scene) -> None:
    """Runs, blobs and events: a part in LMDB, the newest commits in the log."""
    first = await scene.start("first")
    for number in range(40):
        size = 9_000 if number == 20 else number
        done = Draft(StepCompleted(id=f"s:{number}"), encoded("x" * size))
        await first.append(done)
    await scene.journal._writer._empty_log()  # type: ignore[attr-defined]  # LMDB's
    second = await scene.start("second")
    for number in range(10):
        await first.append(Draft(StepCompleted(id=f"t:{number}"), encoded(number)))
        await second.append(Draft(StepCompleted(id=f"s:{number}"), encoded(number)))
        await scene.emit(scene.event("other", number))


@pytest.mark.e2e
async def test_damage_is_told_or_harmless(
    scene: Scene, directory: Path, tmp_path: Path
) -> None:
    left = tmp_path / "left"
    async with scene.open():
        await live(scene)
        copy_of(directory, left)
    seed = random.randrange(2**32)
    print(f"seed {seed}")

    command = [sys.executable, "-m", "tests.journal.lmdb.damaging", str(left)]
    done = await trio.run_process(
        [*command, str(seed), str(COPIES)], cwd=ROOT, capture_stdout=True, check=False
    )

    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0, lines[-1:]
    outcomes = Counter(lines[1::2])
    assert not outcomes["SILENT"], lines
    assert outcomes.total() == COPIES
    assert min(outcomes["refused"], outcomes["found"] + outcomes["whole"]) > COPIES / 20


def copy_of(directory: Path, left: Path) -> None:
    left.mkdir()
    for name in ("data.mdb", "wal", "head"):
        shutil.copy(directory / name, left / name)


# --- failing disks ----------------------------------------------------------------


class Fault(OSError):
    """Made by a test."""


class Disk:
    """Lets one of the calls that write to a directory fail."""

    def __init__(self, directory: Path, *, at: int, code: int) -> None:
        self.calls = 0
        self._directory = directory
        self._at = at
        self._code = code

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for name in ("pwrite", "write", "fsync"):
            patch.setattr(os, name, partial(self._call, getattr(os, name)))

    def _call(self, original: Any, file: int, *args: Any) -> Any:
        path = Path(f"/proc/self/fd/{file}").readlink()
        if path.is_relative_to(self._directory):
            self.calls += 1
            if self.calls == self._at:
                raise Fault(self._code, os.strerror(self._code))
        return original(file, *args)


async def commit_until_it_fails(directory: Path) -> int:
    """Return how many events were acknowledged."""
    scene = Scene("faulty", store_in(directory))
    acknowledged = 0
    try:
        journal = await open_lmdb(directory)
    except JournalError:
        return 0
    try:
        for number in range(COMMITS):
            event = scene.event("e", "x" * (3_000 * (number % 3)))
            [answer] = await journal.commit([EmitEvents((event,), scene.now)])
            assert isinstance(answer, Emitted)
            acknowledged += 1
            if number == COMMITS // 2:
                await journal._writer._empty_log()
    except JournalError:
        with pytest.raises(JournalError):  # it takes no more
            await journal.commit([EmitEvents((scene.event("e"),), scene.now)])
    await journal.close()
    return acknowledged


async def events_in(directory: Path) -> int:
    journal = await open_lmdb(directory)
    found = len(await journal.events(limit=1_000))
    await journal.close()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
async def test_any_write_or_sync_may_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    failed = 0
    for at in range(1, 1_000):
        directory = tmp_path / str(at)
        with monkeypatch.context() as patch:
            disk = Disk(directory, at=at, code=code)
            disk.install(patch)
            acknowledged = await commit_until_it_fails(directory)
        if disk.calls < at:
            break

        failed += 1
        assert acknowledged <= await events_in(directory) <= acknowledged + 1
        assert not list(filter(is_finding, verify(directory)))
    assert failed > 2 * COMMITS  # a frame and a head each, and those of the making


@pytest.mark.slow
async def test_lmdb_may_run_out_of_space_anywhere(tmp_path: Path) -> None:
    for pages in range(25):
        directory = tmp_path / str(pages)
        await events_in(directory)
        with file_size_limited_to(size_of(directory / "data.mdb") + pages * 4096):
            acknowledged = await commit_until_it_fails(directory)

        assert acknowledged <= await events_in(directory) <= acknowledged + 1
        assert not list(filter(is_finding, verify(directory)))


FAULTY = """
import sys, trio
from functools import partial
from pathlib import Path
from ironflow.journal.lmdb import wal
from tests.journal.lmdb.test_damage import HALF_BYTES, commit_until_it_fails
wal.make = partial(wal.make, half_bytes=HALF_BYTES)
print(trio.run(commit_until_it_fails, Path(sys.argv[1])))
"""


def faults() -> Iterator[tuple[str, int]]:
    for at in range(1, 9):
        yield "fdatasync", at
    for at in range(1, 24, 3):
        yield "pwrite64", at


@pytest.mark.e2e
@pytest.mark.skipif(not shutil.which("strace"), reason="it needs strace")
@pytest.mark.parametrize(("call", "at"), [*faults()])
def test_a_call_of_lmdb_may_fail(directory: Path, call: str, at: int) -> None:
    """In the kernel's stead strace answers that the disk failed."""
    trio.run(events_in, directory)
    inject = f"inject={call}:error=EIO:when={at}"
    command = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject]
    done = subprocess.run(
        [*command, sys.executable, "-c", FAULTY, str(directory)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr

    acknowledged = int(done.stdout)
    assert acknowledged <= trio.run(events_in, directory) <= acknowledged + 1
    assert not list(filter(is_finding, verify(directory)))
