"""Opening a directory: a journal, or a sentence that says what to do."""

import shutil
from pathlib import Path

import lmdb
import pytest

from ironflow.errors import (
    ConfigurationError,
    JournalDamaged,
    JournalError,
    JournalForeign,
    JournalFull,
    JournalNewer,
)
from ironflow.journal.lmdb import keys, opening
from ironflow.journal.lmdb.store import open_lmdb, open_reader
from ironflow.journal.lmdb.verify import Finding, verify
from ironflow.testing.checks_scene import Scene
from tests.journal.lmdb.conftest import Program, store_in


async def made(scene: Scene) -> None:
    """Make a journal with a run in it."""
    async with scene.open():
        await scene.start()


async def test_a_new_directory_becomes_a_journal(directory: Path) -> None:
    journal = await open_lmdb(directory)
    await journal.close()

    names = {"data.mdb", "lock.mdb", "head", "owner", "wal", "index"}
    assert names_in(directory) == names


async def test_what_a_crash_left_of_the_making_is_made_again(directory: Path) -> None:
    write(directory / "creating" / "data.mdb", b"half")

    journal = await open_lmdb(directory)
    await journal.close()

    assert "creating" not in names_in(directory)


async def test_a_directory_with_other_files_is_refused(directory: Path) -> None:
    write(directory / "thesis.txt", b"mine")

    with pytest.raises(JournalForeign, match=r"thesis\.txt.*name an empty"):
        await open_lmdb(directory)

    assert "data.mdb" not in names_in(directory)


async def test_a_file_in_place_of_the_directory_is_refused(directory: Path) -> None:
    write(directory, b"mine")

    with pytest.raises(JournalForeign, match="is a file"):
        await open_lmdb(directory)


async def test_a_place_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot be made"):
        await open_lmdb("/proc/ironflow/data")


async def test_no_journal_is_not_made_by_a_reader(directory: Path) -> None:
    with pytest.raises(JournalForeign, match="there is no journal"):
        await open_reader(directory)

    assert directory.name not in names_in(directory.parent)


async def test_a_reader_names_what_is_there_instead(directory: Path) -> None:
    write(directory / "thesis.txt", b"mine")

    with pytest.raises(JournalForeign, match=r"thesis\.txt"):
        await open_reader(directory)


@pytest.mark.parametrize(
    "content", [b"not a database", b"x" * 10_000, b"\0" * 200_000], ids=len
)
async def test_a_store_that_is_no_database_is_refused(
    directory: Path, content: bytes
) -> None:
    write(directory / "data.mdb", content)

    with pytest.raises(JournalForeign, match="not an ironflow journal"):
        await open_lmdb(directory)

    assert content_of(directory / "data.mdb") == content


async def test_an_empty_store_is_refused(directory: Path) -> None:
    write(directory / "data.mdb", b"")

    with pytest.raises(JournalDamaged, match="is empty"):
        await open_lmdb(directory)


async def test_the_database_of_another_program_is_refused_and_kept(
    directory: Path,
) -> None:
    make(directory)
    with lmdb.open(str(directory), max_dbs=2) as other, other.begin(write=True) as txn:
        txn.put(b"key", b"value")
    before = content_of(directory / "data.mdb")

    with pytest.raises(JournalForeign, match="not an ironflow journal"):
        await open_lmdb(directory)

    assert content_of(directory / "data.mdb") == before


async def test_a_newer_format_asks_for_an_upgrade(
    scene: Scene, directory: Path
) -> None:
    await made(scene)
    put_meta(directory, keys.FORMAT_KEY, keys.number(keys.LAYOUT_REDACTED + 1))

    with pytest.raises(JournalNewer, match="upgrade ironflow"):
        await open_lmdb(directory)
    with pytest.raises(JournalNewer, match="upgrade ironflow"):
        await open_reader(directory)


