"""Bring a store with the tables of an older ironflow up to date.

Its owner does so when it opens the directory. A new file is made beside the old one,
whole and durable, and takes its name by one rename; the old one stays under the name
`data.mdb.layout-1`. A crash leaves the old store or the new one.

Layout 1 had a row of `log` for each record, a row of `commits` for each commit, no
write-ahead log, and no id of the store.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

import msgspec

from ironflow import codec
from ironflow.errors import JournalDamaged, JournalFailed, JournalFull
from ironflow.journal.lmdb import keys, opening, rows, wal
from ironflow.journal.lmdb._lmdb import (
    MAP_BYTES_MAX,
    Environment,
    Snapshot,
    check_pages,
    open_environment,
)
from ironflow.journal.lmdb.checkpoint import PAGE_BYTES, PAGE_RECORDS
from ironflow.journal.lmdb.head import Head

_COPIED: Final = (
    keys.META,
    keys.BLOBS,
    keys.RUNS,
    keys.READY,
    keys.PAUSED,
    keys.INBOX,
    keys.TIMERS,
    keys.RUN_TIMERS,
    keys.WAITS,
    keys.RUN_WAITS,
    keys.EVENTS,
    keys.EVENT_NAMES,
    keys.EVENT_KEYS,
    keys.CONSUMED,
    keys.FUNCTIONS,
)
LAYOUT: Final = 1  # the one that is brought up to date
KEPT: Final = f"{opening.DATA}.layout-{LAYOUT}"
WRITE_BYTES: Final = 4 * 1024 * 1024  # in one transaction
_Row = tuple[bytes, bytes]


class _Commit(msgspec.Struct, array_like=True):
    digest: bytes
    body: msgspec.Raw


class _CommitBody(msgspec.Struct, array_like=True):
    number: int
    environment: int
    runs: list[rows.RunChange]
    events: list[rows.EventChange]


_decode_commit: Final = msgspec.msgpack.Decoder(_Commit).decode
_decode_body: Final = msgspec.msgpack.Decoder(_CommitBody).decode


def bring_up(directory: Path, *, head: Head | None) -> None:
    """Make a store of today's layout out of one of layout 1; nobody has it open.

    `head` is what the head file says.

    Raises:
        JournalDamaged: the old store is not what was written; it stays as it was.
        JournalFull: there is no room for a copy; the old store stays as it was.
    """
    wrong = check_pages(directory / opening.DATA)
    if wrong:
        raise JournalDamaged(
            f"the store in {directory} is damaged ({wrong[0]}) and cannot be brought up"
            " to date; put a backup back"
        )
    making = directory / opening.MAKING
    making.mkdir(mode=0o700)
    try:
        _make(directory, making, head)
        _swap(directory, making)
    except (OSError, JournalFailed) as error:
        raise _no_room(directory, error) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _no_room(directory: Path, error: Exception) -> JournalFull:
    size = (directory / opening.DATA).stat().st_size
    return JournalFull(
        f"the store in {directory} cannot be brought up to date ({error}): it needs"
        f" about {size} bytes for a copy. Make room, then start again; nothing has"
        " changed"
    )


def _make(directory: Path, making: Path, head: Head | None) -> None:
    """Write the new store and its log, durably."""
    store_id = secrets.token_bytes(keys.STORE_BYTES)
    tables = (*_COPIED, keys.LOG, keys.COMMITS)
    source = open_environment(directory, tables, map_bytes=MAP_BYTES_MAX, readonly=True)
    try:
        target = open_environment(
            making, keys.TABLES, map_bytes=MAP_BYTES_MAX, make=True
        )
        try:
            with source.snapshot() as snapshot:
                _check_layout(directory, snapshot)
                _check_head(directory, snapshot, head)
                _copy(snapshot, target, store_id)
        finally:
            target.close()
    finally:
        source.close()
    opening.sync(making / opening.DATA)
    wal.make(making / wal.NAME, store_id=store_id)


def _check_layout(directory: Path, snapshot: Snapshot) -> None:
    if snapshot.get(keys.META, keys.FORMAT_KEY) != keys.number(LAYOUT):
        raise JournalDamaged(f"the store in {directory} is of no format that ever was")


def _check_head(directory: Path, snapshot: Snapshot, head: Head | None) -> None:
    if head is None or head.number == 0:
        return
    data = snapshot.get(keys.COMMITS, keys.number(head.number))
    if data is None or _opened(data)[0] != head.digest:
        raise JournalDamaged(
            f"the store in {directory} is not the one that its head file was written"
            f" for, or an old copy of it: it lacks commit {head.number}. Put the newest"
            " copy back; to go on with this one, move the file 'head' away"
        )


def _opened(data: bytes) -> tuple[bytes, bytes, _CommitBody]:
    row: _Commit = rows.decoded(_decode_commit, data, name="a commit")
    body: _CommitBody = rows.decoded(_decode_body, bytes(row.body), name="a commit")
    return row.digest, bytes(row.body), body


def _copy(source: Snapshot, target: Environment, store_id: bytes) -> None:
    for table in _COPIED:
        _fill(target, table, source.scan(table, b""))
    _fill(target, keys.LOG, _pages(source))
    _fill(target, keys.COMMITS, _commits(source))
    meta = {keys.FORMAT_KEY: keys.number(keys.LAYOUT), keys.STORE_KEY: store_id}
    target.write({keys.META: meta})


def _fill(target: Environment, table: str, found: Iterator[_Row]) -> None:
    batch: dict[bytes, bytes | None] = {}
    size = 0
    for key, value in found:
        batch[key] = value
        size += len(key) + len(value)
        if size >= WRITE_BYTES:
            target.write({table: batch})
            batch, size = {}, 0
    target.write({table: batch})


def _pages(source: Snapshot) -> Iterator[_Row]:
    """Yield pages of the records that follow each other."""
    page = _Page()
    for key, data in source.scan(keys.LOG, b""):
        if not page.takes(key, data):
            yield page.row()
            page = _Page()
        page.take(key, data)
    if page.records:
        yield page.row()


@final
class _Page:
    """Records of one run; one that is missing ends the page, so that it is missed."""

    def __init__(self) -> None:
        self.records: Final[list[bytes]] = []
        self._next = b""
        self._last = b""
        self._size = 0

    def takes(self, key: bytes, data: bytes) -> bool:
        """Say whether a record is the next one and has room."""
        has_room = (
            len(self.records) < PAGE_RECORDS and self._size + len(data) <= PAGE_BYTES
        )
        return not self.records or (key == self._next and has_room)

    def take(self, key: bytes, data: bytes) -> None:
        """Take a record."""
        run, sequence = key[: -keys.NUMBER_BYTES], key[-keys.NUMBER_BYTES :]
        self.records.append(data)
        self._size += len(data)
        self._last = key
        self._next = run + keys.number(keys.to_number(sequence) + 1)

    def row(self) -> _Row:
        """Return the page as it is stored."""
        return self._last, codec.page(self.records)


def _commits(source: Snapshot) -> Iterator[_Row]:
    """Yield the rows of all commits; their head digests stay what they were."""
    head = digest = rows.HEAD_START
    for key, data in source.scan(keys.COMMITS, b""):
        named, old_body, old = _opened(data)
        if rows.chained(head, old_body) != named:
            raise JournalDamaged(
                f"commit {old.number} is not what was written, so the store is not"
                " brought up to date; 'ironflow verify' of the version before shows"
                " what is damaged"
            )
        head = named
        body = rows.CommitBody(
            old.number, old.environment, old.runs, old.events, heads=head
        )
        row, digest = rows.encode_commit(digest, body)
        yield key, row


def _swap(directory: Path, making: Path) -> None:
    """Let the new store take the place of the old one, which is kept."""
    data = directory / opening.DATA
    kept = directory / KEPT
    kept.unlink(missing_ok=True)  # of a crash that came before the last rename
    try:
        os.link(data, kept)
    except OSError:
        shutil.copy2(data, kept)  # not every file system has links
        opening.sync(kept)
    (making / wal.NAME).rename(directory / wal.NAME)
    opening.sync(directory)
    (making / opening.DATA).rename(data)
    # It tells who reads which transaction of the old file.
    (directory / "lock.mdb").unlink(missing_ok=True)
    opening.sync(directory)
