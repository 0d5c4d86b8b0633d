"""Whatever a crash leaves on the disk, all that was acknowledged is there."""

import os
import random
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from ironflow.journal.base import EmitEvents
from ironflow.journal.lmdb import opening, wal, writer
from ironflow.journal.lmdb.store import open_lmdb, open_reader
from ironflow.journal.lmdb.verify import Finding, verify
from ironflow.testing.checks_scene import Scene
from tests.journal.lmdb.crash_images import Image, Recorder, images

# More of them by the environment: IRONFLOW_CRASH_IMAGES=400 makes some hundred thousand.
EACH = int(os.environ.get("IRONFLOW_CRASH_IMAGES", "10"))
COMMITS = 60
RECOVERIES = 5 * EACH
HALF_BYTES = 16 * 1024


@pytest.fixture
def chosen() -> random.Random:
    number = random.randrange(2**32)
    print(f"seed {number}")
    return random.Random(number)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that is full after some commits."""
    monkeypatch.setattr(wal, "make", partial(wal.make, half_bytes=HALF_BYTES))
    monkeypatch.setattr(writer, "CHECKPOINT_BYTES", HALF_BYTES // 4)


async def live(
    directory: Path, patch: pytest.MonkeyPatch, chosen: random.Random
) -> Recorder:
    """Commit events of all sizes, with checkpoints beside them; return what was done."""
    scene = Scene("crash", lambda: pytest.fail("it is opened here"))
    journal = await open_lmdb(directory)
    recorder = Recorder(directory, patch)
    for number in range(1, COMMITS + 1):
        size = chosen.choice([1, 10, 600, 3_000, HALF_BYTES // 3])
        if number % 25 == 0:
            size = HALF_BYTES + 1  # past the log
        used = journal._writer._wal.used
        must = used > HALF_BYTES // 2 or size > HALF_BYTES
        recorder.let_checkpoints_end(may=must)
        event = scene.event("e", "x" * size)
        await journal.commit([EmitEvents((event,), scene.now)])
        recorder.told(number)
    recorder.let_checkpoints_end(may=True)
    await journal.close()
    return recorder


async def opened(image: Image, directory: Path) -> int:
    """Open an image; return how many events it has."""
    image.write(directory)
    found = await read_in(directory)
    shutil.rmtree(directory)
    return found


async def read_in(directory: Path) -> int:
    journal = await open_lmdb(directory)
    found = await journal.events(limit=1_000)
    await journal.close()
    assert [stored.position for stored in found] == [*range(1, len(found) + 1)]
    return len(found)


@pytest.mark.slow
@pytest.mark.timeout(120 + 10 * EACH)
@pytest.mark.usefixtures("small")
async def test_every_image_has_what_was_acknowledged(
    place: Path, monkeypatch: pytest.MonkeyPatch, chosen: random.Random
) -> None:
    recorder = await live(place / "data", monkeypatch, chosen)
    monkeypatch.undo()
    count = 0
    for image in images(recorder, chosen, each=EACH):
        found = await opened(image, place / "image")

        assert image.told <= found <= image.told + 1, image.instant
        count += 1
    print(f"{count} images")
    assert count >= COMMITS * EACH


@pytest.mark.slow
@pytest.mark.timeout(120 + 10 * EACH)
@pytest.mark.usefixtures("small")
async def test_a_recovery_that_crashes_is_made_again(
    place: Path, monkeypatch: pytest.MonkeyPatch, chosen: random.Random
) -> None:
    recorder = await live(place / "data", monkeypatch, chosen)
    monkeypatch.undo()
    first = [*images(recorder, chosen, each=4)]
    for image in chosen.sample(first, RECOVERIES):
        directory = place / "recovering"
        image.write(directory)
        with monkeypatch.context() as patch:
            recovery = Recorder(directory, patch)
            found = await read_in(directory)
        shutil.rmtree(directory)

        assert image.told <= found <= image.told + 1
        for second in images(recovery, chosen, each=4):
            assert await opened(second, place / "image") == found


@pytest.mark.slow
@pytest.mark.timeout(120 + 10 * EACH)
@pytest.mark.usefixtures("small")
async def test_an_image_has_nothing_damaged_and_goes_on(
    place: Path, monkeypatch: pytest.MonkeyPatch, chosen: random.Random
) -> None:
    recorder = await live(place / "data", monkeypatch, chosen)
    monkeypatch.undo()
    first = [*images(recorder, chosen, each=4)]
    for image in chosen.sample(first, RECOVERIES):
        directory = place / "image"
        image.write(directory)
        # As a reader finds it, before any owner has brought the log in.
        assert not [each for each in verify(directory) if isinstance(each, Finding)]
        reader = await open_reader(directory)
        seen = len(await reader.events(limit=1_000))
        await reader.close()
        journal = await open_lmdb(directory)
        scene = Scene("later", lambda: pytest.fail("it is opened here"))
        for size in (1, HALF_BYTES // 2, HALF_BYTES // 2, HALF_BYTES // 2):
            event = scene.event("e", "x" * size)
            await journal.commit([EmitEvents((event,), scene.now)])
        await journal.close()

        assert seen >= image.told
        assert await read_in(directory) == seen + 4
        assert not [each for each in verify(directory) if isinstance(each, Finding)]
        shutil.rmtree(directory)


@pytest.mark.parametrize("there", [(), ("wal",), ("data.mdb",), ("wal", "data.mdb")])
@pytest.mark.parametrize("left", [(), ("data.mdb",), ("data.mdb", "wal.new")])
async def test_what_a_crash_leaves_of_a_new_journal_becomes_one(
    place: Path, there: tuple[str, ...], left: tuple[str, ...]
) -> None:
    """Files are whole before they get their names, which come in any order."""
    opening.make_directory(place / "whole")
    opening.prepare(place / "whole")
    directory = place / "data"
    (directory / "creating").mkdir(parents=True)
    for name in there:
        shutil.copy(place / "whole" / name, directory / name)
    for name in left:
        (directory / "creating" / name).write_bytes(b"half")

    assert await read_in(directory) == 0
    assert await read_in(directory) == 0


TRACED = """
import sys, trio
from ironflow.journal.base import EmitEvents
from ironflow.journal.lmdb.store import open_lmdb
from ironflow.testing.checks_scene import Scene
async def main():
    scene = Scene("s", None)
    journal = await open_lmdb(sys.argv[1])
    for size in (1, 9_000, 70_000):
        event = scene.event("e", "x" * size)
        await journal.commit([EmitEvents((event,), scene.now)])
    await journal.close()
