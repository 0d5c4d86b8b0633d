"""A data directory in one file, taken while an engine works on it, and back again.

A backup is what is committed at one moment: LMDB as a snapshot sees it, without free
pages, then the frames of the log above it. The snapshot lives as long as the copy takes;
pages that it sees are not used again meanwhile, so the owner's file grows by what is
changed. It is the one snapshot that lives so long.

The file is a head, then *pieces* (a letter, a length, a CRC-32, bytes): data of LMDB,
segments, frames, and an end with a digest of everything before it. A segment to which the
snapshot refers is not deleted as long as that lives.
"""

import hashlib
import os
import shutil
import struct
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import BinaryIO, Final, final

from ironflow import limits
from ironflow.errors import (
    ConfigurationError,
    JournalDamaged,
    JournalError,
    JournalFailed,
    JournalForeign,
    JournalNewer,
)
from ironflow.journal import whole_file
from ironflow.journal.lmdb import keys, opening, owner, rows, segments, wal
from ironflow.journal.lmdb._lmdb import (
    MAP_BYTES_MAX,
    Environment,
    Snapshot,
    check_pages,
)
from ironflow.journal.lmdb.checkpoint import Memtable
from ironflow.journal.lmdb.follower import Follower
from ironflow.journal.lmdb.head import HeadFile, read_head

Look = Callable[[int, int], object]
"""Told how many bytes are done, of about how many."""

BACKUP_FORMAT: Final = 2
_PLAIN_FORMAT: Final = 1  # of a backup without segments
MARK: Final = b"ironback"
# magic, format, id of the store, last commit, head digest after it, time; then CRC-32
_HEAD: Final = struct.Struct(">8sIQ16s16sQ")
_CRC: Final = struct.Struct(">I")
_PIECE: Final = struct.Struct(">cII")
_FRAME: Final = struct.Struct(">Q16s")
_SEGMENT: Final = struct.Struct(">Q")  # its number, before each piece of it
_DATA, _SEGMENTS, _COMMIT, _END = b"D", b"S", b"F", b"E"
_DATA_BYTES: Final = 1024 * 1024
_DIGEST_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup has: everything up to this commit. Times are microseconds."""

    number: int
    digest: bytes
    store_id: bytes
    taken_at: int


# --- backup ---------------------------------------------------------------------


def back_up(directory: Path, path: Path, look: Look) -> Backup:
    """Copy a data directory into a file, whoever owns it.

    Raises:
        JournalForeign: there is no journal.
        JournalDamaged: it is not what was written.
        JournalOwned: this process has it open.
        JournalFailed: the disk failed.
        ConfigurationError: the file cannot be written.
    """
    opening.check_directory(directory)
    opening.check_file(directory, is_still=not owner.is_owned(directory))
    head = read_head(directory)
    store = opening.open_store(directory, readonly=True, map_bytes=MAP_BYTES_MAX)
    try:
        follower = Follower(directory, store)
        follower.check(head)
        with whole_file.written(path, mark=MARK) as file:
            return _write(store, follower, file, look)
    finally:
        store.close()


def _write(
    store: Environment, follower: Follower, file: BinaryIO, look: Look
) -> Backup:
    snapshot, frames = follower.moment()
    try:
        backup = _moment(snapshot, frames)
        found = segments.numbers(store.path)
        pieces = _Pieces(
            file, backup, format_=BACKUP_FORMAT if found else _PLAIN_FORMAT
        )
        done, total = 0, store.used_bytes + _bytes_of(store.path, found)
        # Closed here: its thread must not outlive the snapshot.
        with closing(_copied(store, snapshot)) as copied:
            for kind, data in chain(
                zip(repeat(_DATA), copied), _segments(store.path, found)
            ):
                pieces.add(kind, data)
                done += len(data)
                look(done, max(done, total))
        pieces.end(frames)
        return backup
    finally:
        snapshot.close()


def _moment(snapshot: Snapshot, frames: tuple[wal.Frame, ...]) -> Backup:
    last = opening.last_commits(snapshot)
    number, digest = last.number, last.head
    if frames:
        number, digest = frames[-1].number, frames[-1].head
    store_id = snapshot.get(keys.META, keys.STORE_KEY) or b""
    return Backup(number, digest, store_id, time.time_ns() // 1_000)


def _bytes_of(directory: Path, numbers: list[int]) -> int:
    sizes = 0
    for number in numbers:
        with suppress(FileNotFoundError):
            sizes += segments.path_of(directory, number).stat().st_size
    return sizes


def _segments(directory: Path, numbers: list[int]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the pieces of segments; one that is gone meanwhile is needed by nobody."""
    for number in numbers:
        with (
            suppress(FileNotFoundError),
            segments.path_of(directory, number).open("rb") as file,
        ):
            while data := file.read(_DATA_BYTES):
                yield _SEGMENTS, _SEGMENT.pack(number) + data


