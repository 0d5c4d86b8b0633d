"""What tests of packing share: a journal that packs whatever has ended, at once."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from msgspec.structs import replace

from ironflow.journal.base import (
    Answer,
    Claim,
    DeleteRuns,
    Journal,
    JournalCommand,
    RunQuery,
)
from ironflow.journal.lmdb import keys, segments
from ironflow.journal.lmdb.store import LmdbJournal, open_lmdb
from ironflow.journal.lmdb.verify import Finding, verify
from ironflow.records import Draft, RunRetried
from ironflow.testing.checks_asks import completed, ended, failed
from ironflow.testing.checks_scene import SECOND_US, Holder, Scene

FAR_US = 1 << 60
KEPT_US = 60 * SECOND_US
LARGE = "x" * 9_000


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

    @asynccontextmanager
    async def open_journal() -> AsyncGenerator[Journal]:
        journal = await open_lmdb(directory)
        commit = journal.commit

        async def commit_and_pack(
            commands: Sequence[JournalCommand],
        ) -> Sequence[Answer]:
            answers = await commit(commands)
            await pack(journal)
            return answers

        journal.commit = commit_and_pack  # type: ignore[method-assign]  # as said above
        try:
            yield journal
        finally:
            await journal.close()

    return open_journal


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


def steps(*values: object) -> list[Draft]:
    """Results of steps, one after the other."""
    return [completed(f"s:{number}", value) for number, value in enumerate(values)]


async def begin(scene: Scene) -> Holder:
    """Let a run begin whose function keeps its runs for a while."""
    row = replace(scene.function("job", "job.go"), retention_us=KEPT_US)
    await scene.register(row)
    await scene.emit(scene.event("job.go"))
    return await scene.hold("job")


async def live(scene: Scene, *drafts: Draft, end: str = "completed") -> str:
    """Let a run begin and, unless `end` is empty, end; return its id."""
    holder = await begin(scene)
    if end:
        await holder.append(*drafts, ended(end, 1))
    else:
        await holder.park(*drafts)
    return holder.run_id


async def live_by_pages(scene: Scene, *drafts: Draft) -> str:
    """Let a run live whose records come into LMDB one by one; return its id."""
    assert isinstance(scene.journal, LmdbJournal)
    holder = await begin(scene)
    for draft in (*drafts, ended()):
        await holder.append(draft)
        await scene.journal._writer._empty_log()
    return holder.run_id


async def live_all(scene: Scene) -> list[str]:
    """Let runs of all kinds live; the last one has not ended."""
    shared = f"shared{LARGE}"
    return [
        await live(scene, *steps(1, 2, 3)),
        await live(scene, *steps(*range(700))),
        await live(scene, *steps("own" + LARGE, shared)),
        await live(scene, *steps(shared, "twice" + LARGE, 1, "twice" + LARGE)),
        await live(scene, *steps(*(["often" + LARGE] * 4), "last" + LARGE)),
        await live(scene, failed("s:0", attempt=1), end="failed"),
        await live(scene, *steps("open" + LARGE), end=""),
    ]


async def content(journal: Journal) -> dict[str, list[object]]:
    """All records of all runs, with their payloads."""
    found: dict[str, list[object]] = {}
    for summary in await journal.find(RunQuery(limit=1_000)):
        run_id = summary.row.run_id
        length, entries = summary.length, list[object]()
        while len(entries) < length:
            page = await journal.history(run_id, after=len(entries), limit=300)
            assert page, (run_id, len(entries))
            entries += [
                (each.record, each.digest, bytes(each.payload)) for each in page
            ]
        found[run_id] = entries
    return found


def findings(source: Path | LmdbJournal) -> list[str]:
    """What `verify` says is wrong."""
    found = verify(source)
    return [each.message for each in found if isinstance(each, Finding)]


def rows_of(journal: LmdbJournal, table: str) -> dict[bytes, bytes]:
    with journal.source.environment.snapshot() as snapshot:
        return dict(snapshot.scan(table, b""))


async def forget(scene: Scene, *runs: str) -> None:
    """Delete runs, and whatever is left of them."""
    scene.now += 2 * KEPT_US
    command = DeleteRuns(runs, scene.now)
    while await scene.done(command, what="a sweep"):
        command = DeleteRuns((), scene.now)


async def retry(scene: Scene, run_id: str, *drafts: Draft) -> None:
    """Retry a failed run, and carry it on."""
    summary = await scene.summary(run_id)
    nobody = Claim(run_id, scene.name("job"), 0, summary.length, ())
    amender = await Holder.of(scene, nobody)
    await amender.append(Draft(RunRetried(attempt=2, actor="ann")))
    holder = await scene.hold("job")
    await holder.append(*drafts)
