"""Checkpoints: what the log has goes into LMDB, beside the commits that follow."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from ironflow.errors import JournalFailed, JournalFull
from ironflow.journal.base import Emitted
from ironflow.journal.lmdb import keys, writer
from ironflow.journal.lmdb._lmdb import Changes, Environment
from ironflow.journal.lmdb.store import LmdbJournal
from ironflow.journal.lmdb.verify import verify
from ironflow.journal.lmdb.wal import HALF_BYTES
from ironflow.testing.checks_scene import Scene
from tests.journal.lmdb.commits import (
    commit_all,
    emits,
    file_size_limited_to,
    is_finding,
    opened,
    size_of,
    slow_disk,
)

LARGE = "x" * (HALF_BYTES // 4)


class Gate:
    """LMDB's door, which a test opens; without it a checkpoint goes on and on."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.fails = False
        self._open = threading.Event()
        write = Environment.write

        def gated(
            environment: Environment, changes: Changes, **_: Callable[[], object]
        ) -> None:
            assert self._open.wait(20)
            if self.fails:
                raise OSError(28, "No space left on device")
            write(environment, changes)

        patch.setattr(Environment, "write", gated)

    def open(self) -> None:
        self._open.set()


def stored_events(journal: LmdbJournal) -> int:
    """How many events LMDB has."""
    with journal.source.environment.snapshot() as snapshot:
        return snapshot.entries(keys.EVENTS)


async def test_a_commit_is_in_the_log_alone_until_the_journal_closes(
    scene: Scene, directory: Path
) -> None:
    async with opened(directory) as journal:
        await journal.commit(emits(scene, 5))

        assert stored_events(journal) == 0
        assert len(await journal.events()) == 5

        await journal.close()
    async with opened(directory) as journal:
        assert stored_events(journal) == 5


@pytest.mark.parametrize(
    ("bound", "value"), [("CHECKPOINT_BYTES", 4096), ("CHECKPOINT_ROWS", 10)]
)
async def test_a_log_that_is_long_goes_into_lmdb(
    scene: Scene,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    bound: str,
    value: int,
) -> None:
    monkeypatch.setattr(writer, bound, value)
    async with opened(directory) as journal:
        for _ in range(20):
            await journal.commit(emits(scene, 1))
        if journal._writer._committed.is_freezing:
            await journal._writer._next_checkpoint()

        assert 0 < stored_events(journal) <= 20


