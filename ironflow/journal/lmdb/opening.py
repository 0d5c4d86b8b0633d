"""Make, check and open a data directory; every failure is an error of the tree.

A new store is made under a temporary name, synced, renamed, and its directory
synced: a crash leaves either no store or a whole one. An old one is looked at
byte by byte before LMDB maps it, because a map that ends early kills the process.
"""

import os
import secrets
import shutil
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ironflow.errors import (
    ConfigurationError,
    JournalDamaged,
    JournalForeign,
    JournalFull,
    JournalNewer,
    JournalOlder,
)
from ironflow.journal.lmdb import keys, rows, wal
from ironflow.journal.lmdb._lmdb import (
    Environment,
    Snapshot,
    check_pages,
    open_environment,
)
from ironflow.journal.lmdb.head import NO_STORE_ID, Head
from ironflow.journal.lmdb.layers import Layered

DATA: Final = "data.mdb"
MAKING: Final = "creating"  # a folder; what is in it after a crash is nothing
INDEX: Final = "index"  # a folder; whatever is in it can be made again
_OURS: Final = frozenset({"owner", "owner.json", MAKING, INDEX})
NAMES_SHOWN_MAX: Final = 3
ENVIRONMENTS_MAX: Final = 1 << 16
CHECKED_BYTES_MAX: Final = 4 * 1024 * 1024  # some 40 ms
_COPY: Final = (
    "take a copy of the directory; 'ironflow verify' shows what is left, a backup"
    " brings back the rest"
)

# lmdb.c, MDB_meta behind a page header of 16 bytes: magic, version, address, map
# size; two MDB_db of 48 bytes (the first's pad is the page size); last page.
_META: Final = struct.Struct("=IIQQ I44x 48x Q Q")
_META_AT: Final = 16
_META_MAGIC: Final = 0xBEEFC0DE
_PAGE_BYTES: Final = range(256, 65_536 + 1)


@dataclass(frozen=True, slots=True)
class LastCommits:
    """The newest commits that LMDB has.

    `number` is the last one's, `head` the head digest after it, from where the
    write-ahead log goes on; `digest` is the digest of their row.
    """

    number: int = 0
    head: bytes = rows.HEAD_START
    digest: bytes = rows.HEAD_START


@dataclass(frozen=True, slots=True)
class Found:
    """What a store says of itself."""

    owner: int
    environments: dict[str, int]
    last: LastCommits
    is_closed: bool  # by that owner, in order


def prepare(directory: Path) -> None:
    """Make the store of a directory unless there is one; the caller owns it.

    Raises:
        JournalForeign: there is no store, but files that are not ours.
        JournalFull: there is no space for a new store.
    """
    shutil.rmtree(directory / MAKING, ignore_errors=True)
    if (directory / DATA).exists():
        return
    foreign = {path.name for path in directory.iterdir()} - _OURS
    if foreign == {wal.NAME} and _is_unused(directory / wal.NAME):
        foreign = set[str]()  # a crash left it alone while the store was being made
    if foreign:
        raise _foreign_files(directory, sorted(foreign))
    try:
        _make(directory)
    except OSError as error:
        raise JournalFull(
            f"no journal can be made in {directory}: {error.strerror}; make room, then"
            " try again"
        ) from error


def _is_unused(path: Path) -> bool:
    """Say whether a log has no frame, so that nothing was ever acknowledged by it."""
    try:
        log = wal.WalFile(path)
    except (JournalDamaged, JournalNewer):
        return False
    try:
        return not log.frames(0, rows.HEAD_START)
    except JournalDamaged:
        return False
    finally:
        log.close()


def _make(directory: Path) -> None:
    making = directory / MAKING
    making.mkdir(mode=0o700)
    store_id = secrets.token_bytes(keys.STORE_BYTES)
    environment = open_environment(making, keys.TABLES, map_bytes=1 << 24, make=True)
    meta: dict[bytes, bytes | None] = {
        keys.FORMAT_KEY: keys.number(keys.LAYOUT),
        keys.STORE_KEY: store_id,
        keys.OWNER_KEY: keys.number(0),
    }
    environment.write({keys.META: meta})
    environment.close()
    sync(making / DATA)
    wal.make(making / wal.NAME, store_id=store_id)
    # The store last: a directory that has one is whole.
    (making / wal.NAME).rename(directory / wal.NAME)
    (making / DATA).rename(directory / DATA)
    sync(directory)
    sync(directory.absolute().parent)
    shutil.rmtree(making)


