"""Runs out of a journal into a bundle, and out of a bundle into a journal.

Both work on any store. An export only reads, beside an engine that carries the runs on:
how a run stands is one moment, and its history up to there never changes. An import is
a commit for each run (`ImportRun`).
"""

import time
from collections.abc import (
    AsyncGenerator,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ironflow import __version__, limits
from ironflow.errors import RunExists, RunNotFound
from ironflow.journal import whole_file
from ironflow.journal.base import (
    ImportRun,
    InboxRow,
    Journal,
    Refused,
    RunQuery,
    RunSummary,
)
from ironflow.journal.bundle import (
    MARK,
    BundledRun,
    BundleFile,
    BundleWriter,
    RunHead,
)

Look = Callable[[int, int], object]
"""Told how many runs are done, of how many."""

_NAMED_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Selection:
    """Which runs: these, or if there are none all of this function and status.

    `with_children`: and those that they have started, or continued in.
    """

    run_ids: tuple[str, ...] = ()
    function_id: str = ""
    status: str = ""
    with_children: bool = False


@dataclass(frozen=True, slots=True)
class Imported:
    """How many runs an import has stored, and which were there before."""

    run_ids: tuple[str, ...]
    skipped: tuple[str, ...]


# --- export ---------------------------------------------------------------------


async def export_runs(
    journal: Journal, selection: Selection, path: Path, look: Look
) -> list[str]:
    """Write runs into a new bundle; return their ids, parents before children.

    Raises:
        RunNotFound: there is no such run.
        JournalDamaged: a record is not what was written.
        ConfigurationError: the file cannot be written, or a run is too large.
    """
    run_ids = await selected(journal, selection)
    with whole_file.written(path, mark=MARK) as file:
        writer = BundleWriter(
            file,
            environment=journal.environment,
            ironflow=__version__,
            now=_now(),
        )
        for done, run_id in enumerate(run_ids, 1):
            await export_run(journal, run_id, writer)
            look(done, len(run_ids))
        writer.close()
    return run_ids


async def export_run(journal: Journal, run_id: str, writer: BundleWriter) -> None:
    """Write one run as it stands at one moment.

    Raises:
        RunNotFound: there is no such run.
        JournalDamaged: a record is not what was written.
        ConfigurationError: it is too large.
    """
    standing = await journal.standing(run_id)
    if standing is None:
        raise _not_found(run_id)
    summary = standing.summary
    writer.begin(RunHead(summary.row, summary.status, summary.length))
    after = 0
    while after < summary.length:
        limit = min(summary.length - after, limits.PAGE_RECORDS_MAX)
        page = await journal.history(run_id, after=after, limit=limit)
        if not page:
            break
        writer.take(page)
        after += len(page)
    writer.end(standing.inbox, standing.timers)


def _not_found(run_id: str) -> RunNotFound:
    return RunNotFound(
        f"there is no run {run_id} in this journal; 'ironflow runs list' shows them"
    )


async def selected(journal: Journal, selection: Selection) -> list[str]:
    """Return the ids of runs in an order in which a parent comes before its children.

    Raises:
        RunNotFound: there is no run of an id that is named.
    """
    causes: dict[str, tuple[str, ...]] = {}
    chosen: set[str] = set()
    for run_id in selection.run_ids:
        summary = await journal.run(run_id)
        if summary is None:
            raise _not_found(run_id)
        causes[run_id] = _causes(summary)
        chosen.add(run_id)
    if selection.with_children or not selection.run_ids:
        async for summary in all_runs(journal):
            causes[summary.row.run_id] = _causes(summary)
            if not selection.run_ids and _fits(summary, selection):
                chosen.add(summary.row.run_id)
    if selection.with_children:
        _add_children(causes, chosen)
    return list(in_order(causes, chosen))


async def all_runs(journal: Journal) -> AsyncGenerator[RunSummary]:
    """Yield every run, newest first."""
    query = RunQuery(limit=limits.PAGE_RUNS_MAX)
    while page := await journal.find(query):
        for summary in page:
            yield summary
        query = replace(query, cursor=page[-1].row.run_id)


def _fits(summary: RunSummary, selection: Selection) -> bool:
    return selection.status in {"", summary.status} and selection.function_id in {
        "",
        summary.row.function_id,
    }


def _causes(summary: RunSummary) -> tuple[str, ...]:
    """The runs that a run comes from: its parent, and the one that it continues."""
    row = summary.row
    return tuple(filter(None, (row.parent_run, row.continued_from)))


def _add_children(causes: Mapping[str, tuple[str, ...]], chosen: set[str]) -> None:
    """Choose also what comes from those that are chosen.

    Mostly one pass is enough: a child is hardly ever before its parent by its id.
    """
    length = -1
    while length != len(chosen):
        length = len(chosen)
        for run_id in sorted(causes):
            if not chosen.isdisjoint(causes[run_id]):
                chosen.add(run_id)


def in_order(
    causes: Mapping[str, tuple[str, ...]], chosen: Collection[str]
) -> Iterator[str]:
    """Yield ids so that a run comes after those that it comes from, else oldest first.

    By their ids a child may be before its parent if both are of one millisecond.
    """
    opened: set[str] = set()
    done: set[str] = set()
    waiting = sorted(chosen, reverse=True)
    while waiting:
        run_id = waiting[-1]
        if run_id not in opened:
            opened.add(run_id)
            before = [each for each in causes.get(run_id, ()) if each in chosen]
            waiting += (each for each in before if each not in opened)
            continue
        waiting.pop()
        if run_id not in done:
            done.add(run_id)
            yield run_id


# --- import ---------------------------------------------------------------------


async def import_runs(
    journal: Journal,
    bundle: BundleFile,
    look: Look,
    *,
    resume: bool = False,
    skip_existing: bool = False,
) -> Imported:
    """Store the runs of a bundle, each in a commit of its own.

    All of the file is checked first. An import that was interrupted is repeated with
    `skip_existing`.

    Raises:
        RunExists: a run is there already, and none was stored.
        JournalDamaged: the bundle is not what was written.
    """
    found = list(bundle.runs())
    known = [
        run.head.row.run_id
        for run in found
        if await journal.run(run.head.row.run_id) is not None
    ]
    if known and not skip_existing:
        raise _exist(known)
    stored: list[str] = []
    skipped = set(known)
    for done, run in enumerate(found, 1):
        if run.head.row.run_id not in skipped:
            command = import_of(bundle, run, now=_now(), resume=resume)
            [answer] = await journal.commit((command,))
            if isinstance(answer, Refused):
                raise answer.error
            stored.append(run.head.row.run_id)
        look(done, len(found))
    return Imported(tuple(stored), tuple(known))


def import_of(
    bundle: BundleFile, run: BundledRun, *, now: int, resume: bool = False
) -> ImportRun:
    """Return the command that stores a run of a bundle.

    Raises:
        JournalDamaged: the run is not what was written.
    """
    records = list(bundle.records(run))
    inbox, timers = bundle.rest(run)
    return ImportRun(
        run.head.row,
        tuple(record.entry for record in records),
        tuple(record.header for record in records),
        tuple(InboxRow(number, draft) for number, draft in enumerate(inbox, 1)),
        tuple(timers),
        now,
        resume=resume,
    )


def _exist(known: Sequence[str]) -> RunExists:
    shown = ", ".join(known[:_NAMED_MAX])
    more = f" and {len(known) - _NAMED_MAX} more" if len(known) > _NAMED_MAX else ""
    return RunExists(
        f"these runs are in this journal already: {shown}{more}; nothing was imported."
        " --skip-existing leaves them as they are and imports the others"
    )


def _now() -> int:
    return time.time_ns() // 1_000
