"""The tables of the journal in memory, and the way back from a failed commit.

`Durable` is what a restart keeps. Everything else is built from it. Every write notes
how to undo it, so that a commit that raises leaves nothing behind.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter, itemgetter
from typing import Final, final

from ironflow.journal.base import (
    Delivery,
    DocumentRow,
    EventLog,
    FunctionRow,
    Hint,
    Hold,
    InboxRow,
    MatchPath,
    RunRow,
    StoredEvent,
    TimerKind,
    TimerRow,
    WaitRow,
)
from ironflow.journal.matching import keys_at
from ironflow.journal.memory_durable import Durable, Run, TimerKey
from ironflow.journal.memory_waits import WaitGroup, WaitIndex
from ironflow.journal.ready import ReadyQueue
from ironflow.records import Draft, Entry, EventData

# Timers in the order in which they fire; never two alike.
DueKey = tuple[int, str, str, TimerKind]

_place: Final = attrgetter("run_id", "sequence")


def _due_key(row: TimerRow) -> DueKey:
    return row.due, row.run_id, row.step, row.kind


class _Tables:
    """What both halves of the view stand on: the rows, and what is built from them."""

    def __init__(self, durable: Durable) -> None:
        self.durable: Final = durable
        self.hint = Hint()
        self.undo: Final[list[Callable[[], object]]] = []
        self.queue: Final = ReadyQueue(durable.openings)
        self.due: Final[list[DueKey]] = []
        self._names: Final[dict[str, list[int]]] = {}
        self._waits: Final = WaitIndex()
        self._ever_paused: Final[set[str]] = set()
        self._staged: Final[list[tuple[str, RunRow | None]]] = []  # None: not ready
        self._ended_holds: Final[set[str]] = set()
        for stored in durable.events:
            self._names.setdefault(stored.event.name, []).append(stored.position)
        for run in durable.runs.values():
            self._read(run)
        self.due.sort()
        for function in durable.functions.values():
            self.queue.set_limit(function.id, function.concurrency)
        for run_id in durable.ready:
            row = durable.runs[run_id].row
            self.queue.add(run_id, row.function_id, row.lane)

    def _read(self, run: Run) -> None:
        self.due.extend(map(_due_key, run.timers.values()))
        for wait in run.waits.values():
            self._waits.add(wait)
        if run.row.status == "paused":
            self._ever_paused.add(run.row.run_id)


class _EventTables(_Tables):
    """The registry, the event log, who waits for what and who took what."""

    def functions(self) -> Mapping[str, FunctionRow]:
        return self.durable.functions

    def put_function(self, row: FunctionRow) -> None:
        durable, before = self.durable, self.durable.functions
        durable.functions = dict(sorted({**before, row.id: row}.items()))
        self.undo.append(lambda: setattr(durable, "functions", before))

    def log(self) -> EventLog:
        durable = self.durable
        length = durable.dropped + len(durable.events)
        return EventLog(length, durable.delivery)

    def put_delivery(self, delivery: Delivery | None) -> None:
        durable, before = self.durable, self.durable.delivery
        durable.delivery = delivery
        self.undo.append(lambda: setattr(durable, "delivery", before))

    def put_event(self, stored: StoredEvent) -> None:
        event, durable = stored.event, self.durable
        if not durable.events and stored.position > durable.dropped + 1:
            dropped, durable.dropped = durable.dropped, stored.position - 1
            self.undo.append(lambda: setattr(durable, "dropped", dropped))
        durable.events.append(stored)
        positions = self._names.setdefault(event.name, [])
        positions.append(stored.position)
        self.undo.extend((durable.events.pop, positions.pop))
        if event.idempotency_key:
            key = event.name, event.idempotency_key
            durable.keys[key] = stored.position
            self.undo.append(lambda: durable.keys.pop(key))

    def events(self, name: str, *, after: int, limit: int) -> Sequence[StoredEvent]:
        stored, dropped = self.durable.events, self.durable.dropped
        if not name:
            first = max(0, after - dropped)
            return stored[first : first + limit]
        positions = self._names.get(name, [])
        first = bisect_right(positions, after)
        places = positions[first : first + limit]
        return [stored[place - dropped - 1] for place in places]

    def event(self, position: int) -> StoredEvent | None:
        place = position - self.durable.dropped - 1
        events = self.durable.events
        return events[place] if 0 <= place < len(events) else None

    def replace_event(self, before: StoredEvent, after: StoredEvent) -> None:
        event, events = before.event, self.durable.events
        place = before.position - self.durable.dropped - 1
        events[place] = after
        self.undo.append(partial(events.__setitem__, place, before))
        for path, key in keys_at(event, self.match_paths(event.name)).items():
            self._drop_match((event.name, path, key), before.position)

    def oldest_events(self, *, limit: int) -> Sequence[StoredEvent]:
        return self.durable.events[:limit]

    def drop_events(self, oldest: Sequence[StoredEvent]) -> None:
        durable, before = self.durable, self.durable.events
        for stored in oldest:
            event, keys = stored.event, durable.keys
            positions = self._names[event.name]
            assert positions.pop(0) == stored.position
            self.undo.append(partial(positions.insert, 0, stored.position))
            if event.idempotency_key:
                name = event.name, event.idempotency_key
                del keys[name]
                self.undo.append(partial(keys.update, {name: stored.position}))
            for path, key in keys_at(event, self.match_paths(event.name)).items():
                self._drop_match((event.name, path, key), stored.position)
        dropped = durable.dropped
        durable.events = before[len(oldest) :]
        durable.dropped = oldest[-1].position
        self.undo.append(lambda: setattr(durable, "events", before))
        self.undo.append(lambda: setattr(durable, "dropped", dropped))

    def _drop_match(self, group: WaitGroup, position: int) -> None:
        matches = self.durable.matches
        before = matches.get(group, [])
        if position in before:
            matches[group] = [each for each in before if each != position]
            self.undo.append(lambda: matches.update({group: before}))

    def event_by_key(self, name: str, key: str) -> int | None:
        return self.durable.keys.get((name, key))

    def put_wait(self, row: WaitRow) -> None:
        waits, index = self.durable.runs[row.run_id].waits, self._waits
        assert row.step not in waits, f"{row} is there already"
        waits[row.step] = row
        index.add(row)
        self.undo.extend((lambda: waits.pop(row.step), lambda: index.remove(row)))

    def drop_wait(self, run_id: str, step: str) -> WaitRow | None:
        waits, index = self.durable.runs[run_id].waits, self._waits
        row = waits.pop(step, None)
        if row is not None:
            index.remove(row)
            self.undo.extend(
                (
                    lambda: waits.setdefault(step, row),
                    lambda: index.add(row),
                )
            )
        return row

    def waits_for(
        self, event: EventData, *, after: tuple[str, int], limit: int
    ) -> Sequence[WaitRow]:
        fitting = [row for row in self._waits.fitting(event) if _place(row) > after]
        fitting.sort(key=_place)
        return fitting[:limit]

    def seeking(self, *, limit: int) -> Sequence[WaitRow]:
        return sorted(self._waits.seeking.values(), key=_place)[:limit]

    def match_paths(self, name: str) -> Mapping[str, MatchPath]:
        return self.durable.match_paths.get(name, {})

    def put_match_path(self, row: MatchPath) -> None:
        self._put_match_paths(row.event, {**self.match_paths(row.event), row.path: row})

    def drop_match_path(self, name: str, path: str) -> None:
        kept = {**self.match_paths(name)}
        del kept[path]
        self._put_match_paths(name, kept)

    def _put_match_paths(self, name: str, paths: dict[str, MatchPath]) -> None:
        durable, before = self.durable, self.durable.match_paths
        durable.match_paths = {**before, name: paths}
        self.undo.append(lambda: setattr(durable, "match_paths", before))

    def put_match(self, name: str, path: str, key: bytes, position: int) -> None:
        matches, group = self.durable.matches, (name, path, key)
        before = matches.get(group, [])
        place = bisect_left(before, position)
        if before[place : place + 1] != [position]:
            matches[group] = [*before[:place], position, *before[place:]]
            self.undo.append(
                lambda: (
                    matches.update({group: before}) if before else matches.pop(group)
                )
            )

    def matches(
        self, name: str, path: str, key: bytes, *, after: int, limit: int
    ) -> Sequence[int]:
        positions = self.durable.matches.get((name, path, key), [])
        first = bisect_right(positions, after)
        return positions[first : first + limit]

    def consume(self, run_id: str, position: int) -> bool:
        consumed = self.durable.runs[run_id].consumed
        if position in consumed:
            return False
        consumed.add(position)
        self.undo.append(lambda: consumed.discard(position))
        return True

    def drop_consumed(self, run_id: str, position: int) -> None:
        consumed = self.durable.runs[run_id].consumed
        consumed.discard(position)
        self.undo.append(lambda: consumed.add(position))


class _RunTables(_EventTables):
    """Runs: their rows, histories, inboxes, timers and places in the queue."""

    def run(self, run_id: str) -> RunRow | None:
        run = self.durable.runs.get(run_id)
        return None if run is None else run.row

    def put_run(self, row: RunRow) -> None:
        runs = self.durable.runs
        run = runs.get(row.run_id)
        if run is None:
            runs[row.run_id] = Run(row)
            self.undo.append(lambda: runs.pop(row.run_id))
            return
        before, run.row = run.row, row
        self.undo.append(lambda: setattr(run, "row", before))
        if row.status == "paused":
            self._ever_paused.add(row.run_id)

    def paused(self, function_id: str) -> Sequence[RunRow]:
        runs = self.durable.runs
        known = sorted(self._ever_paused & runs.keys())
        rows = (runs[run_id].row for run_id in known)
        return [
            row
            for row in rows
            if row.status == "paused" and row.function_id == function_id
        ]

    def hold(self, run_id: str) -> Hold:
        entries = self.durable.runs[run_id].entries
        if run_id in self._ended_holds:
            return Hold(0, len(entries))
        return Hold(self.queue.holds.get(run_id, 0), len(entries))

    def history(self, run_id: str) -> Sequence[Entry]:
        return tuple(self.durable.runs[run_id].entries)

    def record(self, run_id: str, sequence: int) -> Entry:
        return self.durable.runs[run_id].entries[sequence - 1]

    def records(self, run_id: str, sequences: Sequence[int]) -> Sequence[Entry]:
        entries = self.durable.runs[run_id].entries
        return [entries[sequence - 1] for sequence in sequences]

    def replace_records(self, run_id: str, entries: Sequence[Entry]) -> None:
        stored = self.durable.runs[run_id].entries
        for entry in entries:
            place = entry.record.sequence - 1
            before, stored[place] = stored[place], entry
            self.undo.append(partial(stored.__setitem__, place, before))

    def append(
        self, run_id: str, entries: Sequence[Entry], headers: Sequence[bytes]
    ) -> None:
        stored = self.durable.runs[run_id].entries
        length = len(stored)
        stored += entries
        self.undo.append(lambda: stored.__delitem__(slice(length, None)))

    def inbox(self, run_id: str) -> Sequence[InboxRow]:
        return tuple(self.durable.runs[run_id].inbox.values())

    def put_inbox(self, run_id: str, draft: Draft, *, position: int = 0) -> None:
        inbox = self.durable.runs[run_id].inbox
        number = self.durable.count()
        inbox[number] = InboxRow(number, draft, position)
        self.undo.append(lambda: inbox.pop(number))

    def drop_inbox(self, run_id: str, numbers: Sequence[int]) -> None:
        run = self.durable.runs[run_id]
        before = run.inbox
        run.inbox = {
            number: row for number, row in before.items() if number not in numbers
        }
        self.undo.append(lambda: setattr(run, "inbox", before))

    def put_ready(self, row: RunRow) -> None:
        ready, run_id = self.durable.ready, row.run_id
        if run_id not in ready:
            ready[run_id] = self.durable.count()
            self._staged.append((run_id, row))
            self.undo.append(lambda: ready.pop(run_id))

    def drop_ready(self, run_id: str) -> None:
        ready = self.durable.ready
        place = ready.pop(run_id, 0)
        if place:
            self._staged.append((run_id, None))
            self._ended_holds.add(run_id)
            self.undo.append(lambda: ready.setdefault(run_id, place))

    def put_timer(self, row: TimerRow) -> None:
        timers, due = self.durable.runs[row.run_id].timers, self.due
        key: TimerKey = (row.step, row.kind)
        due_key = _due_key(row)
        assert key not in timers, f"{row} is there already"
        timers[key] = row
        insort(due, due_key)
        self.undo.extend((lambda: timers.pop(key), lambda: _remove(due, due_key)))

    def drop_timer(
        self, run_id: str, step: str, kind: TimerKind, *, due: int = 0
    ) -> bool:
        timers, all_due = self.durable.runs[run_id].timers, self.due
        row = timers.get((step, kind))
        if row is None or due not in {0, row.due}:
            return False
        del timers[step, kind]
        _remove(all_due, _due_key(row))
        self.undo.extend(
            (
                lambda: timers.setdefault((step, kind), row),
                lambda: insort(all_due, _due_key(row)),
            )
        )
        return True

    def drop_run(self, run_id: str) -> None:
        durable = self.durable
        run = durable.runs.pop(run_id)
        durable.gone[run_id] = len(run.entries)
        self.undo.append(lambda: durable.runs.update({run_id: run}))
        self.undo.append(lambda: durable.gone.pop(run_id))

    def is_going(self, run_id: str) -> bool:
        return run_id in self.durable.gone

    def drop_records(self, *, limit: int) -> bool:
        durable, before = self.durable, self.durable.gone
        if not before:
            return False
        kept: dict[str, int] = {}
        for run_id, count in before.items():
            if count > limit:
                kept[run_id] = count - limit
            limit = max(0, limit - count)
        durable.gone = kept
        self.undo.append(lambda: setattr(durable, "gone", before))
        return bool(kept)

    def drop_run_tables(self, run_id: str) -> None:
        run = self.durable.runs[run_id]
        self.drop_ready(run_id)
        self.drop_inbox(run_id, tuple(run.inbox))
        for step, kind in tuple(run.timers):
            self.drop_timer(run_id, step, kind)
        for step in tuple(run.waits):
            self.drop_wait(run_id, step)
        before, run.consumed = run.consumed, set()
        self.undo.append(lambda: setattr(run, "consumed", before))


class _DocumentTables(_Tables):
    """Documents, by kind and id."""

    def document(self, kind: str, id_: str) -> DocumentRow | None:
        return self.durable.documents.get((kind, id_))

    def put_document(self, row: DocumentRow) -> None:
        documents, key = self.durable.documents, (row.kind, row.id)
        before = documents.get(key)
        documents[key] = row
        self.undo.append(
            partial(documents.pop, key)
            if before is None
            else partial(documents.update, {key: before})
        )

    def drop_document(self, kind: str, id_: str) -> None:
        documents, key = self.durable.documents, (kind, id_)
        self.undo.append(partial(documents.update, {key: documents.pop(key)}))


@final
class MemoryView(_RunTables, _DocumentTables):
    """The View of the journal in memory; a commit ends in one of its two methods."""

    def keep(self) -> bool:
        """Let the writes hold; say whether there were any."""
        changed = bool(self.undo)
        self.undo.clear()
        for function in self.durable.functions.values():
            self.queue.set_limit(function.id, function.concurrency)
        for run_id, row in self._staged:
            if row is None:
                self.queue.drop(run_id)
            else:
                self.queue.add(run_id, row.function_id, row.lane)
        self._begin()
        return changed

    def roll_back(self) -> None:
        """Undo the writes since the last commit, and the order of the queue."""
        self._begin()
        while self.undo:
            self.undo.pop()()
        ready = self.durable.ready
        queue = sorted(ready.items(), key=itemgetter(1))
        ready.clear()
        ready.update(queue)

    def _begin(self) -> None:
        self._staged.clear()
        self._ended_holds.clear()


def _remove(due: list[DueKey], key: DueKey) -> None:
    del due[bisect_left(due, key)]
