"""What a journal answers: pages over a snapshot, for its owner and for readers.

Each page is one snapshot, opened and closed without an await between, so no reader
keeps old pages alive. A search that must pass over many rows lets other tasks run
between two pages.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import islice
from operator import attrgetter
from typing import Final

from ironflow import limits
from ironflow.errors import RunNotFound
from ironflow.journal.base import (
    DocumentRow,
    FunctionRow,
    InboxRow,
    RunCount,
    RunQuery,
    RunSummary,
    Standing,
    TimerRow,
)
from ironflow.journal.documents import name_bytes
from ironflow.journal.lmdb import keys, rows
from ironflow.journal.lmdb.event_reads import EventReads
from ironflow.journal.lmdb.indexed import Indexed
from ironflow.journal.lmdb.layers import Layered
from ironflow.journal.lmdb.loading import read_functions
from ironflow.journal.lmdb.run_index import RunIndex
from ironflow.journal.lmdb.search import (
    Counting,
    Search,
    read_summary,
)
from ironflow.records import Entry

_payload_of: Final = attrgetter("payload")


class Reads(EventReads):
    """The reading half of a journal; `environment` names the part that is read."""

    async def history(
        self, run_id: str, *, after: int = 0, limit: int = 10_000
    ) -> Sequence[Entry]:
        """Return records `after+1 .. after+limit` with their payloads, in order.

        A page has at most `limits.PAGE_RECORDS_MAX`. Digests are not checked here:
        `verify` does.

        Raises:
            JournalDamaged: a record or a payload is gone or no record.
        """
        await self._checkpoint()
        with self.source.snapshot() as snapshot:
            try:
                run = self._prefix + keys.run(run_id)
            except RunNotFound:
                return []
            if snapshot.get(keys.RUNS, run) is None:
                return []  # what may be left of one that is past its retention
            limit = min(limit, limits.PAGE_RECORDS_MAX)
            return read_history(snapshot, run, after=after, limit=limit)

    async def find(self, query: RunQuery) -> Sequence[RunSummary]:
        """Return a page of runs, newest first, at most `limits.PAGE_RUNS_MAX`."""
        search = Search(self._prefix, query, self._is_held, self._fresh_holds)
        while not search.is_done:
            await self._checkpoint()
            with self._indexed() as (snapshot, index):
                search.page(snapshot, index)
        return search.found

    async def counts(self) -> Sequence[RunCount]:
        """Return how many runs there are of each function and status."""
        counting = Counting(self._prefix, self._is_held, self._fresh_holds)
        while not counting.is_done:
            await self._checkpoint()
            with self._indexed() as (snapshot, index):
                counting.page(snapshot, index)
        return sorted(RunCount(*key, n) for key, n in counting.counts.items())

    async def run(self, run_id: str) -> RunSummary | None:
        """Return one run, or None."""
        await self._checkpoint()
        with self.source.snapshot() as snapshot:
            return self._summary(snapshot, run_id)

    async def standing(self, run_id: str) -> Standing | None:
        """Return one run with its inbox and timers, of one moment, or None."""
        await self._checkpoint()
        with self.source.snapshot() as snapshot:
            summary = self._summary(snapshot, run_id)
            if summary is None:
                return None
            run = self._prefix + keys.run(run_id)
            inbox = read_inbox(snapshot, run)
            return Standing(summary, inbox, tuple(read_timers(snapshot, run)))

    def _summary(self, snapshot: Layered, run_id: str) -> RunSummary | None:
        try:
            key = self._prefix + keys.run(run_id)
        except RunNotFound:
            return None
        return read_summary(snapshot, key, self._is_held)

    @contextmanager
    def _indexed(self) -> Generator[tuple[Layered, Indexed | None]]:
        """Give all that is committed, and the index of runs if it is of use."""
        index = self._index()
        if index is None:
            with self.source.snapshot() as snapshot:
                yield snapshot, None
            return
        # The index first: nothing in it may be newer than what it stands beside.
        with (
            index.environment.snapshot() as opened,
            self.source.snapshot() as snapshot,
        ):
            yield snapshot, index.beside(opened, snapshot)

    def _index(self) -> RunIndex | None:
        """Return the index of runs, if there is one that may be read."""
        return None

    def _fresh_holds(self) -> Sequence[bytes]:
        """Return the keys of runs that are held and have only begun."""
        return ()

    def _is_held(self, run_id: str) -> bool:
        """Say whether somebody carries the run on: only its owner can know."""
        return False

    async def functions(self) -> Sequence[FunctionRow]:
        """Return the registry: all functions that were made known, by id."""
        await self._checkpoint()
        with self.source.snapshot() as snapshot:
            found = read_functions(snapshot, self._prefix)
        return tuple(found.values())

    async def documents(
        self, kind: str, *, after: str = "", limit: int = 100
    ) -> Sequence[DocumentRow]:
        """Return documents of a kind after an id, in the order of the ids.

        A page has at most `limits.PAGE_DOCUMENTS_MAX`. Digests are checked.

        Raises:
            JournalDamaged: a document is not what was written.
        """
        await self._checkpoint()
        if not self.source.environment.has_table(keys.DOCUMENTS):
            return []
        prefix = self._prefix + keys.text(kind)
        known = keys.document(kind, after)[: keys.DOCUMENT_BYTES_MAX]
        # With a zero byte it is behind the row of those that were deleted.
        start = self._prefix + known + b"\0"
        with self.source.snapshot() as snapshot:
            found = snapshot.scan(keys.DOCUMENTS, prefix, start=start)
            page = islice(found, min(limit, limits.PAGE_DOCUMENTS_MAX))
            return [rows.decode_document(data) for _, data in page]

    async def document(self, kind: str, id_: str) -> DocumentRow | None:
        """Return one document, or None.

        Raises:
            JournalDamaged: it is not what was written.
        """
        await self._checkpoint()
        if not 0 < name_bytes(id_) <= limits.DOCUMENT_ID_BYTES_MAX:
            return None
        if not self.source.environment.has_table(keys.DOCUMENTS):
            return None
        with self.source.snapshot() as snapshot:
            key = self._prefix + keys.document(kind, id_)
            data = snapshot.get(keys.DOCUMENTS, key)
            return None if data is None else rows.decode_document(data)

    async def timers(self, run_id: str) -> Sequence[TimerRow]:
        """Return the timers of one run: what it waits for and until when."""
        await self._checkpoint()
        with self.source.snapshot() as snapshot:
            try:
                run = self._prefix + keys.run(run_id)
            except RunNotFound:
                return []
            return read_timers(snapshot, run)

    async def due(self, now: int, *, limit: int) -> tuple[Sequence[TimerRow], int]:
        """Return timers due at `now`, earliest first, and when the next is due.

        At most `limits.DUE_TIMERS_MAX`; the second value is 0 if no timer remains.
        """
        await self._checkpoint()
        limit = min(limit, limits.DUE_TIMERS_MAX)
        timers: list[TimerRow] = []
        with self.source.snapshot() as snapshot:
            for _, data in snapshot.scan(keys.TIMERS, self._prefix):
                timer = rows.TIMER.decode(data)
                if timer.due > now or len(timers) == limit:
                    return timers, timer.due
                timers.append(timer)
        return timers, 0


# --- pieces that the owner and `verify` use too ---------------------------------


def read_history(
    snapshot: Layered, run: bytes, *, after: int, limit: int
) -> list[Entry]:
    """Return a page of a history, by its key, with its payloads."""
    return _with_payloads(
        snapshot, run, snapshot.records(run, after=after, limit=limit)
    )


def read_short_history(snapshot: Layered, run: bytes) -> tuple[int, list[Entry]]:
    """Return the length of a history, and all of it with its payloads if it is short."""
    length, entries = snapshot.short_records(run)
    return length, _with_payloads(snapshot, run, entries)


def _with_payloads(snapshot: Layered, run: bytes, entries: list[Entry]) -> list[Entry]:
    if all(map(_payload_of, entries)):  # as nearly always
        return entries
    for index, entry in enumerate(entries):
        entries[index] = snapshot.with_payload(run, entry)
    return entries


def read_inbox(tables: Layered, run: bytes) -> tuple[InboxRow, ...]:
    """Return the inbox of a run by its key."""
    return tuple(
        rows.decode_inbox(keys.to_number(key[len(run) :]), data)
        for key, data in tables.rows(keys.INBOX, run)
    )


def read_timers(snapshot: Layered, run: bytes) -> list[TimerRow]:
    """Return the timers of a run by its key, earliest first."""
    found = [
        snapshot.get(keys.TIMERS, keys.timer_by_due(own, due))
        for own, due in snapshot.scan(keys.RUN_TIMERS, run)
    ]
    timers = [rows.TIMER.decode(data) for data in found if data is not None]
    return sorted(timers, key=lambda timer: (timer.due, timer.step, timer.kind))
