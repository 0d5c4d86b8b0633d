"""Waits of the journal in memory, by what an event must have."""

from collections.abc import Iterator
from typing import Final, final

from ironflow.journal.base import WaitRow
from ironflow.journal.matching import keys_at
from ironflow.records import EventData

WaitGroup = tuple[str, str, bytes]  # event name, path, match key


@final
class WaitIndex:
    """Waits by what an event must have; a group per name, path and match key."""

    def __init__(self) -> None:
        self._groups: Final[dict[WaitGroup, dict[tuple[str, str], WaitRow]]] = {}
        self._paths: Final[dict[str, dict[str, int]]] = {}
        self.seeking: Final[dict[tuple[str, str], WaitRow]] = {}

    def add(self, row: WaitRow) -> None:
        """Note a wait that is not there."""
        group = self._groups.setdefault(_group(row), {})
        group[row.run_id, row.step] = row
        paths = self._paths.setdefault(row.event, {})
        paths[row.path] = paths.get(row.path, 0) + 1
        if row.seeks:
            self.seeking[row.run_id, row.step] = row

    def remove(self, row: WaitRow) -> None:
        """Forget a wait that is there."""
        self.seeking.pop((row.run_id, row.step), None)
        name = _group(row)
        del self._groups[name][row.run_id, row.step]
        if not self._groups[name]:
            del self._groups[name]
        paths = self._paths[row.event]
        paths[row.path] -= 1
        if not paths[row.path]:
            del paths[row.path]

    def fitting(self, event: EventData) -> Iterator[WaitRow]:
        """Yield the waits that an event fits, in no order."""
        paths = self._paths.get(event.name)
        if not paths:
            return
        keys = keys_at(event, filter(None, paths)) | {"": b""}
        for path, key in keys.items():
            yield from self._groups.get((event.name, path, key), {}).values()


def _group(row: WaitRow) -> WaitGroup:
    return row.event, row.path, row.match_key if row.path else b""
