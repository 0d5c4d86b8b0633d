"""The journal in memory: the reference that every other store is compared with.

It keeps nothing when the process ends. Nothing in it waits, so a program
without an event loop uses the methods that end in `_now`, and takes a snapshot
to crash from as often as it likes.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from itertools import islice
from operator import attrgetter
from typing import Final, Self, final

from ironflow import limits
from ironflow.errors import JournalError
from ironflow.journal.apply import apply
from ironflow.journal.base import (
    Answer,
    Claim,
    DocumentRow,
    FunctionRow,
    Hint,
    JournalCommand,
    RunCount,
    RunQuery,
    RunSummary,
    Standing,
    StoredEvent,
    TimerRow,
    shown_status,
)
from ironflow.journal.event_lists import (
    EventNames,
    EventPage,
    EventQuery,
    EventSearch,
    NameCount,
)
from ironflow.journal.lists import fits, id_range
from ironflow.journal.memory_durable import Durable, Run
from ironflow.journal.memory_tables import MemoryView
from ironflow.policy.match import parse_pattern, pattern_matches
from ironflow.records import Entry


@final
@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a crash would leave of a journal; restored as often as you like."""

    environment: str
    durable: Durable


class MemoryStore:
    """A journal whose tables are dicts, for a program without an event loop."""

    def __init__(self, environment: str = "default") -> None:
        self.environment: Final = environment
        self._open(Durable())

    @classmethod
    def restored(cls, snapshot: Snapshot) -> Self:
        """Open what a snapshot holds, as after a crash: every hold has ended."""
        store = cls(snapshot.environment)
        store._open(snapshot.durable.copy())
        return store

    def _open(self, durable: Durable) -> None:
        durable.openings += 1
        self._durable = durable
        self._view = MemoryView(durable)
        if not durable.is_closed:
            self._view.queue.suspect_all()
        durable.is_closed = False
        self._watchers: dict[object, Callable[[Hint], None]] = {}
        self._is_closed = False

    def snapshot(self) -> Snapshot:
        """Return what is durable now."""
        return Snapshot(self.environment, self._durable.copy())

    def commit_now(self, commands: Sequence[JournalCommand]) -> list[Answer]:
        """Carry out the commands, in order: all of them or, if one raises, none."""
        self._check_open()
        view = self._view
        view.hint = hint = Hint()
        try:
            answers = [
                apply(view, command, environment=self.environment)
                for command in commands
            ]
        except BaseException:
            view.roll_back()
            raise
        if view.keep():
            for callback in tuple(self._watchers.values()):
                callback(hint)
        return answers

    def history_now(
        self, run_id: str, *, after: int = 0, limit: int = 10_000
    ) -> list[Entry]:
        """Return a page of a run's records; none if there is no such run."""
        run = self._durable.runs.get(run_id)
        return [] if run is None else run.entries[after : after + limit]

    def find_now(self, query: RunQuery) -> list[RunSummary]:
        """Return a page of runs, newest first."""
        first, beyond = id_range(query)
        found = (
            summary
            for run_id, run in self._durable.runs.items()
            if first <= run_id
            and (not beyond or run_id < beyond)
            and fits(summary := self._summary(run), query)
        )
        return nlargest(query.limit, found, key=attrgetter("row.run_id"))

    def counts_now(self) -> list[RunCount]:
        """Return how many runs there are of each function and status."""
        found = Counter(
            (run.row.function_id, self._summary(run).status)
            for run in self._durable.runs.values()
        )
        return sorted(RunCount(*key, count) for key, count in found.items())

    def run_now(self, run_id: str) -> RunSummary | None:
        """Return one run, or None."""
        run = self._durable.runs.get(run_id)
        return None if run is None else self._summary(run)

    def standing_now(self, run_id: str) -> Standing | None:
        """Return one run with its inbox and timers, or None."""
        run = self._durable.runs.get(run_id)
        if run is None:
            return None
        inbox, timers = tuple(run.inbox.values()), tuple(self.timers_now(run_id))
        return Standing(self._summary(run), inbox, timers)

    def events_now(
        self, pattern: str = ">", *, after: int = 0, limit: int = 100
    ) -> list[StoredEvent]:
        """Return a page of events by pattern, in commit order."""
        parsed = parse_pattern(pattern, option="pattern")
        events = self._durable.events
        found = (
            stored
            for place in range(max(0, after - self._durable.dropped), len(events))
            if pattern_matches(parsed, (stored := events[place]).event.name)
        )
        return list(islice(found, limit))

    def find_events_now(self, query: EventQuery) -> EventPage:
        """Return a page of events, newest first."""
        search = EventSearch(query)
        for stored in reversed(self._durable.events):
            if search.is_done or stored.position <= query.after:
                break
            if not query.before or stored.position < query.before:
                search.look(stored)
        return search.page()

    def event_now(self, event_id: str) -> StoredEvent | None:
        """Return an event by its id, or None."""
        found = (each for each in self._durable.events if each.event.id == event_id)
        return next(found, None)

    def event_names_now(self, *, since: int, until: int, source: str) -> EventNames:
        """Count the names of events, the newest."""
        names = NameCount(since=since, until=until, source=source)
        for stored in reversed(self._durable.events):
            if names.is_done:
                break
            event = stored.event
            names.look(
                stored.position, event_id=event.id, name=event.name, source=event.source
            )
        return names.answer()

    def claim_now(self, functions: frozenset[str], *, limit: int) -> list[Claim]:
        """Take ready runs of these functions, in the order they became ready."""
        self._check_open()
        taken = self._view.queue.claim(functions, limit=limit)
        return [self._claimed(self._durable.runs[run_id]) for run_id in taken]

    def release_now(self, claims: Sequence[Claim]) -> None:
        """Give runs back; they go to the end of the queue."""
        queue, ready = self._view.queue, self._durable.ready
        for claim in claims:
            if queue.release(claim.run_id, epoch=claim.epoch):
                del ready[claim.run_id]
                ready[claim.run_id] = self._durable.count()

    def due_now(self, now: int, *, limit: int) -> tuple[list[TimerRow], int]:
        """Return timers due at `now`, and when the first of the others is due."""
        due = self._view.due
        keys = due[:limit]
        fired = [
            self._durable.runs[run_id].timers[step, kind]
            for at, run_id, step, kind in keys
            if at <= now
        ]
        return fired, due[len(fired)][0] if len(fired) < len(due) else 0

    def timers_now(self, run_id: str) -> list[TimerRow]:
        """Return the timers of one run, earliest first."""
        run = self._durable.runs.get(run_id)
        timers = [] if run is None else list(run.timers.values())
        return sorted(timers, key=attrgetter("due", "step", "kind"))

    def documents_now(self, kind: str, *, after: str, limit: int) -> list[DocumentRow]:
        """Return documents of a kind after an id, in the order of the ids."""
        found = (
            row
            for (own, id_), row in self._durable.documents.items()
            if own == kind and id_ > after
        )
        limit = min(limit, limits.PAGE_DOCUMENTS_MAX)
        return nsmallest(limit, found, key=attrgetter("id"))

    def document_now(self, kind: str, id_: str) -> DocumentRow | None:
        """Return one document, or None."""
        return self._durable.documents.get((kind, id_)) if id_ else None

    def _check_open(self) -> None:
        if self._is_closed:
            raise JournalError("this journal is closed; open it again")

    def _summary(self, run: Run) -> RunSummary:
        length = len(run.entries)
        ready = run.row.run_id in self._durable.ready
        held = run.row.run_id in self._view.queue.holds
        status = shown_status(run.row, length=length, ready=ready, held=held)
        return RunSummary(run.row, status, length)

    def _claimed(self, run: Run) -> Claim:
        return Claim(
            run_id=run.row.run_id,
            function_id=run.row.function_id,
            epoch=self._view.queue.holds[run.row.run_id],
            length=len(run.entries),
            inbox=tuple(run.inbox.values()),
            entries=tuple(run.entries) if len(run.entries) == 1 else (),
            is_recovered=self._view.queue.was_suspect(run.row.run_id),
            asked=run.row.asked,
        )


