"""Files that appear whole, or not at all, whenever the process is killed.

A file is written under another name beside it, synced, and renamed. What a killed
process has left there is written over by the next one.
"""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from ironflow.errors import ConfigurationError

_PART: Final = ".part"
_BEGINNING_BYTES: Final = 64


@contextmanager
def written(path: Path, *, mark: bytes) -> Generator[BinaryIO]:
    """Write a file; it has its name when the block ends without an error.

    A file of this name is replaced if it has `mark` near its beginning: one of ours.

    Raises:
        ConfigurationError: another file is there, or the directory may not be written.
    """
    _check_replaceable(path, mark)
    part = path.with_name(path.name + _PART)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(part, flags, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"{part} cannot be written: {error.strerror}; name a file in a directory"
            " that this user may write to"
        ) from error
    with os.fdopen(descriptor, "r+b") as file:
        _lock(file.fileno(), part)
        os.ftruncate(file.fileno(), 0)
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            part.rename(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    sync(path.absolute().parent)


def private(path: Path) -> BinaryIO:
    """Open a new or emptied file to be written, which only this user may read."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def sync(path: Path) -> None:
    """Let what a file or a directory holds reach the disk."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _check_replaceable(path: Path, mark: bytes) -> None:
    try:
        with path.open("rb") as file:
            begins = file.read(_BEGINNING_BYTES)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be replaced: {error.strerror}; name another file"
        ) from error
    if mark not in begins:
        raise ConfigurationError(
            f"{path} is there and is something else; name another file"
        )


def _lock(file: int, part: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigurationError(
            f"another process is writing {part}; wait for it, or name another file"
        ) from error
