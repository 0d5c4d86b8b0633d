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
from ironflow.journal.lmdb import forgetting, opening, owner, recovery, segments
from ironflow.journal.lmdb._lmdb import MAP_BYTES_MAX, Environment
from ironflow.journal.lmdb.forgetting import Forgotten
from ironflow.journal.lmdb.head import read_head

_NEW: Final = f"{opening.DATA}.compact"
_LOCK: Final = "lock.mdb"


@dataclass(frozen=True, slots=True)
class Compacted:
    """The bytes of the store before and after.

    `left` are files that may still have payloads which were redacted, and why is for
    `doctor`; mostly there are none.
    """

    before: int
    after: int
    left: tuple[str, ...] = ()


def compact(directory: Path) -> Compacted:
    """Make the store of a directory small; nobody may have it open.

    Nothing of a payload that was redacted is in its files afterwards.

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
            forgotten = _copy(directory, new)
            with _alone(directory):
                _swap(directory, new, forgotten)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        after = (directory / opening.DATA).stat().st_size
        return Compacted(before, after, tuple(forgotten.left if forgotten else ()))
    finally:
        lock.release()


def _copy(directory: Path, new: Path) -> Forgotten | None:
    """Write the compact copy, durably, with all that only the log has."""
    opening.check_file(directory, is_still=True)
    head = read_head(directory)
    store = opening.open_store(directory, readonly=False, map_bytes=MAP_BYTES_MAX)
    try:
        recovery.recover(directory, store, head=head)
        return _write_clean(directory, store, new)
    except (OSError, JournalFailed) as error:
        raise JournalFull(
            f"{new} cannot be written ({error}): a copy needs up to"
            f" {store.used_bytes} bytes, twice that if payloads were redacted. Make room,"
            " then try again; nothing has changed"
        ) from error
    finally:
        store.close()


def _write_clean(directory: Path, store: Environment, new: Path) -> Forgotten | None:
    """Write the copy; if payloads were redacted, of rows alone."""
    if not forgetting.is_redacted(store):
        _write(store, new)
        return None
    forgotten = forgetting.rewrite_segments(directory, store)
    with forgetting.clean(directory, store) as clean:
        _write(clean, new)
    return forgotten


def _write(store: Environment, new: Path) -> None:
    with whole_file.private(new) as file, store.snapshot() as snapshot:
        store.copy(snapshot, file.fileno())
        os.fsync(file.fileno())


def _swap(directory: Path, new: Path, forgotten: Forgotten | None) -> None:
    """Let the new file be the store; nobody has the old one open."""
    (directory / _LOCK).unlink(missing_ok=True)
    new.rename(directory / opening.DATA)
    whole_file.sync(directory)
    if forgotten is not None:
        _forget(directory, forgotten)


def _forget(directory: Path, forgotten: Forgotten) -> None:
    """Let go of what the new file does not need: it has all of it."""
    try:
        forgetting.renew_log(directory)
        for number in forgotten.unused:
            segments.unlink(directory, number)
    except OSError as error:
        raise JournalFull(
            f"what was redacted may still be in files of {directory} ({error}); make"
            " room, then do it again"
        ) from error
    if forgotten.unused:
        whole_file.sync(directory / segments.FOLDER)


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
