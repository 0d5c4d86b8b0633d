"""Journals of every layout that was ever written open, hold what they held, and go on."""

import json
import lzma
import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lmdb
import pytest
import trio

from ironflow.debug.replay import Replay
from ironflow.engine.open import open_engine
from ironflow.errors import JournalDamaged, JournalFull, JournalOlder
from ironflow.journal.base import RunQuery, RunSummary
from ironflow.journal.lmdb import head, keys, migrate, opening, wal
from ironflow.journal.lmdb.store import open_lmdb, open_reader
from ironflow.journal.lmdb.verify import Finding, verify
from ironflow.records import Entry
from tests.histories.make import described
from tests.histories.workflows import app

HERE = Path(__file__).parent
LAYOUTS = sorted(path.name for path in HERE.glob("layout-*"))


def taken_out(layout: str, directory: Path) -> Path:
    """A copy of a journal of the museum."""
    directory.mkdir()
    data = lzma.decompress((HERE / layout / "data.mdb.xz").read_bytes())
    (directory / "data.mdb").write_bytes(data)
    shutil.copy(HERE / layout / "head", directory / "head")
    return directory


def expected(layout: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (HERE / layout / "expected.json").read_text(encoding="utf-8")
    )
    return found


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def old(layout: str, tmp_path: Path) -> Path:
    return taken_out(layout, tmp_path / "data")


async def opened(directory: Path) -> None:
    """Open a directory as its owner, which brings it up to date."""
    journal = await open_lmdb(directory)
    await journal.close()


async def test_it_holds_what_it_held(layout: str, old: Path) -> None:
    await opened(old)

    for environment, wanted in expected(layout).items():
        reader = await open_reader(old, environment=environment)
        assert await described(reader) == wanted
        await reader.close()
    assert not [each for each in verify(old) if isinstance(each, Finding)]


def test_its_runs_replay_with_their_code(old: Path) -> None:
    trio.run(opened, old)
    for run, entries in trio.run(histories, old):
        function_id = run.row.function_id
        wanted = {"stops"} if function_id == "broken" else {"same", "extends"}

        assert verdict(function_id, run.row.run_id, entries) in wanted


async def histories(directory: Path) -> list[tuple[RunSummary, Sequence[Entry]]]:
    reader = await open_reader(directory)
    found = [
        (run, await reader.history(run.row.run_id))
        for run in await reader.find(RunQuery(limit=1_000))
    ]
    await reader.close()
    return found


def verdict(function_id: str, run_id: str, entries: Sequence[Entry]) -> str:
    replaying = Replay(app.programs[function_id], run_id)
    while True:
        replaying.take(entries)
        found = replaying.verdict()
        if found is not None:
            return found.kind
        replaying = replaying.closer()


async def test_its_runs_go_on(old: Path) -> None:
    async with open_engine(app, f"lmdb:{old}") as engine:
        waiting = await engine.list_runs(function_id="parent")
        with_news = await engine.list_runs(function_id="seek")
        queued = await engine.list_runs(function_id="greet")
        await engine.emit("spoken")

        for run in (*waiting, *with_news, *queued):
            ended = await engine.result(run.id, timeout=20)
            assert ended.status in {"completed", "cancelled"}, ended
    assert not [each for each in verify(old) if isinstance(each, Finding)]


async def test_a_key_that_was_used_is_known(old: Path) -> None:
    async with open_engine(app, f"lmdb:{old}") as engine:
        receipt = await engine.emit("hello", "Ada", idempotency_key="hello-0")

        assert receipt.duplicate


# --- layout 1 -> 2 --------------------------------------------------------------


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return taken_out("layout-1", tmp_path / "first")


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def test_a_reader_says_who_must_open_it(first: Path) -> None:
    before = names_in(first)

    with pytest.raises(JournalOlder, match="start an engine on it once"):
        await open_reader(first)
    with pytest.raises(JournalOlder, match="start an engine on it once"):
        list(verify(first))

    assert names_in(first) - {"lock.mdb"} == before


async def test_the_old_file_is_kept_as_it_was(first: Path) -> None:
    before = (first / "data.mdb").read_bytes()

    await opened(first)
    await opened(first)

    assert (first / migrate.KEPT).read_bytes() == before
    assert names_in(first) == {
        "data.mdb",
        "lock.mdb",
        "head",
        "index",
        "owner",
        "wal",
        migrate.KEPT,
    }


STEPS = [
    (opening, "sync"),
    (wal, "make"),
    (os, "link"),
    (Path, "rename"),
    (Path, "unlink"),
    (migrate, "_commits"),
]


@pytest.mark.slow
async def test_it_is_brought_up_after_a_crash_anywhere(
    first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left at each step is a store of the old layout, or of the new one."""
    left: list[Path] = []

    def leaving(original: Any) -> Any:
        def step(*args: Any, **options: Any) -> Any:
            left.append(first.with_name(f"left-{len(left)}"))
            shutil.copytree(first, left[-1], ignore=shutil.ignore_patterns("owner*"))
            return original(*args, **options)

        return step

    monkeypatch.setattr(wal, "make", partial(wal.make, half_bytes=16 * 1024))
    with monkeypatch.context() as patch:
        for owner, name in STEPS:
            patch.setattr(owner, name, leaving(getattr(owner, name)))
        await opened(first)

    assert len(left) > 10
    for directory in left:
        journal = await open_lmdb(directory)
        assert await described(journal) == expected("layout-1")["default"]
        await journal.close()
        assert not [each for each in verify(directory) if isinstance(each, Finding)]


async def test_a_crash_leaves_no_half_made_store(
    first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (first / "data.mdb").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(wal, "make", full)
        with pytest.raises(JournalFull, match=r"No space left.*nothing has changed"):
            await open_lmdb(first)

    assert (first / "data.mdb").read_bytes() == before
    assert not (first / "creating").exists()
    await opened(first)


async def test_without_links_the_old_file_is_copied(
    first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    before = (first / "data.mdb").read_bytes()
    monkeypatch.setattr(os, "link", refused)

    await opened(first)

    assert (first / migrate.KEPT).read_bytes() == before


async def test_an_old_copy_is_not_brought_up(first: Path) -> None:
    ahead = head.Head(1_000_000, b"d" * 16, head.NO_STORE_ID)
    (first / "head").write_bytes(head.frame(ahead))

    with pytest.raises(JournalDamaged, match=r"lacks commit 1000000.*newest copy"):
        await open_lmdb(first)

    (first / "head").unlink()
    await opened(first)


async def test_a_damaged_page_is_not_brought_up(first: Path) -> None:
    data = bytearray((first / "data.mdb").read_bytes())
    data[-4090] ^= 0xFF
    (first / "data.mdb").write_bytes(data)

    with pytest.raises(JournalDamaged, match="is damaged"):
        await open_lmdb(first)


@pytest.mark.parametrize("table", [keys.LOG, keys.COMMITS])
async def test_a_row_that_is_gone_is_missed_as_before(first: Path, table: str) -> None:
    with lmdb.open(str(first), max_dbs=40) as store:
        handle = store.open_db(table.encode())
        with store.begin(write=True) as txn, txn.cursor(handle) as cursor:
            gone = [key for key, _ in cursor][5]
            txn.delete(gone, db=handle)

    if table == keys.COMMITS:
        with pytest.raises(JournalDamaged, match="commit 7 is not what was written"):
            await open_lmdb(first)
        return
    await opened(first)
    assert [each for each in verify(first) if isinstance(each, Finding)]
