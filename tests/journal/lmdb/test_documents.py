"""Documents in a data directory: older ones get the table, and every tool knows it.

What becomes of them as a whole is in `test_tally.py`.
"""

from pathlib import Path

import lmdb
import pytest

from ironflow.errors import JournalDamaged
from ironflow.journal.base import (
    DeleteDocument,
    DocumentRow,
    JournalCommand,
    Kept,
    PutDocument,
    Refused,
)
from ironflow.journal.lmdb import keys, tally
from ironflow.journal.lmdb.backup import back_up, restore
from ironflow.journal.lmdb.compacting import compact
from ironflow.journal.lmdb.doctor import diagnose
from ironflow.journal.lmdb.salvage import Plan, salvage
from ironflow.journal.lmdb.store import open_lmdb, open_reader
from ironflow.journal.lmdb.verify import Finding, verify

KIND = "api-key"


def nobody(*_: object) -> None:
    """Look at no progress."""


async def keep(directory: Path, *commands: JournalCommand) -> None:
    journal = await open_lmdb(directory)
    try:
        answers = await journal.commit(commands)
        assert not [each for each in answers if isinstance(each, Refused)]
    finally:
        await journal.close()


async def kept(directory: Path) -> list[DocumentRow]:
    journal = await open_lmdb(directory)
    try:
        return [*await journal.documents(KIND)]
    finally:
        await journal.close()


async def fill(directory: Path) -> list[DocumentRow]:
    """Make three documents, the first changed, and one that is deleted."""
    names = ("a", "b", "c", "gone")
    await keep(directory, *(PutDocument(KIND, name, b"data", 1) for name in names))
    await keep(directory, PutDocument(KIND, "a", b"later", 2))
    await keep(directory, DeleteDocument(KIND, "gone", 3))
    return await kept(directory)


def findings(directory: Path) -> list[str]:
    found = verify(directory)
    return [each.message for each in found if isinstance(each, Finding)]


def change(directory: Path, key: bytes, value: bytes | None, *, into: bytes) -> None:
    """Write a row as no ironflow does: `value` under `into`, and nothing under `key`."""
    environment = lmdb.open(str(directory), max_dbs=64, map_size=1 << 30)
    table = environment.open_db(keys.DOCUMENTS.encode())
    with environment.begin(write=True, db=table) as transaction:
        found = transaction.get(key)
        assert found is not None
        transaction.delete(key)
        transaction.put(into, found if value is None else value)
    environment.close()


def place(name: str) -> bytes:
    return keys.environment_prefix(0) + keys.document(KIND, name)


# --- directories of before ------------------------------------------------------------


def no_tallies(*_: object, **__: object) -> dict[bytes, bytes | None]:
    """What an ironflow that knows no tallies writes of them at its start."""
    return {}


@pytest.fixture
async def older(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory whose store has no table of documents."""
    older_tables = tuple(set(keys.TABLES) - set(keys.ADDED))
    with monkeypatch.context() as before:
        before.setattr(keys, "TABLES", older_tables)
        before.setattr(keys, "ADDED", ())
        before.setattr(tally, "renewed", no_tallies)
        await (await open_lmdb(directory)).close()
    return directory


def tables(directory: Path) -> set[str]:
    environment = lmdb.open(str(directory), max_dbs=64, readonly=True)
    with environment.begin() as transaction:
        found = {bytes(key).decode() for key, _ in transaction.cursor()}
    environment.close()
    return found


async def test_an_older_directory_gets_the_table_when_it_is_opened(older: Path) -> None:
    assert keys.DOCUMENTS not in tables(older)

    await keep(older, PutDocument(KIND, "a", b"", 1))

    assert [row.id for row in await kept(older)] == ["a"]
    assert findings(older) == []


async def test_an_older_directory_is_read_as_it_is(older: Path) -> None:
    """Who only reads cannot make a table."""
    assert findings(older) == []
    reader = await open_reader(older)
    try:
        assert await reader.documents(KIND) == []
        assert await reader.document(KIND, "a") is None
    finally:
        await reader.close()
    assert keys.DOCUMENTS not in tables(older)


async def test_a_reader_sees_documents_beside_their_owner(directory: Path) -> None:
    rows = await fill(directory)
    reader = await open_reader(directory)
    try:
        assert await reader.documents(KIND) == rows
        assert await reader.document(KIND, "b") == rows[1]
    finally:
        await reader.close()


# --- damage -----------------------------------------------------------------------------


async def test_a_changed_document_is_told_and_not_given(directory: Path) -> None:
    await fill(directory)
    change(
        directory, place("b"), b"\x92\xc4\x10" + bytes(16) + b"\x90", into=place("b")
    )

    assert findings(directory)[0] == (
        "a document has another digest than when it was written"
    )
    journal = await open_lmdb(directory)
    try:
        with pytest.raises(JournalDamaged, match="another digest"):
            await journal.document(KIND, "b")
    finally:
        await journal.close()


async def test_a_misplaced_document_is_told(directory: Path) -> None:
    await fill(directory)
    change(directory, place("b"), None, into=place("x"))

    assert findings(directory)[0] == "document 'b' of the kind 'api-key' is misplaced"


async def test_intact_documents_are_saved_with_their_revisions(
    directory: Path, tmp_path: Path
) -> None:
    rows = await fill(directory)
    change(directory, place("b"), b"\x90", into=place("b"))
    change(directory, place("c"), None, into=place("x"))
    found = diagnose(directory, nobody)
    assert not found.is_healthy

    target = tmp_path / "new"
    saved = salvage(directory, target, nobody, damaged=(), plan=Plan())

    assert (saved.documents, saved.documents_lost) == ({"default": 1}, {"default": 2})
    assert await kept(target) == rows[:1]
    journal = await open_lmdb(target)
    again = await journal.commit([PutDocument(KIND, "gone", b"", 9)])
    await journal.close()
    assert again == [Kept(2)]


async def test_an_older_directory_is_salvaged(older: Path, tmp_path: Path) -> None:
    saved = salvage(older, tmp_path / "new", nobody, damaged=(), plan=Plan())

    assert saved.documents == {"default": 0}


# --- copies -----------------------------------------------------------------------------


async def test_copies_have_the_documents(directory: Path, tmp_path: Path) -> None:
    rows = await fill(directory)
    compact(directory)
    back_up(directory, tmp_path / "file", nobody)
    restore(tmp_path / "file", tmp_path / "restored", nobody)

    assert await kept(directory) == rows
    assert await kept(tmp_path / "restored") == rows
    assert findings(tmp_path / "restored") == []
