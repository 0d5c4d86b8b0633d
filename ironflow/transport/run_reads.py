"""What may be asked of runs: pages of them, newest first, and all of one.

A run is read from its row and its history; nothing here changes one (`steering`).
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import msgspec
import trio

from ironflow import ids, limits
from ironflow.errors import MisusedOperation, RunNotFound
from ironflow.interpreter import failures
from ironflow.interpreter.fold import RunState, fold
from ironflow.journal.base import RunCount, RunQuery, RunSummary
from ironflow.journal.served import ServedJournal
from ironflow.policy.names import check_text
from ironflow.records import (
    COMPLETED,
    NO_PAYLOAD,
    Entry,
    ErrorInfo,
    EventData,
    Payload,
    RunEnded,
)
from ironflow.transport.event_pages import check_after, page_size

_decode_event = msgspec.msgpack.Decoder(EventData).decode
# Reading and folding are done in pieces: nothing else goes on meanwhile.
_PAGE: Final = 1_000
_ENDED: Final = frozenset({"completed", "failed", "cancelled", "paused"})


@dataclass(frozen=True, slots=True)
class RunDetails:
    """A run with what it was given and what came of it.

    `event` is what started it, `output` the stored value of one that completed.
    """

    summary: RunSummary
    event: EventData | None
    output: Payload
    error: ErrorInfo | None

    @property
    def is_settled(self) -> bool:
        """Whether it has ended or is paused: it does not go on by itself."""
        return self.summary.status in _ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs: those that meet all of it, newest first, after `cursor` (a run id).

    `statuses` are our words, none for all. `since` and `until` (exclusive) are in
    microseconds, 0 for none. More than `PAGE_RUNS_MAX` are not given at once.
    """

    statuses: Sequence[str] = ()
    function_id: str = ""
    parent_run: str = ""
    since: int = 0
    until: int = 0
    cursor: str = ""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class RunPage:
    """Runs, newest first; `next_cursor` is empty on the last page."""

    runs: Sequence[RunSummary]
    next_cursor: str


@final
class RunReads:
    """What may be asked of the runs of a journal."""

    def __init__(self, journal: ServedJournal) -> None:
        self._journal = journal

    async def page(self, wanted: RunFilter) -> RunPage:
        """Return a page of runs, newest first.

        Raises:
            ConfigurationError: the limit is none, or a name or id is wrong.
        """
        limit = page_size(wanted.limit, limits.PAGE_RUNS_MAX)
        found = [
            await self._journal.find(self._query(wanted, status, limit))
            for status in wanted.statuses or ("",)
        ]
        # Ids are in the order of time.
        merged = heapq.merge(*found, key=lambda each: each.row.run_id, reverse=True)
        runs = [run for run, _ in zip(merged, range(limit), strict=False)]
        full = len(runs) == limit
        return RunPage(runs, runs[-1].row.run_id if full else "")

    async def get(self, run_id: str) -> RunDetails:
        """Return a run with what it was given and what came of it.

        Raises:
            ConfigurationError: this is no run id.
            RunNotFound: there is none with this id.
        """
        summary = await self.summary(run_id)
        first = await self._journal.history(run_id, limit=1)
        last: Sequence[Entry] = ()
        if summary.row.ended_at:
            last = await self._journal.history(
                run_id, after=summary.length - 1, limit=1
            )
        return _details(summary, first, last)

    async def summary(self, run_id: str) -> RunSummary:
        """Return a run without what it was given and what came of it.

        Raises:
            ConfigurationError: this is no run id.
            RunNotFound: there is none with this id.
        """
        summary = await self._journal.run(ids.check_run_id(run_id))
        if summary is None:
            raise RunNotFound(
                f"there is no run {run_id} in environment {self._journal.environment!r}"
            )
        return summary

    async def state(self, run_id: str) -> RunState:
        """Return what the history of a run says: its operations above all.

        Raises:
            RunNotFound: there is none with this id.
            MisusedOperation: it is longer than `limits.FOLDED_RECORDS_MAX`.
        """
        summary = await self.summary(run_id)
        if summary.length > limits.FOLDED_RECORDS_MAX:
            raise MisusedOperation(
                f"run {run_id} has {summary.length} records; the operations of at most"
                f" {limits.FOLDED_RECORDS_MAX} are shown: read its records page by page"
            )
        entries: list[Entry] = []
        while len(entries) < summary.length:
            page = await self._journal.history(run_id, after=len(entries), limit=_PAGE)
            if not page:  # deleted meanwhile
                break
            entries.extend(page)
        if len(entries) <= _PAGE:
            return fold(entries)
        # It may take a second, in which others want their answers.
        return await trio.to_thread.run_sync(fold, entries)

    async def history(
        self, run_id: str, *, after: int = 0, limit: int = _PAGE
    ) -> Sequence[Entry]:
        """Return records of a run after one, in order; `_PAGE` of them at most.

        Raises:
            ConfigurationError: this is no run id, or a number is wrong.
            RunNotFound: there is none with this id.
        """
        check_after(after)
        size = page_size(limit, _PAGE)
        await self.summary(run_id)
        return await self._journal.history(run_id, after=after, limit=size)

    async def counts(self) -> Sequence[RunCount]:
        """Return how many runs there are of each function and status."""
        return await self._journal.counts()

    def _query(self, wanted: RunFilter, status: str, limit: int) -> RunQuery:
        if wanted.function_id:
            check_text(wanted.function_id, option="function_id")
        for run_id in (wanted.parent_run, wanted.cursor):
            if run_id:
                ids.check_run_id(run_id)
        return RunQuery(
            status=status,
            function_id=wanted.function_id,
            parent_run=wanted.parent_run,
            since=wanted.since,
            until=wanted.until,
            cursor=wanted.cursor,
            limit=limit,
        )


def _details(
    summary: RunSummary, first: Sequence[Entry], last: Sequence[Entry]
) -> RunDetails:
    event = _decode_event(first[0].payload) if first and first[0].payload else None
    output: Payload = NO_PAYLOAD
    error: ErrorInfo | None = None
    for entry in last:
        if isinstance(entry.record, RunEnded) and entry.payload:
            if entry.record.status == COMPLETED:
                output = entry.payload
            else:
                error = failures.decode(entry.payload)
    pause = summary.row.pause
    if pause is not None:
        error = ErrorInfo(type=pause.reason, message=pause.message, code="PAUSED")
    return RunDetails(summary, event, output, error)
