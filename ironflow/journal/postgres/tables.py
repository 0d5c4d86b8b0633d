"""The View that `apply` works on: answers of the database under what is changed.

It does not wait. A read whose answer is not there raises `Wanted`; whoever decides
asks for it, with whatever else is wanted, and begins again: `apply` is pure.
"""

from collections.abc import Mapping, Sequence
from typing import final

from ironflow import limits
from ironflow.errors import RunNotFound
from ironflow.journal import matching
from ironflow.journal.base import (
    Claim,
    Delivery,
    DocumentRow,
    EventLog,
    FunctionRow,
    Hold,
    InboxRow,
    MatchPath,
    RunRow,
    StoredEvent,
    TimerKind,
    TimerRow,
    WaitRow,
)
from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres import questions as ask
from ironflow.journal.postgres.answered import ABSENT, Tables
from ironflow.journal.postgres.changes import (
    ReadyRow,
    Released,
)
from ironflow.journal.postgres.lookups import PAGE_OF_EVENTS
from ironflow.journal.postgres.questions import Question
from ironflow.journal.postgres.redaction_tables import (
    EventRedactions,
    RecordRedactions,
)
from ironflow.records import Draft, EventData


class _EventTables(EventRedactions):
    """The registry, the event log, who waits for what and who took what."""

    def functions(self) -> Mapping[str, FunctionRow]:
        return self._functions

    def put_function(self, row: FunctionRow) -> None:
        self._functions = dict(sorted({**self._functions, row.id: row}.items()))
        self.changes.functions.append(row)

    def log(self) -> EventLog:
        changes, head = self.changes, self._head
        changed = changes.is_delivery_changed
        delivery = changes.delivery if changed else head.delivery
        length = changes.events[-1].position if changes.events else head.events
        return EventLog(length, delivery)

    def put_delivery(self, delivery: Delivery | None) -> None:
        if delivery != self.log().delivery:
            self.changes.delivery = delivery
            self.changes.is_delivery_changed = True

    def put_event(self, stored: StoredEvent) -> None:
        length = self.log().length
        assert stored.position == length + 1 or not length
        self.changes.events.append(stored)

    def events(self, name: str, *, after: int, limit: int) -> Sequence[StoredEvent]:
        if name:
            return self._named(name, after)[:limit]
        last = min(after + limit, self.log().length)
        found = map(self._event_at, range(after + 1, last + 1))
        return [stored for stored in found if stored is not None]

    def _event_at(self, position: int) -> StoredEvent | None:
        """An event, unless it is past its retention."""
        return self.event(position)

    def _named(self, name: str, after: int) -> list[StoredEvent]:
        """The next events of a name, some at a time."""
        stored: list[StoredEvent] = []
        if after < self._head.events:
            question = ask.EventsNamed(name, after)
            if question not in self._answers.pages:
                self._want(question)
            page = map(self.as_replaced, self._answers.pages[question])
            stored = [each for each in page if each is not None]
            self._page = [event.position for event in stored]
        if len(stored) == PAGE_OF_EVENTS:
            return stored
        return stored + [
            event
            for event in self.changes.events
            if event.event.name == name and event.position > after
        ]

    def event_by_key(self, name: str, key: str) -> int | None:
        for stored in self.changes.events:
            event = stored.event
            if event.name == name and event.idempotency_key == key:
                return stored.position
        question = ask.EventByKey(pg.digest(name, key))
        if question not in self._answers.keys:
            self._want(question)
        return self._answers.keys[question]

    def put_wait(self, row: WaitRow) -> None:
        self.changes.waits.put(pg.run(row.run_id), pg.digest(row.step), row)

    def drop_wait(self, run_id: str, step: str) -> WaitRow | None:
        run, key = pg.run(run_id), pg.digest(step)
        waits = self.changes.waits
        row = waits.value(run, key)
        if row is None and not waits.hides(run, key) and self._stored(run).has_waits:
            question = ask.WaitOf(run, key)
            if question not in self._answers.waits:
                self._want(question)
            row = self._answers.waits[question]
        if row is not None:
            waits.drop(run, key)
        return row

    def seeking(self, *, limit: int) -> Sequence[WaitRow]:
        question = ask.Seeking(pg.NO_RUN, 0)
        stored: list[WaitRow] = []
        while len(stored) < limit:
            if question not in self._answers.seeking:
                self._want(question)
            page = self._answers.seeking[question]
            stored += self._left(page)
            if len(page) < limits.DELIVERIES_PER_COMMIT_MAX:
                break
            question = ask.Seeking(pg.run(page[-1].run_id), page[-1].sequence)
        for put in self.changes.waits.puts.values():
            stored += [row for row in put.values() if row.seeks]
        return sorted(stored, key=lambda row: (row.run_id, row.sequence))[:limit]

    def waits_for(
        self, event: EventData, *, after: tuple[str, int], limit: int
    ) -> Sequence[WaitRow]:
        place = (after[0], after[1])
        put = [
            row
            for rows_of_run in self.changes.waits.puts.values()
            for row in rows_of_run.values()
            if row.event == event.name and (row.run_id, row.sequence) > place
        ]
        found = [
            row for row in put if matching.fits(event, path=row.path, key=row.match_key)
        ]
        for path, key in self._keys_sought(event):
            found += self._stored_waits(event.name, path, key, after=place, limit=limit)
        found.sort(key=lambda row: (row.run_id, row.sequence))
        self._ask_of_offered(found[:limit])
        return found[:limit]

    def _ask_of_offered(self, waits: Sequence[WaitRow]) -> None:
        """Ask at once what will be asked of each of these runs."""
        self._offered = [pg.run(row.run_id) for row in waits]
        unknown = [
            (run, row)
            for run, row in zip(self._offered, waits, strict=True)
            if run not in self._created and ask.RunOf(run) not in self._answers.runs
        ]
        if unknown:
            runs: list[Question] = [ask.RunOf(run) for run, _ in unknown]
            timers = [
                ask.TimerOf(run, pg.digest(row.step), "wait") for run, row in unknown
            ]
            self._want(*runs, *timers)

    def _keys_sought(self, event: EventData) -> list[tuple[bytes, bytes]]:
        """Where stored waits look, and what of this event they would find there."""
        question = ask.PathsOf(event.name)
        if question not in self._answers.paths:
            self._want(question)
        paths = self._answers.paths[question]
        if not paths:
            return []
        return sought(event, paths)

    def _stored_waits(
        self, name: str, path: bytes, key: bytes, *, after: tuple[str, int], limit: int
    ) -> list[WaitRow]:
        """Stored waits that still count: those that were dropped leave room."""
        found: list[WaitRow] = []
        while len(found) < limit:
            run = pg.run(after[0]) if after[0] else pg.NO_RUN
            question = ask.WaitsFor(name, path, key, run, after[1])
            if question not in self._answers.fitting:
                self._want(question)
            page = self._answers.fitting[question]
            found += self._left(page)
            if len(page) < limits.DELIVERIES_PER_COMMIT_MAX:
                break
            after = (page[-1].run_id, page[-1].sequence)
        return found

    def _left(self, page: Sequence[WaitRow]) -> list[WaitRow]:
        hides = self.changes.waits.hides
        return [
            row for row in page if not hides(pg.run(row.run_id), pg.digest(row.step))
        ]

    def consume(self, run_id: str, position: int) -> bool:
        run = pg.run(run_id)
        if self._is_consumed(run, position):
            return False
        self.changes.consumed.put(run, position, value=True)
        return True

    def _is_consumed(self, run: bytes, position: int) -> bool:
        consumed = self.changes.consumed
        if consumed.value(run, position) is not None:
            return True
        if consumed.hides(run, position) or position > self._head.events:
            return False
        if not self._stored(run).has_consumed:
            return False
        question = ask.ConsumedBy(run, position)
        if question not in self._answers.consumed:
            of_runs = [ask.ConsumedBy(other, position) for other in self._offered]
            of_page = [ask.ConsumedBy(run, other) for other in self._page]
            self._want(question, *of_runs, *of_page)
        return self._answers.consumed[question]

    def drop_consumed(self, run_id: str, position: int) -> None:
        self.changes.consumed.drop(pg.run(run_id), position)