@final
class MemoryJournal(MemoryStore):
    """A journal whose tables are dicts; it implements `Journal`."""

    async def commit(self, commands: Sequence[JournalCommand]) -> Sequence[Answer]:
        """Carry out the commands, in order, in one transaction."""
        return self.commit_now(commands)

    async def history(
        self, run_id: str, *, after: int = 0, limit: int = 10_000
    ) -> Sequence[Entry]:
        """Return a page of a run's records, in order."""
        return self.history_now(run_id, after=after, limit=limit)

    async def find(self, query: RunQuery) -> Sequence[RunSummary]:
        """Return a page of runs, newest first."""
        return self.find_now(query)

    async def counts(self) -> Sequence[RunCount]:
        """Return how many runs there are of each function and status."""
        return self.counts_now()

    async def run(self, run_id: str) -> RunSummary | None:
        """Return one run, or None."""
        return self.run_now(run_id)

    async def standing(self, run_id: str) -> Standing | None:
        """Return one run with its inbox and timers, or None."""
        return self.standing_now(run_id)

    async def events(
        self, pattern: str = ">", *, after: int = 0, limit: int = 100
    ) -> Sequence[StoredEvent]:
        """Return a page of events by pattern, in commit order."""
        return self.events_now(pattern, after=after, limit=limit)

    async def find_events(self, query: EventQuery) -> EventPage:
        """Return a page of events, newest first."""
        return self.find_events_now(query)

    async def event(self, event_id: str) -> StoredEvent | None:
        """Return an event by its id, or None."""
        return self.event_now(event_id)

    async def event_names(
        self, *, since: int = 0, until: int = 0, source: str = ""
    ) -> EventNames:
        """Count the names of events, the newest."""
        return self.event_names_now(since=since, until=until, source=source)

    async def documents(
        self, kind: str, *, after: str = "", limit: int = 100
    ) -> Sequence[DocumentRow]:
        """Return documents of a kind after an id, in the order of the ids."""
        return self.documents_now(kind, after=after, limit=limit)

    async def document(self, kind: str, id_: str) -> DocumentRow | None:
        """Return one document, or None."""
        return self.document_now(kind, id_)

    async def claim(self, functions: frozenset[str], *, limit: int) -> Sequence[Claim]:
        """Take ready runs of these functions that nobody holds."""
        return self.claim_now(functions, limit=limit)

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give runs back, still ready."""
        self.release_now(claims)

    async def due(self, now: int, *, limit: int) -> tuple[Sequence[TimerRow], int]:
        """Return timers due at `now`, and when the next is due."""
        return self.due_now(now, limit=limit)

    async def functions(self) -> Sequence[FunctionRow]:
        """Return the registry, by id."""
        return tuple(self._durable.functions.values())

    async def timers(self, run_id: str) -> Sequence[TimerRow]:
        """Return the timers of one run."""
        return self.timers_now(run_id)

    def watch(self, callback: Callable[[Hint], None]) -> Callable[[], None]:
        """Call back after each commit that changed something; return a stop."""
        key = object()
        self._watchers[key] = callback

        def stop() -> None:
            self._watchers.pop(key, None)

        return stop

    async def close(self) -> None:
        """End every hold; nothing is kept unless a snapshot was taken."""
        self._is_closed = self._durable.is_closed = True
