"""The part of the view that reads and appends records, and lets those of gone runs go."""

from collections.abc import Sequence

from ironflow import codec
from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres import questions as ask
from ironflow.journal.postgres.answered import Tables
from ironflow.journal.postgres.changes import RecordRow
from ironflow.records import Entry


class HistoryTables(Tables):
    """The histories of runs, and the payloads beside them."""

    def history(self, run_id: str) -> Sequence[Entry]:
        """Return a whole history; payloads beside it are left out."""
        question = ask.HistoryOf(pg.run(run_id))
        if question not in self._answers.histories:
            self._want(question)
        added = [row.data for row in self.changes.records if row.run == question.run]
        return list(map(codec.decode, self._answers.histories[question] + added))

    def record(self, run_id: str, sequence: int) -> Entry:
        """Return one record with its payload."""
        run = pg.run(run_id)
        data = self._added(run, sequence)
        if data is None:
            question = ask.RecordOf(run, sequence)
            if question not in self._answers.records:
                self._want(question)
            data = self._answers.records[question]
        entry = codec.decode(data)
        if entry.payload or not codec.needs_blob(entry):
            return entry
        payload = self._payload(entry.record.payload_digest)
        return Entry(entry.format, entry.record, entry.digest, payload)

    def _added(self, run: bytes, sequence: int) -> bytes | None:
        wanted = run, sequence
        added = (row for row in self.changes.records if row[:2] == wanted)
        return next((row.data for row in added), None)

    def _payload(self, digest: bytes) -> bytes:
        payload = self.changes.blobs.get(digest)
        if payload is None:
            question = ask.PayloadOf(digest)
            if question not in self._answers.payloads:
                self._want(question)
            payload = self._answers.payloads[question]
        return payload

    def append(
        self, run_id: str, entries: Sequence[Entry], headers: Sequence[bytes]
    ) -> None:
        """Append records, and payloads that lie beside them."""
        if not entries:
            return
        run, changes = pg.run(run_id), self.changes
        if entries[0].record.sequence == 1:
            self._created.add(run)
        for entry, header in zip(entries, headers, strict=True):
            record = entry.record
            data = codec.encode(entry, header)
            kind, at = type(record).__name__, record.recorded_at
            changes.records.append(
                RecordRow(run, record.sequence, kind, record.id, at, data)
            )
            if entry.redaction is None and codec.is_blob(entry.payload):
                changes.blobs[record.payload_digest] = bytes(entry.payload)
                changes.blob_runs.add((record.payload_digest, run))
        self.lengths[run] = entries[-1].record.sequence

    def is_going(self, run_id: str) -> bool:
        """Say whether records of a run without a row are still to be deleted."""
        question = ask.GoingOf(pg.run(run_id))
        if question not in self._answers.going:
            self._want(question)
        return question.run in self._deleted or self._answers.going[question]

    def drop_records(self, *, limit: int) -> bool:
        """Drop records of runs without a row; say whether more may be left."""
        question = ask.RecordsGone(limit)
        if question not in self._answers.gone:
            self._want(question)
        gone = self.changes.runs_gone
        if not (gone or self._answers.gone[question]):
            return False
        self.changes.records_gone = limit
        lengths = sum(self._stored(run).length for run in gone)
        return self._answers.gone[question] + lengths >= limit
