"""Make a store as small as what is in it, while nobody has it open.

LMDB uses free pages again and never gives them back. A compact copy is made beside the
file, whole and durable, and takes its name by one rename: a crash leaves the old file or
the new one.

The lock file of LMDB goes first. It holds the number of the last transaction, which a
copy begins anew: with an old lock file LMDB would take the wrong one of its two meta
pages. Whoever still had the old file open would keep the old lock file in use, so a
reader is refused beforehand.
"""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ironflow.errors import JournalError, JournalFailed, JournalFull, JournalOwned
from ironflow.journal import whole_file
from ironflow.journal.lmdb import opening, owner, recovery
from ironflow.journal.lmdb._lmdb import MAP_BYTES_MAX
from ironflow.journal.lmdb.head import read_head

_NEW: Final = f"{opening.DATA}.compact"
_LOCK: Final = "lock.mdb"


@dataclass(frozen=True, slots=True)
class Compacted:
    """The bytes of the store before and after."""

    before: int
    after: int


def compact(directory: Path) -> Compacted:
    """Make the store of a directory small; nobody may have it open.

    Raises:
        JournalOwned: a process owns the directory, or reads it.
        JournalForeign: there is no journal.
        JournalDamaged: it is not what was written; it stays as it was.
        JournalFull: there is no room for the copy; the store stays as it was.
    """
    opening.check_directory(directory)
    lock = owner.acquire(directory)
    try:
        before = (directory / opening.DATA).stat().st_size
        new = directory / _NEW
        try:
            _copy(directory, new)
            with _alone(directory):
                (directory / _LOCK).unlink(missing_ok=True)
                new.rename(directory / opening.DATA)
                whole_file.sync(directory)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        return Compacted(before, (directory / opening.DATA).stat().st_size)
    finally:
        lock.release()


def _copy(directory: Path, new: Path) -> None:
    """Write the compact copy, durably, with all that only the log has."""
    opening.check_file(directory, is_still=True)
    head = read_head(directory)
    store = opening.open_store(directory, readonly=False, map_bytes=MAP_BYTES_MAX)
    try:
        recovery.recover(directory, store, head=head)
        with whole_file.private(new) as file, store.snapshot() as snapshot:
            store.copy(snapshot, file.fileno())
            os.fsync(file.fileno())
    except (OSError, JournalFailed) as error:
        raise JournalFull(
            f"{new} cannot be written ({error}): a copy needs up to"
            f" {store.used_bytes} bytes. Make room, then try again; nothing has changed"
        ) from error
    finally:
        store.close()


@contextmanager
def _alone(directory: Path) -> Generator[None]:
    """Keep everybody else from opening the store.

    Raises:
        JournalOwned: a process reads it.
    """
    try:
        # LMDB holds a shared lock on the first byte as long as a file is open.
        file = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalError(
            f"{directory / _LOCK} cannot be opened: {error.strerror}; check its"
            " permissions"
        ) from error
    try:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        except OSError as error:
            raise JournalOwned(
                f"another process reads {directory}; a store is made compact when nobody"
                " has it open: end that process and try again"
            ) from error
        yield
    finally:
        os.close(file)
