"""Which claims follow on a crash: those of runs that were ready when it came."""

import shutil
from pathlib import Path

from ironflow.journal.lmdb.store import open_lmdb
from ironflow.testing.checks_asks import completed
from ironflow.testing.checks_scene import Scene
from tests.journal.lmdb.conftest import store_in

WHO = shutil.ignore_patterns("owner.json")  # it names this process, which goes on


async def recovered(path: Path, scene: Scene) -> list[bool]:
    """Open, claim twice, and close in order; say of which claims it is true."""
    journal = await open_lmdb(path)
    functions = frozenset({scene.name("job")})
    claims = list(await journal.claim(functions, limit=9))
    await journal.release(claims)
    claims += await journal.claim(functions, limit=9)
    await journal.close()
    return [claim.is_recovered for claim in claims]


async def test_only_the_first_claim_after_a_crash_is_recovered(tmp_path: Path) -> None:
    path, copy = tmp_path / "journal", tmp_path / "copy"
    scene = Scene("scene", store_in(path))
    async with scene.open():
        holder = await scene.start()
        await holder.append(completed("a:0", 1))
        shutil.copytree(path, copy, ignore=WHO)  # what a crash would leave now

    after_crash = await recovered(copy, scene)
    after_close = await recovered(copy, scene)
    without_crash = await recovered(path, scene)

    assert after_crash == [True, False]
    assert after_close == [False, False]
    assert without_crash == [False, False]


async def test_a_run_that_was_not_there_is_not_recovered(tmp_path: Path) -> None:
    path, copy = tmp_path / "journal", tmp_path / "copy"
    scene = Scene("scene", store_in(path))
    async with scene.open():
        await scene.start()
        shutil.copytree(path, copy, ignore=WHO)
    again = Scene("scene", store_in(copy))
    again.now = scene.now + 1_000_000
    async with again.open():
        await again.emit(again.event("job.go", 2))

        claims = await again.claim("job")

    assert [claim.is_recovered for claim in claims] == [True, False]