trio.run(main)
"""


@pytest.mark.e2e
@pytest.mark.skipif(not shutil.which("strace"), reason="it needs strace")
def test_the_files_are_written_as_the_images_have_it(tmp_path: Path) -> None:
    """The pages of a transaction, a sync, a meta page that is synced by its write."""
    names = "openat,pwrite64,pwritev,writev,write,fdatasync,fsync"
    calls = ["strace", "-f", "-y", "-s", "0", "-e", f"trace={names}"]
    traced = tmp_path / "traced"
    command = [*calls, "-o", str(traced), sys.executable, "-c", TRACED]
    done = subprocess.run([*command, str(tmp_path / "data")], check=False)
    assert done.returncode == 0
    text = traced.read_text(encoding="utf-8")

    data = calls_of(text, tmp_path / "data" / "data.mdb")
    assert re.fullmatch("r*(w*sm)+", data), data
    log = calls_of(text, tmp_path / "data" / "wal")
    assert re.fullmatch("r*m{3}", log), log


def calls_of(text: str, path: Path) -> str:
    """What was done with a file: w(rite), s(ync), m: a write that is synced."""
    found, synced = "", set[str]()
    for line in text.splitlines():
        if f'"{path}"' in line and "O_DSYNC" in line:
            synced.add(line.rsplit("= ", 1)[1].partition("<")[0])
        call = re.search(rf"(\w+)\((\d+)<{path}>", line)
        if call is None:
            continue
        kind = "s" if "sync" in call[1] else "w"
        found += "m" if kind == "w" and call[2] in synced else kind
    return found
