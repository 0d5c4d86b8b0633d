"""Walks through runs, newest first, for what no journal finds by itself.

A journal finds runs by one status, function and span of time. Several statuses, a text and
an offset are sought page by page, among so many runs at once and no more.
"""

import heapq
from collections.abc import Sequence
from dataclasses import replace
from typing import final

from ironflow.journal.base import RunQuery, RunSummary
from ironflow.journal.lists import fits, id_range
from ironflow.journal.served import ServedJournal


@final
class RunWalk:
    """The runs that any of some queries finds, page by page.

    `looked` is how many it has given, `cursor` the id of the last one.
    """

    def __init__(self, journal: ServedJournal, queries: Sequence[RunQuery]) -> None:
        self._journal = journal
        self._queries = queries
        self.cursor = queries[0].cursor
        self.looked = 0

    async def page(self, size: int) -> list[RunSummary]:
        """Return the next runs, newest first; fewer than `size` are the last ones."""
        found = [
            await self._journal.find(replace(each, cursor=self.cursor, limit=size))
            for each in self._queries
        ]
        merged = heapq.merge(*found, key=_run_id, reverse=True)
        runs = [run for run, _ in zip(merged, range(size), strict=False)]
        if runs:
            self.cursor = runs[-1].row.run_id
        self.looked += len(runs)
        return runs


def _run_id(run: RunSummary) -> str:
    """Return the id of a run: ids are in the order of time."""
    return run.row.run_id


def has_text(run: RunSummary, text: str) -> bool:
    """Say whether a run's id, function or event has a text, in letters of any size."""
    row = run.row
    wanted = text.casefold()
    return any(
        wanted in name.casefold()
        for name in (row.run_id, row.function_id, row.event_id, row.event_name)
    )


def is_found(run: RunSummary, query: RunQuery) -> bool:
    """Say whether a query finds a run."""
    first, beyond = id_range(query)
    run_id = run.row.run_id
    return fits(run, query) and first <= run_id and (not beyond or run_id < beyond)
