"""What may be asked of runs: pages of them, newest first, and all of one.

A run is read from its row and its history; nothing here changes one (`steering`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import msgspec
import trio

from ironflow import ids, limits
from ironflow.errors import ConfigurationError, MisusedOperation, RunNotFound
from ironflow.interpreter import failures
from ironflow.interpreter.fold import RunState, fold
from ironflow.journal.base import RunCount, RunQuery, RunSummary
from ironflow.journal.served import ServedJournal
from ironflow.policy.attributes import parse_filters
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
from ironflow.transport.patches import Patch, patches_of
from ironflow.transport.run_pages import RunWalk, has_text, is_found

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
    microseconds, 0 for none. `event_id` is of the event that started them, `search` a text
    in the id of the run, or in the name or id of its function or event. `attributes` are filters,
    such as `total>=100`. The first `offset`
    of them are left out. More than `PAGE_RUNS_MAX` are not given at once.
    """

    statuses: Sequence[str] = ()
    function_id: str = ""
    parent_run: str = ""
    since: int = 0
    until: int = 0
    event_id: str = ""
    search: str = ""
    cursor: str = ""
    offset: int = 0
    limit: int = 50
    attributes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RunPage:
    """Runs, newest first; `next_cursor` is empty on the last page."""

    runs: Sequence[RunSummary]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class RunSteps:
    """What a history says of a run, and which results were replaced, by ids of steps."""

    state: RunState
    patches: Mapping[str, Patch]


