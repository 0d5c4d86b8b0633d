"""A document that is lost, changed, added or put back in the raw store is found.

The rows of documents are digested one by one; what is tested here is that all of them
together are those that were stored last (`journal/lmdb/tally.py`).
"""

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb
import pytest

from ironflow.journal.base import (
    DeleteDocument,
    DocumentRow,
    JournalCommand,
    PutDocument,
    Refused,
)
from ironflow.journal.lmdb import keys, rows, tally
from ironflow.journal.lmdb.backup import back_up, restore
from ironflow.journal.lmdb.compacting import compact
from ironflow.journal.lmdb.doctor import diagnose
from ironflow.journal.lmdb.salvage import Plan, salvage
from ironflow.journal.lmdb.store import LmdbJournal, open_lmdb
from ironflow.journal.lmdb.verify import Finding, verify

KIND = "api-key"


def nobody(*_: object) -> None:
    """Look at no progress."""


def place(name: str, *, environment: int = 0) -> bytes:
    return keys.environment_prefix(environment) + keys.document(KIND, name)


async def keep(
    directory: Path, *commands: JournalCommand, environment: str = "default"
) -> None:
    journal = await open_lmdb(directory, environment=environment)
    try:
        for command in commands:
            [answer] = await journal.commit([command])
            assert not isinstance(answer, Refused)
    finally:
        await journal.close()


def put(name: str, data: bytes = b"data") -> PutDocument:
    return PutDocument(KIND, name, data, 1)


async def fill(directory: Path) -> None:
    await keep(directory, put("a"), put("b"), put("c"), put("gone"), put("b", b"later"))
    await keep(directory, DeleteDocument(KIND, "gone", 2))


def findings(source: Path | LmdbJournal) -> list[str]:
    return [each.message for each in verify(source) if isinstance(each, Finding)]


@contextmanager
def raw(directory: Path, table: str) -> Generator["lmdb.Transaction[bytes]"]:
    """Write into a table as no ironflow does."""
    with lmdb.open(str(directory), max_dbs=64, map_size=1 << 30) as store:
        handle = store.open_db(table.encode())
        with store.begin(write=True, db=handle) as transaction:
            yield transaction


def row(name: str, data: bytes, revision: int) -> bytes:
    """A row that is intact in itself."""
    return rows.encode_document(DocumentRow(KIND, name, data, revision, 1))


def delete(transaction: Any) -> None:
    assert transaction.delete(place("b"))


def insert(transaction: Any) -> None:
    transaction.put(place("gone"), row("gone", b"data", 1))


def put_back(transaction: Any) -> None:
    transaction.put(place("b"), row("b", b"data", 1))


def exchange(transaction: Any) -> None:
    delete(transaction)
    insert(transaction)


def flip(transaction: Any) -> None:
    data = bytearray(transaction.get(place("b")))
    data[8] ^= 1  # of the digest that the row names
    transaction.put(place("b"), bytes(data))


def forget_deleted(transaction: Any) -> None:
    assert transaction.delete(place(""))


def empty(transaction: Any) -> None:
    for key, _ in list(transaction.cursor()):
        transaction.delete(key)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (delete, "there are 3, and there should be 4"),
        (insert, "there are 5, and there should be 4"),
        (put_back, "there are 4, as there should be, but not the same"),
        (exchange, "there are 4, as there should be, but not the same"),
        (flip, "there are 4, as there should be, but not the same"),
        (forget_deleted, "there are 3, and there should be 4"),
        (empty, "there are 0, and there should be 4"),
    ],
)
async def test_a_change_of_the_raw_store_is_found(
    directory: Path, change: Callable[[Any], None], said: str
) -> None:
    await fill(directory)
    assert findings(directory) == []

    with raw(directory, keys.DOCUMENTS) as transaction:
        change(transaction)

    assert any(said in each for each in findings(directory))
    # Whoever opens the journal and goes on does not make it unheard.
    await keep(directory, put("new"))
    assert any(
        each.startswith("documents of the environment 'default'")
        for each in findings(directory)
    )