async def test_commits_go_on_while_a_checkpoint_is_under_way(
    scene: Scene, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(directory) as journal:
        await journal.commit(emits(scene, 3))
        gate = Gate(monkeypatch)
        journal._writer._begin_checkpoint()

        await journal.commit(emits(scene, 4))

        assert stored_events(journal) == 0
        assert len(await journal.events()) == 7
        gate.open()
    async with opened(directory) as journal:
        assert len(await journal.events()) == 7
    assert not list(filter(is_finding, verify(directory)))


async def fill(journal: LmdbJournal, scene: Scene) -> None:
    """Fill both halves; one of them is on its way into LMDB."""
    for _ in range(4):
        await journal.commit(emits(scene, 1, data=LARGE))
    assert not journal._writer._wal.used + len(LARGE) < HALF_BYTES


async def test_a_full_log_makes_commits_wait_for_lmdb(
    scene: Scene, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(directory) as journal:
        gate = Gate(monkeypatch)
        await fill(journal, scene)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(commit_all, journal, emits(scene, 3, data=LARGE))
            await trio.testing.wait_all_tasks_blocked()
            waited = len(await journal.events())
            gate.open()

        assert waited == 4
        assert len(await journal.events()) == 7
    assert not list(filter(is_finding, verify(directory)))


async def test_a_cancel_does_not_lose_the_batch_that_waits_for_room(
    scene: Scene, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(directory) as journal:
        gate = Gate(monkeypatch)
        await fill(journal, scene)
        answers: list[object] = []

        async def emit(scope: trio.CancelScope) -> None:
            with scope:
                answers.extend(await journal.commit(emits(scene, 1, data=LARGE)))

        scopes = [trio.CancelScope() for _ in range(2)]
        async with trio.open_nursery() as nursery:
            for scope in scopes:
                nursery.start_soon(emit, scope)
            await trio.testing.wait_all_tasks_blocked()
            for scope in scopes:
                scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
            gate.open()

        assert [type(answer) for answer in answers] == [Emitted, Emitted]
        assert len(await journal.events()) == 6


@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
async def test_a_commit_too_large_for_the_log_goes_into_lmdb(
    scene: Scene, directory: Path, *, in_thread: bool
) -> None:
    async with opened(directory) as journal:
        if in_thread:
            slow_disk(journal)
        for _ in range(2):
            await journal.commit(emits(scene, 2))
            await journal.commit(emits(scene, 1, data="x" * (HALF_BYTES + 1)))
            await journal.commit(emits(scene, 1))

        assert stored_events(journal) == 7
        assert [stored.position for stored in await journal.events()] == [*range(1, 9)]
    async with opened(directory) as journal:
        assert [stored.position for stored in await journal.events()] == [*range(1, 9)]
    assert not list(filter(is_finding, verify(directory)))


async def test_a_map_that_is_nearly_full_is_filled_commit_by_commit(
    scene: Scene, directory: Path
) -> None:
    """A checkpoint must not be what finds the map full: its commits are promised."""
    async with opened(directory, map_bytes=24 << 20) as journal:
        answers = await commit_all(journal, emits(scene, 100, data="x" * 300_000))

        full = [answer for answer in answers if isinstance(answer, JournalFull)]
        count = 100 - len(full)
        assert "nothing of this commit was stored" in str(full[0])
        assert len(await journal.events()) == count > 20
    async with opened(directory, map_bytes=64 << 20) as journal:
        assert len(await journal.events()) == count
        await journal.commit(emits(scene, 1))


async def test_a_checkpoint_that_fails_at_the_end_loses_nothing(
    scene: Scene, directory: Path
) -> None:
    async with opened(directory) as journal:
        await journal.commit(emits(scene, 5, data="x" * 100_000))
        with file_size_limited_to(size_of(directory / "data.mdb")):
            await journal.close()
    async with opened(directory) as journal:
        assert len(await journal.events()) == 5


async def test_a_checkpoint_that_fails_ends_the_journal_and_loses_nothing(
    scene: Scene, directory: Path
) -> None:
    async with opened(directory) as journal:
        await journal.commit(emits(scene, 5, data="x" * 100_000))
        with file_size_limited_to(size_of(directory / "data.mdb")):
            await journal._writer._empty_log()
        with pytest.raises(JournalFailed, match=r"all that was acknowledged.*free"):
            await journal.commit(emits(scene, 1))
        assert len(await journal.events()) == 5
    async with opened(directory) as journal:
        assert len(await journal.events()) == 5
    assert not list(filter(is_finding, verify(directory)))


async def test_who_waits_for_a_checkpoint_that_fails_is_told(
    scene: Scene, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(directory) as journal:
        gate = Gate(monkeypatch)
        await fill(journal, scene)
        answers: list[object] = []

        async def collect() -> None:
            answers.extend(await commit_all(journal, emits(scene, 3, data=LARGE)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(collect)
            await trio.testing.wait_all_tasks_blocked()
            gate.fails = True
            gate.open()

        assert [type(answer) for answer in answers] == [JournalFailed] * 3
        assert len(await journal.events()) == 4
    gate.fails = False
    async with opened(directory) as journal:
        assert len(await journal.events()) == 4


async def test_a_space_that_is_short_is_told_when_a_log_is_made(
    scene: Scene, directory: Path
) -> None:
    async with opened(directory) as journal:
        await journal.commit(emits(scene, 1))
    remove(directory / "wal")
    with (
        file_size_limited_to(HALF_BYTES),
        pytest.raises(JournalFull, match="wal cannot be made: File too large; make"),
    ):
        async with opened(directory):
            pass

    async with opened(directory) as journal:
        assert len(await journal.events()) == 1


def remove(path: Path) -> None:
    path.unlink()
