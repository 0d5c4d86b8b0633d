"""Who waits for which events, and the index by which waits look back."""

from collections.abc import Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import Final

from ironflow.journal import matching
from ironflow.journal.base import MatchPath, WaitRow
from ironflow.journal.lmdb import keys, rows
from ironflow.journal.lmdb.known import WAIT_PATHS_MAX
from ironflow.journal.lmdb.transaction import Transaction
from ironflow.records import EventData

PLACE_BYTES: Final = keys.RUN_BYTES + keys.NUMBER_BYTES


class WaitTables(Transaction):
    """Who waits for which events, and the index by which waits look back."""

    def put_wait(self, row: WaitRow) -> None:
        """Put a wait where the event that it fits will find it."""
        key = self._waits(row.event, row.path, row.match_key) + place(
            row.run_id, row.sequence
        )
        self._overlay.put(keys.WAITS, key, rows.WAIT.encode(row))
        self._offered.pop((row.run_id, row.step), None)
        self._note_path(row)
        if row.seeks:
            self._overlay.put(keys.SEEKS, self._seek(row), key)
        known = self._known(row.run_id)
        known.is_bare = False
        own = known.key + keys.text(row.step)
        self._overlay.put(keys.RUN_WAITS, own, key)

    def drop_wait(self, run_id: str, step: str) -> WaitRow | None:
        """Take a wait away; return it, None if there is none."""
        own = self._run(run_id) + keys.text(step)
        found = self._offered.pop((run_id, step), None) or self._wait(own)
        if found is None:
            return None
        key, row = found
        self._overlay.delete(keys.RUN_WAITS, own)
        self._overlay.delete(keys.WAITS, key)
        if row.seeks:
            self._overlay.delete(keys.SEEKS, self._seek(row))
        return row

    def _wait(self, own: bytes) -> tuple[bytes, WaitRow] | None:
        key = self._overlay.get(keys.RUN_WAITS, own)
        data = None if key is None else self._overlay.get(keys.WAITS, key)
        return None if key is None or data is None else (key, rows.WAIT.decode(data))

    def seeking(self, *, limit: int) -> Sequence[WaitRow]:
        """Return waits that seek, in the order of their turns."""
        found = islice(self._overlay.scan(keys.SEEKS, self._prefix), limit)
        waits = [self._overlay.get(keys.WAITS, key) for _, key in list(found)]
        return [rows.WAIT.decode(data) for data in waits if data is not None]

    def _seek(self, row: WaitRow) -> bytes:
        return self._prefix + place(row.run_id, row.sequence)

    def match_paths(self, name: str) -> Mapping[str, MatchPath]:
        """Return the indexes of an event name by path."""
        return self._match_paths().get(name, {})

    def put_match_path(self, row: MatchPath) -> None:
        """Put an index, or what has become of it."""
        paths = {**self.match_paths(row.event), row.path: row}
        self.staged.match_paths = {**self._match_paths(), row.event: paths}
        key = self._match_path(row.event, row.path)
        self._overlay.put(keys.MATCH_PATHS, key, rows.MATCH_PATH.encode(row))

    def drop_match_path(self, name: str, path: str) -> None:
        """Take an index away; its entries stay."""
        paths = dict(self.match_paths(name))
        del paths[path]
        self.staged.match_paths = {**self._match_paths(), name: paths}
        self._overlay.delete(keys.MATCH_PATHS, self._match_path(name, path))

    def _match_path(self, name: str, path: str) -> bytes:
        return self._prefix + keys.text(name) + keys.text(path)

    def put_match(self, name: str, path: str, key: bytes, position: int) -> None:
        """Enter an event into an index."""
        own = self._waits(name, path, key) + keys.number(position)
        self._overlay.put(keys.MATCHES, own, b"")

    def matches(
        self, name: str, path: str, key: bytes, *, after: int, limit: int
    ) -> Sequence[int]:
        """Return positions of events with this value, in order."""
        prefix = self._waits(name, path, key)
        start = prefix + keys.number(after + 1)
        found = self._overlay.scan(keys.MATCHES, prefix, start=start)
        return [keys.to_number(own[len(prefix) :]) for own, _ in islice(found, limit)]

    def waits_for(
        self, event: EventData, *, after: tuple[str, int], limit: int
    ) -> Sequence[WaitRow]:
        """Return waits that an event fits, in the order of delivery."""
        prefixes = self._wait_ranges(event)
        if not prefixes:  # as of most events
            return ()
        behind = place(*after) if after[0] else b""
        ranges = [
            self._overlay.scan(keys.WAITS, prefix, start=prefix + behind + b"\0")
            for prefix in prefixes
        ]
        if len(ranges) != 1:
            ranges = [merge(*ranges, key=lambda row: row[0][-PLACE_BYTES:])]
        waits: list[WaitRow] = []
        for key, data in islice(ranges[0], limit):
            row = rows.WAIT.decode(data)
            self._offered[row.run_id, row.step] = key, row  # it is about to be dropped
            waits.append(row)
        return waits

    def _wait_ranges(self, event: EventData) -> list[bytes]:
        """Prefixes of the waits this event fits: one per path that has its value."""
        paths = self._wait_paths(event.name)
        if not paths:
            return []
        fitting = matching.keys_at(event, [path for path in paths if path])
        if "" in paths:
            fitting[""] = b""
        return [self._waits(event.name, path, key) for path, key in fitting.items()]

    def _wait_paths(self, name: str) -> tuple[str, ...]:
        """The paths of the waits for a name, and maybe of such as there were."""
        paths = self._known_paths(name)
        if paths is None:
            paths = self._sought_paths(name)
            self._learn_paths(name, paths)
        return paths

    def _known_paths(self, name: str) -> tuple[str, ...] | None:
        staged = self.staged.wait_paths
        return staged[name] if name in staged else self._memory.wait_paths.get(name)

    def _sought_paths(self, name: str) -> tuple[str, ...]:
        """The distinct paths of the waits for a name: one seek each."""
        paths: list[str] = []
        prefix = start = self._prefix + keys.text(name)
        while row := next(self._overlay.scan(keys.WAITS, prefix, start=start), None):
            path = rows.WAIT.decode(row[1]).path
            paths.append(path)
            start = keys.after(prefix + keys.text(path))
        return tuple(paths)

    def _note_path(self, row: WaitRow) -> None:
        paths = self._known_paths(row.event)
        if paths is not None and row.path not in paths:
            self._learn_paths(row.event, (*paths, row.path))

    def _learn_paths(self, name: str, paths: tuple[str, ...]) -> None:
        # Where they come and go, those that went must not be looked for for ever.
        few = len(paths) <= WAIT_PATHS_MAX
        self.staged.wait_paths[name] = paths if few else None

    def _waits(self, name: str, path: str, match_key: bytes) -> bytes:
        return keys.waits(self._prefix, name, path, match_key)


def place(run_id: str, sequence: int) -> bytes:
    """Return the end of a wait's key, which is its place among those for an event."""
    return keys.run(run_id) + keys.number(sequence)
