"""Group commit: whoever waits when a commit begins, shares it.

There is no timer: the first caller lets the tasks that can run do so, then takes
all who wait along. One batch is under way at a time. It is decided in the event
loop and written there or by the one writer thread (`pace.py` says which); either
way every waiter of a batch is woken by one call.

A batch goes into the write-ahead log. When a good part of it is full, a checkpoint
brings it into LMDB beside the commits that follow.
"""

import resource
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final, final

import trio

from ironflow.errors import IronflowError, JournalError, JournalFailed, JournalFull
from ironflow.journal.base import Answer, JournalCommand, RedactRecords
from ironflow.journal.lmdb.batch import Batch, Submission, decide, remember
from ironflow.journal.lmdb.checkpoint import Committed, Worker
from ironflow.journal.lmdb.head import HeadFile
from ironflow.journal.lmdb.known import Memory
from ironflow.journal.lmdb.layers import Overlay
from ironflow.journal.lmdb.pace import Pace
from ironflow.journal.lmdb.wal import Commit, Frame, Wal

GATHER_PASSES_MAX: Final = 8
GATHERED_ENOUGH: Final = 32  # callers: with more a commit costs each hardly less
READER_CHECK_SECONDS: Final = 60.0
# So much of the log, or so many rows, make a checkpoint worth while.
CHECKPOINT_BYTES: Final = 1024 * 1024
CHECKPOINT_ROWS: Final = 8 * 1024
# A checkpoint must never find the map full: a row may need a leaf and a branch of its
# own, and half of each when they split. With less room than the rows and the bytes of
# both halves could take, commits go straight into LMDB.
ROOM_BYTES_PER_ROW: Final = 4 * 4096
ROOM_HALVES: Final = 4