@final
class RunReads:
    """What may be asked of the runs of a journal."""

    def __init__(self, journal: ServedJournal) -> None:
        self._journal = journal

    async def page(self, wanted: RunFilter) -> RunPage:
        """Return a page of runs, newest first.

        If a text or an offset is wanted, no more than `RUNS_SEARCHED_MAX` runs are looked
        at: then the page may be short, and says where to go on.

        Raises:
            ConfigurationError: the limit is none, or a name or id is wrong.
        """
        limit = page_size(wanted.limit, limits.PAGE_RUNS_MAX)
        skipped = _checked_offset(wanted.offset)
        exact = await self._exact(wanted)
        if exact is not None:
            left = exact[skipped:]
            return RunPage(left[:limit], _cursor_of(left, limit))
        walk = RunWalk(self._journal, self._queries(wanted))
        size = limits.PAGE_RUNS_MAX if wanted.search else limit + skipped
        size = min(size, limits.PAGE_RUNS_MAX)
        found: list[RunSummary] = []
        while walk.looked < limits.RUNS_SEARCHED_MAX:
            runs = await walk.page(size)
            fitting = _with_text(runs, wanted.search)
            found += fitting[skipped:]
            skipped -= min(skipped, len(fitting))
            if len(found) >= limit:
                return RunPage(found[:limit], found[limit - 1].row.run_id)
            if len(runs) < size:
                return RunPage(found, "")
        return RunPage(found, walk.cursor)

    async def count(self, wanted: RunFilter) -> int:
        """Return how many runs a filter finds, on all of its pages.

        By status and function they are counted; by anything else they are sought, among
        the newest `RUNS_SEARCHED_MAX`: if there are more, the answer is too small.

        Raises:
            ConfigurationError: a name or id is wrong.
        """
        exact = await self._exact(replace(wanted, cursor=""))
        if exact is not None:
            return len(exact)
        if replace(wanted, cursor="", offset=0, limit=1) == RunFilter(
            statuses=wanted.statuses, function_id=wanted.function_id, limit=1
        ):
            return sum(
                each.count
                for each in await self._journal.counts()
                if wanted.function_id in {"", each.function_id}
                and (not wanted.statuses or each.status in wanted.statuses)
            )
        walk = RunWalk(self._journal, self._queries(replace(wanted, cursor="")))
        size, found = limits.PAGE_RUNS_MAX, 0
        while walk.looked < limits.RUNS_SEARCHED_MAX:
            runs = await walk.page(size)
            found += len(_with_text(runs, wanted.search))
            if len(runs) < size:
                break
        return found

    async def get(self, run_id: str) -> RunDetails:
        """Return a run with what it was given and what came of it.

        Raises:
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
            RunNotFound: there is none with this id.
        """
        summary = await self._journal.run(ids.check_run_id(run_id))
        if summary is None:
            raise RunNotFound(
                f"there is no run {run_id} in environment {self._journal.environment!r}"
            )
        return summary

    async def state(self, run_id: str) -> RunState:
        """Return what the history of a run says: see `steps`."""
        return (await self.steps(run_id)).state

    async def steps(self, run_id: str) -> RunSteps:
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
            return _folded(entries)
        # It may take a second, in which others want their answers.
        return await trio.to_thread.run_sync(_folded, entries)

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

    async def deadline(self, summary: RunSummary) -> int:
        """Return when a run ends if it has not by then, in microseconds; 0 for none."""
        if summary.row.ended_at:
            return 0
        timers = await self._journal.timers(summary.row.run_id)
        return min((each.due for each in timers if each.kind == "run"), default=0)

    async def counts(self) -> Sequence[RunCount]:
        """Return how many runs there are of each function and status."""
        return await self._journal.counts()

    def _queries(self, wanted: RunFilter) -> list[RunQuery]:
        """Return the queries of which a filter wants what any finds."""
        if wanted.function_id:
            check_text(wanted.function_id, option="function_id")
        for run_id in (wanted.parent_run, wanted.cursor):
            if run_id and not ids.is_run_id(run_id):
                raise ConfigurationError(f"{run_id[:80]!r} is not a run id")
        query = RunQuery(
            function_id=wanted.function_id,
            parent_run=wanted.parent_run,
            since=wanted.since,
            until=wanted.until,
            cursor=wanted.cursor,
            attributes=parse_filters(wanted.attributes),
        )
        return [replace(query, status=each) for each in wanted.statuses or ("",)]

    async def _exact(self, wanted: RunFilter) -> list[RunSummary] | None:
        """Return what a filter finds whose runs are known by name; None for another.

        These are the runs that an event has started, and one whose id is sought.
        """
        run_ids: Sequence[str]
        if wanted.event_id and not ids.is_event_id(wanted.event_id):
            raise ConfigurationError(f"{wanted.event_id[:80]!r} is not an event id")
        if wanted.event_id:
            run_ids = await self._of_event(wanted.event_id)
        elif ids.is_run_id(wanted.search):
            run_ids = [wanted.search]
        else:
            return None
        queries = self._queries(wanted)
        found: list[RunSummary] = []
        for run_id in sorted(run_ids, reverse=True):
            run = await self._journal.run(run_id)
            if run is None or not has_text(run, wanted.search):
                continue
            if any(is_found(run, each) for each in queries):
                found.append(run)
        return found

    async def _of_event(self, event_id: str) -> Sequence[str]:
        """Return the ids of the runs that an event has started."""
        stored = await self._journal.event(event_id)
        if stored is not None:
            return stored.run_ids
        # The event may be past its retention: the ids of runs follow from its own.
        return [
            ids.triggered_run_id(event_id, each.id)
            for each in await self._journal.functions()
        ]


def _folded(entries: Sequence[Entry]) -> RunSteps:
    return RunSteps(fold(entries), patches_of(entries))


def _with_text(runs: Sequence[RunSummary], text: str) -> Sequence[RunSummary]:
    return [each for each in runs if has_text(each, text)] if text else runs


def _checked_offset(offset: int) -> int:
    if not 0 <= offset < limits.RUNS_SEARCHED_MAX:
        raise ConfigurationError(
            f"offset={offset} must be at least 0 and less than"
            f" {limits.RUNS_SEARCHED_MAX}; go on by the cursor of a page instead"
        )
    return offset


def _cursor_of(runs: Sequence[RunSummary], limit: int) -> str:
    return runs[limit - 1].row.run_id if len(runs) > limit else ""


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