def sync(path: Path) -> None:
    """Let what a file or a directory holds reach the disk."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def make_directory(directory: Path) -> None:
    """Make the directory itself.

    Raises:
        JournalForeign: there is a file of this name.
        ConfigurationError: it cannot be made.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise JournalForeign(
            f"{directory} is a file; a journal is a directory: name another one"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"{directory} cannot be made: {error.strerror}; name a directory that this"
            " user may write to"
        ) from error


def check_directory(directory: Path) -> None:
    """Say why a directory that is only read has no journal.

    Raises:
        JournalForeign: there is none.
    """
    if (directory / DATA).exists():
        return
    names = (
        sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
    )
    if set(names) - _OURS:
        raise _foreign_files(directory, names)
    raise JournalForeign(
        f"there is no journal in {directory}; an engine makes one when it starts:"
        " check the name of the directory"
    )


def _foreign_files(directory: Path, names: list[str]) -> JournalForeign:
    shown = ", ".join(names[:NAMES_SHOWN_MAX])
    return JournalForeign(
        f"{directory} has files that are not a journal ({shown}); name an empty or a"
        " new directory"
    )


def check_file(directory: Path, *, is_still: bool) -> None:
    """Look at a store before it is mapped.

    A store up to `CHECKED_BYTES_MAX` that nobody writes to is looked at page by
    page, because a damaged one could end the process; of a larger one `verify` does.

    Raises:
        JournalForeign: the file is not LMDB's.
        JournalDamaged: it ends before the last page in use, or has damaged pages.
    """
    path = directory / DATA
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            needed = _bytes_needed(path, file.read(65_536 + 256))
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}; check its permissions"
        ) from error
    is_small = is_still and size <= CHECKED_BYTES_MAX
    if (size < needed or is_small) and (wrong := check_pages(path)):
        what = f"was cut off at {size} bytes" if size < needed else "is damaged"
        raise JournalDamaged(f"{path} {what} ({wrong[0]}); {_COPY}")


def _bytes_needed(path: Path, start: bytes) -> int:
    """The size of the file by its newest meta page, checked for sense."""
    if not start:
        raise JournalDamaged(f"{path} is empty: its content is lost; {_COPY}")
    if len(start) < _META_AT + _META.size or not _is_meta(start):
        raise JournalForeign(
            f"{path} is not an ironflow journal: it does not begin as one; name another"
            " directory, or put the right file back"
        )
    page = _META.unpack_from(start, _META_AT)[4]
    if page not in _PAGE_BYTES or page & (page - 1):
        raise JournalDamaged(f"{path} says that its pages have {page} bytes; {_COPY}")
    if len(start) < page + _META_AT + _META.size:
        raise JournalDamaged(f"{path} has {len(start)} bytes: it was cut off; {_COPY}")
    metas = [_META.unpack_from(start, at + _META_AT) for at in (0, page)]
    if not _is_meta(start[page:]):
        raise JournalDamaged(f"the second page of {path} is not what it was; {_COPY}")
    newest = max(metas, key=lambda meta: int(meta[6]))
    return (int(newest[5]) + 1) * int(page)


def _is_meta(start: bytes) -> bool:
    return _META.unpack_from(start, _META_AT)[:2] == (_META_MAGIC, 1)


def open_store(directory: Path, *, readonly: bool, map_bytes: int) -> Environment:
    """Open a store that has been checked.

    Raises:
        JournalOlder: it has the tables of an older ironflow.
        JournalNewer: it was written by a newer ironflow.
        JournalForeign: it is an LMDB file of something else.
    """
    environment = open_environment(
        directory, (keys.META,), readonly=readonly, map_bytes=map_bytes
    )
    try:
        with environment.snapshot() as snapshot:
            _check_format(directory, snapshot)
        _open_tables(environment, readonly=readonly)
    except BaseException:
        environment.close()
        raise
    return environment