@final
class Writer:
    """The one place where a journal is written.

    `settled` is called with each batch that has become durable, before its callers
    go on; `checkpointed` when LMDB has newer commits.
    """

    def __init__(
        self,
        committed: Committed,
        memory: Memory,
        wal: Wal,
        *,
        directory: Path,
        name: str,
        settled: Callable[[Batch], None],
        checkpointed: Callable[[], None],
    ) -> None:
        self.pace: Final = Pace()
        self._committed: Final = committed
        self._wal: Final = wal
        self._memory: Final = memory
        self._directory: Final = directory
        self._name: Final = name
        self._settled: Final = settled
        self._checkpointed: Final = checkpointed
        self._head: Final = HeadFile(directory, store_id=wal.store_id)
        self._head.write(memory.commit_number, memory.head)
        self._waiting: Final[deque[Submission]] = deque()
        self._busy = False
        self._idle = trio.Event()
        self._refusal: str | None = None
        self._thread: Worker | None = None
        self._checkpoints: Worker | None = None
        self._parked: Final[list[trio.lowlevel.Task]] = []  # wait for a checkpoint
        self._is_checkpointing = False
        self._is_wanted = False  # a checkpoint, when no batch is under way
        self._room = committed.environment.room()
        self._readers_checked = perf_counter()

    @trio.lowlevel.enable_ki_protection
    async def submit(self, commands: Sequence[JournalCommand]) -> Sequence[Answer]:
        """Carry the commands out, with whatever others have submitted.

        A commit cannot be taken back, so a cancel waits until it is durable.
        """
        submission = Submission(commands, trio.lowlevel.current_task())
        await self._submit(submission)
        return submission.answers

    @trio.lowlevel.enable_ki_protection
    async def change(self, change: Callable[[Overlay], None]) -> int:
        """Commit a change of the store's own; return the number of the newest commit."""
        task = trio.lowlevel.current_task()
        await self._submit(Submission((), task, change=change))
        return self._memory.commit_number

    @trio.lowlevel.enable_ki_protection
    async def _submit(self, submission: Submission) -> None:
        if self._refusal is not None:
            raise JournalFailed(self._refusal)
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

    @property
    def has_failed(self) -> bool:
        """Say whether the journal takes no more commits, because a write failed."""
        return self._refusal is not None

    async def close(self) -> None:
        """Finish what is under way; the caller submits nothing more."""
        with trio.CancelScope(shield=True):
            while self._busy:
                self._idle = trio.Event()
                await self._idle.wait()
            await self._empty_log()
            while self._is_checkpointing:  # another write has failed meanwhile
                self._committed.hurry()
                await self._checkpoint_ended()
        for thread in (self._thread, self._checkpoints):
            if thread is not None:
                thread.stop()
        self._thread = self._checkpoints = None
        self._wal.close()
        self._head.close()

    async def _lead(self, submission: Submission) -> None:
        """Commit for all who wait; the caller is one of them."""
        await self._gather()
        if any(map(_rewrites, self._waiting)):
            await self._empty_log()
        batch = decide(self._committed, self._memory, self._waiting, name=self._name)
        if batch.commit is not None and batch.frame is not None:
            await self._make_room(batch, batch.commit, batch.frame)
        quick = self.pace.stays_in_loop() and not self._committed.is_freezing
        if quick and batch.is_lone:
            self._write(batch)
            self._finish(batch, running=submission)
        else:
            self._hand_over(batch)

    async def _gather(self) -> None:
        """Let other tasks submit, for as long as each pass over them brings more.

        Not where enough wait already: a pass may be long, and they would wait for it.
        """
        for _ in range(GATHER_PASSES_MAX):
            before = len(self._waiting)
            if before >= GATHERED_ENOUGH:
                break
            await trio.lowlevel.cancel_shielded_checkpoint()
            if len(self._waiting) == before:
                break

    def _write(self, batch: Batch) -> None:
        """Make a batch durable; on either thread, one batch at a time."""
        begun = perf_counter()
        if batch.commit is not None and batch.frame is not None and not batch.error:
            try:
                if batch.past_log:
                    self._committed.write_now(batch.commit, batch.frame)
                    self._room = self._committed.environment.room()
                else:
                    self._wal.append(batch.frame)
                self._head.write(batch.frame.number, batch.frame.head)
            except Exception as error:  # noqa: BLE001 - on this thread nobody sees it
                batch.error = _failure(error, self._directory)
        batch.seconds = perf_counter() - begun

    def _finish(self, batch: Batch, running: Submission | None = None) -> None:
        """Wake who waited; let the next who waits commit for the rest.

        The task of `running` is the caller's own and is not woken.
        """
        self.pace.observe(batch.seconds, in_loop=running is not None)
        if isinstance(batch.error, JournalFull) and len(batch.submissions) > 1:
            _split(batch, self._waiting)
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
        if self._refusal is None and (self._is_wanted or self._log_is_long()):
            self._begin_wanted()

    def _settle(self, batch: Batch, running: Submission | None) -> None:
        if batch.error is None:
            remember(self._memory, batch)
            if batch.commit and batch.frame and not batch.past_log:
                self._committed.active.take(batch.commit, batch.frame)
        else:
            self._fail(batch, batch.error)
        for submission in batch.submissions:
            submission.is_done = True
            if submission is not running:
                trio.lowlevel.reschedule(submission.task)

    def _fail(self, batch: Batch, error: IronflowError) -> None:
        if not isinstance(error, JournalFull):
            self._refusal = str(error)
            batch.submissions.extend(self._waiting)
            self._waiting.clear()
            if not self._committed.is_freezing:
                self._wake_parked()
        for submission in batch.submissions:
            if submission.error is None:
                submission.error = type(error)(str(error))

    def _hand_over(self, batch: Batch) -> None:
        if self._thread is None:
            self._thread = Worker("ironflow-journal")
        self._thread.begin(partial(self._write, batch), partial(self._finish, batch))

    # --- the log and LMDB behind it ---------------------------------------------------

    def _log_is_long(self) -> bool:
        rows = self._committed.active.layer.rows
        return self._wal.used >= CHECKPOINT_BYTES or rows >= CHECKPOINT_ROWS

    async def _make_room(self, batch: Batch, commit: Commit, frame: Frame) -> None:
        """Wait until the log can take a frame, or LMDB if the log never can."""
        batch.past_log = not (self._wal.could_fit(frame) and self._has_room(commit))
        if batch.past_log:
            await self._empty_log()
        while not (batch.past_log or self._wal.fits(frame) or self._refusal):
            await self._next_checkpoint()
        if self._refusal is not None:
            batch.error = JournalFailed(self._refusal)

    def _has_room(self, commit: Commit) -> bool:
        """Say whether LMDB has room for what the log would hold with this commit."""
        rows = self._committed.rows + len(commit.tails)
        rows += sum(map(len, commit.tables.values()))
        needed = rows * ROOM_BYTES_PER_ROW + ROOM_HALVES * self._wal.half_bytes
        return needed <= self._room

    @trio.lowlevel.enable_ki_protection
    async def bring_in(self) -> None:
        """Bring into LMDB what is committed by now, beside the commits of others.

        Raises:
            JournalFailed: the disk failed.
        """
        number = self._memory.commit_number
        while self._refusal is None and not self._committed.is_in_store(number):
            if not self._committed.is_freezing:
                self._is_wanted = True
                if not self._busy:
                    self._begin_wanted()
            await self._checkpoint_ended()
        if self._refusal is not None:
            raise JournalFailed(self._refusal)

    def _begin_wanted(self) -> None:
        """Begin a checkpoint if there is something for it; no batch is being written."""
        self._is_wanted = False
        if self._committed.is_freezing:
            return
        if self._committed.active.last:
            self._begin_checkpoint()
        else:
            self._wake_parked()

    async def _checkpoint_ended(self) -> None:
        # Neither a cancel nor an interrupt may lose the batch that waits.
        self._parked.append(trio.lowlevel.current_task())
        await trio.lowlevel.wait_task_rescheduled(_not_aborted)

    def _wake_parked(self) -> None:
        for parked in self._parked:
            trio.lowlevel.reschedule(parked)
        self._parked.clear()

    async def _empty_log(self) -> None:
        """Bring all that the log has into LMDB."""
        committed = self._committed
        while self._refusal is None and (
            committed.is_freezing or committed.active.last
        ):
            await self._next_checkpoint()

    async def _next_checkpoint(self) -> None:
        """Begin a checkpoint, or wait for the end of the one under way."""
        if not self._committed.is_freezing:
            self._begin_checkpoint()
        else:
            self._committed.hurry()
            await self._checkpoint_ended()

    def _begin_checkpoint(self) -> None:
        """Go on in the other half of the log; bring this one into LMDB."""
        if self._checkpoints is None:
            self._checkpoints = Worker("ironflow-checkpoint")
        self._committed.freeze()
        self._wal.switch()
        self._is_checkpointing = True
        errors: list[Exception] = []
        self._checkpoints.begin(
            partial(self._checkpoint, errors), partial(self._end_checkpoint, errors)
        )

    def _checkpoint(self, errors: list[Exception]) -> None:
        try:
            self._committed.write()
        except Exception as error:  # noqa: BLE001 - on this thread nobody sees it
            errors.append(error)

    def _end_checkpoint(self, errors: list[Exception]) -> None:
        environment = self._committed.environment
        self._is_checkpointing = False
        if errors:
            # The other half may not be overwritten, so the log has no room for long.
            self._refusal = (
                f"the log could not be brought into the store ({errors[0]}), so the"
                " journal takes no more commits; all that was acknowledged is in the"
                f" log. {_space(self._directory)}"
            )
        else:
            self._committed.thaw()
            self._room = environment.room()
            self._checkpointed()
        now = perf_counter()
        if now - self._readers_checked > READER_CHECK_SECONDS:
            self._readers_checked = now
            environment.reader_check()
        self._wake_parked()


def _rewrites(submission: Submission) -> bool:
    """Say whether records are changed where they lie, which the log has none of then."""
    return any(isinstance(each, RedactRecords) for each in submission.commands)


def _not_aborted(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED


def _split(batch: Batch, waiting: deque[Submission]) -> None:
    """Let each decide alone whether there is space for it."""
    for submission in batch.submissions:
        submission.alone = submission.error is None
    waiting.extendleft(reversed(batch.submissions))


def _failure(error: Exception, directory: Path) -> JournalError:
    if isinstance(error, JournalFull):
        return error
    return JournalFailed(
        f"a commit failed ({error}) and nobody knows whether it is stored, so the"
        f" journal takes no more. {_space(directory)}"
    )


def _space(directory: Path) -> str:
    free = shutil.disk_usage(directory).free
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    allowed = "any size" if limit == resource.RLIM_INFINITY else f"{limit} bytes"
    return (
        f"{directory} has {free} bytes free, and files may have {allowed}."
        " Make room or repair the disk, then start again"
    )
