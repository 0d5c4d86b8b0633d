"""Segments: immutable files with packed histories of runs that have ended.

A segment is a head, *values*, an index, and a foot. A value is a page of records, as LMDB
has them, compressed; large payloads may lie in it. The index says which run each value
is of, so that a segment tells by itself what is lost with it. In the table of records a
*place* stands where a page would: what has one is read from there (`read_page`).

A file gets its name when it is whole and durable, and is never changed afterwards.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple, final

import msgspec

from ironflow import limits
from ironflow.errors import JournalDamaged, JournalFailed, JournalNewer
from ironflow.journal import whole_file
from ironflow.journal.lmdb import keys, rows
from ironflow.journal.row_codec import RowCodec

FOLDER: Final = "segments"
SEGMENT_FORMAT: Final = 1
_SUFFIX: Final = ".seg"
_PART: Final = ".part"
# Level 6 takes three times as long and spares three per cent.
_LEVEL: Final = 1

# magic, format, number, id of the store, environment; then CRC-32
_HEAD: Final = struct.Struct(">8sIQ16s2s")
_HEAD_MAGIC: Final = b"ironseg\0"
_CRC: Final = struct.Struct(">I")
_HEAD_BYTES: Final = _HEAD.size + _CRC.size
# run, sequence of the last record, place in the file, bytes, digest
_ENTRY: Final = struct.Struct(">16sQQQ16s")
# values in the index, digest of the index, digest of all before it, magic; then CRC-32
_FOOT: Final = struct.Struct(">Q16s16s8s")
_FOOT_MAGIC: Final = b"gesnori\0"
_FOOT_BYTES: Final = _FOOT.size + _CRC.size
_READ_BYTES: Final = 1024 * 1024
_DIGEST: Final = keys.DIGEST_BYTES

PAGE_MARK: Final = b"\xdd"  # how a page begins that lies in LMDB: `codec.page`


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a value lies: what stands in the table of records instead of a page.

    `raw` is its length when it is not compressed. `kept` are digests, one behind the
    other, of payloads that the value names and that stayed in LMDB.
    """

    segment: int
    at: int
    size: int
    raw: int
    digest: bytes
    kept: bytes = b""


PLACE: Final = RowCodec(Place, rows.ADVICE)


class Indexed(NamedTuple):
    """A value by the index of its segment: the run's key, its last record, its bytes."""

    run: bytes
    last: int
    at: int
    size: int
    digest: bytes


def is_place(data: bytes) -> bool:
    """Say whether a row of the table of records is a place, not a page."""
    return data[:1] != PAGE_MARK


def kept(data: bytes) -> list[bytes]:
    """Return the digests of payloads in LMDB that the value of a place names.

    Raises:
        JournalDamaged: it is no place.
    """
    digests = PLACE.decode(data).kept
    return [digests[at : at + _DIGEST] for at in range(0, len(digests), _DIGEST)]


def path_of(directory: Path, number: int) -> Path:
    """Return the file of a segment in a data directory."""
    return directory / FOLDER / f"{number:016d}{_SUFFIX}"


def numbers(directory: Path) -> list[int]:
    """Return the numbers of the segments that are there, in order."""
    found = (directory / FOLDER).glob(f"*{_SUFFIX}")
    return sorted(int(path.stem) for path in found if path.stem.isdecimal())


# --- reading ------------------------------------------------------------------------


def read_page(directory: Path, data: bytes) -> bytes:
    """Return the page that a place stands for.

    Raises:
        JournalDamaged: it is not there, or not what was written.
        JournalFailed: the disk failed.
    """
    place = PLACE.decode(data)
    path = path_of(directory, place.segment)
    value = _value(path, place.at, place.size)
    if _digest(value) != place.digest:
        raise _changed(path, f"the value at {place.at}")
    if place.size == place.raw:
        return value
    return _decompressed(path, value, place)


def _value(path: Path, at: int, size: int) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(file, min(size, os.fstat(file).st_size), at)
        finally:
            os.close(file)
    except FileNotFoundError as error:
        raise JournalDamaged(
            f"the segment {path.name} is missing, which has histories of runs that have"
            f" ended: put it back into {path.parent}; 'ironflow doctor' names the runs"
        ) from error
    except (OSError, OverflowError) as error:
        raise JournalFailed(f"{path} cannot be read: {error}") from error


def _decompressed(path: Path, value: bytes, place: Place) -> bytes:
    inflater = zlib.decompressobj()
    with suppress(zlib.error):
        page = inflater.decompress(value, place.raw)
        if len(page) == place.raw and inflater.eof:
            return page
    raise _changed(path, f"the value at {place.at}")


