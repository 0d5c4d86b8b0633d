"""Payloads that are taken away: where they lie, and what stands there then.

Records may lie in pages of LMDB or in a segment; a page that has one which changes is
written anew, into LMDB. What the segment, the log and pages that became free still have
goes with `compacting`. The log must have no records of the run beyond LMDB: the writer
sees to that.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ironflow import codec
from ironflow.journal import matching
from ironflow.journal.base import StoredEvent
from ironflow.journal.lmdb import keys, retention, rows
from ironflow.journal.lmdb.layers import Tail
from ironflow.journal.lmdb.transaction import Transaction
from ironflow.records import Entry


class _Page(NamedTuple):
    """Records as they are stored, and which of them are wanted, by their places.

    `key` is that of their row; None: they come with this transaction.
    """

    key: bytes | None
    records: list[bytes]
    wanted: list[int]


class RedactionTables(Transaction):
    """Events and records in which something else is put."""

    def event(self, position: int) -> StoredEvent | None:
        """Return the event at a position, or None."""
        data = self._overlay.get(keys.EVENTS, self._prefix + keys.number(position))
        return None if data is None else rows.decode_event(position, data)

    def replace_event(self, before: StoredEvent, after: StoredEvent) -> None:
        """Put a redacted event in the place of what was stored."""
        place = keys.number(before.position)
        key = self._prefix + place
        stored = self._overlay.get(keys.EVENTS, key)
        assert stored is not None
        original = stored[rows.NAMED_DIGEST]  # the chain of commits names it
        data, _ = rows.encode_event(after, original)
        self._overlay.put(keys.EVENTS, key, data)
        self.note_event(after)
        event = before.event
        paths = self._match_paths().get(event.name, {})
        for path, match_key in matching.keys_at(event, paths).items():
            group = keys.waits(self._prefix, event.name, path, match_key)
            self._overlay.delete(keys.MATCHES, group + place)

    def records(self, run_id: str, sequences: Sequence[int]) -> Sequence[Entry]:
        """Return these records as they are stored."""
        return [
            codec.decode(page.records[place])
            for page in self._pages(self._run(run_id), sequences)
            for place in page.wanted
        ]

    def replace_records(self, run_id: str, entries: Sequence[Entry]) -> None:
        """Put redacted records in the place of what was stored."""
        run = self._run(run_id)
        redacted = {entry.record.sequence: entry for entry in entries}
        apart: dict[bytes, None] = {}
        for page in list(self._pages(run, list(redacted))):
            for place in page.wanted:
                before = codec.decode(page.records[place])
                entry = redacted[before.record.sequence]
                page.records[place] = codec.encode(entry)
                if codec.needs_blob(before):
                    apart[before.record.payload_digest] = None
            if page.key is not None:
                self._overlay.put(keys.LOG, page.key, codec.page(page.records))
        for digest in apart:
            retention.drop_blob(self._overlay, run, digest)
        self.note_records(run, entries)

    def note_records(self, run: bytes, entries: Sequence[Entry]) -> None:
        """Let the chain of commits say which of these records are redacted."""
        own = run[keys.ENVIRONMENT_BYTES :]
        for entry in entries:
            if entry.redaction is not None:
                self._note(own, entry.record.sequence, entry.redaction.check)

    def note_event(self, stored: StoredEvent) -> None:
        """Let the chain of commits say that an event is redacted, if it is."""
        if stored.redaction is not None:
            self._note(b"", stored.position, stored.redaction.check)

    def _note(self, run: bytes, place: int, check: bytes) -> None:
        self.staged.redacted.append(rows.RedactionChange(run, place, check))
        self._overlay.raise_layout(keys.LAYOUT_REDACTED)

    def _pages(self, run: bytes, sequences: Sequence[int]) -> Iterator[_Page]:
        """Yield the pages that have these records, which are in order."""
        left = deque(sequences)
        tail = self._overlay.own.tails.get(run)
        assert tail is not None or not self._overlay.has_tail(run)
        while left:
            key, last, records = self._page(run, left[0], tail)
            first = last - len(records) + 1
            wanted: list[int] = []
            while left and left[0] <= last:
                wanted.append(left.popleft() - first)
            yield _Page(key, records, wanted)

    def _page(
        self, run: bytes, sequence: int, tail: Tail | None
    ) -> tuple[bytes | None, int, list[bytes]]:
        """Return a row's key, the sequence of its last record, and its records."""
        if tail is not None and sequence >= tail.first:
            return None, tail.last, tail.records
        start = run + keys.number(sequence)
        key, data = next(self._overlay.scan(keys.LOG, run, start=start))
        records = codec.split_page(self._overlay.unpacked(data))
        return key, keys.to_number(key[len(run) :]), records
