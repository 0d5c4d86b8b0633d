"""Journals, opened for a command: to read, or for a change as an owner or a node."""

import difflib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import click

from ironflow.commands.options import Bundle, Place
from ironflow.errors import JournalOwned, RunNotFound
from ironflow.journal.base import (
    Answer,
    CountedJournal,
    Journal,
    JournalCommand,
    Packing,
    PackingJournal,
    Refused,
    RunQuery,
    RunSummary,
)
from ironflow.journal.served import ServedJournal
from ironflow.limits import PAGE_RECORDS_MAX
from ironflow.records import Entry

T = TypeVar("T")

_DATA: Final = "data.mdb"
_SEARCHED_MAX: Final = 200  # runs among which a mistyped id is looked for
_NEAR: Final = 0.85


def read(
    directory: Place | Bundle, work: Callable[[CountedJournal], Awaitable[T]]
) -> T:
    """Do something with a journal that is only read, whoever owns it, or a bundle.

    Raises:
        ClickException: there is no data directory.
        JournalError: it cannot be read; the message says why.
    """
    import trio

    async def main() -> T:
        reader = await _opened(directory)
        try:
            return await work(reader)
        finally:
            await reader.close()

    return trio.run(main)


async def _opened(directory: Place | Bundle) -> CountedJournal:
    if isinstance(directory, Bundle):
        from ironflow.journal.bundle_journal import open_bundle

        return await open_bundle(directory.path)
    from ironflow.journal.url import open_reader

    return await open_reader(url_of(directory))


def url_of(directory: Place) -> str:
    """Return the URL of a journal that should be there.

    Raises:
        ClickException: there is no data directory.
    """
    if isinstance(directory, Path):
        check_there(directory, instead="--data-dir, or --server if it has the runs")
    return new_url_of(directory)


def new_url_of(directory: Place) -> str:
    """Return the URL of a journal that may have to be made."""
    return directory if isinstance(directory, str) else f"lmdb://{directory.absolute()}"


def check_there(directory: Path, *, instead: str = "--data-dir") -> None:
    """Say what to do where no command can find anything.

    `instead` names the options that say where else to look.

    Raises:
        ClickException: the directory is missing or empty.
    """
    if directory.is_dir() and any(directory.iterdir()):
        return
    if directory.exists() and not directory.is_dir():
        return  # the store says what it thinks of a file
    what = "is empty" if directory.exists() else "does not exist"
    raise click.ClickException(
        f"there is no journal: the data directory {directory} {what}; start with"
        f" 'ironflow run APP EVENT', or give {instead}"
    )


def change(
    directory: Place, run_id: str, commands: Callable[[RunSummary], JournalCommand]
) -> tuple[RunSummary, Answer]:
    """Commit a change of one run; return the run before, and the answer.

    Raises:
        ClickException: a process owns the directory, or there is none.
        RunNotFound: there is no such run.
    """

    async def work(journal: Journal) -> tuple[RunSummary, Answer]:
        summary = await found(journal, run_id)
        [answer] = await journal.commit((commands(summary),))
        if isinstance(answer, Refused):
            raise answer.error
        return summary, answer

    return own(directory, work)


def packed(directory: Place, *, before: int) -> Packing:
    """Pack the histories of all runs that ended before a time; return how much.

    Raises:
        ClickException: a process owns the directory, or there is none.
        JournalError: it cannot be done now.
    """

    async def work(journal: Journal) -> Packing:
        assert isinstance(journal, PackingJournal), "every journal with a URL packs"
        return await journal.pack(ended_before=before, go_on=lambda: True, at_once=True)

    return own(directory, work)


def own(directory: Place, work: Callable[[ServedJournal], Awaitable[T]]) -> T:
    """Do something with a journal that may be changed.

    Raises:
        ClickException: a process owns the directory, or there is none.
    """
    import trio

    from ironflow.journal.url import open_journal, open_reader

    url = url_of(directory)

    async def main() -> T:
        # Opening it for a change would make a journal where there is none.
        await (await open_reader(url)).close()
        async with open_journal(url) as journal:
            return await work(journal)

    try:
        return trio.run(main)
    except JournalOwned as error:
        raise owned(directory) from error


def owned(directory: Place) -> click.ClickException:
    """Return the error for a change of a journal that a process owns."""
    from ironflow.journal.lmdb.owner import read_owner

    owner = read_owner(Path(directory))
    who = f"process {owner}" if owner else "another process"
    return click.ClickException(
        f"{directory} is owned by {who}, which alone may change its runs: use the"
        " engine in that process, or stop it and try again"
    )


async def found(journal: Journal, run_id: str) -> RunSummary:
    """Return a run.

    Raises:
        RunNotFound: there is none; the message names the nearest.
    """
    summary = await journal.run(run_id)
    if summary is not None:
        return summary
    recent = await journal.find(RunQuery(limit=_SEARCHED_MAX))
    known = [each.row.run_id for each in recent]
    near = difflib.get_close_matches(run_id, known, n=1, cutoff=_NEAR)
    hint = f"did you mean {near[0]}?" if near else "'ironflow runs list' shows them"
    raise RunNotFound(f"there is no run {run_id} in this journal; {hint}")


async def walk(
    journal: Journal, run_id: str, look: Callable[[Sequence[Entry]], None]
) -> None:
    """Look at a history page by page."""
    after, is_last = 0, False
    while not is_last:
        page = await journal.history(run_id, after=after, limit=PAGE_RECORDS_MAX)
        if page:
            look(page)
            after = page[-1].record.sequence
        is_last = len(page) < PAGE_RECORDS_MAX


async def history(journal: Journal, run_id: str) -> list[Entry]:
    """Return a history, whole."""
    entries: list[Entry] = []
    await walk(journal, run_id, entries.extend)
    return entries
