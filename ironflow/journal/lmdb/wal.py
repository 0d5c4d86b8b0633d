"""The write-ahead log: a file written in place, one flush a commit.

LMDB needs two flushes a commit, and writes whole pages of every table that it
touches. So a commit goes into this file first, as one *frame*, and is durable; a
checkpoint brings many of them into LMDB later. The file is written full once, so that
a frame changes no metadata of the file system.

After a page of its own (`_FIRST`) the file has two halves. Frames fill one while those
of the other go into LMDB; a half is written again only when LMDB has all of it. A frame
begins at a multiple of `SECTOR_BYTES` and names its commit's number, so a reader knows
where the frames end: at the first that is torn or old. A whole frame of a later commit
behind that place proves that an acknowledged commit is gone.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, final

import msgspec

from ironflow.errors import JournalDamaged, JournalFailed, JournalNewer
from ironflow.journal.lmdb import rows
from ironflow.journal.lmdb.layers import Tail

NAME: Final = "wal"
HALF_BYTES: Final = 4 * 1024 * 1024
SECTOR_BYTES: Final = 512
WAL_FORMAT: Final = 1
_READ_BYTES: Final = 4096  # most frames are shorter

# magic, format, bytes of a half, id of the store; then CRC-32
_FIRST: Final = struct.Struct(">8sIQ16s")
_FIRST_MAGIC: Final = b"ironwal\0"
_FIRST_BYTES: Final = 4096
# magic, CRC-32 of what follows it, bytes of the body, commit number, head digest
_FRAME: Final = struct.Struct(">4sIIQ16s")
_MAGIC: Final = b"\xf1ifw"
_CRC_AT: Final = 8  # behind magic and CRC
_CRC: Final = struct.Struct(">I")


class Commit(msgspec.Struct, array_like=True):
    """What a commit changed: the body of a frame."""

    number: int
    environment: int
    runs: list[rows.RunChange]
    events: list[rows.EventChange]
    tails: dict[bytes, Tail]
    tables: dict[str, dict[bytes, bytes | None]]
    deleted: list[bytes] = []
    dropped: int = 0
    redacted: list[rows.RedactionChange] = []


class Place(NamedTuple):
    """Where a frame ends and the next may begin: a half, and bytes from its start."""

    half: int
    at: int


class Frame(NamedTuple):
    """A commit as the log has it: its number, the head digest after it, its body."""

    number: int
    head: bytes
    body: bytes

    def commit(self) -> Commit:
        """Return what the commit changed.

        Raises:
            JournalDamaged: the body is no commit.
        """
        found: Commit = rows.decoded(_decode_commit, self.body, name="a commit")
        return found


_decode_commit: Final = msgspec.msgpack.Decoder(Commit).decode
_encode_commit: Final = msgspec.msgpack.Encoder().encode


def seal(commit: Commit, *, after: bytes) -> Frame:
    """Return the frame of a commit that follows the head digest `after`."""
    body = _encode_commit(commit)
    return Frame(commit.number, rows.chained(after, body), body)


@final
class Wal:
    """The log of an open journal: frames are appended to one half at a time."""

    def __init__(self, file: int, *, half_bytes: int, store_id: bytes) -> None:
        self.half_bytes: Final = half_bytes
        self.store_id: Final = store_id
        self.used = 0  # bytes of the half that is being filled
        self._file = file
        self._seed = zlib.crc32(store_id)
        self._half = 0

    def fits(self, frame: Frame) -> bool:
        """Say whether the half that is being filled has room for a frame."""
        return self.used + _frame_bytes(frame) <= self.half_bytes

    def could_fit(self, frame: Frame) -> bool:
        """Say whether an empty half has room for a frame."""
        return _frame_bytes(frame) <= self.half_bytes

    def append(self, frame: Frame) -> None:
        """Write a frame; on return it is durable.

        Raises:
            OSError: the disk failed; nobody knows what is stored.
        """
        data = _framed(frame, self._seed)
        at = _FIRST_BYTES + self._half * self.half_bytes + self.used
        written = os.pwrite(self._file, data, at)
        if written != len(data):
            raise OSError(f"{written} of {len(data)} bytes were written")
        self.used += len(data)

    def switch(self) -> None:
        """Go on in the other half, of which LMDB has everything."""
        self._half = 1 - self._half
        self.used = 0

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _frame_bytes(frame: Frame) -> int:
    return -(-(_FRAME.size + len(frame.body)) // SECTOR_BYTES) * SECTOR_BYTES


def _framed(frame: Frame, seed: int) -> bytes:
    """The bytes of a frame, filled up to whole sectors.

    `seed` is of the store: a payload that holds a frame of another log is no frame.
    """
    size = len(frame.body)
    head = _FRAME.pack(_MAGIC, 0, size, frame.number, frame.head)
    crc = zlib.crc32(frame.body, zlib.crc32(head[_CRC_AT:], seed))
    fill = bytes(_frame_bytes(frame) - _FRAME.size - size)
    return b"".join((_MAGIC, _CRC.pack(crc), head[_CRC_AT:], frame.body, fill))


# --- making and opening -------------------------------------------------------------


def make(path: Path, *, store_id: bytes, half_bytes: int = HALF_BYTES) -> None:
    """Write a log without frames, whole and durable.

    Raises:
        OSError: there is no space.
    """
    first = _FIRST.pack(_FIRST_MAGIC, WAL_FORMAT, half_bytes, store_id)
    first += _CRC.pack(zlib.crc32(first))
    making = path.with_name(path.name + ".new")
    file = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write(file, first.ljust(_FIRST_BYTES, b"\0"))
        for _ in range(2):
            # Real zeros: space that was only reserved would be converted at each write.
            _write(file, bytes(half_bytes))
        os.fsync(file)
    finally:
        os.close(file)
    making.rename(path)


def _write(file: int, data: bytes) -> None:
    """Write all; a disk that fills up takes a part and says so at the next write."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def open_wal(path: Path) -> Wal:
    """Open a log whose frames are all in LMDB, to append to it."""
    found = WalFile(path)
    found.close()
    # Each write returns when it is durable: one call where pwrite and fdatasync are two.
    file = os.open(path, os.O_WRONLY | os.O_DSYNC | os.O_CLOEXEC)
    return Wal(file, half_bytes=found.half_bytes, store_id=found.store_id)