def read_index(path: Path) -> list[Indexed]:
    """Return the index of a segment, proven to be what was written.

    Raises:
        JournalDamaged: it is not.
        JournalNewer: a newer ironflow wrote it.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        environment = _read_head(path, file.read(_HEAD_BYTES))
        end = file.seek(0, os.SEEK_END)
        count, index_digest, _ = _read_foot(path, _at(file.fileno(), end, _FOOT_BYTES))
        index = _at(file.fileno(), end - _FOOT_BYTES, count * _ENTRY.size)
    if len(index) != count * _ENTRY.size or _digest(index) != index_digest:
        raise _changed(path, "its index")
    return [
        Indexed(environment + run, *rest) for run, *rest in _ENTRY.iter_unpack(index)
    ]


def check(path: Path) -> list[Indexed]:
    """Return the index of a segment of which every byte is what was written.

    Raises:
        JournalDamaged: one is not.
        JournalNewer: a newer ironflow wrote it.
        OSError: it cannot be read.
    """
    found = read_index(path)
    with path.open("rb") as file:
        left = file.seek(0, os.SEEK_END) - _FOOT_BYTES
        whole = _read_foot(path, _at(file.fileno(), left + _FOOT_BYTES, _FOOT_BYTES))[2]
        digest = blake2b(digest_size=_DIGEST)
        file.seek(0)
        while left:
            data = file.read(min(left, _READ_BYTES))
            digest.update(data)
            left -= len(data)
    if digest.digest() != whole:
        raise _changed(path, "a value")
    return found


def _at(file: int, end: int, size: int) -> bytes:
    """The bytes before `end`; none if the file is too short for them."""
    return os.pread(file, size, end - size) if end >= size else b""


def _read_head(path: Path, data: bytes) -> bytes:
    if len(data) < _HEAD_BYTES or data[:8] != _HEAD_MAGIC:
        raise JournalDamaged(f"{path} does not begin as a segment; {_COPY}")
    _, format_, number, _, environment = _HEAD.unpack_from(data)
    if _CRC.unpack_from(data, _HEAD.size)[0] != zlib.crc32(data[: _HEAD.size]):
        raise _changed(path, "its head")
    if format_ > SEGMENT_FORMAT:
        raise JournalNewer(
            f"{path} was written in format {format_}; this ironflow reads format"
            f" {SEGMENT_FORMAT}: upgrade ironflow to read it"
        )
    if path_of(path.parent.parent, number) != path:
        raise JournalDamaged(f"{path} is segment {number} under another name; {_COPY}")
    return bytes(environment)


def _read_foot(path: Path, data: bytes) -> tuple[int, bytes, bytes]:
    if len(data) < _FOOT_BYTES:
        raise JournalDamaged(f"{path} was cut off; {_COPY}")
    count, index, whole, magic = _FOOT.unpack_from(data)
    crc = _CRC.unpack_from(data, _FOOT.size)[0]
    if magic != _FOOT_MAGIC or crc != zlib.crc32(data[: _FOOT.size]):
        raise _changed(path, "its end")
    return count, index, whole


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST).digest()


_COPY: Final = "put a copy of it from a backup in its place"


def _changed(path: Path, what: str) -> JournalDamaged:
    return JournalDamaged(
        f"{what} in the segment {path} is not what was written; {_COPY}"
    )


# --- writing ------------------------------------------------------------------------


@final
class SegmentWriter:
    """Writes a segment, which has its name when `end` returns; `with` drops half of one.

    All its methods raise OSError where the disk fails: nothing is there then.
    """

    def __init__(
        self, directory: Path, number: int, *, store_id: bytes, environment: bytes
    ) -> None:
        self.number: Final = number
        self.written = 0
        self._path: Final = path_of(directory, number)
        self._part: Final = self._path.with_suffix(_PART)
        self._part.parent.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._file = os.open(self._part, flags, 0o600)
        self._digest: Final = blake2b(digest_size=_DIGEST)
        self._index: Final[list[bytes]] = []
        self._unsynced = 0
        head = _HEAD.pack(_HEAD_MAGIC, SEGMENT_FORMAT, number, store_id, environment)
        self._begin(head + _CRC.pack(zlib.crc32(head)))

    def _begin(self, head: bytes) -> None:
        try:
            self._put(head)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "SegmentWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take away what has not come to its end; idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            with suppress(OSError):
                self._part.unlink()

    def add(
        self, run: bytes, page: bytes, *, last: int, kept: Sequence[bytes]
    ) -> bytes:
        """Write a page of a run's records; return the place that stands for it."""
        packed = zlib.compress(page, _LEVEL)
        value = packed if len(packed) < len(page) else page
        digest, at = _digest(value), self.written
        self._put(value)
        own = run[keys.ENVIRONMENT_BYTES :]
        self._index.append(_ENTRY.pack(own, last, at, len(value), digest))
        return PLACE.encode(
            Place(self.number, at, len(value), len(page), digest, b"".join(kept))
        )

    @property
    def values(self) -> int:
        """How many values were added."""
        return len(self._index)

    def end(self) -> None:
        """Make the segment whole and durable, under its name."""
        index = b"".join(self._index)
        self._put(index)
        foot = _FOOT.pack(
            len(self._index), _digest(index), self._digest.digest(), _FOOT_MAGIC
        )
        self._put(foot + _CRC.pack(zlib.crc32(foot)))
        os.fsync(self._file)
        self._part.rename(self._path)
        try:
            whole_file.sync(self._path.parent)
            # Somebody may have made the folder and died.
            whole_file.sync(self._path.parent.parent)
        except BaseException:
            with suppress(OSError):
                self._path.unlink()
            raise
        os.close(self._file)
        self._file = -1

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        left = memoryview(data)
        while left:
            count = os.write(self._file, left[: limits.SEGMENT_SYNC_BYTES_MAX])
            left = left[count:]
            self._unsynced += count
            if self._unsynced >= limits.SEGMENT_SYNC_BYTES_MAX:
                # Little by little: one flush of all of it would hold up the log's.
                os.fsync(self._file)
                self._unsynced = 0
        self.written += len(data)


def drop_parts(directory: Path) -> None:
    """Take away what a process that was killed has left half written."""
    for path in (directory / FOLDER).glob(f"*{_PART}"):
        path.unlink(missing_ok=True)


def unlink(directory: Path, number: int) -> None:
    """Delete a segment to which nothing refers any more."""
    path_of(directory, number).unlink(missing_ok=True)


def files(directory: Path) -> Iterator[Path]:
    """Yield the segments of a data directory, in order."""
    return (path_of(directory, number) for number in numbers(directory))