def _copied(store: Environment, snapshot: Snapshot) -> Generator[bytes]:
    """Yield the bytes of a compact copy, which LMDB writes into a pipe."""
    out, into = os.pipe2(os.O_CLOEXEC)
    wrong: list[JournalError] = []

    def copy() -> None:
        try:
            store.copy(snapshot, into)
        except JournalError as error:
            wrong.append(error)
        finally:
            os.close(into)

    thread = threading.Thread(target=copy, name="ironflow-backup")
    thread.start()
    try:
        with os.fdopen(out, "rb") as pipe:
            while data := pipe.read(_DATA_BYTES):
                yield data
    finally:
        thread.join()  # without a reader of the pipe it ends
    if wrong:
        raise wrong[0]


@final
class _Pieces:
    """Writes a backup file, piece by piece."""

    def __init__(self, file: BinaryIO, backup: Backup, *, format_: int) -> None:
        self._file: Final = file
        self._digest: Final = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        head = _HEAD.pack(
            MARK,
            format_,
            backup.number,
            backup.digest,
            backup.store_id,
            backup.taken_at,
        )
        self._put(head + _CRC.pack(zlib.crc32(head)))

    def add(self, kind: bytes, data: bytes) -> None:
        """Write a piece."""
        self._put(_PIECE.pack(kind, len(data), zlib.crc32(data)))
        self._put(data)

    def end(self, frames: tuple[wal.Frame, ...]) -> None:
        """Write the frames and the end: a backup without one is not whole."""
        for frame in frames:
            self.add(_COMMIT, _FRAME.pack(frame.number, frame.head) + frame.body)
        self.add(_END, self._digest.digest())

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)


# --- restore --------------------------------------------------------------------


def restore(path: Path, directory: Path, look: Look) -> Backup:
    """Make a data directory of a backup; it appears when it is whole.

    Everything in the file is checked; whether what was backed up is what had been
    written is for `verify` to say.

    Raises:
        ConfigurationError: the directory is not empty, or a file cannot be used.
        JournalForeign: the file is no backup.
        JournalNewer: a newer ironflow wrote it.
        JournalDamaged: it is not what was written.
        JournalFailed: the disk failed.
    """
    _check_empty(directory)
    backup = _checked(path, look)
    target = directory.absolute()
    making = target.with_name(f".{target.name}.restoring")
    opening.make_directory(making)
    lock = owner.acquire(making)
    try:
        _empty(making)
        _make(path, making, backup)
    except OSError as error:
        raise JournalFailed(
            f"{making} cannot be written ({error}); make room, then try again"
        ) from error
    finally:
        lock.release()
    making.rename(target)
    whole_file.sync(target.parent)
    return backup


def _check_empty(directory: Path) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ConfigurationError(
            f"{directory} is there and not empty; a backup is restored into a new or an"
            " empty directory: name another, or move this one away"
        )


def _empty(directory: Path) -> None:
    """Take away what a killed restore has left."""
    for name in (opening.DATA, "lock.mdb", wal.NAME, wal.NAME + ".new", "head"):
        (directory / name).unlink(missing_ok=True)
    shutil.rmtree(directory / segments.FOLDER, ignore_errors=True)


