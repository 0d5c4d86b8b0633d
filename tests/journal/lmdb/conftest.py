"""A directory, a scene on it, and programs that run beside this one."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from ironflow.journal.base import Journal
from ironflow.journal.lmdb.store import open_lmdb
from ironflow.testing.checks_scene import Scene

Program = Callable[[str], "subprocess.CompletedProcess[str]"]


def store_in(
    directory: Path, *, environment: str = "default"
) -> Callable[[], AbstractAsyncContextManager[Journal]]:
    """Return a function that opens the directory each time it is called."""

    @asynccontextmanager
    async def open_journal() -> AsyncGenerator[Journal]:
        journal = await open_lmdb(directory, environment=environment)
        try:
            yield journal
        finally:
            await journal.close()

    return open_journal


def started(source: str, directory: Path) -> "subprocess.Popen[bytes]":
    """Start Python source beside this process; it ends when its input does."""
    return subprocess.Popen(
        [sys.executable, "-c", source, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory, if the system has one: nothing in it need be durable."""
    memory = Path("/dev/shm")
    root = memory if os.access(memory, os.W_OK) else tmp_path
    directory = root / f"ironflow-{os.getpid()}-{tmp_path.name}"
    directory.mkdir()
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def scene(directory: Path) -> Scene:
    return Scene("lmdb", store_in(directory))


@pytest.fixture
def program(directory: Path) -> Program:
    """Run Python source in another process; `directory` is its first argument."""

    def run(source: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", source, str(directory)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
