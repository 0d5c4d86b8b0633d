"""Group commit: who waits together commits together, and fails alone."""

from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import trio
import trio.testing

from ironflow import limits
from ironflow.errors import (
    ConfigurationError,
    JournalError,
    JournalFailed,
    JournalFull,
)
from ironflow.journal.apply import apply
from ironflow.journal.base import (
    Answer,
    EmitEvents,
    Emitted,
    Hint,
    JournalCommand,
    RegisterFunctions,
)
from ironflow.journal.lmdb import batch, writer
from ironflow.journal.lmdb._lmdb import READERS_MAX, Environment
from ironflow.journal.lmdb.head import Head, read_head
from ironflow.journal.lmdb.store import LmdbJournal
from ironflow.journal.lmdb.verify import verify
from ironflow.journal.lmdb.wal import HALF_BYTES, Wal
from ironflow.journal.view import View
from ironflow.testing.checks_scene import Scene
from tests.journal.lmdb.commits import (
    broken,
    commit_all,
    commits,
    emits,
    file_size_limited_to,
    is_finding,
    opened,
    size_of,
    slow_disk,
)


async def test_many_tasks_share_a_commit(
    scene: Scene, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "DECIDE_SECONDS_MAX", 60.0)  # however slow this is
    async with opened(directory) as journal:
        before = commits(journal)

        answers = await commit_all(journal, emits(scene, 100))

        assert commits(journal) - before <= 3
        assert len(await journal.events(limit=1_000)) == 100
        assert all(isinstance(answer, Emitted) for answer in answers)


async def test_where_enough_callers_wait_their_commit_begins_at_once(
    scene: Scene, directory: Path
) -> None:
    one = batch.Submission(emits(scene, 1), trio.lowlevel.current_task())
    async with opened(directory) as journal:
        waiting = journal._writer._waiting
        waiting.extend([one] * (writer.GATHERED_ENOUGH - 1))
        with (
            pytest.raises(AssertionError, match="yielded"),
            trio.testing.assert_no_checkpoints(),
        ):
            await journal._writer._gather()
        waiting.append(one)
        with trio.testing.assert_no_checkpoints():
            await journal._writer._gather()
        waiting.clear()


async def test_a_slow_disk_is_left_to_the_thread(scene: Scene, directory: Path) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with opened(directory) as journal, trio.open_nursery() as nursery:
        slow_disk(journal)
        nursery.start_soon(other)
        await commit_all(journal, emits(scene, 20))
        slow_disk(journal)
        await commit_all(journal, emits(scene, 20))
        nursery.cancel_scope.cancel()

        assert journal._writer._thread is not None
        assert turns > 20
        assert len(await journal.events()) == 40


async def test_a_refused_command_leaves_the_others_alone(
    scene: Scene, directory: Path
) -> None:
    async with scene.open():
        holder = await scene.start()
        good, bad = holder.command(), holder.command()
        [first, second] = await scene.journal.commit([good, bad])
        event = scene.event("e")
        answers = await scene.journal.commit(
            [EmitEvents((event, event), scene.now), *emits(scene, 1)]
        )

        assert type(first) is type(second)
        assert [type(answer).__name__ for answer in answers] == ["Refused", "Emitted"]
    assert not list(filter(is_finding, verify(directory)))


