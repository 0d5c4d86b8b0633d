"""Damaged copies of a directory: what is wrong is said, and what is intact is saved."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest
import trio

from ironflow import limits
from ironflow.errors import ConfigurationError, JournalDamaged, JournalOwned
from ironflow.journal.base import DeleteEvents, RunQuery
from ironflow.journal.lmdb import apart
from ironflow.journal.lmdb.doctor import Diagnosis, diagnose
from ironflow.journal.lmdb.ordered import ordered
from ironflow.journal.lmdb.salvage import Plan, Salvaged, salvage
from ironflow.journal.lmdb.salvage_events import LOST_EVENT
from ironflow.journal.lmdb.verify import Finding, verify
from ironflow.testing.checks_asks import completed, ended, sleep, wait
from ironflow.testing.checks_scene import SECOND_US, Scene
from tests.journal.lmdb.commits import opened
from tests.journal.lmdb.conftest import store_in

RUNS = 40
DAMAGES = 3


def nobody(*_: object) -> None:
    """Look at no progress."""


async def fill(directory: Path) -> None:
    scene = Scene("doctor", store_in(directory))
    for _ in range(2):  # so that there is more than one row of commits
        async with scene.open():
            for number in range(RUNS // 2):
                await begin(scene, number)


async def begin(scene: Scene, number: int) -> None:
    holder = await scene.start(f"job{number}")
    step = completed("a:0", f"result of {holder.run_id}")
    if number % 4:
        await holder.append(step, ended())
    else:
        nap = sleep("nap:0", until=scene.now + SECOND_US)
        await holder.park(step, nap, wait("w:0", "e"))


@pytest.fixture
def filled(directory: Path) -> Path:
    """A directory with closed runs and open ones; nobody owns it."""
    trio.run(fill, directory)
    return directory


def examined(directory: Path) -> Diagnosis:
    return diagnose(directory, nobody)


def saved(
    directory: Path, target: Path, *, resume: bool = False, partial: bool = False
) -> Salvaged:
    damaged = sorted(examined(directory).damaged)
    plan = Plan(resume=resume, partial=partial)
    return salvage(directory, target, nobody, damaged=damaged, plan=plan)


def findings(directory: Path) -> list[Finding]:
    return [found for found in verify(directory) if isinstance(found, Finding)]


async def all_runs(directory: Path) -> dict[str, tuple[str, int]]:
    async with opened(directory) as journal:
        found = await journal.find(RunQuery(limit=1_000))
        return {each.row.run_id: (each.status, each.length) for each in found}


def changed(path: Path, before: bytes, after: bytes) -> None:
    data = path.read_bytes()
    assert before in data
    path.write_bytes(data.replace(before, after))


# --- what is wrong ------------------------------------------------------------------


def test_a_healthy_directory_is_said_to_be(filled: Path) -> None:
    found = examined(filled)

    assert found.is_healthy
    assert found.owner is None
    assert found.intact == [
        f"{RUNS} of {RUNS} runs are intact",
        f"{RUNS} of {RUNS} events are intact",
    ]
    assert found.advice == ["nothing has to be done"]
    assert found.files["wal"] == (filled / "wal").stat().st_size


async def test_an_owner_is_named(directory: Path) -> None:
    """While it works, its rows are read beside it."""
    await fill(directory)
    async with opened(directory):
        found = examined(directory)

    assert found.is_healthy
    assert found.owner is not None
    assert "owns the directory" in found.notes[0]


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    found = examined(tmp_path / "none")

    assert not found.is_healthy
    assert "there is no journal" in found.wrong[0]
    assert found.intact == []


def no_head(directory: Path) -> None:
    (directory / "head").unlink()


def torn_head(directory: Path) -> None:
    (directory / "head").write_bytes(b"\0" * 64)


def no_wal(directory: Path) -> None:
    (directory / "wal").unlink()


@pytest.mark.parametrize(
    ("damage", "note"),
    [(no_head, "'head' is missing"), (torn_head, "'head' says"), (no_wal, "'wal' is")],
)
def test_what_the_next_owner_makes_again_is_only_noted(
    filled: Path, damage: Callable[[Path], None], note: str
) -> None:
    damage(filled)

    found = examined(filled)

    assert found.is_healthy
    assert note in found.notes[0]


def wrong_wal(directory: Path) -> None:
    (directory / "wal").write_bytes(b"\0" * 9_000)


def cut_wal(directory: Path) -> None:
    (directory / "wal").write_bytes((directory / "wal").read_bytes()[:5_000])


def foreign_store(directory: Path) -> None:
    (directory / "data.mdb").write_bytes(b"SQLite format 3\0" * 1_000)


def empty_store(directory: Path) -> None:
    (directory / "data.mdb").write_bytes(b"")


def cut_store(directory: Path) -> None:
    data = (directory / "data.mdb").read_bytes()
    (directory / "data.mdb").write_bytes(data[: len(data) // 2])


def swapped_pages(directory: Path) -> None:
    data = bytearray((directory / "data.mdb").read_bytes())
    a, b = slice(5 * 4096, 6 * 4096), slice(8 * 4096, 9 * 4096)
    data[a], data[b] = data[b], data[a]
    (directory / "data.mdb").write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (wrong_wal, "does not begin as a write-ahead log"),
        (cut_wal, "was cut off at 5000 bytes"),
        (foreign_store, "not an ironflow journal"),
        (empty_store, "is empty"),
        (cut_store, "was cut off"),
        (swapped_pages, "not what LMDB wrote"),
    ],
)
def test_a_damaged_file_is_named(
    filled: Path, damage: Callable[[Path], None], said: str
) -> None:
    damage(filled)

    found = examined(filled)

    assert not found.is_healthy
    assert any(said in each for each in found.wrong)
    assert "take a copy" in found.advice[0]


def test_a_head_that_is_ahead_is_named(filled: Path) -> None:
    """Commits are gone: an old copy of the store was put back."""
    old = (filled / "data.mdb").read_bytes()
    trio.run(fill_more, filled)
    (filled / "data.mdb").write_bytes(old)
    (filled / "wal").unlink()

    found = examined(filled)

    assert any("is older than its head file says" in each for each in found.wrong)


async def fill_more(directory: Path) -> None:
    scene = Scene("more", store_in(directory))
    async with scene.open():
        await scene.start()


@pytest.mark.slow
def test_no_flipped_bits_end_the_doctor(filled: Path, tmp_path: Path) -> None:
    """Wherever they are: it says something is wrong, or nothing that counts is."""
    seed = int(os.environ.get("IRONFLOW_DAMAGE_SEED") or random.randrange(2**32))
    print(f"seed {seed}")
    chosen = random.Random(seed)
    whole = trio.run(all_runs, filled)
    data = (filled / "data.mdb").read_bytes()
    for number in range(DAMAGES):
        bad = bytearray(data)
        for _ in range(20):
            bad[chosen.randrange(2 * 4096, len(bad))] ^= 1 << chosen.randrange(8)
        (filled / "data.mdb").write_bytes(bad)
        found = examined(filled)
        target = tmp_path / f"saved{number}"
        try:
            result = saved(filled, target)
        except JournalDamaged:
            continue  # not even the list of runs can be read

        assert result.runs <= set(whole)
        assert found.runs >= -1
        after = trio.run(all_runs, target)
        assert {run_id: after[run_id][1] for run_id in result.runs} == {
            run_id: whole[run_id][1] for run_id in result.runs
        }


# --- what is saved ------------------------------------------------------------------


def test_all_of_a_whole_journal_is_saved(filled: Path, tmp_path: Path) -> None:
    before = trio.run(all_runs, filled)

    found = saved(filled, tmp_path / "new")

    assert (found.lost, found.cut, found.events_lost) == ({}, {}, [])
    assert (found.runs, found.events) == (set(before), RUNS)
    assert findings(tmp_path / "new") == []
    after = trio.run(all_runs, tmp_path / "new")
    for run_id, (status, length) in before.items():
        assert after[run_id] == (
            status if status == "completed" else "paused",
            length,
        )


def test_open_runs_go_on_when_it_is_said(filled: Path, tmp_path: Path) -> None:
    before = trio.run(all_runs, filled)

    saved(filled, tmp_path / "new", resume=True)

    after = trio.run(all_runs, tmp_path / "new")
    waiting = [run_id for run_id, (status, _) in before.items() if status == "waiting"]
    assert waiting
    assert {after[run_id][0] for run_id in waiting} == {"running"}


def test_a_damaged_run_is_lost_and_the_others_are_not(
    filled: Path, tmp_path: Path
) -> None:
    """Or its beginning is saved, if that is asked for."""
    before = trio.run(all_runs, filled)
    run_id = next(each for each, (status, _) in before.items() if status == "completed")
    changed(filled / "data.mdb", f"of {run_id}".encode(), f"if {run_id}".encode())

    whole = saved(filled, tmp_path / "whole")
    partial = saved(filled, tmp_path / "partial", partial=True)

    assert examined(filled).damaged == {run_id}
    assert set(whole.lost) == {run_id}
    assert whole.runs == set(before) - {run_id}
    assert findings(tmp_path / "whole") == []
    assert partial.lost == {}
    assert "only its first 1 records are intact" in partial.cut[run_id]
    assert trio.run(all_runs, tmp_path / "partial")[run_id] == ("paused", 1)
    assert findings(tmp_path / "partial") == []


def test_a_lost_event_keeps_its_place(filled: Path, tmp_path: Path) -> None:
    """Positions of the others are what they were."""
    events = trio.run(all_events, filled)
    with lmdb.open(str(filled), max_dbs=32, map_size=1 << 30) as environment:
        table = environment.open_db(b"events")
        with environment.begin(write=True, db=table) as txn:
            [*_, key] = [key for key, _ in txn.cursor()][:4]
            txn.delete(key)
            [*_, key] = [key for key, _ in txn.cursor()][:7]
            row = txn.get(key)
            assert row is not None
            txn.put(key, row[:-1] + b"\0")

    found = saved(filled, tmp_path / "new")

    after = trio.run(all_events, tmp_path / "new")
    assert found.events_lost == [(4, 4), (8, 8)]
    assert found.events == RUNS - 2
    assert [place for place, each in enumerate(after, 1) if each[1] == LOST_EVENT] == [
        *(4, 8)
    ]
    assert [each for each in after if each[1] != LOST_EVENT] == [
        each for place, each in enumerate(events, 1) if place not in {4, 8}
    ]
    assert len(found.runs) == RUNS


@pytest.mark.parametrize("damage", [0, 2])
def test_events_that_were_deleted_are_not_lost(
    directory: Path, tmp_path: Path, damage: int
) -> None:
    """The new log begins where the old one does; what is lost behind that is told."""
    trio.run(emit_and_delete, directory)
    events = trio.run(all_events, directory)
    with lmdb.open(str(directory), max_dbs=32, map_size=1 << 30) as environment:
        table = environment.open_db(b"events")
        for _ in range(damage):
            with environment.begin(write=True, db=table) as txn:
                cursor = txn.cursor()
                assert cursor.first()
                cursor.delete()

    found = saved(directory, tmp_path / "new")

    after = trio.run(all_events, tmp_path / "new")
    assert found.events_lost == ([(8, 9)] if damage else [])
    assert after == events[damage:]
    assert trio.run(first_place, tmp_path / "new") == 8 + damage


async def emit_and_delete(directory: Path) -> None:
    scene = Scene("late", store_in(directory))
    async with scene.open():
        for _ in range(20):
            await scene.emit(scene.event("e"))
    async with scene.open():  # all of it is in LMDB
        assert await scene.done(DeleteEvents(7, scene.now + 1), what="old ones")


async def first_place(directory: Path) -> int:
    async with opened(directory) as journal:
        [first] = await journal.events(limit=1)
        return first.position


async def all_events(directory: Path) -> list[tuple[str, str]]:
    async with opened(directory) as journal:
        found = await journal.events(">", limit=1_000)
        return [(each.event.id, each.event.name) for each in found]


def test_a_log_with_a_hole_costs_what_is_behind_it(
    filled: Path, tmp_path: Path
) -> None:
    """The store is as after a crash: its newest commits are in the log only."""
    crashed = tmp_path / "crashed"
    trio.run(crash, filled, crashed)
    data = bytearray((crashed / "wal").read_bytes())
    data[4096 + 100] ^= 1
    (crashed / "wal").write_bytes(data)

    found = saved(crashed, tmp_path / "new")

    assert any("without commit" in each for each in examined(crashed).wrong)
    assert len(found.runs) == RUNS
    assert findings(tmp_path / "new") == []


def test_a_whole_log_is_saved_with_the_store(filled: Path, tmp_path: Path) -> None:
    crashed = tmp_path / "crashed"
    trio.run(crash, filled, crashed)

    found = saved(crashed, tmp_path / "new")

    assert examined(crashed).is_healthy
    assert len(found.runs) == RUNS + 3


async def crash(directory: Path, copy: Path) -> None:
    scene = Scene("crash", store_in(directory))
    async with scene.open():
        for number in range(3):
            await begin(scene, number)
        shutil.copytree(directory, copy, ignore=shutil.ignore_patterns("owner*"))


async def test_a_journal_that_is_used_is_not_salvaged(
    directory: Path, tmp_path: Path
) -> None:
    async with opened(directory):
        with pytest.raises(JournalOwned, match="stop it"):
            salvage(directory, tmp_path / "new", nobody, damaged=[], plan=Plan())


def test_nothing_is_written_over(filled: Path) -> None:
    with pytest.raises(ConfigurationError, match="not empty"):
        salvage(filled, filled, nobody, damaged=[], plan=Plan())


# --- a process that dies --------------------------------------------------------------


def test_rows_in_circles_come_to_an_end() -> None:
    """A page that names an earlier one as the next."""
    table = [(b"a", b""), (b"b", b""), (b"a", b"")]

    found = ordered(table, start=b"")

    assert [next(found), next(found)] == table[:2]
    with pytest.raises(JournalDamaged, match="not in order"):
        next(found)


def test_a_process_that_falls_silent_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    told = apart.told_by(silent)
    assert next(told) == {"number": 1}
    monkeypatch.setattr(limits, "APART_SILENCE_S_MAX", 1)

    with pytest.raises(JournalDamaged, match="said nothing for 1 s"):
        next(told)


def silent() -> None:
    """Say half of what there is to say, and wait for ever."""
    import threading

    os.write(1, b'{"number":1}\n{"number"')
    threading.Event().wait()


def test_a_process_that_wants_all_memory_is_ended() -> None:
    with pytest.raises(JournalDamaged, match=r"died .*MemoryError"):
        next(apart.told_by(greedy))


def greedy() -> None:
    """Ask for more than there is."""
    bytearray(limits.APART_BYTES_MAX)


def test_a_process_that_dies_is_noticed() -> None:
    told = apart.told_by(dying, "5")
    assert next(told) == {"number": 5}

    with pytest.raises(JournalDamaged, match="died"):
        next(told)


def dying(number: str) -> None:
    """Say something, then die of a signal."""
    import os
    import signal

    apart.say({"number": int(number)})
    os.kill(os.getpid(), signal.SIGSEGV)


def test_the_run_that_it_dies_of_is_given_up(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = sorted(trio.run(all_runs, filled))[7]
    real = apart.told_by
    deaths = [0]

    def dies_of_it(work: Callable[..., None], *args: str) -> object:
        for message in real(work, *args):
            yield message
            if message.get("trying") == run_id:
                deaths[0] += 1
                raise JournalDamaged("the process that read the store died (9)")

    monkeypatch.setattr(apart, "told_by", dies_of_it)
    found = salvage(filled, tmp_path / "new", nobody, damaged=[], plan=Plan())

    assert deaths == [1]
    assert found.lost == {run_id: "the process that read the store died (9)"}
    assert len(found.runs) == RUNS - 1