class _MatchTables(Tables):
    """The index by which waits look back, and events that are past their retention."""

    def oldest_events(self, *, limit: int) -> Sequence[StoredEvent]:
        question = ask.OldestEvents(limit)
        if question not in self._answers.oldest:
            self._want(question)
        gone = self.changes.events_gone
        last = gone[-1].position if gone else 0
        return [each for each in self._answers.oldest[question] if each.position > last]

    def drop_events(self, oldest: Sequence[StoredEvent]) -> None:
        for stored in oldest:
            event = stored.event
            paths = self.match_paths(event.name)
            for path, key in matching.keys_at(event, paths).items():
                place = event.name, pg.digest(path), key, stored.position
                self.changes.matches_gone.append(place)
        self.changes.events_gone += oldest

    def match_paths(self, name: str) -> Mapping[str, MatchPath]:
        question = ask.MatchPathsOf(name)
        if question not in self._answers.match_paths:
            self._want(question)
        paths = self._answers.match_paths[question]
        if not self.changes.match_paths:
            return paths
        known = dict[str, MatchPath | None](paths)
        for (event, path), row in self.changes.match_paths.items():
            if event == name:
                known[path] = row
        return {path: row for path, row in known.items() if row is not None}

    def put_match_path(self, row: MatchPath) -> None:
        self.changes.match_paths[row.event, row.path] = row

    def drop_match_path(self, name: str, path: str) -> None:
        self.changes.match_paths[name, path] = None

    def put_match(self, name: str, path: str, key: bytes, position: int) -> None:
        group = name, pg.digest(path), key
        self.changes.matches.setdefault(group, set()).add(position)

    def matches(
        self, name: str, path: str, key: bytes, *, after: int, limit: int
    ) -> Sequence[int]:
        group = name, pg.digest(path), key
        put = {each for each in self.changes.matches.get(group, ()) if each > after}
        question = ask.MatchesOf(*group, after)
        if question not in self._answers.matches:
            self._want(question)
        stored = self._answers.matches[question]
        if len(stored) == PAGE_OF_EVENTS:  # what comes behind it is for the next page
            put = {each for each in put if each < stored[-1]}
        return sorted(put.union(stored))[:limit]


