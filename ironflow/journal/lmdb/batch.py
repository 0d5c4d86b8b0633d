"""Decide what many callers asked for, together, before anything is written.

A batch is decided on the thread of the event loop, over a snapshot, in memory. It
ends when it holds as many commands as one commit may, or when deciding has taken
so long that other tasks should run.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final, final

import trio

from ironflow import limits
from ironflow.errors import IronflowError
from ironflow.journal.apply import apply
from ironflow.journal.base import Answer, Hint, JournalCommand
from ironflow.journal.lmdb import keys, rows
from ironflow.journal.lmdb._lmdb import Changes, Environment
from ironflow.journal.lmdb.overlay import Overlay
from ironflow.journal.lmdb.tables import LmdbView, Memory, Staged

DECIDE_SECONDS_MAX: Final = 0.003


@final
@dataclass(slots=True, eq=False)
class Submission:
    """The commands of one caller and, later, what became of them.

    `alone`: it shares its transaction with nobody, so that its error is its own.
    `leads`: its task shall commit for all who wait.
    """

    commands: Sequence[JournalCommand]
    task: "trio.lowlevel.Task"
    leads: bool = False
    alone: bool = False
    is_done: bool = False
    answers: Sequence[Answer] = ()
    error: BaseException | None = None


@final
@dataclass(slots=True)
class Batch:
    """Submissions that share a transaction, and what it shall write."""

    submissions: list[Submission]
    changes: Changes
    staged: Staged
    hint: Hint
    number: int
    head: bytes
    error: IronflowError | None = None
    seconds: float = field(default=0.0)


def decide(
    environment: Environment, memory: Memory, waiting: deque[Submission], *, name: str
) -> Batch:
    """Take submissions off `waiting` and decide them; nothing is written yet.

    A submission that cannot be decided takes its exception along, and the others
    are decided as if it had not been there.
    """
    taken: list[Submission] = []
    try:
        return _decided(environment, memory, taken, waiting, name=name)
    except Exception as error:  # noqa: BLE001 - it is raised in the callers' tasks
        taken += waiting
        waiting.clear()
        return _undecided(memory, taken, error)


def _decided(
    environment: Environment,
    memory: Memory,
    taken: list[Submission],
    waiting: deque[Submission],
    *,
    name: str,
) -> Batch:
    while True:
        with environment.snapshot() as snapshot:
            overlay = Overlay(snapshot)
            view = LmdbView(overlay, memory)
            if _decide(view, taken, waiting, name=name):
                break
    number, head = memory.commit_number, memory.head
    if overlay.changes:
        number += 1
        head = _seal(overlay, memory, view.staged, number=number)
    return Batch(taken, overlay.changes, view.staged, view.hint, number, head)


def _undecided(memory: Memory, taken: list[Submission], error: Exception) -> Batch:
    """A batch that writes nothing: the store could not be read."""
    for submission in taken:
        submission.error = submission.error or error
    number, head = memory.commit_number, memory.head
    return Batch(taken, {}, Staged(), Hint(), number, head)


def _decide(
    view: LmdbView,
    taken: list[Submission],
    waiting: deque[Submission],
    *,
    name: str,
) -> bool:
    """Apply what is taken, then take more; False: begin again, one is excluded."""
    for submission in taken:
        if submission.error is None:
            _apply(view, submission, name=name)
    begun = perf_counter()
    count = 0
    while waiting and not (taken and (waiting[0].alone or taken[0].alone)):
        count += len(waiting[0].commands)
        if taken and count > limits.COMMIT_COMMANDS_MAX:
            break
        submission = waiting.popleft()
        taken.append(submission)
        try:
            _apply(view, submission, name=name)
        except Exception as error:  # noqa: BLE001 - it is raised in the caller's task
            submission.error = error
            return False
        if perf_counter() - begun > DECIDE_SECONDS_MAX:
            break
    return True


def _apply(view: LmdbView, submission: Submission, *, name: str) -> None:
    submission.answers = [
        apply(view, command, environment=name) for command in submission.commands
    ]


def _seal(overlay: Overlay, memory: Memory, staged: Staged, *, number: int) -> bytes:
    """Add the commit's own row; return the head digest after it."""
    body = rows.CommitBody(
        number, memory.environment, list(staged.runs.values()), staged.events
    )
    data, head = rows.encode_commit(memory.head, body)
    overlay.put(keys.COMMITS, keys.number(number), data)
    return head


def remember(memory: Memory, batch: Batch) -> None:
    """Take what a batch changed into memory, now that it is durable."""
    staged = batch.staged
    memory.commit_number, memory.head = batch.number, batch.head
    if staged.functions is not None:
        memory.take_functions(staged.functions)
    memory.event_log = staged.event_log or memory.event_log
    memory.key_days = staged.key_days or memory.key_days
    memory.take_ready(staged.ready)
    holds = memory.queue.holds
    memory.held |= {run: staged.known[run] for run in staged.known if run in holds}
