"""What a reader sees beside an owner: LMDB, and in memory what the log has above it.

LMDB says which commits it has; the log has those that follow. A half of the log is
overwritten only after LMDB has moved on, so a reader that finds LMDB where it was has
seen all there was.
"""

from pathlib import Path
from typing import Final, final

from ironflow.errors import JournalDamaged, JournalFailed
from ironflow.journal.lmdb import opening, owner, wal
from ironflow.journal.lmdb._lmdb import Environment, Snapshot
from ironflow.journal.lmdb.checkpoint import Memtable
from ironflow.journal.lmdb.head import Head, read_head
from ironflow.journal.lmdb.layers import Layered
from ironflow.journal.lmdb.recovery import open_log

# A reader begins again when a checkpoint came between its two looks.
TRIES_MAX: Final = 100


class _MovedOnError(Exception):
    """LMDB has newer commits than when the look began."""


@final
class Follower:
    """All that is durable when it looks."""

    def __init__(self, directory: Path, environment: Environment) -> None:
        self.environment: Final = environment
        self._directory: Final = directory
        self._above: opening.LastCommits | None = None  # what the memtable lies above
        self._frames: list[wal.Frame] = []  # that are in the memtable
        self._place = wal.Place(0, 0)  # where the last of them ends
        self._memtable = Memtable()

    def check(self, head: Head | None) -> None:
        """Compare what is stored with what the head file said before.

        Raises:
            JournalDamaged: the store is older than the head file, or another one.
        """
        with self.snapshot() as layered:
            assert self._above is not None
            opening.check_head(
                self._directory,
                layered,
                head=head,
                last=self._above,
                frames=self._frames,
            )

    def snapshot(self) -> Layered:
        """Return what is committed now, to be read in a `with` block.

        Raises:
            JournalDamaged: the log is not what was written.
            JournalFailed: the log moves on too fast, or the disk failed.
        """
        opened, _ = self.moment()
        return Layered(self.environment, (self._memtable.layer,), opened=opened)

    def moment(self) -> tuple[Snapshot, tuple[wal.Frame, ...]]:
        """Return a snapshot of LMDB, to be closed, and the commits above it.

        Raises:
            JournalDamaged: the log is not what was written.
            JournalFailed: the log moves on too fast, or the disk failed.
        """
        wrong: JournalDamaged | None = None
        for attempt in range(TRIES_MAX):
            is_still = not owner.is_owned(self._directory)
            is_late = attempt >= TRIES_MAX // 2
            opened = self.environment.snapshot()
            try:
                last = opening.last_commits(opened)
                self._follow(opened, last, whole=is_still or is_late)
                return opened, tuple(self._frames)
            except _MovedOnError:
                opened.close()
            except JournalDamaged as error:
                opened.close()
                # Half a look at a log that is being written is no damage.
                if is_still and not owner.is_owned(self._directory):
                    raise
                wrong = error
            except BaseException:
                opened.close()
                raise
        raise wrong or JournalFailed(
            f"the log in {self._directory} moved on {TRIES_MAX} times while it was"
            " read; try again when the engine is less busy"
        )

    def _follow(
        self, snapshot: Snapshot, last: opening.LastCommits, *, whole: bool
    ) -> None:
        """Read what the log has above `last` and is not known yet.

        `whole`: look at all of it, also behind the last commit.

        Raises:
            _MovedOnError: LMDB has moved on meanwhile, and the log with it.
            JournalDamaged: the log is not what was written.
        """
        head = read_head(self._directory)
        if last == self._above and head is not None and head.number == self._known:
            return
        with open_log(self._directory, snapshot) as log:
            if log is None:
                self._take(last, [])
            elif last != self._above or not self._read_on(log, head):
                read = log.frames if whole else log.frames_so_far
                self._take(last, read(last.number, last.head))
                self._place = log.place
            if log is not None and (head is None or head.number < self._known):
                # It may be in memory only: its writer waits for the disk, or died.
                log.flush()
        is_behind = head is not None and head.number > self._known
        if self._newest() != last or (is_behind and not whole):
            raise _MovedOnError

    @property
    def _known(self) -> int:
        """The number of the last commit that is known."""
        if self._frames:
            return self._frames[-1].number
        return 0 if self._above is None else self._above.number

    def _take(self, last: opening.LastCommits, frames: list[wal.Frame]) -> None:
        self._above, self._frames, self._memtable = last, [], Memtable()
        self._add(frames)

    def _add(self, frames: list[wal.Frame]) -> None:
        for frame in frames:
            self._memtable.take(frame.commit(), frame)
        self._frames += frames

    def _read_on(self, log: wal.WalFile, head: Head | None) -> bool:
        """Read what follows the last frame; False: that does not explain the head."""
        if not self._frames:
            return False
        new = log.following(self._place, self._frames[-1])
        self._add(new)
        self._place = log.place
        return head is not None and head.number <= self._known

    def _newest(self) -> opening.LastCommits:
        with self.environment.snapshot() as snapshot:
            return opening.last_commits(snapshot)
