"""Finding and counting runs by looking at one after the other, in pages.

A page is one snapshot. Between two of them other tasks run, so that a search which
passes over a million rows stops nobody.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, final

from ironflow import ids, limits
from ironflow.errors import RunNotFound
from ironflow.journal.base import RunQuery, RunSummary, shown_status
from ironflow.journal.lists import fits, id_range
from ironflow.journal.lmdb import keys, rows
from ironflow.journal.lmdb.indexed import Indexed
from ironflow.journal.lmdb.layers import Layered

SEARCHED_ROWS_MAX: Final = 2_000  # in one snapshot, then other tasks run

IsHeld = Callable[[str], bool]
FreshHolds = Callable[[], Sequence[bytes]]  # keys of runs that are held and only begun


def read_summary(tables: Layered, key: bytes, is_held: IsHeld) -> RunSummary | None:
    """Return a run by its key, or None."""
    data = tables.get(keys.RUNS, key)
    if data is None:
        return None
    row = rows.RUN.decode(data)
    length = tables.length(key)
    ready = row.status == "open" and tables.get(keys.READY, key) is not None
    held = ready and is_held(row.run_id)
    return RunSummary(
        row, shown_status(row, length=length, ready=ready, held=held), length
    )


@final
class Bounds:
    """Between which keys of an environment a query looks: `first <= key < beyond`.

    Raises:
        RunNotFound: its cursor is no run id.
    """

    __slots__ = ("beyond", "first")

    def __init__(self, prefix: bytes, query: RunQuery) -> None:
        first, beyond = id_range(query)
        self.first: Final = prefix + (keys.run(first) if first else b"")
        self.beyond: Final = prefix + keys.run(beyond) if beyond else keys.after(prefix)


@final
class Search:
    """A query on its way through the runs; `page` is called until `is_done`."""

    def __init__(
        self,
        prefix: bytes,
        query: RunQuery,
        is_held: IsHeld,
        fresh_holds: FreshHolds,
    ) -> None:
        bounds = Bounds(prefix, query)
        self.found: Final[list[RunSummary]] = []
        self.is_done = False
        self._limit: Final = min(query.limit, limits.PAGE_RUNS_MAX)
        self._query: Final = query
        self._prefix: Final = prefix
        self._is_held: Final = is_held
        self._fresh_holds: Final = fresh_holds
        self._table: Final = _table_for(query.status)
        self._first: Final = max(bounds.first, _eldest(prefix, query.parent_run))
        self._before = bounds.beyond

    def page(self, tables: Layered, index: Indexed | None = None) -> None:
        """Look at the next rows, with an index at those that may fit."""
        looked = 0
        for key, may_fit in self._candidates(tables, index):
            if key < self._first or len(self.found) == self._limit:
                self.is_done = True
                return
            self._before = key
            if may_fit:
                looked += 1
                self._look(tables, key)
            if looked + (index.looks.count if index else 0) >= SEARCHED_ROWS_MAX:
                return
        self.is_done = True

    def _look(self, tables: Layered, key: bytes) -> None:
        summary = read_summary(tables, key, self._is_held)
        if summary is not None and fits(summary, self._query):
            self.found.append(summary)

    def _candidates(
        self, tables: Layered, index: Indexed | None
    ) -> Iterator[tuple[bytes, bool]]:
        query = self._query
        if index is not None and (
            query.status or query.function_id or query.parent_run or query.attributes
        ):
            held = self._fresh_holds()
            return index.candidates(query, self._prefix, before=self._before, held=held)
        scan = tables.scan_back(self._table, self._prefix, before=self._before)
        return ((key, True) for key, _ in scan)


def _eldest(prefix: bytes, parent: str) -> bytes:
    """The key before which no run has this parent: a child is not older than it."""
    try:
        keys.run(parent)
    except RunNotFound:
        return b""
    return prefix + ids.earliest(ids.time_us(parent))


def _table_for(status: str) -> str:
    """The smallest table that has all runs of a status."""
    match status:
        case "queued" | "running":
            return keys.READY
        case "paused":
            return keys.PAUSED
        case _:
            return keys.RUNS


@final
class Counting:
    """All runs on their way to be counted; `page` is called until `is_done`."""

    def __init__(self, prefix: bytes, is_held: IsHeld, fresh_holds: FreshHolds) -> None:
        self._fresh_holds: Final = fresh_holds
        self.counts: Final[Counter[tuple[str, str]]] = Counter()
        self.is_done = False
        self._prefix: Final = prefix
        self._is_held: Final = is_held
        self._before = keys.after(prefix)

    def page(self, tables: Layered, index: Indexed | None = None) -> None:
        """Look at the next rows; an index has counted them all."""
        if index is not None:
            self.counts.clear()
            self.counts.update(index.counts(self._prefix, self._fresh_holds()))
            self.is_done = True
            return
        scan = tables.scan_back(keys.RUNS, self._prefix, before=self._before)
        for count, (key, _) in enumerate(scan):
            if count == SEARCHED_ROWS_MAX:
                return
            self._before = key
            summary = read_summary(tables, key, self._is_held)
            assert summary is not None
            self.counts[summary.row.function_id, summary.status] += 1
        self.is_done = True
