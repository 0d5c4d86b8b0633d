"""What the write-ahead log has beyond LMDB: for an owner that opens, and for readers.

An owner brings it into LMDB before anything else. A reader keeps it in memory, beside
the snapshot that it belongs to: LMDB says which commits it has, the log has those that
follow, and a half of the log is overwritten only when LMDB has all of it.
"""

from pathlib import Path
from typing import Final, final

from ironflow.errors import JournalDamaged
from ironflow.journal.lmdb import keys, opening, owner, wal
from ironflow.journal.lmdb._lmdb import Environment, Snapshot
from ironflow.journal.lmdb.checkpoint import Memtable
from ironflow.journal.lmdb.head import Head, read_head
from ironflow.journal.lmdb.layers import Layer, Layered

# A reader begins again when a checkpoint came between its two looks.
_TRIES_MAX: Final = 100


def recover(directory: Path, store: Environment, *, head: Head | None) -> None:
    """Bring the commits that only the log has into LMDB, durably.

    `head` is what the head file says.

    Raises:
        JournalDamaged: what was acknowledged is damaged or gone; nothing was written.
        JournalFull: the map is full; the log still has all.
    """
    with store.snapshot() as snapshot:
        last = opening.last_commits(snapshot)
        frames = _frames(directory, snapshot, last)
        opening.check_head(directory, snapshot, head=head, last=last, frames=frames)
    memtable = Memtable()
    for frame in frames:
        memtable.take(frame.commit(), frame)
    if frames:
        changes, _ = memtable.changes(last.digest)
        store.write(changes)


def _frames(
    directory: Path, snapshot: Snapshot, last: opening.LastCommits
) -> list[wal.Frame]:
    try:
        log = wal.WalFile(directory / wal.NAME)
    except FileNotFoundError:
        return []  # whether that lost a commit is for the head file to say
    try:
        check_store(directory, snapshot, log)
        return log.frames(last.number, last.head)
    finally:
        log.close()


def check_store(directory: Path, snapshot: Snapshot, log: wal.WalFile) -> None:
    """Make sure that a log belongs to a store.

    Raises:
        JournalDamaged: it was made for another one.
    """
    if snapshot.get(keys.META, keys.STORE_KEY) != log.store_id:
        raise JournalDamaged(
            f"the files 'wal' and 'data.mdb' in {directory} belong to two journals: put"
            " the right ones back together; to go on with what is in"
            " data.mdb, move the files 'wal' and 'head' away"
        )


@final
class Follower:
    """What a reader sees beside an owner: all that is durable when it looks."""

    def __init__(self, directory: Path, environment: Environment) -> None:
        self.environment: Final = environment
        self._directory: Final = directory
        self._above: opening.LastCommits | None = None  # what the layer lies above
        self._frames: list[wal.Frame] = []  # that are in the layer
        self._layer = Layer()

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
        """
        for _ in range(_TRIES_MAX):
            opened = self.environment.snapshot()
            try:
                last = opening.last_commits(opened)
                is_whole = self._follow(opened, last)
            except BaseException:
                opened.__exit__(None, None, None)
                raise
            if is_whole:
                return Layered(self.environment, (self._layer,), opened=opened)
            opened.__exit__(None, None, None)
        raise JournalDamaged(
            f"the log in {self._directory} moved on {_TRIES_MAX} times while it was"
            " read; try again when the engine is less busy"
        )

    def _follow(self, snapshot: Snapshot, last: opening.LastCommits) -> bool:
        """Read what the log has above `last`; False: LMDB has moved on meanwhile."""
        head = read_head(self._directory)
        known = self._frames[-1].number if self._frames else last.number
        if last == self._above and head is not None and head.number == known:
            return True
        try:
            frames = _frames(self._directory, snapshot, last)
        except JournalDamaged:
            # Half a look at a log that is being written is no damage.
            if self._newest() == last and not owner.is_owned(self._directory):
                raise
            return False
        if self._newest() != last:
            return False
        memtable = Memtable()
        for frame in frames:
            memtable.take(frame.commit(), frame)
        self._above, self._frames, self._layer = last, frames, memtable.layer
        return True

    def _newest(self) -> opening.LastCommits:
        with self.environment.snapshot() as snapshot:
            return opening.last_commits(snapshot)
