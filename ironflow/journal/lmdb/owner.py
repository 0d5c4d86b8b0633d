"""Who owns a data directory: a lock on the file `owner`, and who that is.

The lock is a POSIX record lock: it dies with the process and a forked child does
not inherit it (a child keeps what `flock` locks, after SIGKILL of its parent).
But it belongs to the process: a second lock from inside succeeds, and closing any
descriptor of the file drops it. So this process is told by `owner.json`, and while
it owns a directory it never opens `owner` again.
"""

import fcntl
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import msgspec

from ironflow.errors import ConfigurationError, JournalOwned

_OWNER: Final = "owner"
_WHO: Final = "owner.json"


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: its id, and what tells it from a later one with the same id."""

    pid: int
    started: str


_decode: Final = msgspec.json.Decoder(Owner).decode


@final
class OwnerLock:
    """The hold on a directory; `release` gives it up, so does the process's end."""

    def __init__(self, directory: Path, file: int) -> None:
        self._directory = directory
        self._file = file

    def release(self) -> None:
        """Let others own the directory; idempotent."""
        if self._file >= 0:
            (self._directory / _WHO).unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1


def acquire(directory: Path) -> OwnerLock:
    """Own a directory.

    Raises:
        JournalOwned: a process owns it; the message names it.
        ConfigurationError: the directory may not be written.
    """
    if _is_ours(directory):
        raise _owned(directory, os.getpid())
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        file = os.open(directory / _OWNER, flags, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"{directory} cannot be written: {error.strerror}; name a directory that"
            " this user may write to"
        ) from error
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = _holder(file)
        os.close(file)
        raise _owned(directory, holder or _named(directory)) from error
    _write_who(directory)
    return OwnerLock(directory, file)


def read_owner(path: str | Path) -> int | None:
    """Return the id of the process that owns a directory, or None.

    It takes no lock and disturbs nobody. An owner in another container may be
    known under another id there.
    """
    directory = Path(path)
    if _is_ours(directory):
        return os.getpid()
    try:
        file = os.open(directory / _OWNER, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        holder = _holder(file)
    finally:
        os.close(file)
    if holder is None:
        return None
    return holder or _named(directory)


def is_owned(path: str | Path) -> bool:
    """Say whether a process owns a directory now."""
    return read_owner(path) is not None


def _owned(directory: Path, pid: int) -> JournalOwned:
    who = "this process" if pid == os.getpid() else f"process {pid}"
    return JournalOwned(
        f"{directory} is owned by {who}: one process at a time may write to a journal;"
        " stop it, or use 'ironflow runs' and 'ironflow events', which only read"
    )


def _holder(file: int) -> int | None:
    """The process that has the lock; None: nobody. 0: one outside our view."""
    # fcntl(2): F_GETLK fills in who is in the way of the lock described.
    if sys.platform == "darwin":
        shape, place = struct.Struct("qqihh"), 2
        asked = shape.pack(0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
    else:
        shape, place = struct.Struct("hhqqi4x"), 4
        asked = shape.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    found = shape.unpack(fcntl.fcntl(file, fcntl.F_GETLK, asked))
    kind = found[3] if sys.platform == "darwin" else found[0]
    return None if kind == fcntl.F_UNLCK else max(int(found[place]), 0)


def _write_who(directory: Path) -> None:
    who = Owner(os.getpid(), _started(os.getpid()))
    (directory / _WHO).write_bytes(msgspec.json.encode(who))


def _who(directory: Path) -> Owner | None:
    try:
        return _decode((directory / _WHO).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None


def _named(directory: Path) -> int:
    who = _who(directory)
    return 0 if who is None else who.pid


def _is_ours(directory: Path) -> bool:
    who = _who(directory)
    pid = os.getpid()
    return who is not None and who.pid == pid and who.started == _started(pid)


def _started(pid: int) -> str:
    """When a process started, as its system says it; empty where that is unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return ""
    # proc(5): field 22, counted after the name, which may hold blanks.
    return f"{boot.strip()} {status.rpartition(')')[2].split()[19]}"
