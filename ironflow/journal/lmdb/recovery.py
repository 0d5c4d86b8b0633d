"""What the write-ahead log has beyond LMDB, for an owner that opens a directory.

It is brought into LMDB, durably, before anything else. A recovery that is killed
begins again: it changes nothing but LMDB, in one transaction.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ironflow.errors import JournalDamaged
from ironflow.journal.lmdb import keys, opening, wal
from ironflow.journal.lmdb._lmdb import Environment, Snapshot
from ironflow.journal.lmdb.checkpoint import Memtable
from ironflow.journal.lmdb.head import Head


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
    with open_log(directory, snapshot) as log:
        # Whether a missing log lost a commit is for the head file to say.
        return [] if log is None else log.frames(last.number, last.head)


@contextmanager
def open_log(directory: Path, snapshot: Snapshot) -> Generator[wal.WalFile | None]:
    """Open the log of a store; None: there is none.

    Raises:
        JournalDamaged: it is no log, or that of another store.
        JournalNewer: a newer ironflow wrote it.
    """
    try:
        log = wal.WalFile(directory / wal.NAME)
    except FileNotFoundError:
        yield None
        return
    try:
        _check_store(directory, snapshot, log)
        yield log
    finally:
        log.close()


def _check_store(directory: Path, snapshot: Snapshot, log: wal.WalFile) -> None:
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