# --- reading ------------------------------------------------------------------------


@final
class WalFile:
    """The bytes of a log, to be read by an owner that opens it or by others.

    Raises:
        FileNotFoundError: there is no log.
        JournalNewer: it was written by a newer ironflow.
        JournalDamaged: its first page is not what was written.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.store_id, self.half_bytes = _read_first(self._file, path)
        except BaseException:
            self.close()
            raise
        self._seed = zlib.crc32(self.store_id)
        self.place = Place(0, 0)  # where the last frame ends that was returned

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def frames(self, after: int, head: bytes) -> list[Frame]:
        """Return the frames of the commits after number `after`, in order.

        Raises:
            JournalDamaged: a commit is missing, or does not follow the one before.
        """
        halves = [self._read_half(0), self._read_half(1)]
        found: list[Frame] = []
        for half in sorted((0, 1), key=lambda half: self._first_number(halves[half])):
            for frame, end in self._whole_frames(halves[half]):
                if frame.number == after + len(found) + 1:
                    found.append(frame)
                    self.place = Place(half, end)
        _check_chain(found, head)
        self._check_rest(halves, after + len(found))
        return found

    def frames_so_far(self, after: int, head: bytes) -> list[Frame]:
        """Return what `frames` does of a log that is being written.

        It reads no more than the frames, and looks at nothing behind them: there the
        writer may be.

        Raises:
            JournalDamaged: a commit does not follow the one before.
        """
        found: list[Frame] = []
        firsts = [self._read_frame(half, 0) for half in (0, 1)]
        for half in sorted((0, 1), key=lambda half: _number(firsts[half])):
            at, last = 0, 0
            while (frame := self._read_frame(half, at)) and frame.number > last:
                at += _frame_bytes(frame)
                last = frame.number
                if frame.number == after + len(found) + 1:
                    found.append(frame)
                    self.place = Place(half, at)
        _check_chain(found, head)
        return found

    def following(self, place: Place, last: Frame) -> list[Frame]:
        """Return the frames that were written after `last`, which ends at `place`."""
        found: list[Frame] = []
        self.place = place
        while (frame := self._next(last)) is not None:
            found.append(frame)
            last = frame
        return found

    def _next(self, last: Frame) -> Frame | None:
        for half, at in (self.place, Place(1 - self.place.half, 0)):
            frame = self._read_frame(half, at)
            if frame is not None and _follows(frame, last.number, last.head):
                self.place = Place(half, at + _frame_bytes(frame))
                return frame
        return None

    def _read_frame(self, half: int, at: int) -> Frame | None:
        place = _FIRST_BYTES + half * self.half_bytes + at
        room = self.half_bytes - at
        start = os.pread(self._file, min(_READ_BYTES, room), place)
        if not start.startswith(_MAGIC) or len(start) < _FRAME.size:
            return None
        size = _FRAME.size + _FRAME.unpack_from(start)[2]
        if len(start) < size <= room:
            start = os.pread(self._file, size, place)
        return self._frame_at(start, 0)

    def flush(self) -> None:
        """Make durable what can be read, whoever wrote it.

        Raises:
            JournalFailed: the disk failed.
        """
        try:
            os.fsync(self._file)
        except OSError as error:
            raise JournalFailed(
                f"the file 'wal' cannot be flushed ({error}); look at the disk"
            ) from error

    def _read_half(self, half: int) -> bytes:
        at = _FIRST_BYTES + half * self.half_bytes
        return os.pread(self._file, self.half_bytes, at)

    def _check_rest(self, halves: list[bytes], last: int) -> None:
        """No frame may be from after the last one that was found."""
        for data in halves:
            for at in range(0, len(data), SECTOR_BYTES):
                frame = self._frame_at(data, at)
                if frame is not None and frame.number > last:
                    raise JournalDamaged(
                        f"what is stored ends at commit {last}, and the file 'wal' has"
                        f" commit {frame.number} without commit {last + 1}, which was"
                        " acknowledged: it is damaged, or an old copy of data.mdb was"
                        " put back. Put the newest copy back; to go on without what"
                        " follows, move the files 'wal' and 'head' away"
                    )

    def _first_number(self, data: bytes) -> int:
        return _number(self._frame_at(data, 0))

    def _whole_frames(self, data: bytes) -> Iterator[tuple[Frame, int]]:
        """Yield frames and their ends, while they are whole and in order."""
        at, last = 0, 0
        while (frame := self._frame_at(data, at)) is not None and frame.number > last:
            at += _frame_bytes(frame)
            last = frame.number
            yield frame, at

    def _frame_at(self, data: bytes, at: int) -> Frame | None:
        if not data.startswith(_MAGIC, at) or at + _FRAME.size > len(data):
            return None
        _, crc, size, number, head = _FRAME.unpack_from(data, at)
        body = at + _FRAME.size
        end = body + size
        if end > len(data):
            return None
        if crc != zlib.crc32(memoryview(data)[at + _CRC_AT : end], self._seed):
            return None
        return Frame(number, head, data[body:end])


def _number(frame: Frame | None) -> int:
    return 0 if frame is None else frame.number


def _read_first(file: int, path: Path) -> tuple[bytes, int]:
    data = os.pread(file, _FIRST.size + _CRC.size, 0)
    if len(data) == _FIRST.size + _CRC.size:
        magic, format_, half_bytes, store_id = _FIRST.unpack_from(data)
        crc = _CRC.unpack_from(data, _FIRST.size)[0]
        if magic == _FIRST_MAGIC and crc == zlib.crc32(data[: _FIRST.size]):
            if format_ > WAL_FORMAT:
                raise JournalNewer(
                    f"{path} was written in format {format_}; this ironflow reads up to"
                    f" format {WAL_FORMAT}: upgrade ironflow to open it"
                )
            size = os.fstat(file).st_size
            if size >= _FIRST_BYTES + 2 * half_bytes:
                return store_id, half_bytes
            raise JournalDamaged(
                f"{path} was cut off at {size} bytes: put a backup back; to go on"
                " without the newest commits, move the files 'wal' and 'head' away"
            )
    raise JournalDamaged(
        f"{path} does not begin as a write-ahead log: put a backup back; to go on"
        " without the newest commits, move the files 'wal' and 'head' away"
    )


def _follows(frame: Frame, number: int, head: bytes) -> bool:
    """Say whether a frame is of the next commit after a number and a head digest."""
    return frame.number == number + 1 and frame.head == rows.chained(head, frame.body)


def _check_chain(frames: list[Frame], head: bytes) -> None:
    for frame in frames:
        if not _follows(frame, frame.number - 1, head):
            raise JournalDamaged(
                f"commit {frame.number} in the file 'wal' does not follow the one before"
                " it: the file belongs to another copy of this journal. Put the right"
                " one back; to go on without its commits, move the files 'wal' and"
                " 'head' away"
            )
        head = frame.head