async def test_an_exception_while_deciding_is_its_callers_alone(
    scene: Scene, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def guilty(view: View, command: JournalCommand, *, environment: str) -> Answer:
        answer = apply(view, command, environment=environment)
        if isinstance(command, RegisterFunctions):
            raise ZeroDivisionError
        return answer

    monkeypatch.setattr(batch, "apply", guilty)
    async with opened(directory) as journal:
        register = RegisterFunctions((scene.function("f", "e"),), scene.now)
        commands = [*emits(scene, 3), register, *emits(scene, 3)]

        answers = await commit_all(journal, commands)

        kinds = [type(answer).__name__ for answer in answers]
        assert kinds == ["Emitted"] * 3 + ["ZeroDivisionError"] + ["Emitted"] * 3
        assert len(await journal.events()) == 6
        assert not journal._memory.functions


async def test_a_store_that_cannot_be_read_fails_who_waits_and_goes_on(
    scene: Scene, directory: Path
) -> None:
    async with opened(directory) as journal:
        with ExitStack() as readers:
            use_up(readers, journal)
            answers = await commit_all(journal, emits(scene, 3))

        assert all("end some of them" in str(answer) for answer in answers)
        await journal.commit(emits(scene, 1))
        assert len(await journal.events()) == 1


def use_up(readers: ExitStack, journal: LmdbJournal) -> None:
    with suppress(JournalError):
        for _ in range(READERS_MAX + 1):
            readers.enter_context(journal.source.environment.snapshot())


@pytest.mark.parametrize("door", [Wal, Environment])
@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
async def test_no_error_of_a_commit_leaves_a_caller_waiting(
    scene: Scene,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    door: type,
    *,
    in_thread: bool,
) -> None:
    async with opened(directory) as journal:
        if in_thread:
            slow_disk(journal)
        monkeypatch.setattr(door, "append" if door is Wal else "write", broken)
        data = "x" * (HALF_BYTES if door is Environment else 1)
        answers = await commit_all(journal, emits(scene, 3, data=data))

        assert all(isinstance(answer, JournalFailed) for answer in answers)


async def test_a_cancelled_caller_waits_for_its_commit(
    scene: Scene, directory: Path
) -> None:
    async with opened(directory) as journal:
        with trio.CancelScope() as scope:
            scope.cancel()
            [answer] = await journal.commit(emits(scene, 1))

        assert isinstance(answer, Emitted)
        assert journal._memory.event_log.length == 1


async def test_what_does_not_fit_is_refused_and_the_rest_is_stored(
    scene: Scene, directory: Path
) -> None:
    async with opened(directory, map_bytes=2 << 20) as journal:
        large = emits(scene, 1, data="x" * (4 << 20))
        commands = [*emits(scene, 2), *large, *emits(scene, 2)]

        answers = await commit_all(journal, commands)

        kinds = [type(answer).__name__ for answer in answers]
        assert kinds == ["Emitted", "Emitted", "JournalFull", "Emitted", "Emitted"]
        assert len(await journal.events()) == 4
        with pytest.raises(JournalFull, match="nothing of this commit was stored"):
            await journal.commit(large)
        await journal.commit(emits(scene, 1))
    assert not list(filter(is_finding, verify(directory)))


@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
async def test_a_failed_commit_ends_the_journal(
    scene: Scene, directory: Path, *, in_thread: bool
) -> None:
    async with opened(directory) as journal:
        if in_thread:
            slow_disk(journal)
        await commit_all(journal, emits(scene, 5))
        size = size_of(directory / "data.mdb")
        with file_size_limited_to(size):
            answers = await commit_all(journal, emits(scene, 3, data="x" * 900_000))

        assert all(isinstance(answer, JournalFailed) for answer in answers)
        assert f"files may have {size} bytes" in str(answers[0])
        assert "bytes free" in str(answers[0])
        with pytest.raises(JournalFailed, match="takes no more"):
            await journal.commit(emits(scene, 1))
        assert len(await journal.events()) == 5
    async with opened(directory) as journal:
        assert len(await journal.events()) == 5


async def test_a_closed_journal_says_so(scene: Scene, directory: Path) -> None:
    async with opened(directory) as journal:
        pass

    with pytest.raises(JournalError, match="closed; open it again"):
        await journal.commit(emits(scene, 1))
    with pytest.raises(JournalError, match="closed; open it again"):
        await journal.events()
    await journal.close()


async def test_closing_waits_for_the_commits_under_way(
    scene: Scene, directory: Path
) -> None:
    async with opened(directory) as journal:
        slow_disk(journal)
        async with trio.open_nursery() as nursery:
            for command in emits(scene, 10):
                nursery.start_soon(journal.commit, [command])
            await trio.testing.wait_all_tasks_blocked()
            await journal.close()

    async with opened(directory) as journal:
        assert len(await journal.events()) == 10


async def test_too_many_commands_are_refused(scene: Scene, directory: Path) -> None:
    async with opened(directory) as journal:
        commands = emits(scene, limits.COMMIT_COMMANDS_MAX + 1)

        with pytest.raises(ConfigurationError, match="the limit is 1000"):
            await journal.commit(commands)


async def test_a_batch_ends_at_the_limit_of_commands(
    scene: Scene, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "COMMIT_COMMANDS_MAX", 10)
    async with opened(directory) as journal:
        before = commits(journal)

        await commit_all(journal, emits(scene, 35))

        assert commits(journal) - before >= 4
        assert len(await journal.events()) == 35


async def test_a_batch_that_takes_long_to_decide_lets_others_run(
    scene: Scene, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "DECIDE_SECONDS_MAX", -1.0)
    async with opened(directory) as journal:
        before = commits(journal)

        await commit_all(journal, emits(scene, 5))

        assert commits(journal) - before == 5


async def test_dead_readers_are_looked_for_now_and_then(
    scene: Scene, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(directory) as journal:
        checked = journal._writer._readers_checked
        await commit_and_checkpoint(journal, scene)
        assert journal._writer._readers_checked == checked

        monkeypatch.setattr(writer, "READER_CHECK_SECONDS", -1.0)
        await commit_and_checkpoint(journal, scene)

        assert journal._writer._readers_checked > checked


async def commit_and_checkpoint(journal: LmdbJournal, scene: Scene) -> None:
    await journal.commit(emits(scene, 1))
    await journal._writer._empty_log()


async def test_a_hint_tells_of_each_commit_until_it_is_stopped(
    scene: Scene, directory: Path
) -> None:
    hints: list[Hint] = []
    async with opened(directory) as journal:
        stop = journal.watch(hints.append)
        await journal.commit([RegisterFunctions((scene.function("f", "e"),), 1)])
        await journal.commit(emits(scene, 1))
        told = len(hints)
        stop()
        stop()
        await journal.commit(emits(scene, 1))

    assert told == len(hints) == 2
    assert len(hints[1].ready) == 1


async def test_the_head_file_is_behind_no_acknowledged_commit(
    scene: Scene, directory: Path
) -> None:
    async with opened(directory) as journal:
        await journal.commit(emits(scene, 1))

        memory = journal._memory
        store_id = journal._writer._wal.store_id
        expected = Head(memory.commit_number, memory.head, store_id)
        assert read_head(directory) == expected
