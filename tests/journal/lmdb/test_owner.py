"""One process owns a directory; the next is told which."""

import os
from pathlib import Path

import pytest

from ironflow.errors import ConfigurationError, JournalOwned
from ironflow.journal.lmdb import owner
from ironflow.journal.lmdb.owner import is_owned, read_owner
from ironflow.journal.lmdb.store import open_lmdb, open_reader
from tests.journal.lmdb.conftest import Program, started

OWN = """
import sys, trio
from ironflow.journal.lmdb.store import open_lmdb
async def main():
    await open_lmdb(sys.argv[1])
    print("owned", flush=True)
    sys.stdin.read()
trio.run(main)
"""

OPEN = """
import sys, trio
from ironflow.errors import JournalOwned
from ironflow.journal.lmdb.owner import is_owned, read_owner
from ironflow.journal.lmdb.store import open_lmdb
try:
    trio.run(open_lmdb, sys.argv[1])
except JournalOwned as error:
    print(error)
print(read_owner(sys.argv[1]), is_owned(sys.argv[1]))
"""


async def test_another_process_is_told_who_owns_the_directory(
    directory: Path, program: Program
) -> None:
    journal = await open_lmdb(directory)

    said = program(OPEN).stdout.splitlines()

    assert f"is owned by process {os.getpid()}: one process at a time" in said[0]
    assert said[1] == f"{os.getpid()} True"
    await journal.close()


async def test_this_process_is_told_that_it_owns_the_directory(directory: Path) -> None:
    journal = await open_lmdb(directory)

    with pytest.raises(JournalOwned, match="owned by this process"):
        await open_lmdb(directory)
    with pytest.raises(JournalOwned, match="open in this process"):
        await open_reader(directory)

    assert read_owner(directory) == os.getpid()
    await journal.close()
    assert read_owner(directory) is None


async def test_asking_who_owns_a_directory_does_not_give_it_up(
    directory: Path, program: Program
) -> None:
    journal = await open_lmdb(directory)

    assert is_owned(directory)
    with pytest.raises(JournalOwned):
        await open_lmdb(directory)

    assert "is owned by process" in program(OPEN).stdout
    await journal.close()


async def test_a_closed_directory_may_be_owned_by_another_process(
    directory: Path, program: Program
) -> None:
    journal = await open_lmdb(directory)
    await journal.close()

    assert program(OPEN).stdout.endswith("True\n")
    assert not is_owned(directory)


def test_nobody_owns_what_is_not_there(directory: Path) -> None:
    assert read_owner(directory) is None
    assert not is_owned(directory)


@pytest.mark.e2e
async def test_a_killed_owner_owns_nothing(directory: Path) -> None:
    with started(OWN, directory) as process:
        assert process.stdout
        assert process.stdout.readline() == b"owned\n"
        assert read_owner(directory) == process.pid
        with pytest.raises(JournalOwned, match=f"process {process.pid}"):
            await open_lmdb(directory)
        process.kill()
        process.wait()

        assert not is_owned(directory)
        journal = await open_lmdb(directory)
        await journal.close()


@pytest.mark.e2e
async def test_a_forked_child_does_not_keep_the_directory(directory: Path) -> None:
    fork = OWN.replace(
        'print("owned", flush=True)',
        """
    import os
    if not os.fork():
        print(os.getpid(), flush=True)
        sys.stdin.read()
        os._exit(0)
""",
    )
    with started(fork, directory) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        process.kill()
        process.wait()

        os.kill(child, 0)  # it lives
        journal = await open_lmdb(directory)
        await journal.close()


def test_a_later_process_with_the_same_id_is_another(directory: Path) -> None:
    directory.mkdir()
    (directory / "owner.json").write_text(f'{{"pid": {os.getpid()}, "started": "1"}}')

    assert read_owner(directory) is None


def test_a_directory_that_may_not_be_written_is_named(directory: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        owner.acquire(directory)  # it does not exist
