"""Group commit: whoever waits when a commit begins, shares it.

There is no timer: the first caller lets the tasks that can run do so, then takes
all who wait along. One batch is under way at a time. It is decided in the event
loop and written there or by the one writer thread (`pace.py` says which); either
way every waiter of a batch is woken by one call.
"""

import resource
import shutil
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Final, final

import trio

from ironflow.errors import IronflowError, JournalError, JournalFailed, JournalFull
from ironflow.journal.base import Answer, JournalCommand
from ironflow.journal.lmdb._lmdb import Environment
from ironflow.journal.lmdb.batch import Batch, Submission, decide, remember
from ironflow.journal.lmdb.head import HeadFile
from ironflow.journal.lmdb.pace import Pace
from ironflow.journal.lmdb.tables import Memory

GATHER_PASSES_MAX: Final = 8
READER_CHECK_SECONDS: Final = 60.0


@final
class Writer:
    """The one place where a journal is written.

    `settled` is called with each batch that has become durable, before its callers
    go on.
    """

    def __init__(
        self,
        environment: Environment,
        memory: Memory,
        *,
        directory: Path,
        name: str,
        settled: Callable[[Batch], None],
    ) -> None:
        self.pace: Final = Pace()
        self._environment: Final = environment
        self._memory: Final = memory
        self._directory: Final = directory
        self._name: Final = name
        self._settled: Final = settled
        self._head: Final = HeadFile(directory)
        self._head.write(memory.commit_number, memory.head)
        self._waiting: Final[deque[Submission]] = deque()
        self._busy = False
        self._idle = trio.Event()
        self._refusal: str | None = None
        self._thread: _Thread | None = None
        self._readers_checked = perf_counter()

    @trio.lowlevel.enable_ki_protection
    async def submit(self, commands: Sequence[JournalCommand]) -> Sequence[Answer]:
        """Carry the commands out, with whatever others have submitted.

        A commit cannot be taken back, so a cancel waits until it is durable.
        """
        if self._refusal is not None:
            raise JournalFailed(self._refusal)
        submission = Submission(commands, trio.lowlevel.current_task())
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
        if self._thread is not None:
            self._thread.stop()
            self._thread = None
        self._head.close()

    async def _lead(self, submission: Submission) -> None:
        """Commit for all who wait; the caller is one of them."""
        await self._gather()
        batch = decide(self._environment, self._memory, self._waiting, name=self._name)
        if self.pace.stays_in_loop():
            self._write(batch)
            self._finish(batch, running=submission)
        else:
            self._hand_over(batch)

    async def _gather(self) -> None:
        """Let other tasks submit, for as long as each pass over them brings more."""
        for _ in range(GATHER_PASSES_MAX):
            before = len(self._waiting)
            await trio.lowlevel.cancel_shielded_checkpoint()
            if len(self._waiting) == before:
                break

    def _write(self, batch: Batch) -> None:
        """Make a batch durable; on either thread, one batch at a time."""
        begun = perf_counter()
        if batch.changes:
            try:
                self._environment.write(batch.changes)
                self._head.write(batch.number, batch.head)
            except Exception as error:  # noqa: BLE001 - on this thread nobody sees it
                batch.error = self._failure(error)
            if begun - self._readers_checked > READER_CHECK_SECONDS:
                self._readers_checked = begun
                self._environment.reader_check()
        batch.seconds = perf_counter() - begun

    def _failure(self, error: Exception) -> JournalError:
        if isinstance(error, JournalFull):
            return error
        free = shutil.disk_usage(self._directory).free
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        allowed = "any size" if limit == resource.RLIM_INFINITY else f"{limit} bytes"
        return JournalFailed(
            f"a commit failed ({error}) and nobody knows whether it is stored, so the"
            f" journal takes no more. {self._directory} has {free} bytes free, and files"
            f" may have {allowed}. Make room or repair the disk, then start again"
        )

    def _finish(self, batch: Batch, running: Submission | None = None) -> None:
        """Wake who waited; let the next who waits commit for the rest.

        The task of `running` is the caller's own and is not woken.
        """
        self.pace.observe(batch.seconds)
        if isinstance(batch.error, JournalFull) and len(batch.submissions) > 1:
            self._split(batch)
        else:
            self._settle(batch, running)
        if self._waiting:
            leader = self._waiting[0]
            leader.leads = True
            if leader is not running:
                trio.lowlevel.reschedule(leader.task)
        else:
            self._busy = False
            self._idle.set()
        if batch.error is None:
            self._settled(batch)

    def _settle(self, batch: Batch, running: Submission | None) -> None:
        if batch.error is None:
            remember(self._memory, batch)
        else:
            self._fail(batch, batch.error)
        for submission in batch.submissions:
            submission.is_done = True
            if submission is not running:
                trio.lowlevel.reschedule(submission.task)

    def _split(self, batch: Batch) -> None:
        """Let each decide alone whether there is space for it."""
        for submission in batch.submissions:
            submission.alone = submission.error is None
        self._waiting.extendleft(reversed(batch.submissions))

    def _fail(self, batch: Batch, error: IronflowError) -> None:
        if not isinstance(error, JournalFull):
            self._refusal = str(error)
            batch.submissions.extend(self._waiting)
            self._waiting.clear()
        for submission in batch.submissions:
            if submission.error is None:
                submission.error = type(error)(str(error))

    def _hand_over(self, batch: Batch) -> None:
        if self._thread is None:
            self._thread = _Thread(self._write, self._finish)
        self._thread.write(batch)


@final
class _Thread:
    """The writer thread: takes a batch, writes it, answers by one call."""

    def __init__(
        self, write: Callable[[Batch], None], finish: Callable[[Batch], object]
    ) -> None:
        self._write_batch: Final = write
        self._finish: Final = finish
        self._token: Final = trio.lowlevel.current_trio_token()
        self._batch: Batch | None = None
        # A lock as a semaphore: it wakes faster than threading's own.
        self._wake: Final = threading.Lock()
        self._wake.acquire()
        self._thread: Final = threading.Thread(
            target=self._run, name="ironflow-journal", daemon=True
        )
        self._thread.start()

    def write(self, batch: Batch) -> None:
        """Write this batch; the one before has been answered."""
        self._batch = batch
        self._wake.release()

    def stop(self) -> None:
        """End the thread, which has nothing to do."""
        self._batch = None
        self._wake.release()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wake.acquire()
            batch = self._batch
            if batch is None:
                return
            self._write_batch(batch)
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._finish, batch)


def _not_aborted(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED
