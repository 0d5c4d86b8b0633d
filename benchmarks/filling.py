"""Make a data directory as months of work would leave it, in minutes.

Half of its runs sleep and half wait, each for an event about its own order. They began
among many more events. Rows are made by the store's own tables and written
in bulk, so whatever is true of a journal is true of this one: `verify` is content.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import trio

from benchmarks.functions import app
from ironflow import codec, ids, values
from ironflow.interpreter.session import Session
from ironflow.journal.base import (
    EventLog,
    FunctionRow,
    MatchPath,
    RunRow,
    StoredEvent,
    TimerRow,
    WaitRow,
)
from ironflow.journal.lmdb import keys, opening, rows, wal
from ironflow.journal.lmdb._lmdb import MAP_BYTES_MAX, Environment
from ironflow.journal.lmdb.checkpoint import Memtable
from ironflow.journal.lmdb.known import Memory
from ironflow.journal.lmdb.layers import Overlay
from ironflow.journal.lmdb.store import open_lmdb
from ironflow.journal.lmdb.tables import LmdbView
from ironflow.journal.ready import ReadyQueue
from ironflow.policy.match import match_key
from ironflow.records import (
    Draft,
    Entry,
    EventData,
    Record,
    RunStarted,
    SleepStarted,
    WaitStarted,
)

RUNS: Final = 1_000_000
EVENTS: Final = 10_000_000
ENVIRONMENT: Final = "default"
PATH: Final = "data.order"
START_US: Final = 1_780_000_000_000_000
SPAN_US: Final = 30 * keys.DAY_US
_OTHERS: Final = 100  # names of events that nobody waits for
_PAID_EVERY: Final = 11  # so many of those are payments of orders that are long done
_KEY_EVERY: Final = 10  # so many have an idempotency key
_COMMIT_EVENTS: Final = 5_000
_WRITE_EVENTS: Final = 100_000
# Their keys are in no order: they are kept and written at the end, sorted.
_SCATTERED: Final = frozenset({keys.WAITS, keys.MATCHES, keys.EVENT_KEYS})

_encode: Final = msgspec.msgpack.Encoder().encode
_Rows = dict[str, dict[bytes, bytes | None]]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much there is: parked runs, and events with those that started them."""

    runs: int = RUNS
    events: int = EVENTS

    def __post_init__(self) -> None:
        assert 0 <= self.runs <= self.events

    @property
    def orders(self) -> int:
        """How many of the runs wait for their order to be paid."""
        return self.runs // 2

    def starts(self, position: int) -> int | None:
        """Return which run the event at this position started, if one."""
        before = (position - 1) * self.runs // self.events
        return before if position * self.runs // self.events > before else None

    def position(self, run: int) -> int:
        """Return the position of the event that started a run."""
        return -(-(run + 1) * self.events // self.runs)

    def time(self, position: int) -> int:
        """Return when the event at this position was stored."""
        return START_US + position * SPAN_US // (self.events + 1)


def run_of_order(scale: Scale, number: int) -> str:
    """Return the run that waits for the payment of an order."""
    position = scale.position(2 * number)
    event = _event_id(position, scale.time(position))
    return ids.triggered_run_id(event, "order")


def _event_id(position: int, time: int) -> str:
    return ids.event_id(ids.uuid7(time, position.to_bytes(ids.ENTROPY_BYTES, "big")))


def fill(directory: Path, scale: Scale) -> None:
    """Make the directory, in place of what is there."""
    shutil.rmtree(directory, ignore_errors=True)
    trio.run(_make, directory)
    store = opening.open_store(directory, readonly=False, map_bytes=MAP_BYTES_MAX)
    try:
        _Filling(store, scale).run()
    finally:
        store.close()


async def _make(directory: Path) -> None:
    journal = await open_lmdb(directory, environment=ENVIRONMENT)
    await journal.close()


@dataclass(slots=True)
class _Bulk:
    """Rows that go into LMDB with one transaction, and those that go at the end."""

    tables: _Rows = field(default_factory=_Rows)
    scattered: _Rows = field(default_factory=_Rows)

    def take(self, changes: dict[str, dict[bytes, bytes | None]]) -> None:
        for table, changed in changes.items():
            into = self.scattered if table in _SCATTERED else self.tables
            into.setdefault(table, {}).update(changed)


class _Filling:
    """The state of a store while it is filled; nothing of it is read back."""

    def __init__(self, store: Environment, scale: Scale) -> None:
        with store.snapshot() as snapshot:
            last = opening.last_commits(snapshot)
        self._store = store
        self._scale = scale
        self._bulk = _Bulk()
        self._digest = last.digest
        self._memory = Memory(
            environment=0,
            commit_number=last.number,
            head=last.head,
            queue=ReadyQueue(0),
            functions={},
            event_log=EventLog(0),
            key_days=[],
            ready_place=0,
            match_paths={},
        )
        self._templates = {name: _asked(name) for name in ("order", "asleep")}

    def run(self) -> None:
        events = self._scale.events
        for first in range(1, events + 1, _COMMIT_EVENTS):
            last = min(events, first + _COMMIT_EVENTS - 1)
            self._commit(range(first, last + 1))
            if last % _WRITE_EVENTS == 0:
                self._write()
        self._write()
        self._write_scattered()

    def _commit(self, positions: range) -> None:
        """Decide what is at these positions, as one commit and one checkpoint."""
        memory = self._memory
        with Overlay(self._store, ()) as overlay:
            view = LmdbView(overlay, memory)
            if positions[0] == 1:
                _register(view)
            for position in positions:
                self._put_event(view, position)
            staged = view.staged
            memory.commit_number += 1
            memory.head = rows.chained(memory.head, keys.number(memory.commit_number))
            frame = wal.Frame(memory.commit_number, memory.head, b"")
            commit = wal.Commit(
                memory.commit_number,
                memory.environment,
                list(staged.runs.values()),
                staged.events,
                overlay.own.tails,
                overlay.own.tables,
            )
        memory.event_log = staged.event_log or memory.event_log
        memory.key_days = staged.key_days or memory.key_days
        table = Memtable()
        table.take(commit, frame)
        changes, self._digest = table.changes(self._digest)
        self._bulk.take({name: dict(changed) for name, changed in changes.items()})

    def _write(self) -> None:
        self._store.write(self._bulk.tables)
        self._bulk.tables = {}

    def _write_scattered(self) -> None:
        for table, changed in self._bulk.scattered.items():
            ordered = sorted(changed)
            for start in range(0, len(ordered), _WRITE_EVENTS):
                page = ordered[start : start + _WRITE_EVENTS]
                self._store.write({table: {key: changed[key] for key in page}})

    def _put_event(self, view: LmdbView, position: int) -> None:
        run = self._scale.starts(position)
        if run is None:
            self._put_other(view, position)
            return
        time = self._scale.time(position)
        is_order = run % 2 == 0
        name, data = (
            ("order.placed", {"order": run // 2}) if is_order else ("bed.made", {})
        )
        event = EventData(
            id=_event_id(position, time),
            name=name,
            data=msgspec.Raw(values.encode(data)),
            timestamp=time,
        )
        run_id = self._put_run(
            view, event, position, order=run // 2 if is_order else None
        )
        view.put_event(StoredEvent(position, event, (run_id,)))

    def _put_other(self, view: LmdbView, position: int) -> None:
        time = self._scale.time(position)
        is_paid = position % _PAID_EVERY == 0
        number = self._scale.orders + position  # of an order that waits no longer
        event = EventData(
            id=_event_id(position, time),
            name="order.paid" if is_paid else f"other.{position % _OTHERS}",
            data=msgspec.Raw(_encode({"order": number, "state": "done"})),
            timestamp=time,
            idempotency_key=f"key-{position}" if position % _KEY_EVERY == 1 else "",
        )
        view.put_event(StoredEvent(position, event))
        if is_paid:
            view.put_match(event.name, PATH, _key(number), position)

    def _put_run(
        self, view: LmdbView, event: EventData, position: int, *, order: int | None
    ) -> str:
        function = "asleep" if order is None else "order"
        run_id = ids.triggered_run_id(event.id, function)
        time = event.timestamp
        view.put_run(
            RunRow(run_id, function, "open", event.id, event.name, position, time)
        )
        started, asked = self._templates[function]
        changed = {"asked_at": time, "event_id": event.id}
        drafts = [Draft(msgspec.structs.replace(started, **changed), _encode(event))]
        match asked:
            case SleepStarted():
                moved = time + asked.until - asked.asked_at
                asked = msgspec.structs.replace(asked, asked_at=time, until=moved)
                view.put_timer(TimerRow(run_id, asked.id, "sleep", moved))
            case WaitStarted():
                assert order is not None
                moved = time + asked.timeout_at - asked.asked_at
                asked = msgspec.structs.replace(
                    asked, asked_at=time, timeout_at=moved, match_key=_key(order)
                )
                view.put_timer(TimerRow(run_id, asked.id, "wait", moved))
                view.put_wait(
                    WaitRow(
                        run_id,
                        asked.id,
                        2,
                        asked.event,
                        PATH,
                        asked.match_key,
                        after=position,
                    )
                )
            case _:
                raise AssertionError(f"{function!r} does not park at once")
        drafts.append(Draft(asked))
        entries = list(_sealed(run_id, drafts, time))
        view.append(
            run_id,
            [entry for entry, _ in entries],
            [header for _, header in entries],
        )
        return run_id


def _register(view: LmdbView) -> None:
    for program in app.programs.values():
        view.put_function(
            FunctionRow(program.id, program.version, app.triggers[program.id])
        )
    view.put_match_path(MatchPath("order.paid", PATH, 0, 0, 0, made_at=0))


def _key(order: int) -> bytes:
    key = match_key(order)
    assert key is not None
    return key


def _sealed(
    run_id: str, drafts: list[Draft], time: int
) -> Iterator[tuple[Entry, bytes]]:
    previous = codec.chain_start(ENVIRONMENT, run_id)
    for sequence, draft in enumerate(drafts, 1):
        entry, header = codec.seal(
            draft, sequence=sequence, recorded_at=time, previous=previous
        )
        previous = entry.digest
        yield entry, header


def _asked(function: str) -> tuple[Record, Record]:
    """Return the records with which a run of this function parks: let it say so."""
    program = app.programs[function]
    event = EventData(
        id=_event_id(1, START_US),
        name="a",
        data=msgspec.Raw(_encode({"order": 1})),
        timestamp=START_US,
    )
    run_id = ids.triggered_run_id(event.id, function)
    started = RunStarted(
        asked_at=START_US,
        function_id=function,
        event_id=event.id,
        version=program.version,
    )
    [(first, _)] = _sealed(run_id, [Draft(started, _encode(event))], START_US)
    session = Session(program, run_id, ENVIRONMENT)
    session.load([first])
    [entry] = session.absorb((), START_US).entries
    session.close()
    return started, entry.record


def filled(folder: Path, scale: Scale) -> Path:
    """Return a directory of this scale in a folder; make it unless it is there.

    It is made again when the functions have changed, whose versions its runs name.
    """
    directory = folder / f"{scale.runs}-runs-{scale.events}-events"
    note = folder / f"{directory.name}.json"
    wanted = {name: program.version for name, program in app.programs.items()}
    if not note.exists() or json.loads(note.read_text()) != wanted:
        for old in folder.glob(f"{directory.name}.*json"):
            old.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        fill(directory, scale)
        note.write_text(json.dumps(wanted))
    return directory
