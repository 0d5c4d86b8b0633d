"""A run that came from elsewhere may be of a function that nobody knows here."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ironflow.journal.base import DeleteRuns, Done, Journal
from ironflow.journal.memory import MemoryJournal
from ironflow.testing.checks_asks import ended
from ironflow.testing.checks_imports import foreign
from ironflow.testing.checks_scene import Scene


async def test_a_run_of_an_unknown_function_is_kept_until_somebody_deletes_it() -> None:
    """No retention is known that it could be past."""
    journal = MemoryJournal()

    @asynccontextmanager
    async def open_journal() -> AsyncGenerator[Journal]:
        yield journal

    scene = Scene("unknown", open_journal)
    async with scene.open():
        command = foreign(scene, ended("completed", 1), status="completed")
        await scene.done(command, what="an import")
        run_id, now = command.row.run_id, scene.now * 2
        past = await scene.commit(DeleteRuns((run_id,), now, default_us=1))
        kept = await journal.run(run_id)
        await scene.done(DeleteRuns((run_id,), now, asked=True), what="a deletion")
        gone = await journal.run(run_id)

    assert isinstance(past, Done)
    assert kept is not None
    assert gone is None