async def test_a_store_without_a_format_number_is_refused(
    scene: Scene, directory: Path
) -> None:
    await made(scene)
    put_meta(directory, keys.FORMAT_KEY, b"")

    with pytest.raises(JournalForeign, match="no format number"):
        await open_lmdb(directory)


@pytest.mark.parametrize("pages", [0.5, 1, 1.5, 2, 3, 5, 8, 12])
async def test_a_store_that_was_cut_off_is_refused(
    scene: Scene, directory: Path, pages: float
) -> None:
    await made(scene)
    cut_off(directory / "data.mdb", size=int(pages * 4096))

    for opened in (open_lmdb(directory), open_reader(directory)):
        with pytest.raises(JournalDamaged, match=r"cut off.*backup"):
            await opened
    with pytest.raises(JournalDamaged, match="cut off"):
        list(verify(directory))


async def test_a_file_longer_than_needed_opens(scene: Scene, directory: Path) -> None:
    await made(scene)
    data = directory / "data.mdb"
    write(data, content_of(data) + b"\0" * 4096)

    async with scene.open() as journal:
        assert await journal.events()


@pytest.mark.parametrize("page", [0, 1])
async def test_a_meta_page_that_lost_its_mark_is_refused(
    scene: Scene, directory: Path, page: int
) -> None:
    await made(scene)
    overwrite(directory / "data.mdb", at=page * 4096 + 16, data=b"\0\0\0\0")

    with pytest.raises(JournalError, match=r"not an ironflow journal|not what it was"):
        await open_lmdb(directory)


