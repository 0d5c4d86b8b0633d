"""Group commit: who waits together commits together, and fails alone."""

import resource
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
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
from ironflow.journal.lmdb.pace import LOOP_SECONDS_MAX, Pace
from ironflow.journal.lmdb.store import LmdbJournal, open_lmdb
from ironflow.journal.lmdb.verify import Finding, verify
from ironflow.journal.view import View
from ironflow.testing.checks_scene import Scene


@asynccontextmanager
async def opened(
    directory: Path, *, map_bytes: int = 1 << 30
) -> AsyncGenerator[LmdbJournal]:
    journal = await open_lmdb(directory, map_bytes=map_bytes)
    try:
        yield journal
    finally:
        await journal.close()


def slow_disk(journal: LmdbJournal) -> None:
    """Let the journal believe that commits take long, so that it hands them over."""
    journal._writer.pace.seconds = 1e9


async def commit_all(
    journal: LmdbJournal, commands: Sequence[JournalCommand]
) -> list[Answer | BaseException]:
    """Commit each command in a task of its own; return what became of each."""
    found: dict[int, Answer | BaseException] = {}

    async def commit(index: int, command: JournalCommand) -> None:
        try:
            [found[index]] = await journal.commit([command])
        except (JournalError, ZeroDivisionError) as error:
            found[index] = error

    async with trio.open_nursery() as nursery:
        for index, command in enumerate(commands):
            nursery.start_soon(commit, index, command)
    return [found[index] for index in range(len(commands))]


def emits(scene: Scene, count: int, *, data: object = None) -> list[JournalCommand]:
    return [EmitEvents((scene.event("e", data),), scene.now) for _ in range(count)]


def commits(journal: LmdbJournal) -> int:
    return journal._memory.commit_number


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
            readers.enter_context(journal.store.snapshot())


@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
async def test_no_error_of_a_commit_leaves_a_caller_waiting(
    scene: Scene, directory: Path, monkeypatch: pytest.MonkeyPatch, *, in_thread: bool
) -> None:
    def broken(_: object, __: object) -> None:
        raise ZeroDivisionError

    async with opened(directory) as journal:
        if in_thread:
            slow_disk(journal)
        monkeypatch.setattr(Environment, "write", broken)
        answers = await commit_all(journal, emits(scene, 3))

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


def size_of(path: Path) -> int:
    return path.stat().st_size


@contextmanager
def file_size_limited_to(size: int) -> Generator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


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
        await journal.commit(emits(scene, 1))
        assert journal._writer._readers_checked == checked

        monkeypatch.setattr(writer, "READER_CHECK_SECONDS", -1.0)
        await journal.commit(emits(scene, 1))

        assert journal._writer._readers_checked > checked


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
        assert read_head(directory) == Head(memory.commit_number, memory.head)


def test_a_stall_is_remembered_for_a_while() -> None:
    pace = Pace()
    pace.observe(0.02)
    assert not pace.stays_in_loop()

    for _ in range(100):
        pace.observe(LOOP_SECONDS_MAX / 20)

    assert pace.stays_in_loop()


def is_finding(found: object) -> bool:
    return isinstance(found, Finding)
