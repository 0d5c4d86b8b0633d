"""Group commit: whoever waits when a commit begins, shares it.

There is no timer and no thread: the first caller lets the tasks that can run do so,
then takes all who wait along. One batch is under way at a time.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, final

import trio

from ironflow import limits
from ironflow.errors import JournalError, JournalFailed, JournalFull
from ironflow.journal.base import Answer, Claim, Hint, JournalCommand
from ironflow.journal.postgres._psycopg import (
    Connection,
    ConnectionLost,
    ServerError,
)
from ironflow.journal.postgres.batch import Batch, Submission
from ironflow.journal.postgres.link import Server
from ironflow.journal.postgres.memory import Memory

GATHER_PASSES_MAX: Final = 8
_DISK_FULL: Final = "53100"
# Serialization failures, deadlocks and locks that were not had: try again.
_PASSING: Final = ("40", "55P03")
_TRIES_MAX: Final = 5


@final
class Writer:
    """The one place of a process where an environment is written.

    `settled` is called with the hint of each commit that has become durable, before
    its callers go on.
    """

    def __init__(
        self,
        server: Server,
        connection: Connection,
        memory: Memory,
        *,
        settled: Callable[[Hint], None],
    ) -> None:
        self._server: Final = server
        self._connection: Connection | None = connection
        self._memory: Final = memory
        self._settled: Final = settled
        self._waiting: Final[deque[Submission]] = deque()
        self._busy = False
        self._idle = trio.Event()
        self._refusal: str | None = None

    @trio.lowlevel.enable_ki_protection
    async def submit(
        self,
        commands: Sequence[JournalCommand] = (),
        *,
        claims: Sequence[Claim] = (),
    ) -> Sequence[Answer]:
        """Carry the commands out, with whatever others have submitted.

        A commit cannot be taken back, so a cancel waits until it is durable.
        """
        if self._refusal is not None:
            raise JournalFailed(self._refusal)
        task = trio.lowlevel.current_task()
        submission = Submission(commands, claims, task)
        self._waiting.append(submission)
        submission.leads = not self._busy
        self._busy = True
        while not submission.is_done:
            if submission.leads:
                submission.leads = False
                await self._lead(submission)
            else:
                await trio.lowlevel.wait_task_rescheduled(_not_aborted)
        if submission.error is not None:
            raise submission.error
        return submission.answers

    async def close(self) -> None:
        """Finish what is under way; the caller submits nothing more."""
        with trio.CancelScope(shield=True):
            while self._busy:
                self._idle = trio.Event()
                await self._idle.wait()
        if self._connection is not None:
            self._connection.close()

    async def _lead(self, submission: Submission) -> None:
        """Commit for all who wait; the caller is one of them."""
        error: JournalError | None = None
        with trio.CancelScope(shield=True):
            await self._gather()
        batch = Batch(self._memory, self._take())
        try:
            with trio.CancelScope(shield=True):
                await self._commit(batch)
        except JournalError as failure:
            error = failure
        self._finish(batch, error, running=submission)

    async def _gather(self) -> None:
        """Let other tasks submit, for as long as each pass over them brings more."""
        for _ in range(GATHER_PASSES_MAX):
            before = len(self._waiting)
            await trio.lowlevel.cancel_shielded_checkpoint()
            if len(self._waiting) == before:
                break

    def _take(self) -> list[Submission]:
        taken: list[Submission] = []
        count = 0
        while self._waiting:
            count += len(self._waiting[0].commands)
            if taken and count > limits.COMMIT_COMMANDS_MAX:
                break
            taken.append(self._waiting.popleft())
        return taken

    # --- one batch --------------------------------------------------------------

    async def _commit(self, batch: Batch) -> None:
        """Commit a batch, once, however often the connection is lost."""
        refused = 0
        while True:
            if self._connection is None:
                self._connection = await self._server.connection()
            try:
                return await self._try(batch, self._connection)
            except ConnectionLost:
                self._connection = None
            except ServerError as error:
                refused += 1
                if refused == _TRIES_MAX or not error.state.startswith(_PASSING):
                    raise self._failure(error) from error

    async def _try(self, batch: Batch, connection: Connection) -> None:
        try:
            if batch.is_sent and await batch.was_committed(connection):
                return
            await batch.commit(connection)
        except ServerError:
            raise
        except BaseException:
            # Whatever it was, the transaction must not stay open.
            connection.close()
            self._connection = None
            raise

    def _failure(self, error: ServerError) -> JournalError:
        shown = self._server.address.shown
        if error.state == _DISK_FULL:
            return JournalFull(
                f"{shown} has no space for a commit ({error}); nothing of it was stored"
            )
        return JournalFailed(
            f"{shown} refused a commit ({error}, SQLSTATE {error.state}); nothing of it"
            " was stored. Find out why, then start again"
        )

    def _finish(
        self, batch: Batch, error: JournalError | None, running: Submission
    ) -> None:
        """Wake who waited; let the next who waits commit for the rest.

        The task of `running` is the caller's own and is not woken.
        """
        submissions = list(batch.submissions)
        if isinstance(error, JournalFailed):
            self._refusal = str(error)
            submissions.extend(self._waiting)
            self._waiting.clear()
        for submission in submissions:
            if error is not None and submission.error is None:
                submission.error = type(error)(str(error))
            submission.is_done = True
            if submission is not running:
                trio.lowlevel.reschedule(submission.task)
        if self._waiting:
            leader = self._waiting[0]
            leader.leads = True
            trio.lowlevel.reschedule(leader.task)
        else:
            self._busy = False
            self._idle.set()
        view = batch.view
        if error is None and view is not None and not view.changes.is_empty():
            self._settled(view.hint)


def _not_aborted(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED
