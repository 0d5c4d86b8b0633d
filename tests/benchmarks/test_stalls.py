"""What stops the loop is noted where it happens."""

from pathlib import Path

import trio

from benchmarks import stalls
from ironflow.journal.base import EmitEvents
from ironflow.journal.lmdb.pace import LOOP_SECONDS_MAX
from ironflow.testing.checks_scene import Scene
from tests.journal.lmdb.commits import opened


def test_a_slow_write_stops_the_loop_once_and_then_a_thread_has_it(
    tmp_path: Path,
) -> None:
    scene = Scene("lmdb", lambda: opened(tmp_path))

    async def commit() -> None:
        async with scene.open() as journal:
            for _ in range(3):
                await journal.commit([EmitEvents((scene.event("e"),), scene.now)])

    with stalls.noted(lambda _: LOOP_SECONDS_MAX) as noted:
        trio.run(commit)

    assert [bool(stopped) for stopped in noted.written] == [True, False, False]
    assert noted.written[0] >= LOOP_SECONDS_MAX * 1_000
    assert len(noted.decided) == 3
