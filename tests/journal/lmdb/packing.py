"""What tests of packing in LMDB share: packing at once, and looks at what it made."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from ironflow.journal.base import Journal
from ironflow.journal.lmdb import keys, segments
from ironflow.journal.lmdb.store import LmdbJournal, open_lmdb
from ironflow.journal.lmdb.verify import Finding, verify
from ironflow.records import Draft
from ironflow.testing.checks_asks import ended
from ironflow.testing.checks_scene import Scene
from tests.journal.packing import FAR_US, begin, packing_store


async def pack(journal: Journal) -> None:
    """Pack all runs that have ended, also those that only the log has."""
    assert isinstance(journal, LmdbJournal)
    await journal._writer._empty_log()
    await journal.pack(ended_before=FAR_US, go_on=lambda: True)
    await journal._writer._empty_log()


def packing_store_in(
    directory: Path,
) -> Callable[[], AbstractAsyncContextManager[Journal]]:
    """Return a function that opens a journal which packs after each commit."""
    return packing_store(lambda: open_lmdb(directory), pack)


def places(journal: LmdbJournal) -> dict[bytes, segments.Place]:
    """The rows of LMDB that stand for pages, by their keys."""
    with journal.source.environment.snapshot() as snapshot:
        return {
            key: segments.PLACE.decode(data)
            for key, data in snapshot.scan(keys.LOG, b"")
            if segments.is_place(data)
        }


def pages(journal: LmdbJournal) -> list[bytes]:
    """The keys of pages that lie in LMDB."""
    with journal.source.environment.snapshot() as snapshot:
        return [
            key
            for key, data in snapshot.scan(keys.LOG, b"")
            if not segments.is_place(data)
        ]


async def live_by_pages(scene: Scene, *drafts: Draft) -> str:
    """Let a run live whose records come into LMDB one by one; return its id."""
    assert isinstance(scene.journal, LmdbJournal)
    holder = await begin(scene)
    for draft in (*drafts, ended()):
        await holder.append(draft)
        await scene.journal._writer._empty_log()
    return holder.run_id


def findings(source: Path | LmdbJournal) -> list[str]:
    """What `verify` says is wrong."""
    found = verify(source)
    return [each.message for each in found if isinstance(each, Finding)]


def rows_of(journal: LmdbJournal, table: str) -> dict[bytes, bytes]:
    with journal.source.environment.snapshot() as snapshot:
        return dict(snapshot.scan(table, b""))