async def test_a_table_that_is_gone_is_found(directory: Path) -> None:
    await fill(directory)
    with lmdb.open(str(directory), max_dbs=64, map_size=1 << 30) as store:
        handle = store.open_db(keys.DOCUMENTS.encode())
        with store.begin(write=True) as transaction:
            transaction.drop(handle)

    [said] = findings(directory)

    assert "there are 0, and there should be 4" in said


async def test_it_is_right_beside_work_and_after_a_crash(
    directory: Path, tmp_path: Path
) -> None:
    journal = await open_lmdb(directory)
    await journal.commit([put("a"), put("b"), DeleteDocument(KIND, "a", 2)])
    await journal.commit([put("b", b"later"), put("a")])
    assert findings(journal) == []
    ours = shutil.ignore_patterns("owner*", "lock.mdb")
    shutil.copytree(directory, tmp_path / "crashed", ignore=ours)
    await journal.close()

    assert findings(tmp_path / "crashed") == []
    await keep(tmp_path / "crashed", put("c"))
    assert findings(tmp_path / "crashed") == []


async def test_a_commit_that_is_dropped_changes_no_tally(directory: Path) -> None:
    journal = await open_lmdb(directory)
    await journal.commit([put("a")])

    no_command: Any = "such that all of its commit is dropped"

    with pytest.raises(AssertionError):
        await journal.commit([put("b"), no_command])
    await journal.commit([PutDocument(KIND, "a", b"", 1, expected_revision=7)])

    assert findings(journal) == []
    await journal.close()


async def test_each_environment_has_its_own(directory: Path) -> None:
    await fill(directory)
    await keep(directory, put("a"), put("b"), environment="other")
    await keep(directory, put("d"))
    assert findings(directory) == []

    with raw(directory, keys.DOCUMENTS) as transaction:
        assert transaction.delete(place("b", environment=1))

    [said] = findings(directory)
    assert said.startswith("documents of the environment 'other' are not those")


# --- copies and tools -------------------------------------------------------------------


async def test_copies_have_it(directory: Path, tmp_path: Path) -> None:
    await fill(directory)
    compact(directory)
    back_up(directory, tmp_path / "file", nobody)
    restore(tmp_path / "file", tmp_path / "restored", nobody)
    with raw(tmp_path / "restored", keys.DOCUMENTS) as transaction:
        delete(transaction)

    assert findings(directory) == []
    assert len(findings(tmp_path / "restored")) == 1


async def test_the_doctor_says_what_to_do_and_a_salvage_does_it(
    directory: Path, tmp_path: Path
) -> None:
    await fill(directory)
    with raw(directory, keys.DOCUMENTS) as transaction:
        insert(transaction)

    found = diagnose(directory, nobody)
    salvage(directory, tmp_path / "new", nobody, damaged=(), plan=Plan())

    assert "there are 5, and there should be 4" in found.wrong[0]
    assert any("ironflow keys list" in each for each in found.advice)
    assert any("--salvage" in each for each in found.advice)
    assert findings(tmp_path / "new") == []


# --- older and damaged ones ---------------------------------------------------------------


def no_tallies(*_: object, **__: object) -> dict[bytes, bytes | None]:
    """What an ironflow that knows no tallies writes of them at its start."""
    return {}


async def test_an_older_ironflow_may_have_had_it_meanwhile(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(directory)
    with monkeypatch.context() as older:
        older.setattr(tally, "renewed", no_tallies)
        older.setattr(tally, "note", nobody)
        await keep(directory, put("d"), DeleteDocument(KIND, "a", 3))
    assert findings(directory) == []  # what the tally says is of an owner before

    await keep(directory, put("e"))

    assert findings(directory) == []
    with raw(directory, keys.DOCUMENTS) as transaction:
        delete(transaction)
    assert "there are 4, and there should be 5" in findings(directory)[0]


async def test_a_damaged_tally_is_told_and_stands_in_nobody_s_way(
    directory: Path,
) -> None:
    await fill(directory)
    with raw(directory, keys.META) as transaction:
        own = keys.TALLY_KEY + keys.environment_prefix(0)
        data = bytearray(transaction.get(own) or b"")
        data[2] += 1  # the count
        transaction.put(own, bytes(data))

    await keep(directory, put("d"), DeleteDocument(KIND, "a", 3))

    assert findings(directory) == [
        "documents of the environment 'default': the tally of documents has another"
        " digest than when it was written"
    ]
