"""Verify finds every change of a live record, while the journal is in use or not."""

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import lmdb
import pytest
import trio
from msgspec.structs import replace

from ironflow.errors import JournalError, JournalForeign
from ironflow.journal.lmdb import keys, rows
from ironflow.journal.lmdb.store import LmdbJournal, open_lmdb
from ironflow.journal.lmdb.verify import Finding, Progress, verify
from ironflow.policy.attributes import encode
from ironflow.records import (
    AttributesSet,
    Draft,
    SleepStarted,
    StepCompleted,
    WaitStarted,
)
from ironflow.testing.checks_asks import sleep
from ironflow.testing.checks_scene import SECOND_US, Holder, Scene, encoded
from tests.journal.lmdb.conftest import Program

STEPS = 30
FLIP_SEEDS = 60


@asynccontextmanager
async def lived_in(scene: Scene, *, step: int = 1) -> AsyncGenerator[Holder]:
    """A journal with two runs, blobs, events, timers and waits.

    There is a checkpoint, and with it a row of records, for so many records.
    """
    async with scene.open() as journal:
        assert isinstance(journal, LmdbJournal)
        first = await scene.start()
        await scene.emit(scene.event("other", {"a": 1}, key="k"))
        for number in range(STEPS):
            await first.append(Draft(StepCompleted(id=f"s:{number}"), encoded(number)))
            if number % step == 0:
                await journal._writer._empty_log()
        await first.append(Draft(StepCompleted(id="big:0"), encoded("x" * 9_000)))
        await first.park(
            Draft(SleepStarted(id="nap:0", until=scene.now + 1)),
            Draft(
                WaitStarted(
                    id="w:0", event="approved", path="data.id", match_key=b"k" * 16
                )
            ),
        )
        await scene.emit(scene.event("job.go"))
        yield first


async def live_in(scene: Scene) -> None:
    async with lived_in(scene):
        pass


def findings(source: Path | LmdbJournal) -> list[Finding]:
    return [found for found in verify(source) if isinstance(found, Finding)]


class Store:
    """The raw tables of a directory, to change what is in them."""

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)

    def rows(self, table: str) -> list[tuple[bytes, bytes]]:
        with lmdb.open(self._directory, max_dbs=40) as store:
            handle = store.open_db(table.encode())
            with store.begin() as txn, txn.cursor(handle) as cursor:
                return list(cursor)

    def put(self, table: str, key: bytes, value: bytes) -> None:
        with lmdb.open(self._directory, max_dbs=40) as store:
            handle = store.open_db(table.encode())
            with store.begin(write=True) as txn:
                txn.put(key, value, db=handle)

    def delete(self, table: str, key: bytes) -> None:
        with lmdb.open(self._directory, max_dbs=40) as store:
            handle = store.open_db(table.encode())
            with store.begin(write=True) as txn:
                txn.delete(key, db=handle)


async def test_a_sound_journal_has_no_findings_and_shows_progress(
    scene: Scene, directory: Path
) -> None:
    async with lived_in(scene):
        pass

    reports = list(verify(directory))

    assert all(isinstance(report, Progress) for report in reports)
    assert {report.part for report in reports if isinstance(report, Progress)} >= {
        keys.COMMITS,
        keys.LOG,
        keys.EVENTS,
        keys.TIMERS,
        keys.WAITS,
    }


async def test_it_works_beside_the_owner_and_in_it(
    scene: Scene, directory: Path, program: Program
) -> None:
    async with lived_in(scene):
        journal = scene.journal
        assert isinstance(journal, LmdbJournal)
        beside = program(
            "import sys\n"
            "from ironflow.journal.lmdb.verify import Finding, verify\n"
            "reports = list(verify(sys.argv[1]))\n"
            "print(len(reports) > 3, [r for r in reports if isinstance(r, Finding)])"
        )
        assert beside.stdout == "True []\n", beside.stderr
        assert not findings(journal)


async def test_pages_are_followed_over_their_ends(
    scene: Scene, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ironflow.journal.lmdb.verify.PAGE_ROWS", 7)
    async with lived_in(scene):
        pass
    store = Store(directory)
    key, value = store.rows(keys.LOG)[20]

    assert not findings(directory)
    store.put(keys.LOG, key, value[:-1] + bytes([value[-1] ^ 1]))

    assert {found.record for found in findings(directory)} == {number_of(key)}


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 10, 100])
async def test_every_bit_of_a_record_counts(
    scene: Scene, directory: Path, step: int
) -> None:
    async with lived_in(scene, step=step) as holder:
        pass
    store = Store(directory)
    rows = store.rows(keys.LOG)
    chosen = random.Random(1)
    for _ in range(FLIP_SEEDS):
        number = chosen.randrange(len(rows))
        key, value = rows[number]
        store.put(keys.LOG, key, flipped(value, chosen))

        found = findings(directory)

        assert found, (number, key, value)
        if number < len(rows) - 1:
            assert {finding.run_id for finding in found} == {holder.run_id}
            first = number_of(rows[number - 1][0]) + 1 if number else 1
            named = {finding.record for finding in found}
            assert named & set(range(first, number_of(key) + 1))
        store.put(keys.LOG, key, value)
    assert not findings(directory)


