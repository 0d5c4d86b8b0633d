"""What tests of packing share, in whichever store: runs of all kinds, and what is read of them."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from msgspec.structs import replace

from ironflow.journal.base import (
    Answer,
    Claim,
    DeleteRuns,
    Journal,
    JournalCommand,
    RunQuery,
)
from ironflow.records import Draft, RunRetried
from ironflow.testing.checks_asks import completed, ended, failed
from ironflow.testing.checks_scene import SECOND_US, Holder, Scene

FAR_US = 1 << 60
KEPT_US = 60 * SECOND_US
LARGE = "x" * 9_000


def packing_store(
    opened: Callable[[], Awaitable[Journal]],
    pack: Callable[[Journal], Awaitable[object]],
) -> Callable[[], AbstractAsyncContextManager[Journal]]:
    """Return a function that opens a journal which packs after each commit."""

    @asynccontextmanager
    async def open_journal() -> AsyncGenerator[Journal]:
        journal = await opened()
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
