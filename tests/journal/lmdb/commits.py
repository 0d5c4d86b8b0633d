"""What tests of commits share: an open journal, many callers, and a disk with limits."""

import resource
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio

from ironflow.errors import JournalError
from ironflow.journal.base import Answer, EmitEvents, JournalCommand
from ironflow.journal.lmdb.store import LmdbJournal, open_lmdb
from ironflow.journal.lmdb.verify import Finding
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
    journal._writer.pace.held = 1 << 60


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


def broken(_: object, __: object) -> None:
    """Fail as nobody expects."""
    raise ZeroDivisionError


def is_finding(found: object) -> bool:
    return isinstance(found, Finding)
