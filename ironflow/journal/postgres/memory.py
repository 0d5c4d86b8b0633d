"""What a journal knows without asking: its last commit, and the runs that it holds.

While a run is held, others write for it only by leaving rows in its inbox. So what was
read when it was claimed, and what this journal has written since, still is what is stored
if the hold is in force and nothing newer is in the inbox. The server checks that in the
round trip of the commit (`GUARD`), so a commit that needs to know no more is decided
without reading. What is here is never trusted unchecked.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, final

from ironflow import limits
from ironflow.journal.base import AppendRecords, FunctionRow, InboxRow
from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres._psycopg import Call, Statement
from ironflow.journal.postgres.answered import Head
from ironflow.journal.postgres.foresee import of_append
from ironflow.journal.postgres.questions import (
    Answers,
    InboxOf,
    Run,
    RunOf,
    TimerOf,
    WaitOf,
)
from ironflow.journal.postgres.tables import PostgresView

CLAIMS_PER_NODE: Final = 1 << 32
NAMES_MAX: Final = 1_000  # of events whose waits are remembered
HELD_MAX: Final = 4 * limits.RUNS_ACTIVE_MAX  # more than an engine holds at once

# The words of an error that stands in the server's log when the check fails: between the
# last look and the lock somebody else has written. That is rare and costs a round trip.
CHANGED: Final = "what this commit rests on has changed; it is decided again"
CHANGED_STATE: Final = "22P02"

# `number` is 0 where any last commit will do.
GUARD: Final = Statement(
    "guard",
    f"""SELECT CAST(CASE WHEN (
        SELECT registry = $3::bigint AND $4::bigint IN (0, number)
        FROM commits WHERE environment = $1::integer ORDER BY number DESC LIMIT 1)
    AND $5::bigint = (
        SELECT count(*) FROM nodes WHERE environment = $1 AND id <> $2::bigint)
    AND (SELECT true FROM unnest($6::uuid[], $7::bigint[], $8::bigint[])
            AS a (run, epoch, through)
        WHERE (SELECT true FROM (
                SELECT node, epoch FROM ready
                WHERE environment = $1 AND run = a.run OFFSET 0) y
            WHERE y.epoch = a.epoch AND y.node IS NOT NULL) IS NULL
        OR (SELECT true FROM inbox i
            WHERE i.environment = $1 AND i.run = a.run AND i.number > a.through
            LIMIT 1)
        -- A pause that somebody has asked for.
        OR (SELECT r.pause_reason IS NOT NULL FROM runs r
            WHERE r.environment = $1 AND r.run = a.run)
        LIMIT 1) IS NULL
    THEN '1' ELSE 'ironflow: {CHANGED}' END AS integer)""",  # noqa: S608 - a text of ours
)


@final
@dataclass(slots=True)
class Held:
    """A run that this journal holds: what is stored of it, and its inbox."""

    run: Run
    inbox: list[InboxRow]


@final
@dataclass(slots=True)
class Memory:
    """What a journal knows of its environment; `functions` as of `registry`.

    `head` is the last commit that it saw, `held` the runs that it holds, by their bytes.
    `paths`: where waits for an event looked of late. That is a guess at what to ask.
    """

    environment: int
    lock: int
    channel: str
    name: str
    node: int
    registry: int = -1
    functions: dict[str, FunctionRow] = field(default_factory=dict[str, FunctionRow])
    head: Head | None = None
    held: dict[bytes, Held] = field(default_factory=dict[bytes, Held])
    paths: dict[str, dict[str, bytes]] = field(
        default_factory=dict[str, dict[str, bytes]]
    )

    def hold(self, run: bytes, held: Held) -> None:
        """Remember a run that was claimed."""
        if len(self.held) >= HELD_MAX:
            self.held.clear()  # they are read again when they are needed
        self.held[run] = held

    def forget(self, runs: Iterable[bytes] | None = None) -> None:
        """Forget what is known of these runs, or of all and of the last commit."""
        if runs is None:
            self.head = None
            self.held.clear()
            return
        for run in runs:
            self.held.pop(run, None)

    def guard(self, head: Head, runs: Iterable[bytes], *, exact: bool) -> Call:
        """Return the call that fails if what is known of these runs is not so any more.

        `exact`: also if anybody has committed since.
        """
        known = [(run, self.held[run]) for run in runs]
        through = [held.inbox[-1].number if held.inbox else 0 for _, held in known]
        return GUARD, [
            pg.int4(self.environment),
            pg.int8(self.node),
            pg.int8(self.registry),
            pg.int8(head.number if exact else 0),
            pg.int8(head.others),
            pg.uuids([run for run, _ in known]),
            pg.int8s([held.run.epoch for _, held in known]),
            pg.int8s(through),
        ]

    # --- after a commit ---------------------------------------------------------

    def committed(self, head: Head, view: PostgresView, answers: Answers) -> None:
        """Take in a commit, now that it is durable: what it has read and written."""
        self.head, self.registry = head, head.registry
        if view.changes.functions:
            self.functions = dict(view.functions())
        self._learn_paths(answers)
        read = self._learn(answers)
        changes = view.changes
        touched = {
            *view.lengths,
            *changes.runs,
            *changes.inbox.runs(),
            *changes.timers.runs(),
            *changes.waits.runs(),
            *changes.consumed.runs(),
        }
        gone = {*changes.ready.runs(), *changes.released, *changes.runs_gone}
        self.forget(gone)
        for run in touched - gone:
            held = self.held.get(run)
            if held is None:
                continue
            if run not in read:
                del self.held[run]
                continue
            _change(held, run, view)

    def _learn_paths(self, answers: Answers) -> None:
        if len(self.paths) >= NAMES_MAX:
            self.paths.clear()
        for question, paths in answers.paths.items():
            if paths:
                self.paths[question.event] = paths
            else:
                self.paths.pop(question.event, None)

    def _learn(self, answers: Answers) -> set[bytes]:
        """Take in what was read, or checked, of runs that this journal holds."""
        read: set[bytes] = set()
        for question, run in answers.runs.items():
            inbox = answers.inboxes.get(InboxOf(question.run))
            if inbox is None or run.epoch // CLAIMS_PER_NODE != self.node:
                continue
            read.add(question.run)
            known = self.held.get(question.run)
            if known is None or known.run is not run:
                self.hold(question.run, Held(run, inbox))
        return read


def _change(held: Held, run: bytes, view: PostgresView) -> None:
    changes, stored = view.changes, held.run
    stored.length = view.lengths.get(run, stored.length)
    stored.row = changes.runs.get(run, stored.row)
    stored.has_timers |= run in changes.timers.puts
    stored.has_waits |= run in changes.waits.puts
    stored.has_consumed |= run in changes.consumed.puts
    if run in changes.inbox.runs():
        held.inbox = changes.inbox_of(run, held.inbox)


def is_enough(command: AppendRecords, held: Held) -> bool:
    """Say whether what is known of a run is likely to be all that an append asks."""
    run = held.run
    if run.epoch != command.epoch or run.length != command.expected_length:
        return False
    for question in of_append(command):
        match question:
            case RunOf() | InboxOf():
                pass
            case TimerOf() if not run.has_timers:
                pass
            case WaitOf() if not run.has_waits:
                pass
            case _:
                return False
    return True


def seed(answers: Answers, run: bytes, held: Held) -> None:
    """Answer what is known of a run."""
    answers.runs[RunOf(run)] = held.run
    answers.inboxes[InboxOf(run)] = held.inbox
