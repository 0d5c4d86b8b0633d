"""Making the index of runs anew on demand, without an engine."""

from collections.abc import Callable
from pathlib import Path

from ironflow.errors import JournalFailed
from ironflow.journal.lmdb import opening, owner
from ironflow.journal.lmdb._lmdb import MAP_BYTES_MAX
from ironflow.journal.lmdb.keeper import rebuild
from ironflow.journal.lmdb.store import open_owned


def reindex(path: str | Path, told: Callable[[int], object]) -> None:
    """Make the index of runs in a data directory anew, now.

    `told` is called with the number of runs that were taken in so far. An index that is
    missing is made by the next owner, too, beside its work.

    Raises:
        JournalError: the directory cannot be opened, or the index not made.
    """
    directory = Path(path)
    opening.check_directory(directory)
    lock = owner.acquire(directory)
    try:
        store = open_owned(directory, map_bytes=MAP_BYTES_MAX)
        try:
            rebuild(directory, store, told)
        except OSError as error:
            raise JournalFailed(f"the index cannot be written: {error}") from error
        finally:
            store.close()
    finally:
        lock.release()
