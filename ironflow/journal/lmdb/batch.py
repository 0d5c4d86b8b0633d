"""Decide what many callers asked for, together, before anything is written.

A batch is decided on the thread of the event loop, over a snapshot, in memory. It
ends when it holds as many commands as one commit may, or when deciding has taken
so long that other tasks should run.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Final, final

import msgspec
import trio

from ironflow import limits
from ironflow.errors import IronflowError
from ironflow.journal.apply import apply
from ironflow.journal.base import Answer, Hint, JournalCommand
from ironflow.journal.lmdb import wal
from ironflow.journal.lmdb.checkpoint import Committed
from ironflow.journal.lmdb.known import Memory, Staged
from ironflow.journal.lmdb.layers import Overlay
from ironflow.journal.lmdb.tables import LmdbView

DECIDE_SECONDS_MAX: Final = 0.004


@final
class Submission(msgspec.Struct, eq=False):
    """The commands of one caller and, later, what became of them.

    In place of commands it may have a `change` of the store's own, which says nothing
    else to anybody; it may be called more than once.
    `alone`: it shares its transaction with nobody, so that its error is its own.
    `leads`: its task shall commit for all who wait.
    """

    commands: Sequence[JournalCommand]
    task: "trio.lowlevel.Task"
    change: Callable[[Overlay], None] | None = None
    leads: bool = False
    alone: bool = False
    is_done: bool = False
    answers: Sequence[Answer] = ()
    error: BaseException | None = None


@final
@dataclass(slots=True)
class Batch:
    """Submissions that share a transaction, and what it shall write.

    `commit` and `frame` are None where nothing changes. `past_log`: it goes straight
    into LMDB.
    """

    submissions: list[Submission]
    staged: Staged
    hint: Hint
    commit: wal.Commit | None = None
    frame: wal.Frame | None = None
    past_log: bool = False
    error: IronflowError | None = None
    seconds: float = field(default=0.0)

    @property
    def is_lone(self) -> bool:
        """Say whether one command is all of it: nobody else has work at this moment."""
        return len(self.submissions) == 1 and len(self.submissions[0].commands) <= 1


def decide(
    committed: Committed, memory: Memory, waiting: deque[Submission], *, name: str
) -> Batch:
    """Take submissions off `waiting` and decide them; nothing is written yet.

    A submission that cannot be decided takes its exception along, and the others
    are decided as if it had not been there.
    """
    taken: list[Submission] = []
    try:
        return _decided(committed, memory, taken, waiting, name=name)
    except Exception as error:  # noqa: BLE001 - it is raised in the callers' tasks
        taken += waiting
        waiting.clear()
        return _undecided(taken, error)


def _decided(
    committed: Committed,
    memory: Memory,
    taken: list[Submission],
    waiting: deque[Submission],
    *,
    name: str,
) -> Batch:
    while True:
        with committed.overlay() as overlay:
            view = LmdbView(overlay, memory)
            decide_one = partial(_apply, view, overlay, name=name)
            if _decide(decide_one, taken, waiting):
                break
    batch = Batch(taken, view.staged, view.hint)
    if overlay.own:
        batch.commit = _commit(overlay, memory, view.staged)
        batch.frame = wal.seal(batch.commit, after=memory.head)
    return batch


def _undecided(taken: list[Submission], error: Exception) -> Batch:
    """A batch that writes nothing: the store could not be read."""
    for submission in taken:
        submission.error = submission.error or error
    return Batch(taken, Staged(), Hint())


def _decide(
    decide_one: Callable[[Submission], None],
    taken: list[Submission],
    waiting: deque[Submission],
) -> bool:
    """Apply what is taken, then take more; False: begin again, one is excluded."""
    for submission in taken:
        if submission.error is None:
            decide_one(submission)
    begun = perf_counter()
    count = 0
    while waiting and not (taken and (waiting[0].alone or taken[0].alone)):
        count += len(waiting[0].commands)
        if taken and count > limits.COMMIT_COMMANDS_MAX:
            break
        submission = waiting.popleft()
        taken.append(submission)
        try:
            decide_one(submission)
        except Exception as error:  # noqa: BLE001 - it is raised in the caller's task
            submission.error = error
            return False
        if perf_counter() - begun > DECIDE_SECONDS_MAX:
            break
    return True


def _apply(
    view: LmdbView, overlay: Overlay, submission: Submission, *, name: str
) -> None:
    if submission.change is not None:
        submission.change(overlay)
    submission.answers = [
        apply(view, command, environment=name) for command in submission.commands
    ]


def _commit(overlay: Overlay, memory: Memory, staged: Staged) -> wal.Commit:
    return wal.Commit(
        memory.commit_number + 1,
        memory.environment,
        list(staged.runs.values()),
        staged.events,
        overlay.own.tails,
        overlay.own.tables,
        staged.deleted,
        staged.dropped,
        staged.redacted,
    )


def remember(memory: Memory, batch: Batch) -> None:
    """Take what a batch changed into memory, now that it is durable."""
    staged = batch.staged
    if batch.frame is not None:
        memory.commit_number, memory.head = batch.frame.number, batch.frame.head
    if staged.functions is not None:
        memory.take_functions(staged.functions)
    memory.event_log = staged.event_log or memory.event_log
    memory.key_days = memory.key_days if staged.key_days is None else staged.key_days
    memory.gone = memory.gone if staged.gone is None else staged.gone
    memory.first_event = max(memory.first_event, staged.dropped + 1)
    memory.match_paths = staged.match_paths or memory.match_paths
    memory.take_wait_paths(staged.wait_paths)
    memory.take_ready(staged.ready)
    memory.take_known(staged.known, staged.first)