class _RunTables(RecordRedactions):
    """Runs: their rows, inboxes, timers and places in the queue."""

    def run(self, run_id: str) -> RunRow | None:
        try:
            run = pg.run(run_id)
        except RunNotFound:
            return None
        if run in self._deleted:
            return None
        return self.changes.runs.get(run) or self._stored(run).row

    def put_run(self, row: RunRow) -> None:
        run, changes = pg.run(row.run_id), self.changes
        before = changes.runs.get(run)
        if before is None and (found := self._answers.runs.get(ask.RunOf(run))):
            before = found.row
        # Who changes attributes has asked for the row; another one may be new.
        if row.attributes != (b"" if before is None else before.attributes):
            changes.attributes[run] = row.attributes
        changes.runs[run] = row

    def paused(self, function_id: str) -> Sequence[RunRow]:
        question = ask.PausedOf(function_id)
        if question not in self._answers.paused:
            self._want(question)
        found = {row.run_id: row for row in self._answers.paused[question]}
        for row in self.changes.runs.values():
            found.pop(row.run_id, None)
            if row.status == "paused" and row.function_id == function_id:
                found[row.run_id] = row
        return sorted(found.values(), key=lambda row: row.run_id)

    def hold(self, run_id: str) -> Hold:
        run = pg.run(run_id)
        stored = self._stored(run)
        length = self.lengths.get(run, stored.length)
        changes = self.changes
        ended = run in changes.released or changes.ready.hides(run, None)
        return Hold(0 if ended else stored.epoch, length)

    def inbox(self, run_id: str) -> Sequence[InboxRow]:
        run = pg.run(run_id)
        inbox = self.changes.inbox
        if run in inbox.emptied or run in self._created:
            return list(inbox.puts.get(run, {}).values())
        question = ask.InboxOf(run)
        stored = self._answers.inboxes.get(question)
        if stored is None:
            self._want(question)
            stored = self._answers.inboxes[question]
        return self.changes.inbox_of(run, stored) if inbox.is_touched() else stored

    def put_inbox(self, run_id: str, draft: Draft, *, position: int = 0) -> None:
        number = self._number()
        row = InboxRow(number, draft, position)
        self.changes.inbox.put(pg.run(run_id), number, row)

    def drop_inbox(self, run_id: str, numbers: Sequence[int]) -> None:
        run = pg.run(run_id)
        for number in numbers:
            self.changes.inbox.drop(run, number)

    def put_ready(self, row: RunRow) -> None:
        run, ready = pg.run(row.run_id), self.changes.ready
        if ready.value(run, None) is not None:
            return
        known = self._answers.runs.get(ask.RunOf(run), ABSENT)
        if not known.is_ready or ready.hides(run, None):
            ready.put(run, None, ReadyRow(row.function_id, row.lane, self._number()))

    def drop_ready(self, run_id: str) -> None:
        self.changes.ready.drop(pg.run(run_id), None)

    def put_timer(self, row: TimerRow) -> None:
        key = pg.digest(row.step), row.kind
        self.changes.timers.put(pg.run(row.run_id), key, row)

    def drop_timer(
        self, run_id: str, step: str, kind: TimerKind, *, due: int = 0
    ) -> bool:
        run, key = pg.run(run_id), (pg.digest(step), kind)
        found = self._due(run, key)
        if not found or due not in {0, found}:
            return False
        self.changes.timers.drop(run, key)
        return True

    def _due(self, run: bytes, key: tuple[bytes, str]) -> int:
        """When a timer is due, 0 if there is none."""
        timers = self.changes.timers
        row = timers.value(run, key)
        if row is not None:
            return row.due
        if timers.hides(run, key) or not self._stored(run).has_timers:
            return 0
        question = ask.TimerOf(run, *key)
        if question not in self._answers.timers:
            self._want(question)
        return self._answers.timers[question]

    def drop_run(self, run_id: str) -> None:
        run = pg.run(run_id)
        self.changes.runs_gone.append(run)
        self._deleted.add(run)

    def drop_run_tables(self, run_id: str) -> None:
        run, changes = pg.run(run_id), self.changes
        changes.ready.drop(run, None)
        stored = self._stored(run)
        changes.inbox.empty(run)
        changes.timers.empty(run, stored=stored.has_timers)
        changes.waits.empty(run, stored=stored.has_waits)
        changes.consumed.empty(run, stored=stored.has_consumed)