@pytest.mark.slow
@pytest.mark.parametrize("table", [keys.BLOBS, keys.EVENTS, keys.COMMITS])
async def test_every_bit_of_a_payload_an_event_and_a_commit_counts(
    scene: Scene, directory: Path, table: str
) -> None:
    async with lived_in(scene):
        pass
    store = Store(directory)
    rows = [row for row in store.rows(table) if row[1]]
    chosen = random.Random(2)
    for _ in range(FLIP_SEEDS):
        key, value = chosen.choice(rows)
        store.put(table, key, flipped(value, chosen))

        assert findings(directory), (key, value)

        store.put(table, key, value)
    assert not findings(directory)


def number_of(key: bytes) -> int:
    """The sequence of the last record in a row of a history."""
    return keys.to_number(key[-keys.NUMBER_BYTES :])


def flipped(data: bytes, chosen: random.Random) -> bytes:
    bit = chosen.randrange(len(data) * 8)
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ((keys.LOG, 0), "one is missing or out of place"),
        ((keys.LOG, 10), "one is missing or out of place"),
        ((keys.BLOBS, 0), "the payload of record 32 is gone"),
        ((keys.COMMITS, 1), "has another digest than the chain of commits"),
        ((keys.EVENTS, 0), "is gone"),
        ((keys.EVENT_NAMES, 0), "is not in the list of its name"),
        ((keys.RUNS, 0), "has records, but no row"),
    ],
)
async def test_a_row_that_is_gone_is_missed(
    scene: Scene, directory: Path, row: tuple[str, int], says: str
) -> None:
    async with lived_in(scene):
        pass
    table, index = row
    store = Store(directory)
    store.delete(table, store.rows(table)[index][0])

    assert any(says in found.message for found in findings(directory))


async def test_the_end_of_a_history_that_is_gone_is_missed(
    scene: Scene, directory: Path
) -> None:
    async with lived_in(scene) as holder:
        pass
    store = Store(directory)
    [*_, key] = [
        key
        for key, _ in store.rows(keys.LOG)
        if key.startswith(keys.run(holder.run_id), 2)
    ]
    store.delete(keys.LOG, key)

    found = findings(directory)

    assert [(finding.run_id, finding.record) for finding in found] == [
        (holder.run_id, holder.length)
    ]
    assert "is gone" in found[0].message


@pytest.mark.parametrize(
    "table", [keys.READY, keys.INBOX, keys.RUN_TIMERS, keys.TIMERS, keys.WAITS]
)
async def test_a_row_of_a_run_that_is_not_there_is_told(
    scene: Scene, directory: Path, table: str
) -> None:
    async with lived_in(scene):
        pass
    store = Store(directory)
    store.put(table, b"\0\0" + b"\x77" * 90, b"\x90")

    [found] = findings(directory)

    assert found.run_id == "run_" + "77" * 16
    assert f"the table {table!r} names a run without records" in found.message


async def test_a_run_row_that_is_damaged_is_told(scene: Scene, directory: Path) -> None:
    async with lived_in(scene):
        pass
    store = Store(directory)
    (first, _), (_, value) = store.rows(keys.RUNS)
    store.put(keys.RUNS, first, value)
    assert "the run's row names run_" in findings(directory)[0].message

    store.put(keys.RUNS, first, b"\xc1")
    assert "the run's row is damaged" in findings(directory)[0].message


@pytest.mark.slow
def test_no_flipped_bit_of_the_file_ends_the_process(
    scene: Scene, directory: Path
) -> None:
    trio.run(live_in, scene)
    data = directory / "data.mdb"
    sound = data.read_bytes()
    chosen = random.Random(3)
    for _ in range(FLIP_SEEDS):
        data.write_bytes(flipped(sound, chosen))
        with suppress(JournalError):
            list(verify(directory))
    data.write_bytes(sound)
    assert not findings(directory)


def test_a_place_without_a_journal_is_named(directory: Path) -> None:
    with pytest.raises(JournalForeign, match="there is no journal"):
        list(verify(directory))


async def test_a_reopened_journal_goes_on_with_its_chain(
    scene: Scene, directory: Path
) -> None:
    for _ in range(5):
        async with scene.open():
            await scene.emit(scene.event("again"))
        journal = await open_lmdb(directory, environment="prod")
        await journal.close()

    assert not findings(directory)


async def test_a_row_with_other_attributes_than_its_history_is_told(
    scene: Scene, directory: Path
) -> None:
    async with scene.open():
        for word in ("a", "b"):
            holder = await scene.start(word)
            changes = encode({"stage": word})
            await holder.append(Draft(AttributesSet(id="attributes:0"), changes))
            await holder.park(sleep("nap:0", until=scene.now + SECOND_US))
    assert not findings(directory)
    store = Store(directory)
    key, value = store.rows(keys.RUNS)[0]
    row = rows.RUN.decode(value)

    store.put(keys.RUNS, key, rows.RUN.encode(replace(row, attributes=b"")))

    [found] = findings(directory)
    assert found.run_id == row.run_id
    assert "other attributes than its history" in found.message


async def test_attributes_are_compared_above_lmdb_too(scene: Scene) -> None:
    async with scene.open() as journal:
        holder = await scene.start("a")
        changes = encode({"stage": "new"})
        await holder.append(Draft(AttributesSet(id="attributes:0"), changes))

        assert isinstance(journal, LmdbJournal)
        assert not findings(journal)
