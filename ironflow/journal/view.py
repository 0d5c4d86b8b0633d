"""What `apply` sees of a store: its tables, inside one write transaction.

A store implements these reads and writes and decides nothing. Reads see the
writes before them. Keys are what the arguments say, in the environment of the
journal. Rows are values: what was returned once does not change.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

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
from ironflow.records import Draft, Entry, EventData


class EventView(Protocol):
    """The registry, the event log, who waits for what and who took what.

    `hint` is filled by `apply` and handed to those who watch, after the commit.
    """

    hint: Hint

    def functions(self) -> Mapping[str, FunctionRow]:
        """Return the registry by function id, in the order of the ids."""
        ...

    def put_function(self, row: FunctionRow) -> None:
        """Put a function into the registry, in place of one with its id."""
        ...

    def log(self) -> EventLog:
        """Return the length of the event log and the unfinished delivery."""
        ...

    def put_delivery(self, delivery: Delivery | None) -> None:
        """Remember where a delivery stopped; None: no delivery is unfinished."""
        ...

    def put_event(self, stored: StoredEvent) -> None:
        """Store the next event, also under its idempotency key if it has one."""
        ...

    def events(self, name: str, *, after: int, limit: int) -> Sequence[StoredEvent]:
        """Return events of exactly this name ("": of any) after a position."""
        ...

    def event_by_key(self, name: str, key: str) -> int | None:
        """Return the position of the event of this name and idempotency key."""
        ...

    def event(self, position: int) -> StoredEvent | None:
        """Return the event at a position; None: it is gone, or not there yet."""
        ...

    def replace_event(self, before: StoredEvent, after: StoredEvent) -> None:
        """Put a redacted event in the place of what was stored.

        Nothing finds it any more by what it had (`matches`).
        """
        ...

    def oldest_events(self, *, limit: int) -> Sequence[StoredEvent]:
        """Return the first events there are."""
        ...

    def drop_events(self, oldest: Sequence[StoredEvent]) -> None:
        """Drop the oldest events there are, their keys and what they are indexed by."""
        ...

    def put_wait(self, row: WaitRow) -> None:
        """Put a wait; a run has one of a step. One that seeks is found by `seeking`."""
        ...

    def drop_wait(self, run_id: str, step: str) -> WaitRow | None:
        """Drop a wait; return what was there."""
        ...

    def waits_for(
        self, event: EventData, *, after: tuple[str, int], limit: int
    ) -> Sequence[WaitRow]:
        """Return waits of the event's name whose `path` and `match_key` it fits.

        Ordered by run id and sequence, those after this pair of them. What fits
        is said by `matching.py`; `WaitRow.after` plays no part here.
        """
        ...

    def seeking(self, *, limit: int) -> Sequence[WaitRow]:
        """Return waits that seek, by run id and sequence: there are hardly ever any."""
        ...

    def match_paths(self, name: str) -> Mapping[str, MatchPath]:
        """Return how far events of a name are indexed, by path: mostly not at all."""
        ...

    def put_match_path(self, row: MatchPath) -> None:
        """Remember how far events are indexed, in place of what was known."""
        ...

    def drop_match_path(self, name: str, path: str) -> None:
        """Forget a path; what was indexed by it may stay and is not asked for."""
        ...

    def put_match(self, name: str, path: str, key: bytes, position: int) -> None:
        """Index an event: at `path` it has the value that `key` stands for."""
        ...

    def matches(
        self, name: str, path: str, key: bytes, *, after: int, limit: int
    ) -> Sequence[int]:
        """Return positions that `put_match` got, in order, after a position."""
        ...

    def consume(self, run_id: str, position: int) -> bool:
        """Note that the run took this event; False if it had done so before."""
        ...

    def drop_consumed(self, run_id: str, position: int) -> None:
        """Forget that the run took this event."""
        ...


class RunView(Protocol):
    """Runs: their rows, histories, inboxes, timers and places in the queue."""

    def run(self, run_id: str) -> RunRow | None:
        """Return the row of a run."""
        ...

    def put_run(self, row: RunRow) -> None:
        """Put the row of a run, in place of the one before."""
        ...

    def paused(self, function_id: str) -> Sequence[RunRow]:
        """Return the runs of a function that are paused."""
        ...

    def hold(self, run_id: str) -> Hold:
        """Return who holds a run (epoch 0: nobody) and how long its history is."""
        ...

    def history(self, run_id: str) -> Sequence[Entry]:
        """Return a whole history; a payload that is stored apart may be left out.

        Only amendments ask for it: whoever appends a result must not wait for this.
        """
        ...

    def record(self, run_id: str, sequence: int) -> Entry:
        """Return one record of a history, with its payload."""
        ...

    def records(self, run_id: str, sequences: Sequence[int]) -> Sequence[Entry]:
        """Return these records, which are in order and there, as `history` does."""
        ...

    def replace_records(self, run_id: str, entries: Sequence[Entry]) -> None:
        """Put redacted records, in order, in the place of what was stored.

        A payload that lay apart goes if no other run has it: this one has it only in
        records that are among these.
        """
        ...

    def append(
        self, run_id: str, entries: Sequence[Entry], headers: Sequence[bytes]
    ) -> None:
        """Append records and large payloads to a history, as they are."""
        ...

    def inbox(self, run_id: str) -> Sequence[InboxRow]:
        """Return the inbox of a run, in the order of the numbers."""
        ...

    def put_inbox(self, run_id: str, draft: Draft, *, position: int = 0) -> None:
        """Put a draft into a run's inbox under a number higher than any before.

        Numbers are never used twice in a run, also when the inbox was empty.
        """
        ...

    def drop_inbox(self, run_id: str, numbers: Sequence[int]) -> None:
        """Drop these rows of an inbox."""
        ...

    def put_ready(self, row: RunRow) -> None:
        """Let the run be claimed, in its lane; a run that is ready keeps its place."""
        ...

    def drop_ready(self, run_id: str) -> None:
        """The run is not ready, and whoever holds it does so no longer."""
        ...

    def put_timer(self, row: TimerRow) -> None:
        """Put a timer; `apply` drops one of its run, step and kind before."""
        ...

    def drop_timer(
        self, run_id: str, step: str, kind: TimerKind, *, due: int = 0
    ) -> bool:
        """Drop the timer if there is one, with `due` only that very one.

        Says whether it did.
        """
        ...

    def drop_run(self, run_id: str) -> None:
        """Drop the row of a run that has ended; `drop_records` drops its records."""
        ...

    def is_going(self, run_id: str) -> bool:
        """Say whether records of a run without a row are still to be dropped."""
        ...

    def drop_records(self, *, limit: int) -> bool:
        """Drop records of runs without a row, and payloads that nobody else has.

        Says whether it could go on: `limit` was reached, or nearly so.
        """
        ...

    def drop_run_tables(self, run_id: str) -> None:
        """Drop a run's inbox, ready row, hold, timers, waits and consumed events."""
        ...


class DocumentView(Protocol):
    """Documents, by kind and id; nothing else of a journal depends on them."""

    def document(self, kind: str, id_: str) -> DocumentRow | None:
        """Return a document; id and kind are checked before."""
        ...

    def put_document(self, row: DocumentRow) -> None:
        """Put a document, in place of the one before."""
        ...

    def drop_document(self, kind: str, id_: str) -> None:
        """Drop a document that is there."""
        ...


class View(EventView, RunView, DocumentView, Protocol):
    """A store's tables inside one write transaction, as `apply` sees them."""
