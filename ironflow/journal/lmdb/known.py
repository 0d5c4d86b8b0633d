"""What the owner of a journal keeps in memory, and what a commit will change there.

The registry, the ready queue, and of a run that is held or has just begun what its next
append needs. It is changed when a commit is durable, never before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec.structs import replace

from ironflow.journal.base import (
    EventLog,
    FunctionRow,
    InboxRow,
    MatchPath,
    RunRow,
)
from ironflow.journal.lmdb import rows
from ironflow.journal.ready import ReadyQueue
from ironflow.records import Entry

FRESH_RUNS_MAX: Final = 4096
WAIT_NAMES_MAX: Final = 4096
WAIT_PATHS_MAX: Final = (
    16  # of a name; with more they are sought in the store each time
)


class Known(msgspec.Struct, gc=False):
    """What a run's next append needs to know; kept while the run is held.

    `length` and `inbox` are None until somebody has looked. `is_bare` may be false of a
    run that has no timers, waits and consumed events, never true of another.
    """

    key: bytes
    row: RunRow | None
    length: int | None = None
    inbox: tuple[InboxRow, ...] | None = None
    is_bare: bool = False


@dataclass(slots=True)
class Memory:
    """What the owner of an environment keeps in memory, as of the last commit."""

    environment: int
    commit_number: int
    head: bytes
    queue: ReadyQueue
    functions: dict[str, FunctionRow]
    event_log: EventLog
    key_days: list[bytes]  # the days in which idempotency keys were used, newest first
    ready_place: int
    match_paths: Mapping[str, Mapping[str, MatchPath]]  # by event name and path
    # Runs without a row whose records are to be dropped, by their keys.
    gone: dict[bytes, None] = field(default_factory=dict[bytes, None])
    first_event: int = 1  # position of the oldest that there is
    held: dict[str, Known] = field(default_factory=dict[str, Known])
    # Runs that were made ready of late, with the first record of those that have only
    # begun: most are claimed at once.
    fresh: dict[str, tuple[Known, Entry | None]] = field(
        default_factory=dict[str, tuple[Known, Entry | None]]
    )
    # By event name, the paths of the waits for it. Some may have no wait any more.
    wait_paths: dict[str, tuple[str, ...]] = field(
        default_factory=dict[str, tuple[str, ...]]
    )

    def read(self, run_id: str) -> Known | None:
        """Return what is known of a run, if it is; only what is None may be filled in."""
        known = self.held.get(run_id)
        if known is None and (begun := self.fresh.get(run_id)) is not None:
            return begun[0]
        return known

    def known(self, run_id: str) -> Known | None:
        """Return a copy of what is known of a run, to be changed by a transaction."""
        known = self.read(run_id)
        return None if known is None else replace(known)

    def take_known(self, known: dict[str, Known], first: dict[str, Entry]) -> None:
        """Take what is known of runs that a commit changed."""
        holds, fresh = self.queue.holds, self.fresh
        for run_id, each in known.items():
            if run_id in holds:
                self.held[run_id] = each
            elif run_id in fresh:
                fresh[run_id] = (each, fresh[run_id][1])
            elif run_id in self.queue and len(fresh) < FRESH_RUNS_MAX:
                each.inbox = each.inbox or None  # payloads stay out of memory
                fresh[run_id] = (each, first.get(run_id))

    def take_wait_paths(self, changes: dict[str, tuple[str, ...] | None]) -> None:
        """Take the paths of waits by event name; None: they are not known any more."""
        for name, paths in changes.items():
            if paths is None:
                self.wait_paths.pop(name, None)
            else:
                self.wait_paths[name] = paths
        if len(self.wait_paths) > WAIT_NAMES_MAX:
            self.wait_paths.clear()

    def take_ready(self, changes: Sequence[tuple[str, RunRow | None]]) -> None:
        """Let runs be claimed; None: nothing of this one stays in memory."""
        self.ready_place += len(changes)
        for run_id, row in changes:
            if row is not None:
                self.queue.add(run_id, row.function_id, row.lane)
            else:
                self.queue.drop(run_id)
                self.held.pop(run_id, None)
                self.fresh.pop(run_id, None)

    def take_functions(self, functions: dict[str, FunctionRow]) -> None:
        """Let the registry be this one, also where it says how many may be held."""
        self.functions = functions
        for function_id, row in functions.items():
            self.queue.set_limit(function_id, row.concurrency)


class Staged:
    """What a commit will change in memory once it is durable.

    Of `ready`, None in place of a row says that the run is ready no longer.
    """

    __slots__ = (
        "deleted",
        "dropped",
        "ended_holds",
        "event_log",
        "events",
        "first",
        "functions",
        "gone",
        "key_days",
        "known",
        "match_paths",
        "readiness",
        "ready",
        "redacted",
        "runs",
        "wait_paths",
    )

    def __init__(self) -> None:
        self.functions: dict[str, FunctionRow] | None = None
        self.event_log: EventLog | None = None
        self.key_days: list[bytes] | None = None
        self.match_paths: Mapping[str, Mapping[str, MatchPath]] | None = None
        self.ready: list[tuple[str, RunRow | None]] = []
        self.readiness: dict[str, bool] = {}
        self.known: dict[str, Known] = {}
        self.first: dict[str, Entry] = {}
        self.runs: dict[str, rows.RunChange] = {}
        self.events: list[rows.EventChange] = []
        self.wait_paths: dict[str, tuple[str, ...] | None] = {}
        self.ended_holds: set[str] = set()
        self.deleted: list[bytes] = []  # runs
        self.gone: dict[bytes, None] | None = None
        self.dropped = 0  # events up to this position
        self.redacted: list[rows.RedactionChange] = []
