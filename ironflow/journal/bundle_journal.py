"""A bundle read like a journal: what looks at runs also looks at those of a file."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, final

from ironflow import limits
from ironflow.errors import ConfigurationError
from ironflow.journal.base import (
    Answer,
    Claim,
    FunctionRow,
    Hint,
    InboxRow,
    JournalCommand,
    RunCount,
    RunQuery,
    RunSummary,
    Standing,
    StoredEvent,
    TimerRow,
)
from ironflow.journal.bundle import BundledRun, BundleFile
from ironflow.journal.lists import fits, id_range
from ironflow.records import Entry


async def open_bundle(path: Path) -> "BundleJournal":
    """Open a bundle; all of it is read once, to check it and to find its runs.

    Raises:
        ConfigurationError: the file cannot be read.
        JournalForeign: it is no bundle.
        JournalNewer: a newer ironflow wrote it.
        JournalDamaged: it is not what was written.
    """
    bundle = BundleFile(path)
    try:
        return BundleJournal(bundle)
    except BaseException:
        bundle.close()
        raise


@final
class BundleJournal:
    """The runs of a bundle as they were when it was written. It has no events."""

    def __init__(self, bundle: BundleFile) -> None:
        self._bundle: Final = bundle
        runs = {run.head.row.run_id: run for run in bundle.runs()}
        self._runs: Final = dict(sorted(runs.items(), reverse=True))  # newest first

    @property
    def environment(self) -> str:
        """The name of the environment that the runs are from."""
        return self._bundle.head.environment

    async def history(
        self, run_id: str, *, after: int = 0, limit: int = 10_000
    ) -> Sequence[Entry]:
        """Return records `after+1 .. after+limit`, checked, in order."""
        run = self._runs.get(run_id)
        if run is None:
            return []
        limit = min(limit, limits.PAGE_RECORDS_MAX)
        page = islice(self._bundle.records(run), after, after + limit)
        return [record.entry for record in page]

    async def find(self, query: RunQuery) -> Sequence[RunSummary]:
        """Return a page of runs, newest first."""
        first, beyond = id_range(query)
        found = (
            summary
            for run_id, run in self._runs.items()
            if first <= run_id
            and (not beyond or run_id < beyond)
            and fits(summary := _summary(run), query)
        )
        return list(islice(found, min(query.limit, limits.PAGE_RUNS_MAX)))

    async def counts(self) -> Sequence[RunCount]:
        """Return how many runs there are of each function and status, in this order."""
        found = Counter(
            (run.head.row.function_id, run.head.status) for run in self._runs.values()
        )
        return sorted(RunCount(*key, count) for key, count in found.items())

    async def run(self, run_id: str) -> RunSummary | None:
        """Return one run, or None."""
        run = self._runs.get(run_id)
        return None if run is None else _summary(run)

    async def standing(self, run_id: str) -> Standing | None:
        """Return one run with its inbox and timers, or None."""
        run = self._runs.get(run_id)
        if run is None:
            return None
        inbox, timers = self._bundle.rest(run)
        waiting = (InboxRow(number, draft) for number, draft in enumerate(inbox, 1))
        return Standing(_summary(run), tuple(waiting), tuple(timers))

    async def events(
        self, pattern: str = ">", *, after: int = 0, limit: int = 100
    ) -> Sequence[StoredEvent]:
        """Return nothing: the event of a run is in its first record."""
        del pattern, after, limit
        return []

    async def functions(self) -> Sequence[FunctionRow]:
        """Return nothing: a bundle has runs, not the functions they are of."""
        return []

    async def timers(self, run_id: str) -> Sequence[TimerRow]:
        """Return the timers that a run had."""
        standing = await self.standing(run_id)
        return [] if standing is None else standing.timers

    async def due(self, now: int, *, limit: int) -> tuple[Sequence[TimerRow], int]:
        """Return nothing: no timer acts in a file."""
        del now, limit
        return [], 0

    async def commit(self, commands: Sequence[JournalCommand]) -> Sequence[Answer]:
        """Refuse: a bundle is only read."""
        raise _only_read(f"commit {len(commands)} commands")

    async def claim(self, functions: frozenset[str], *, limit: int) -> Sequence[Claim]:
        """Refuse: a bundle is only read."""
        raise _only_read(f"claim {limit} runs of {len(functions)} functions")

    async def release(self, claims: Sequence[Claim]) -> None:
        """Refuse: a bundle is only read."""
        raise _only_read(f"release {len(claims)} runs")

    def watch(self, callback: Callable[[Hint], None]) -> Callable[[], None]:
        """Refuse: a bundle never changes."""
        raise _only_read(f"call {callback!r} back")

    async def close(self) -> None:
        """Close the file. Idempotent."""
        self._bundle.close()


def _summary(run: BundledRun) -> RunSummary:
    return RunSummary(run.head.row, run.head.status, run.head.records)


def _only_read(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"a bundle cannot {what}; 'ironflow import' stores its runs in a journal"
    )