def _make(path: Path, making: Path, backup: Backup) -> None:
    frames: list[wal.Frame] = []
    with whole_file.private(making / opening.DATA) as data:
        for kind, piece in _pieces(path):
            if kind == _DATA:
                data.write(piece)
            elif kind == _SEGMENTS:
                [number] = _SEGMENT.unpack_from(piece)
                _append(making, number, piece[_SEGMENT.size :])
            elif kind == _COMMIT:
                number, head = _FRAME.unpack_from(piece)
                frames.append(wal.Frame(number, head, piece[_FRAME.size :]))
    if wrong := check_pages(making / opening.DATA):
        raise JournalDamaged(
            f"{path} has a store with damaged pages ({wrong[0]}): it was damaged when"
            " the backup was taken; restore an older backup"
        )
    _bring_in(making, frames, backup)
    whole_file.sync(making / opening.DATA)
    wal.make(making / wal.NAME, store_id=backup.store_id)
    head = HeadFile(making, store_id=backup.store_id)
    head.write(backup.number, backup.digest)
    head.close()
    (making / "lock.mdb").unlink(missing_ok=True)
    whole_file.sync(making / "head")
    if (making / segments.FOLDER).exists():
        whole_file.sync(making / segments.FOLDER)
    whole_file.sync(making)


def _append(making: Path, number: int, data: bytes) -> None:
    """Append to a segment, durably; the pieces of one follow each other."""
    path = segments.path_of(making, number)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _bring_in(making: Path, frames: list[wal.Frame], backup: Backup) -> None:
    """Bring the commits above LMDB into it."""
    store = opening.open_store(making, readonly=False, map_bytes=MAP_BYTES_MAX)
    try:
        with store.snapshot() as snapshot:
            last = opening.last_commits(snapshot)
        memtable = Memtable()
        number, head = last.number, last.head
        for frame in frames:
            follows = rows.chained(head, frame.body) == frame.head
            if frame.number != number + 1 or not follows:
                raise _damaged(making, f"commit {number + 1} is missing or changed")
            memtable.take(frame.commit(), frame)
            number, head = frame.number, frame.head
        if (number, head) != (backup.number, backup.digest):
            raise _damaged(making, f"it ends at commit {number}, not {backup.number}")
        if frames:
            changes, _ = memtable.changes(last.digest)
            store.write(changes)
    finally:
        store.close()


# --- reading a backup -------------------------------------------------------------


def read_backup(path: Path) -> Backup:
    """Return what a backup file says of itself.

    Raises:
        ConfigurationError: it cannot be read.
        JournalForeign: it is no backup.
        JournalNewer: a newer ironflow wrote it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_HEAD.size + _CRC.size)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}; check the name"
        ) from error
    whole = len(data) == _HEAD.size + _CRC.size and data.startswith(MARK)
    if not whole or _CRC.unpack_from(data, _HEAD.size)[0] != zlib.crc32(
        data[: _HEAD.size]
    ):
        raise JournalForeign(
            f"{path} does not begin as a backup; 'ironflow backup' writes one"
        )
    _, format_, number, digest, store_id, taken_at = _HEAD.unpack_from(data)
    if format_ > BACKUP_FORMAT:
        raise JournalNewer(
            f"{path} was written in format {format_}; this ironflow reads format"
            f" {BACKUP_FORMAT}: upgrade ironflow to restore it"
        )
    return Backup(number, digest, store_id, taken_at)


def _checked(path: Path, look: Look) -> Backup:
    """Read a whole backup before anything is made of it."""
    backup = read_backup(path)
    total, done = path.stat().st_size, 0
    for _, piece in _pieces(path):
        done += len(piece)
        look(done, total)
    return backup


def _pieces(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield the pieces of a backup, each checked; after the last one, all of it was."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    with path.open("rb") as file:
        digest.update(file.read(_HEAD.size + _CRC.size))
        while True:
            kind, data, raw = _piece(path, file)
            if kind == _END:
                break
            digest.update(raw)
            digest.update(data)
            yield kind, data
        if data != digest.digest() or file.read(1):
            raise _damaged(path, "its end does not fit what is before it")


def _piece(path: Path, file: BinaryIO) -> tuple[bytes, bytes, bytes]:
    """Return the kind and the bytes of the next piece, and what stands before them."""
    raw = file.read(_PIECE.size)
    if len(raw) < _PIECE.size:
        raise _damaged(path, "it ends too early")
    kind, size, crc = _PIECE.unpack(raw)
    data = file.read(size) if size <= limits.BACKUP_PIECE_BYTES_MAX else b""
    if len(data) != size or zlib.crc32(data) != crc:
        raise _damaged(path, f"the piece before byte {file.tell()} is changed")
    return kind, data, raw


def _damaged(path: Path, what: str) -> JournalDamaged:
    return JournalDamaged(
        f"the backup {path} is damaged: {what}; take another copy of it, or an older"
        " backup"
    )