async def test_a_page_that_is_damaged_is_refused(scene: Scene, directory: Path) -> None:
    await made(scene)
    data = directory / "data.mdb"
    for page in range(2, len(content_of(data)) // 4096):  # some of them are in use
        overwrite(data, at=page * 4096 + 10, data=b"\xff\xff")

    with pytest.raises(JournalDamaged, match=r"is damaged \("):
        await open_lmdb(directory)


async def test_a_page_size_without_sense_is_refused(
    scene: Scene, directory: Path
) -> None:
    await made(scene)
    overwrite(directory / "data.mdb", at=16 + 24, data=b"\x07\0\0\0")

    with pytest.raises(JournalDamaged, match="pages have 7 bytes"):
        await open_lmdb(directory)


async def test_an_old_copy_put_back_is_refused(scene: Scene, directory: Path) -> None:
    await made(scene)
    old = content_of(directory / "data.mdb")
    async with scene.open():
        await scene.emit(scene.event("later"))
    write(directory / "data.mdb", old)

    with pytest.raises(
        JournalDamaged, match=r"ends at commit 3.*wal' has commit 5.*move the files"
    ):
        await open_lmdb(directory)
    with pytest.raises(JournalDamaged, match=r"old copy of data\.mdb"):
        await open_reader(directory)
    found = [found for found in verify(directory) if isinstance(found, Finding)]
    assert "old copy of data.mdb" in found[0].message
    assert content_of(directory / "data.mdb") == old


@pytest.mark.parametrize("name", ["wal", "data.mdb"])
async def test_an_old_copy_is_known_by_the_head_file_too(
    scene: Scene, directory: Path, name: str
) -> None:
    await made(scene)
    old = {path: content_of(path) for path in (directory / "wal", directory / name)}
    async with scene.open():
        await scene.emit(scene.event("later"))
        copy = copied(directory)  # the commit is in the log alone
    for path, content in old.items():
        write(copy / path.name, content)

    with pytest.raises(
        JournalDamaged, match=r"older than its head file.*move the file 'head'"
    ):
        await open_lmdb(copy)
    with pytest.raises(JournalDamaged, match="older than its head file"):
        await open_reader(copy)
    found = [found for found in verify(copy) if isinstance(found, Finding)]
    assert "older than its head file" in found[0].message


async def test_without_log_and_head_file_an_old_copy_opens(
    scene: Scene, directory: Path
) -> None:
    await made(scene)
    old = content_of(directory / "data.mdb")
    async with scene.open():
        await scene.emit(scene.event("later"))
    write(directory / "data.mdb", old)
    remove(directory / "head")
    remove(directory / "wal")

    async with scene.open() as journal:
        assert len(await journal.events()) == 1


async def test_the_store_of_another_directory_is_refused(
    scene: Scene, directory: Path, tmp_path: Path
) -> None:
    await made(scene)
    other = await open_lmdb(tmp_path / "other")
    await other.close()
    for _ in range(5):
        other = await open_lmdb(tmp_path / "other")
        await other.close()
    shutil.copy(tmp_path / "other" / "data.mdb", directory / "data.mdb")

    with pytest.raises(JournalDamaged, match="belong to two journals"):
        await open_lmdb(directory)

    shutil.copy(tmp_path / "other" / "wal", directory / "wal")
    with pytest.raises(JournalDamaged, match="not the one that its head file"):
        await open_lmdb(directory)


async def test_a_copy_that_went_its_own_way_is_refused(
    scene: Scene, directory: Path
) -> None:
    await made(scene)
    copy = copied(directory)
    for place in (directory, copy, copy, copy):
        other = Scene(place.name, store_in(place))
        async with other.open():
            await other.emit(other.event("e"))
    shutil.copy(copy / "data.mdb", directory / "data.mdb")
    shutil.copy(copy / "wal", directory / "wal")

    with pytest.raises(JournalDamaged, match="not the one that its head file"):
        await open_lmdb(directory)


@pytest.mark.parametrize("head", [b"", b"torn", b"\xff" * 64])
async def test_a_torn_head_file_is_written_again(
    scene: Scene, directory: Path, head: bytes
) -> None:
    await made(scene)
    write(directory / "head", head)

    async with scene.open() as journal:
        assert len(await journal.events()) == 1

    assert content_of(directory / "head") != head


async def test_a_full_disk_is_told_when_a_journal_is_made(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(opening, "_make", full)

    with pytest.raises(JournalFull, match="No space left on device; make room"):
        await open_lmdb(directory)


@pytest.mark.e2e
async def test_a_limit_of_address_space_makes_the_map_smaller(
    directory: Path, program: Program
) -> None:
    done = program(
        "import resource, sys, trio\n"
        "from ironflow.journal.lmdb.store import open_lmdb\n"
        "resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))\n"
        "async def main():\n"
        "    journal = await open_lmdb(sys.argv[1])\n"
        "    print(journal.source.environment.map_bytes)\n"
        "    await journal.close()\n"
        "trio.run(main)\n"
    )

    assert 1 << 30 <= int(done.stdout or 0) <= 8 << 30, done.stderr


async def test_an_environment_that_is_not_there_is_named(
    scene: Scene, directory: Path
) -> None:
    await made(scene)

    with pytest.raises(ConfigurationError, match="'prod'; it has: default"):
        await open_reader(directory, environment="prod")


async def test_environments_do_not_see_each_other(
    scene: Scene, directory: Path
) -> None:
    await made(scene)
    other = await open_lmdb(directory, environment="prod")

    assert not await other.events()

    await other.close()
    async with scene.open() as journal:
        assert len(await journal.events()) == 1


def make(directory: Path) -> None:
    directory.mkdir(parents=True)


def copied(directory: Path) -> Path:
    return shutil.copytree(
        directory,
        directory.with_name("copy"),
        ignore=shutil.ignore_patterns("owner*", "lock.mdb"),
    )


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def remove(path: Path) -> None:
    path.unlink()


def cut_off(path: Path, *, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def put_meta(directory: Path, key: bytes, value: bytes) -> None:
    with lmdb.open(str(directory), max_dbs=40) as store:
        table = store.open_db(keys.META.encode())
        with store.begin(write=True) as txn:
            txn.put(key, value, db=table)


def overwrite(path: Path, *, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
