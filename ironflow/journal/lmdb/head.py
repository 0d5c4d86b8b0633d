"""The head file: 64 bytes outside the store that say how far the store was.

Inside the store the head would roll back with it. The file is overwritten after
each commit, without a sync, so after a crash of the machine it may be behind or
torn; after a crash of the process it is not. Ahead of the store it is proof that
commits are gone.
"""

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from ironflow.records import FORMAT

HEAD_BYTES: Final = 64
_MAGIC: Final = b"ironhead"
_FIELDS: Final = struct.Struct(">8sIQ16s16s8x")  # then 4 bytes of CRC-32
NO_STORE_ID: Final = bytes(16)  # in a head file that an older ironflow wrote
_CRC: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Head:
    """The last commit: its number, the head digest after it, the id of its store."""

    number: int
    digest: bytes
    store_id: bytes


def frame(head: Head) -> bytes:
    """Return the 64 bytes of the file."""
    body = _FIELDS.pack(_MAGIC, FORMAT, head.number, head.digest, head.store_id)
    return body + _CRC.pack(zlib.crc32(body))


def parse(data: bytes) -> Head | None:
    """Return the head in these bytes, or None if they are torn or not a head."""
    if len(data) != HEAD_BYTES:
        return None
    body, crc = data[: _FIELDS.size], data[_FIELDS.size :]
    magic, _, number, digest, store_id = _FIELDS.unpack(body)
    if magic != _MAGIC or _CRC.unpack(crc)[0] != zlib.crc32(body):
        return None
    return Head(number, digest, store_id)


def read_head(directory: Path) -> Head | None:
    """Return what the head file of a directory says; None: it says nothing."""
    try:
        return parse((directory / "head").read_bytes())
    except FileNotFoundError:
        return None


@final
class HeadFile:
    """The head file of an open journal."""

    def __init__(self, directory: Path, *, store_id: bytes) -> None:
        self._store_id = store_id
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(directory / "head", flags, 0o600)

    def write(self, number: int, digest: bytes) -> None:
        """Say that this commit is durable."""
        os.pwrite(self._file, frame(Head(number, digest, self._store_id)), 0)

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
