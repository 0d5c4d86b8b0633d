"""Histories and events as they are read to be changed, and what is put in their place."""

from collections.abc import Sequence

from ironflow import codec
from ironflow.journal import matching
from ironflow.journal.base import StoredEvent
from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres import questions as ask
from ironflow.journal.postgres.answered import Tables
from ironflow.journal.postgres.histories import HistoryTables
from ironflow.records import Entry


class EventRedactions(Tables):
    """Events in whose data something else is put."""

    def event(self, position: int) -> StoredEvent | None:
        """Return the event at a position, or None."""
        changes = self.changes
        if position > self._head.events:
            put = {stored.position: stored for stored in changes.events}
            return self.as_replaced(put.get(position))
        question = ask.EventAt(position)
        if question not in self._answers.events:
            self._want(question)
        return self.as_replaced(self._answers.events[question])

    def as_replaced(self, stored: StoredEvent | None) -> StoredEvent | None:
        """Return an event that was read as this transaction leaves it."""
        if stored is None or not self.changes.redacted_events:
            return stored
        return self.changes.redacted_events.get(stored.position, stored)

    def replace_event(self, before: StoredEvent, after: StoredEvent) -> None:
        """Put a redacted event in the place of what was stored."""
        self.changes.redacted_events[before.position] = after
        event = before.event
        question = ask.MatchPathsOf(event.name)
        if question not in self._answers.match_paths:
            self._want(question)
        paths = self._answers.match_paths[question]
        for path, key in matching.keys_at(event, paths).items():
            place = event.name, pg.digest(path), key, before.position
            self.changes.matches_gone.append(place)


class RecordRedactions(HistoryTables):
    """Records in whose payloads something else is put."""

    def history(self, run_id: str) -> Sequence[Entry]:
        """Return a whole history, as this transaction leaves it."""
        found = super().history(run_id)
        redacted, run = self.changes.redacted_records, pg.run(run_id)
        if not redacted:
            return found
        return [
            codec.decode(redacted[place]) if place in redacted else entry
            for entry in found
            for place in [(run, entry.record.sequence)]
        ]

    def _added(self, run: bytes, sequence: int) -> bytes | None:
        redacted = self.changes.redacted_records.get((run, sequence))
        return super()._added(run, sequence) if redacted is None else redacted

    def records(self, run_id: str, sequences: Sequence[int]) -> Sequence[Entry]:
        """Return these records, without payloads that lie apart."""
        run = pg.run(run_id)
        here = {each: self._added(run, each) for each in sequences}
        asked = {each: ask.RecordOf(run, each) for each in here if here[each] is None}
        unknown = [each for each in asked.values() if each not in self._answers.records]
        if unknown:
            self._want(*unknown)
        return [
            codec.decode(here[each] or self._answers.records[asked[each]])
            for each in sequences
        ]

    def replace_records(self, run_id: str, entries: Sequence[Entry]) -> None:
        """Put redacted records in the place of what was stored."""
        run, changes = pg.run(run_id), self.changes
        before = self.records(run_id, [each.record.sequence for each in entries])
        added = {
            row.sequence: place
            for place, row in enumerate(changes.records)
            if row.run == run
        }
        for entry in entries:
            sequence, data = entry.record.sequence, codec.encode(entry)
            if sequence in added:
                place = added[sequence]
                changes.records[place] = changes.records[place]._replace(data=data)
            else:
                changes.redacted_records[run, sequence] = data
        for each in before:
            if codec.needs_blob(each):
                changes.blobs_left.add((each.record.payload_digest, run))
