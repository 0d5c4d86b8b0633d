"""A store is made as small as what is in it, and a crash leaves the old or the new one."""

import subprocess
import sys
from pathlib import Path

import pytest

from ironflow.errors import JournalForeign, JournalOwned
from ironflow.journal.lmdb.compacting import Compacted, compact
from ironflow.journal.lmdb.store import open_reader
from ironflow.journal.lmdb.verify import Finding, verify
from ironflow.testing.checks_asks import completed, ended, sleep
from ironflow.testing.checks_scene import Scene
from tests.journal.lmdb.commits import opened
from tests.journal.lmdb.conftest import Program, store_in

DIES = """
import os, sys
from pathlib import Path
from ironflow.journal.lmdb import compacting

point, directory = sys.argv[2], Path(sys.argv[1])
for name in ("unlink", "rename"):
    def dying(self, *args, _real=getattr(Path, name), _name=name, **options):
        if self.name not in ("lock.mdb", "data.mdb.compact"):
            return _real(self, *args, **options)
        if point == f"before {_name}":
            os._exit(9)
        _real(self, *args, **options)
        if point == f"after {_name}":
            os._exit(9)
    setattr(Path, name, dying)
compacting.compact(directory)
"""


async def filled(directory: Path) -> Scene:
    """A directory with many pages that nothing uses any more; nobody owns it."""
    scene = Scene("compact", store_in(directory))
    async with scene.open():
        await scene.register(scene.function("job", "job.go"))
        await scene.emit(*(scene.event("job.go", "x" * 500) for _ in range(200)))
        for claim in await scene.claim("job"):
            del claim
    for _ in range(3):
        async with scene.open():
            holder = await scene.start("more")
            await holder.append(completed("a:0", "y" * 100_000), ended())
    return scene


def findings(directory: Path) -> list[Finding]:
    return [found for found in verify(directory) if isinstance(found, Finding)]


async def grown(directory: Path) -> Scene:
    """A directory that once had many rows more than it has."""
    scene = await filled(directory)
    async with scene.open():
        holder = await scene.start("nap")
        naps = [sleep(f"nap:{n}", until=scene.now + n) for n in range(3_000)]
        await holder.append(*naps)
    async with scene.open():
        again = await scene.hold("nap")
        await again.append(ended())
    return scene


async def test_it_gets_smaller_and_stays_whole(directory: Path) -> None:
    scene = await grown(directory)
    runs = await listed(scene)

    found = compact(directory)

    assert found.after < found.before
    assert (directory / "data.mdb").stat().st_size == found.after
    assert (directory / "data.mdb").stat().st_mode & 0o077 == 0
    assert findings(directory) == []
    assert await listed(scene) == runs
    assert findings(directory) == []
    assert compact(directory).after <= found.before


async def listed(scene: Scene) -> list[str]:
    async with scene.open():
        holder = await scene.start("listed")
        await holder.append(ended())
        events = await scene.journal.events(">", limit=1_000)
    return [each.event.id for each in events][:200]


@pytest.mark.parametrize(
    "point", ["before unlink", "after unlink", "before rename", "after rename"]
)
async def test_a_crash_leaves_the_old_store_or_the_new_one(
    directory: Path, point: str
) -> None:
    scene = await filled(directory)
    args = [sys.executable, "-c", DIES, str(directory), point]

    died = subprocess.run(args, check=False)  # noqa: ASYNC221 - nothing else runs

    assert died.returncode == 9
    assert findings(directory) == []
    async with scene.open():
        holder = await scene.start("later")
        await holder.append(ended())
    assert findings(directory) == []
    compact(directory)
    assert not (directory / "data.mdb.compact").exists()


async def test_nobody_may_own_it(directory: Path, program: Program) -> None:
    async with opened(directory):
        told = program(
            "import sys; from pathlib import Path\n"
            "from ironflow.journal.lmdb.compacting import compact\n"
            "compact(Path(sys.argv[1]))"
        )

    assert "JournalOwned" in told.stderr


async def test_nobody_may_read_it(directory: Path, program: Program) -> None:
    """A reader would go on with the file of before, and the lock file of both."""
    await filled(directory)
    before = (directory / "data.mdb").stat().st_ino
    reader = await open_reader(directory)

    told = program(
        "import sys; from pathlib import Path\n"
        "from ironflow.journal.lmdb.compacting import compact\n"
        "compact(Path(sys.argv[1]))"
    )
    await reader.close()

    assert "another process reads" in told.stderr
    assert (directory / "data.mdb").stat().st_ino == before
    assert not (directory / "data.mdb.compact").exists()
    assert isinstance(compact(directory), Compacted)


async def test_there_must_be_a_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalForeign):
        compact(tmp_path)


async def test_this_process_may_not_own_it_either(directory: Path) -> None:
    async with opened(directory):
        with pytest.raises(JournalOwned):
            compact(directory)