def _open_tables(environment: Environment, *, readonly: bool) -> None:
    """Open all tables, and make those that came later than the store.

    Who only reads cannot make them: whether one is there is asked when it is read.
    """
    environment.open_tables(tuple(set(keys.TABLES) - set(keys.ADDED)))
    for name in () if readonly else keys.ADDED:
        environment.add_table(name)


def _check_format(directory: Path, snapshot: Snapshot) -> None:
    data = snapshot.get(keys.META, keys.FORMAT_KEY)
    if data is None or len(data) != keys.NUMBER_BYTES:
        raise JournalForeign(
            f"{directory / DATA} has no format number: it is not an ironflow journal;"
            " name another directory"
        )
    found = keys.to_number(data)
    if found > keys.LAYOUT_REDACTED:
        raise JournalNewer(
            f"{directory} was written in format {found}; this ironflow reads up to"
            f" format {keys.LAYOUT_REDACTED}: upgrade ironflow to open it"
        )
    if found < keys.LAYOUT:
        raise JournalOlder(
            f"{directory} was written by an older ironflow, in format {found}: start an"
            " engine on it once, which brings it up to date and keeps the old file;"
            " then it can be read"
        )


def inspect(snapshot: Snapshot) -> Found:
    """Return what the store says of its owners, environments and last commit."""
    owner = keys.to_number(snapshot.get(keys.META, keys.OWNER_KEY) or b"")
    closed = keys.to_number(snapshot.get(keys.META, keys.CLOSED_KEY) or b"")
    return Found(owner, environments(snapshot), last_commits(snapshot), closed == owner)


def environments(snapshot: Snapshot | Layered) -> dict[str, int]:
    """Return the numbers of the environments by their names.

    Raises:
        JournalDamaged: they are no such names or numbers.
    """
    skipped = len(keys.ENVIRONMENT_KEY)
    found: dict[str, int] = {}
    for key, value in snapshot.scan(keys.META, keys.ENVIRONMENT_KEY):
        number = keys.to_number(value)
        try:
            name = key[skipped:].decode()
        except UnicodeDecodeError:
            number = ENVIRONMENTS_MAX
            name = ""
        if number >= ENVIRONMENTS_MAX:
            raise JournalDamaged(f"the list of environments is damaged; {_COPY}")
        found[name] = number
    return found


def last_commits(snapshot: Snapshot) -> LastCommits:
    """Return the newest commits that LMDB has."""
    key = snapshot.last_key(keys.COMMITS, b"", width=keys.NUMBER_BYTES)
    data = None if key is None else snapshot.get(keys.COMMITS, key)
    if key is None or data is None:
        return LastCommits()
    body, digest = rows.read_commit(data)
    return LastCommits(keys.to_number(key), body.head, digest)


def head_at(snapshot: Snapshot | Layered, number: int) -> bytes:
    """The head digest after a commit that LMDB has."""
    found = next(snapshot.scan(keys.COMMITS, b"", start=keys.number(number)), None)
    return b"" if found is None else rows.read_commit(found[1])[0].head_at(number)


def check_head(
    directory: Path,
    snapshot: Snapshot | Layered,
    *,
    head: Head | None,
    last: LastCommits,
    frames: Sequence[wal.Frame],
) -> None:
    """Compare what LMDB and the log have with the head file, which was read first.

    Raises:
        JournalDamaged: the store is older than the head file, or another one.
    """
    if head is None or head.number == 0:
        return
    stored = frames[-1].number if frames else last.number
    if head.number > stored:
        raise JournalDamaged(
            f"the store in {directory} is older than its head file says: it ends at"
            f" commit {stored}, and commit {head.number} was acknowledged. An old copy"
            " was put back, or the disk lost writes. Put the newest copy back; to go on"
            f" without the last {head.number - stored} commits, move the file 'head'"
            " away"
        )
    if head.number > last.number:
        digest = frames[head.number - last.number - 1].head
    else:
        digest = head_at(snapshot, head.number)
    store_id = snapshot.get(keys.META, keys.STORE_KEY)
    is_ours = head.store_id in (store_id, NO_STORE_ID)
    if digest != head.digest or not is_ours:
        raise JournalDamaged(
            f"the store in {directory} is not the one that its head file was written"
            f" for: commit {head.number} has another digest. Put the right store back;"
            " to go on with this one, move the file 'head' away"
        )
