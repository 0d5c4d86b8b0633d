"""Writes that are decided but not made yet, over a snapshot of what is stored.

Deciding and writing are apart: a batch is decided in the event loop, in memory,
and made durable afterwards by whichever thread is free. A batch that is dropped
has changed nothing. There is one writer, so the snapshot is what the write will
find.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator
from heapq import merge
from typing import Final, final

from ironflow.journal.lmdb import keys
from ironflow.journal.lmdb._lmdb import Snapshot


@final
class Overlay:
    """Reads see the writes before them; `changes` is what is to be written."""

    __slots__ = ("_order", "_snapshot", "changes")

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.changes: Final[defaultdict[str, dict[bytes, bytes | None]]] = defaultdict(
            dict
        )
        self._order: Final[defaultdict[str, list[bytes]]] = defaultdict(list)

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return the value of a key."""
        changed = self.changes.get(table)
        if changed is not None and key in changed:
            return changed[key]
        return self._snapshot.get(table, key)

    def put(self, table: str, key: bytes, value: bytes) -> None:
        """Put a value in place of the one before."""
        self._change(table, key, value)

    def delete(self, table: str, key: bytes) -> None:
        """Delete a key if it is there."""
        self._change(table, key, None)

    def scan(
        self, table: str, prefix: bytes, *, start: bytes = b""
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield rows with this prefix in order, from `start` on.

        Rows may be changed only after the last one was taken.
        """
        assert table in keys.SCANNED
        stored = self._snapshot.scan(table, prefix, start=start)
        if not self._order[table]:
            yield from stored
            return
        changed = self.changes[table]
        kept = (row for row in stored if row[0] not in changed)
        yield from merge(kept, self._changed(table, prefix, start))

    def last_sequence(self, run: bytes) -> int:
        """Return the length of a history, as it is stored."""
        prefix = run
        key = self._snapshot.last_key(keys.LOG, prefix, width=keys.NUMBER_BYTES)
        return 0 if key is None else keys.to_number(key[len(prefix) :])

    def _change(self, table: str, key: bytes, value: bytes | None) -> None:
        changed = self.changes[table]
        if table in keys.SCANNED and key not in changed:
            insort(self._order[table], key)
        changed[key] = value

    def _changed(
        self, table: str, prefix: bytes, start: bytes
    ) -> Iterator[tuple[bytes, bytes]]:
        order, changed = self._order[table], self.changes[table]
        at = bisect_left(order, max(prefix, start))
        while at < len(order) and order[at].startswith(prefix):
            value = changed[order[at]]
            if value is not None:
                yield order[at], value
            at += 1