class _DocumentTables(Tables):
    """Documents, by kind and id."""

    def document(self, kind: str, id_: str) -> DocumentRow | None:
        question = ask.DocumentOf(kind, id_)
        if question in self.changes.documents:
            return self.changes.documents[question]
        if question not in self._answers.documents:
            self._want(question)
        return self._answers.documents[question]

    def put_document(self, row: DocumentRow) -> None:
        self.changes.documents[row.kind, row.id] = row

    def drop_document(self, kind: str, id_: str) -> None:
        self.changes.documents[kind, id_] = None


@final
class PostgresView(_EventTables, _MatchTables, _RunTables, _DocumentTables):
    """All tables of one environment; see `journal.view.View`."""

    def release(self, claims: Sequence[Claim]) -> None:
        """Give up holds of these epochs; the runs go to the end of the queue."""
        for claim in claims:
            run = pg.run(claim.run_id)
            if self.hold(claim.run_id).epoch == claim.epoch:
                row = Released(run, claim.epoch, self._number())
                self.changes.released[run] = row
                self.hint.ready.add(claim.run_id)


def sought(event: EventData, paths: Mapping[str, bytes]) -> list[tuple[bytes, bytes]]:
    """Return key of path and match key of what an event has where waits look."""
    keys = matching.keys_at(event, filter(None, paths))
    if "" in paths:
        keys[""] = b""
    return [(paths[path], key) for path, key in keys.items()]
