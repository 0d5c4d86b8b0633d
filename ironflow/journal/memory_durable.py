"""What a journal in memory keeps over a restart: a copy of it is a snapshot."""

from dataclasses import dataclass, field
from typing import final

from ironflow.journal.base import (
    Delivery,
    DocumentRow,
    FunctionRow,
    InboxRow,
    MatchPath,
    RunRow,
    StoredEvent,
    TimerKind,
    TimerRow,
    WaitRow,
)
from ironflow.journal.memory_waits import WaitGroup
from ironflow.records import Entry

TimerKey = tuple[str, TimerKind]


@final
@dataclass(slots=True)
class Run:
    """All rows of one run."""

    row: RunRow
    entries: list[Entry] = field(default_factory=list[Entry])
    inbox: dict[int, InboxRow] = field(default_factory=dict[int, InboxRow])
    timers: dict[TimerKey, TimerRow] = field(default_factory=dict[TimerKey, TimerRow])
    waits: dict[str, WaitRow] = field(default_factory=dict[str, WaitRow])
    consumed: set[int] = field(default_factory=set[int])

    def copy(self) -> "Run":
        """Return the same rows in tables of their own."""
        return Run(
            self.row,
            self.entries.copy(),
            self.inbox.copy(),
            self.timers.copy(),
            self.waits.copy(),
            self.consumed.copy(),
        )


@final
@dataclass(slots=True)
class Durable:
    """What survives a restart. `ready` holds runs by their place in the queue.

    `events` are those after position `dropped`; `gone` says of runs without a row how
    many records are still to be dropped.
    """

    functions: dict[str, FunctionRow] = field(default_factory=dict[str, FunctionRow])
    events: list[StoredEvent] = field(default_factory=list[StoredEvent])
    keys: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    runs: dict[str, Run] = field(default_factory=dict[str, Run])
    ready: dict[str, int] = field(default_factory=dict[str, int])
    delivery: Delivery | None = None
    match_paths: dict[str, dict[str, MatchPath]] = field(
        default_factory=dict[str, dict[str, MatchPath]]
    )
    matches: dict[WaitGroup, list[int]] = field(
        default_factory=dict[WaitGroup, list[int]]
    )
    documents: dict[tuple[str, str], DocumentRow] = field(
        default_factory=dict[tuple[str, str], DocumentRow]
    )
    dropped: int = 0
    gone: dict[str, int] = field(default_factory=dict[str, int])
    counter: int = 0  # inbox numbers and places in the queue
    openings: int = 0
    is_closed: bool = True  # in order, by the last who had it open

    def copy(self) -> "Durable":
        """Return the same rows in tables of their own."""
        return Durable(
            self.functions.copy(),
            self.events.copy(),
            self.keys.copy(),
            {run_id: run.copy() for run_id, run in self.runs.items()},
            self.ready.copy(),
            self.delivery,
            self.match_paths.copy(),
            self.matches.copy(),
            self.documents.copy(),
            self.dropped,
            self.gone.copy(),
            self.counter,
            self.openings,
            self.is_closed,
        )

    def count(self) -> int:
        """Return a number higher than any before."""
        self.counter += 1
        return self.counter
