"""The View that `apply` works on: rows over the overlay of one transaction.

What is held in memory (the registry, lengths of held runs, the ready queue) is
read here and changed by `store` after the commit, never before.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final, final

from ironflow import codec
from ironflow.errors import RunNotFound
from ironflow.journal import matching
from ironflow.journal.base import (
    Delivery,
    DocumentRow,
    EventLog,
    FunctionRow,
    Hold,
    InboxRow,
    RunRow,
    StoredEvent,
    TimerKind,
    TimerRow,
)
from ironflow.journal.lmdb import keys, retention, rows, tally
from ironflow.journal.lmdb.layers import Layered, Tail
from ironflow.journal.lmdb.redaction_tables import RedactionTables
from ironflow.journal.lmdb.transaction import Transaction
from ironflow.journal.lmdb.wait_tables import PLACE_BYTES, WaitTables
from ironflow.records import Draft, Entry, EventData

INBOX_ROWS_PER_COMMIT_MAX: Final = 1 << 24


class _EventTables(RedactionTables):
    """The registry and the event log."""

    def functions(self) -> Mapping[str, FunctionRow]:
        staged = self.staged.functions
        return self._memory.functions if staged is None else staged

    def put_function(self, row: FunctionRow) -> None:
        changed = dict(self.functions()) | {row.id: row}
        self.staged.functions = dict(sorted(changed.items()))
        key = self._prefix + keys.text(row.id)
        self._overlay.put(keys.FUNCTIONS, key, rows.FUNCTION.encode(row))

    def log(self) -> EventLog:
        return self.staged.event_log or self._memory.event_log

    def put_delivery(self, delivery: Delivery | None) -> None:
        self.staged.event_log = EventLog(self.log().length, delivery)
        key = keys.DELIVERY_KEY + self._prefix
        if delivery is None:
            self._overlay.delete(keys.META, key)
        else:
            self._overlay.put(keys.META, key, rows.DELIVERY.encode(delivery))

    def put_event(self, stored: StoredEvent) -> None:
        log = self.log()
        assert stored.position == log.length + 1 or not log.length
        self.staged.event_log = EventLog(stored.position, log.delivery)
        data, digest = rows.encode_event(stored)
        self.staged.events.append(rows.EventChange(stored.position, digest))
        self.note_event(stored)
        place = keys.number(stored.position)
        event = stored.event
        self._overlay.put(keys.EVENTS, self._prefix + place, data)
        name = self._prefix + keys.text(event.name)
        self._overlay.put(keys.EVENT_NAMES, name + place, b"")
        if event.idempotency_key:
            self._put_event_key(event, place)

    def _put_event_key(self, event: EventData, place: bytes) -> None:
        day = keys.day(event.timestamp)
        days = self._key_days()
        if day not in days:
            self.staged.key_days = sorted([*days, day], reverse=True)
        key = keys.event_key(event.name, event.idempotency_key)
        self._overlay.put(keys.EVENT_KEYS, self._prefix + day + key, place)

    def _key_days(self) -> Sequence[bytes]:
        staged = self.staged.key_days
        return self._memory.key_days if staged is None else staged

    def event_by_key(self, name: str, key: str) -> int | None:
        piece = keys.event_key(name, key)
        for day in self._key_days():
            place = self._overlay.get(keys.EVENT_KEYS, self._prefix + day + piece)
            if place is not None:
                return keys.to_number(place)
        return None

    def events(self, name: str, *, after: int, limit: int) -> Sequence[StoredEvent]:
        place = keys.number(after + 1)
        if not name:
            found = self._overlay.scan(
                keys.EVENTS, self._prefix, start=self._prefix + place
            )
            return [self._event(key, data) for key, data in islice(found, limit)]
        prefix = self._prefix + keys.text(name)
        names = self._overlay.scan(keys.EVENT_NAMES, prefix, start=prefix + place)
        places = [key[len(prefix) :] for key, _ in islice(names, limit)]
        return [self._event_at(place) for place in places]

    def _event(self, key: bytes, data: bytes) -> StoredEvent:
        return rows.decode_event(keys.to_number(key[len(self._prefix) :]), data)

    def _event_at(self, place: bytes) -> StoredEvent:
        key = self._prefix + place
        data = self._overlay.get(keys.EVENTS, key)
        assert data is not None
        return self._event(key, data)

    def oldest_events(self, *, limit: int) -> Sequence[StoredEvent]:
        first = max(self._memory.first_event, self.staged.dropped + 1)
        return self.events("", after=first - 1, limit=limit)

    def drop_events(self, oldest: Sequence[StoredEvent]) -> None:
        self.staged.dropped = last = oldest[-1].position
        for stored in oldest:
            self._drop_event(stored.event, keys.number(stored.position))
        left = retention.days_left(self._overlay, self._prefix, self._key_days())
        if len(left) < len(self._key_days()):
            self.staged.key_days = left
        environment = self._memory.environment
        retention.drop_commits(self._overlay, environment, through=last)

    def _drop_event(self, event: EventData, place: bytes) -> None:
        overlay, prefix = self._overlay, self._prefix
        overlay.delete(keys.EVENTS, prefix + place)
        overlay.delete(keys.EVENT_NAMES, prefix + keys.text(event.name) + place)
        if event.idempotency_key:
            key = keys.event_key(event.name, event.idempotency_key)
            own = prefix + keys.day(event.timestamp) + key
            if overlay.get(keys.EVENT_KEYS, own) == place:
                overlay.delete(keys.EVENT_KEYS, own)
        paths = self._match_paths().get(event.name, {})
        for path, key in matching.keys_at(event, paths).items():
            group = keys.waits(prefix, event.name, path, key)
            overlay.delete(keys.MATCHES, group + place)


class _RunTables(RedactionTables):
    """Runs: their rows, histories, inboxes, timers and places in the queue."""

    def run(self, run_id: str) -> RunRow | None:
        known = self.staged.known.get(run_id)
        if known is not None:
            return known.row
        try:
            return self._known(run_id).row
        except RunNotFound:
            return None

    def put_run(self, row: RunRow) -> None:
        known = self._known(row.run_id)
        before, known.row = known.row, row
        key = known.key
        self._overlay.put(keys.RUNS, key, rows.RUN.encode(row))
        if row.status == "paused":
            self._overlay.put(keys.PAUSED, key, row.function_id.encode())
        elif before is not None and before.status == "paused":
            self._overlay.delete(keys.PAUSED, key)

    def paused(self, function_id: str) -> Sequence[RunRow]:
        name = function_id.encode()
        found = list(self._overlay.scan(keys.PAUSED, self._prefix))
        runs = [self._overlay.get(keys.RUNS, key) for key, own in found if own == name]
        return [rows.RUN.decode(data) for data in runs if data is not None]

    def hold(self, run_id: str) -> Hold:
        known = self.staged.known.get(run_id) or self._known(run_id)
        length = self._length(known)
        if run_id in self.staged.ended_holds:
            return Hold(0, length)
        return Hold(self._memory.queue.holds.get(run_id, 0), length)

    def history(self, run_id: str) -> Sequence[Entry]:
        known = self._known(run_id)
        return self._overlay.records(known.key, after=0, limit=self._length(known))

    def record(self, run_id: str, sequence: int) -> Entry:
        run, overlay = self._run(run_id), self._overlay
        [entry] = overlay.records(run, after=sequence - 1, limit=1)
        return overlay.with_payload(run, entry)

    def append(
        self, run_id: str, entries: Sequence[Entry], headers: Sequence[bytes]
    ) -> None:
        if not entries:
            return
        known = self.staged.known.get(run_id) or self._known(run_id)
        key = known.key
        records = list(map(codec.encode, entries, headers))
        before = self._length(known)
        self._overlay.append(key, Tail(before + 1, records))
        if not before and len(entries) == 1:
            self.staged.first[run_id] = entries[0]
        for entry in entries:
            if entry.redaction is not None:
                self.note_records(key, [entry])
            elif codec.is_blob(entry.payload):
                self._put_blob(key, entry)
        last = entries[-1]
        length = known.length = last.record.sequence
        run = key[keys.ENVIRONMENT_BYTES :]
        self.staged.runs[run_id] = rows.RunChange(run, length, last.digest)

    def _put_blob(self, run: bytes, entry: Entry) -> None:
        """Store a large payload once, and that this run has it."""
        overlay, blob = self._overlay, self._prefix + entry.record.payload_digest
        found = list(islice(overlay.scan(keys.BLOBS, blob), 2))
        if not found:
            overlay.put(keys.BLOBS, blob, bytes(entry.payload))
        elif len(found) == 1:  # stored when nobody noted which runs have it
            overlay.put(keys.BLOBS, blob + keys.UNKNOWN_RUN, b"")
        overlay.put(keys.BLOBS, blob + run[keys.ENVIRONMENT_BYTES :], b"")

    def inbox(self, run_id: str) -> Sequence[InboxRow]:
        return self._inbox(self.staged.known.get(run_id) or self._known(run_id))

    def put_inbox(self, run_id: str, draft: Draft, *, position: int = 0) -> None:
        # Numbers come from the commit's: they grow without a counter to be stored.
        used = len(self._overlay.own.tables.get(keys.INBOX, ()))
        number = (self._memory.commit_number + 1) * INBOX_ROWS_PER_COMMIT_MAX + used
        known = self._known(run_id)
        if known.inbox is not None:
            known.inbox = (*known.inbox, InboxRow(number, draft, position))
        key = known.key + keys.number(number)
        self._overlay.put(keys.INBOX, key, rows.encode_inbox(draft, position=position))

    def drop_inbox(self, run_id: str, numbers: Sequence[int]) -> None:
        known = self._known(run_id)
        for number in numbers:
            self._overlay.delete(keys.INBOX, known.key + keys.number(number))
        if known.inbox:
            left = [row for row in known.inbox if row.number not in numbers]
            known.inbox = tuple(left)

    def put_ready(self, row: RunRow) -> None:
        run_id, staged = row.run_id, self.staged
        if staged.readiness.get(run_id, run_id in self._memory.queue):
            return
        staged.readiness[run_id] = True
        staged.ready.append((run_id, row))
        place = self._memory.ready_place + len(staged.ready)
        data = rows.encode_ready(place, row.function_id, row.lane)
        self._overlay.put(keys.READY, self._run(run_id), data)

    def drop_ready(self, run_id: str) -> None:
        self._overlay.delete(keys.READY, self._run(run_id))
        self.staged.readiness[run_id] = False
        self.staged.ready.append((run_id, None))
        self.staged.ended_holds.add(run_id)

    def put_timer(self, row: TimerRow) -> None:
        self._known(row.run_id).is_bare = False
        due = keys.number(row.due)
        own = self._timer(row.run_id, row.step, row.kind)
        self._overlay.put(keys.RUN_TIMERS, own, due)
        self._overlay.put(
            keys.TIMERS, keys.timer_by_due(own, due), rows.TIMER.encode(row)
        )

    def drop_timer(
        self, run_id: str, step: str, kind: TimerKind, *, due: int = 0
    ) -> bool:
        if self._known(run_id).is_bare:
            return False
        own = self._timer(run_id, step, kind)
        found = self._overlay.get(keys.RUN_TIMERS, own)
        if found is None or (due and keys.to_number(found) != due):
            return False
        self._overlay.delete(keys.RUN_TIMERS, own)
        self._overlay.delete(keys.TIMERS, keys.timer_by_due(own, found))
        return True

    def _timer(self, run_id: str, step: str, kind: TimerKind) -> bytes:
        return self._run(run_id) + keys.timer(step, kind)

    def consume(self, run_id: str, position: int) -> bool:
        self._known(run_id).is_bare = False
        key = self._run(run_id) + keys.number(position)
        if self._overlay.get(keys.CONSUMED, key) is not None:
            return False
        self._overlay.put(keys.CONSUMED, key, b"")
        return True

    def drop_consumed(self, run_id: str, position: int) -> None:
        self._overlay.delete(keys.CONSUMED, self._run(run_id) + keys.number(position))

    def drop_run(self, run_id: str) -> None:
        key = self._run(run_id)
        self._known(run_id).row = None
        self._overlay.delete(keys.RUNS, key)
        self._overlay.put(keys.META, keys.GONE_KEY + key, b"")
        self.staged.deleted.append(key[keys.ENVIRONMENT_BYTES :])
        self._gone()[key] = None

    def is_going(self, run_id: str) -> bool:
        gone = self._memory.gone if self.staged.gone is None else self.staged.gone
        return self._run(run_id) in gone

    def drop_records(self, *, limit: int) -> bool:
        if self.staged.gone is None and not self._memory.gone:
            return False
        return retention.drop_records(self._overlay, self._gone(), limit=limit)

    def _gone(self) -> dict[bytes, None]:
        """Runs without a row, to be changed."""
        if self.staged.gone is None:
            self.staged.gone = dict(self._memory.gone)
        return self.staged.gone

    def drop_run_tables(self, run_id: str) -> None:
        known = self._known(run_id)
        self.drop_inbox(run_id, [row.number for row in self._inbox(known)])
        if not known.is_bare:
            self._drop_waiting(known.key)
        self.drop_ready(run_id)

    def _drop_waiting(self, run: bytes) -> None:
        """Drop the timers, waits and consumed events of a run."""
        overlay = self._overlay
        for own, due in overlay.rows(keys.RUN_TIMERS, run):
            overlay.delete(keys.TIMERS, keys.timer_by_due(own, due))
            overlay.delete(keys.RUN_TIMERS, own)
        for own, key in overlay.rows(keys.RUN_WAITS, run):
            overlay.delete(keys.WAITS, key)
            overlay.delete(keys.RUN_WAITS, own)
            seek = self._prefix + key[-PLACE_BYTES:]
            if overlay.get(keys.SEEKS, seek) is not None:
                overlay.delete(keys.SEEKS, seek)
        for own, _ in overlay.rows(keys.CONSUMED, run):
            overlay.delete(keys.CONSUMED, own)
        self._offered.clear()


class _DocumentTables(Transaction):
    """Documents, by kind and id."""

    def document(self, kind: str, id_: str) -> DocumentRow | None:
        key = self._prefix + keys.document(kind, id_)
        data = self._overlay.get(keys.DOCUMENTS, key)
        return None if data is None else rows.decode_document(data)

    def put_document(self, row: DocumentRow) -> None:
        key = self._prefix + keys.document(row.kind, row.id)
        data = rows.encode_document(row)
        tally.note(self._overlay, self._prefix, key, data)
        self._overlay.put(keys.DOCUMENTS, key, data)

    def drop_document(self, kind: str, id_: str) -> None:
        key = self._prefix + keys.document(kind, id_)
        tally.note(self._overlay, self._prefix, key, None)
        self._overlay.delete(keys.DOCUMENTS, key)


@final
class LmdbView(_EventTables, WaitTables, _RunTables, _DocumentTables):
    """All tables of one environment; see `journal.view.View`."""


def read_run(tables: Layered, environment: bytes, run_id: str) -> RunRow | None:
    """Return the row of a run; text that is no run id names none."""
    try:
        key = environment + keys.run(run_id)
    except RunNotFound:
        return None
    data = tables.get(keys.RUNS, key)
    return None if data is None else rows.RUN.decode(data)
