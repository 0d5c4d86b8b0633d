"""Backups: one moment of a directory that is being written, in one file and back."""

import subprocess
import sys
from pathlib import Path

import pytest
import trio

from ironflow.errors import (
    ConfigurationError,
    JournalDamaged,
    JournalForeign,
    JournalNewer,
)
from ironflow.journal.lmdb.backup import Backup, back_up, read_backup, restore
from ironflow.journal.lmdb.verify import Finding, verify
from ironflow.testing.checks_asks import completed, ended
from ironflow.testing.checks_scene import Scene
from tests.journal.lmdb.commits import opened
from tests.journal.lmdb.conftest import store_in
from tests.journal.lmdb.test_kills import ROOT, read_back

LINES_BEFORE = 300

KILLED = """
import sys
from pathlib import Path
from ironflow.journal.lmdb import backup

def wait(*_):
    sys.stdout.write("ready\\n")
    sys.stdout.flush()
    sys.stdin.read()

source, target = map(Path, sys.argv[2:])
if sys.argv[1] == "backup":
    backup.back_up(source, target, wait)
else:
    backup._bring_in = wait
    backup.restore(source, target, lambda done, total: None)
"""


def nobody(done: int, total: int) -> None:
    """Look at no progress."""


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def is_private(path: Path) -> bool:
    return path.stat().st_mode & 0o077 == 0


async def filled(directory: Path) -> Path:
    """A directory with a run in LMDB; nobody owns it."""
    scene = Scene("backup", store_in(directory))
    async with scene.open():
        holder = await scene.start()
        await holder.append(completed("a:0", "x" * 20_000), ended())
    return directory


@pytest.fixture
def backup(directory: Path, tmp_path: Path) -> Path:
    """A backup of that directory."""
    back_up(trio.run(filled, directory), tmp_path / "backup", nobody)
    return tmp_path / "backup"


def findings(directory: Path) -> list[Finding]:
    return [found for found in verify(directory) if isinstance(found, Finding)]


@pytest.mark.e2e
def test_a_backup_has_all_that_was_acknowledged_before_it(
    directory: Path, tmp_path: Path
) -> None:
    """While another process commits all the time."""
    program = [sys.executable, "-m", "tests.journal.lmdb.committing"]
    with subprocess.Popen(
        [*program, str(directory), "0", "0", "65536"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout
        acknowledged: list[list[list[str]]] = []
        taken: list[Backup] = []
        for number in range(3):
            lines = [process.stdout.readline().split() for _ in range(LINES_BEFORE)]
            acknowledged.append(lines)
            taken.append(back_up(directory, tmp_path / f"{number}", nobody))
        process.kill()
        process.stdout.readlines()

    assert taken[0].number < taken[1].number < taken[2].number
    for number, each in enumerate(taken):
        target = tmp_path / f"restored{number}"
        assert restore(tmp_path / f"{number}", target, nobody) == each
        assert findings(target) == []
        events, lengths = trio.run(read_back, target)
        for name, *length in acknowledged[number]:
            if length:
                assert lengths[name] >= int(length[0])
            else:
                assert name in events


async def test_what_only_the_log_has_is_backed_up(
    directory: Path, tmp_path: Path
) -> None:
    """It is read by another process: this one has the store open."""
    async with opened(directory) as journal:
        scene = Scene("log", store_in(directory))
        scene._journal = journal
        holder = await scene.start()
        source = "import sys; from pathlib import Path\n"
        source += "from ironflow.journal.lmdb.backup import back_up\n"
        source += "back_up(*map(Path, sys.argv[1:]), lambda *_: None)"
        args = [str(directory), str(tmp_path / "backup")]
        subprocess.run([sys.executable, "-c", source, *args], check=True)  # noqa: ASYNC221 - nothing else runs

    restore(tmp_path / "backup", tmp_path / "new", nobody)

    async with opened(tmp_path / "new") as journal:
        summary = await journal.run(holder.run_id)
        assert summary is not None
        assert summary.length == 1
    assert findings(tmp_path / "new") == []


async def test_a_restored_directory_goes_on(backup: Path, tmp_path: Path) -> None:
    target = tmp_path / "new"
    restore(backup, target, nobody)

    scene = Scene("later", store_in(target))
    async with scene.open():
        await scene.start()

    assert names_in(target) >= {"data.mdb", "wal", "head"}
    assert is_private(target / "data.mdb")
    assert is_private(backup)
    assert findings(target) == []


def test_an_empty_directory_is_restored_into_and_no_other(
    backup: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").write_text("hello")
    restore(backup, tmp_path / "empty", nobody)

    for name in ("full", "full/notes", "empty"):
        with pytest.raises(ConfigurationError, match="not empty"):
            restore(backup, tmp_path / name, nobody)

    assert names_in(tmp_path / "full") == {"notes"}
    assert findings(tmp_path / "empty") == []


def test_no_damage_to_a_backup_goes_unnoticed(backup: Path, tmp_path: Path) -> None:
    """Cut off, changed or longer: nothing is made of it."""
    data, bad = backup.read_bytes(), tmp_path / "bad"
    step = len(data) // 40
    damaged = [data[:end] for end in range(0, len(data), step)]
    damaged += [
        data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
        for at in range(0, len(data), step)
    ]
    for each in [*damaged, data + b"\0"]:
        bad.write_bytes(each)

        with pytest.raises((JournalDamaged, JournalForeign)):
            restore(bad, tmp_path / "new", nobody)

        assert not (tmp_path / "new").exists()


def test_a_newer_backup_says_upgrade(
    backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(read_backup(backup), Backup)
    monkeypatch.setattr("ironflow.journal.lmdb.backup.BACKUP_FORMAT", 0)

    with pytest.raises(JournalNewer, match="upgrade ironflow"):
        read_backup(backup)


def test_a_missing_backup_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="check the name"):
        read_backup(tmp_path / "none")


def test_a_backup_of_a_damaged_store_is_refused(
    directory: Path, tmp_path: Path
) -> None:
    file = trio.run(filled, directory) / "data.mdb"
    file.write_bytes(file.read_bytes()[:8192])

    with pytest.raises(JournalDamaged, match="cut off"):
        back_up(directory, tmp_path / "backup", nobody)

    assert names_in(tmp_path) == {"data"}


def test_a_copy_that_cannot_be_written_leaves_nothing(
    directory: Path, tmp_path: Path
) -> None:
    """Whatever goes wrong: the thread of the copy ends before its snapshot."""
    trio.run(filled, directory)

    def fail(done: int, total: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        back_up(directory, tmp_path / "backup", fail)

    assert names_in(tmp_path) == {"data"}


@pytest.mark.e2e
@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_kill_leaves_no_half_file_under_the_name(
    command: str, backup: Path, directory: Path, tmp_path: Path
) -> None:
    source = directory if command == "backup" else backup
    target = tmp_path / "target"
    args = [sys.executable, "-c", KILLED, command, str(source), str(target)]
    with subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdout
        assert run.stdout.readline() == b"ready\n"
        run.kill()

    assert not target.exists()
    if command == "backup":
        assert back_up(directory, target, nobody) == read_backup(target)
    else:
        restore(backup, target, nobody)
        assert findings(target) == []
    assert names_in(tmp_path) == {"data", "backup", "target"}
