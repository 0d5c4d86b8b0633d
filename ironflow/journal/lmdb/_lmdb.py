"""The one door to the LMDB driver: an environment, its tables, snapshots, writes.

Errors of the driver become ours here. A snapshot is opened and closed inside one
call and never crosses an await; a write is whole or absent.
"""

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice, takewhile
from pathlib import Path
from typing import Final, Self, cast, final

import lmdb
import lmdb.verify

from ironflow.errors import (
    JournalDamaged,
    JournalError,
    JournalFailed,
    JournalForeign,
    JournalFull,
    JournalOwned,
)

MAP_BYTES_MAX: Final = 1 << 40  # address space, not disk: the file stays sparse
MAP_BYTES_MIN: Final = 1 << 20
READERS_MAX: Final = 126
TABLES_MAX: Final = 40

Changes = Mapping[str, Mapping[bytes, bytes | None]]
_verify: Final = cast(
    "Callable[..., list[object]]",
    lmdb.verify.verify,  # pyright: ignore[reportUnknownMemberType]  # it has no types
)
_SLOTS: Final = re.compile(r"^\s*\d+ \w+ (\d+|-)$", re.MULTILINE)
_DAMAGED: Final = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.PanicError)
_FOREIGN: Final = (lmdb.InvalidError, lmdb.VersionMismatchError)


_WRITE_ROWS: Final = 128  # by one call of the driver, which keeps the interpreter


def _nothing() -> None:
    pass


@final
class Snapshot:
    """What was committed before it was opened; keys and values are copies."""

    __slots__ = ("_tables", "_txn")

    def __init__(
        self, environment: lmdb.Environment, tables: Mapping[str, "lmdb._Database"]
    ) -> None:
        try:
            self._txn = environment.begin()
        except lmdb.Error as error:
            raise _not_read(error) from error
        self._tables = tables

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.close()
        if isinstance(error, lmdb.Error):
            raise _not_read(error) from error

    def close(self) -> None:
        """Let go of it; idempotent."""
        self._txn.abort()

    @property
    def transaction(self) -> "lmdb.Transaction[bytes]":
        """The driver's own, for `Environment.copy`."""
        return self._txn

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return the value of a key."""
        return self._txn.get(key, None, self._tables[table])

    def scan(
        self, table: str, prefix: bytes, *, start: bytes = b""
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield rows with this prefix in order, from `start` on."""
        with self._txn.cursor(self._tables[table]) as cursor:
            found = cursor.set_range(max(prefix, start))
            while found and (key := cursor.key()).startswith(prefix):
                yield key, cursor.value()
                found = cursor.next()

    def rows(self, table: str, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return the rows with this prefix, which are few, in order."""
        found: list[tuple[bytes, bytes]] = []
        cursor = self._txn.cursor(self._tables[table])
        there = cursor.set_range(prefix)
        while there and (row := cursor.item())[0].startswith(prefix):
            found.append(row)
            there = cursor.next()
        cursor.close()
        return found

    def scan_back(
        self, table: str, prefix: bytes, *, before: bytes
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield rows with this prefix whose keys come before `before`, last first."""
        with self._txn.cursor(self._tables[table]) as cursor:
            found = cursor.prev() if cursor.set_range(before) else cursor.last()
            while found and (key := cursor.key()).startswith(prefix):
                yield key, cursor.value()
                found = cursor.prev()

    def last(
        self, table: str, prefix: bytes, *, width: int
    ) -> tuple[bytes, bytes] | None:
        """Return the row with the last key that is the prefix and `width` bytes more."""
        cursor = self._txn.cursor(self._tables[table])
        end = prefix + b"\xff" * width
        there = cursor.prev() if cursor.set_range(end) else cursor.last()
        found = cursor.item() if there else None
        cursor.close()
        return found if found is not None and found[0].startswith(prefix) else None

    def last_key(self, table: str, prefix: bytes, *, width: int) -> bytes | None:
        """Return the last key that is the prefix and `width` bytes more."""
        cursor = self._txn.cursor(self._tables[table])
        end = prefix + b"\xff" * width
        there = cursor.prev() if cursor.set_range(end) else cursor.last()
        key = cursor.key() if there else b""
        cursor.close()
        return key if there and key.startswith(prefix) else None

    def tails(
        self, table: str, start: bytes, beyond: bytes, *, width: int, most: int
    ) -> list[bytes]:
        """Return how the first of the keys `start <= key < beyond` end, in their order."""
        with self._txn.cursor(self._tables[table]) as cursor:
            there = cursor.set_range(start)
            following = cursor.iternext(values=False) if there else ()
            found = islice(takewhile(beyond.__gt__, following), most)
            return [key[-width:] for key in found]

    def tails_back(
        self, table: str, start: bytes, beyond: bytes, *, width: int, most: int
    ) -> list[bytes]:
        """Return how the last of the keys `start <= key < beyond` end, last first."""
        with self._txn.cursor(self._tables[table]) as cursor:
            there = cursor.prev() if cursor.set_range(beyond) else cursor.last()
            following = cursor.iterprev(values=False) if there else ()
            found = islice(takewhile(start.__le__, following), most)
            return [key[-width:] for key in found]

    def entries(self, table: str) -> int:
        """Return the number of rows of a table."""
        return self._txn.stat(self._tables[table])["entries"]


@final
class Environment:
    """An open LMDB file: read it in snapshots, write it in whole transactions.

    Writes belong to one thread at a time; snapshots to any.
    """

    def __init__(
        self,
        environment: lmdb.Environment,
        tables: tuple[str, ...],
        *,
        path: Path,
        make: bool,
    ) -> None:
        self._environment = environment
        self._path: Final = path
        if make:
            with environment.begin(write=True) as txn:  # one transaction for all
                for name in tables:
                    environment.open_db(name.encode(), txn=txn)
        self._tables: Final[dict[str, lmdb._Database]] = {}
        self.open_tables(tables)
        self._page_bytes: Final = int(environment.stat()["psize"])

    @property
    def path(self) -> Path:
        """The directory that it is in."""
        return self._path

    def open_tables(self, tables: tuple[str, ...]) -> None:
        """Make tables known that are in the file; no snapshot may be open.

        Raises:
            JournalForeign: one of them is missing.
        """
        with _open_errors(self._path):
            for name in tables:
                table = self._environment.open_db(name.encode(), create=False)
                self._tables[name] = table

    def add_table(self, name: str) -> None:
        """Make a table known, and make it where it is missing, durably.

        Raises:
            JournalFull: the map is full.
            JournalFailed: the disk failed.
        """
        try:
            self._tables[name] = self._environment.open_db(name.encode())
        except lmdb.MapFullError as error:
            raise JournalFull(
                f"the journal's map of {self.map_bytes} bytes has no room for the"
                f" table {name!r}; open the journal with more"
            ) from error
        except (lmdb.Error, OSError) as error:
            raise JournalFailed(str(error)) from error

    def has_table(self, name: str) -> bool:
        """Say whether a table is there, and make it known; no snapshot may be open.

        Raises:
            JournalDamaged: the file is not what was written.
            JournalFailed: the disk failed.
        """
        if name in self._tables:
            return True
        try:
            table = self._environment.open_db(name.encode(), create=False)
        except lmdb.NotFoundError:
            return False
        except lmdb.Error as error:
            raise _not_read(error) from error
        self._tables[name] = table
        return True

    def size_of(self, table: str, key: bytes) -> int | None:
        """Return how long a value is, without a copy of it; None: it is not there.

        Raises:
            JournalFailed: there are too many readers, or the disk failed.
        """
        try:
            with self._environment.begin(buffers=True) as transaction:
                value = transaction.get(key, None, self._tables[table])
                return None if value is None else len(value)
        except lmdb.Error as error:
            raise _not_read(error) from error

    def snapshot(self) -> Snapshot:
        """Return what is committed now, to be read in a `with` block.

        Raises:
            JournalDamaged: the file is not what was written.
            JournalFailed: there are too many readers, or the disk failed.
        """
        return Snapshot(self._environment, self._tables)

    def write(self, changes: Changes, *, rest: Callable[[], object] = _nothing) -> None:
        """Make these changes durable (None deletes a key), all or none.

        `rest` is called now and then, so that others may have the interpreter.

        Raises:
            JournalFull: the map is full; nothing was stored.
            JournalFailed: the disk failed; nobody knows what is stored.
        """
        try:
            txn = self._environment.begin(write=True)
            try:
                for table, rows in changes.items():
                    _write(txn, self._tables[table], rows, rest)
            except BaseException:
                txn.abort()
                raise
            txn.commit()
        except lmdb.MapFullError as error:
            raise JournalFull(
                "the journal's map is full: nothing of this commit was stored; open"
                f" the journal with more than {self.map_bytes} map bytes"
            ) from error
        except (lmdb.Error, OSError) as error:
            raise JournalFailed(str(error)) from error

    @property
    def map_bytes(self) -> int:
        """How large the file may become."""
        return self._environment.info()["map_size"]

    def sync(self) -> None:
        """Let what was written without it reach the disk.

        Raises:
            JournalFailed: the disk failed.
        """
        try:
            self._environment.sync(True)  # noqa: FBT003 - it has no name
        except (lmdb.Error, OSError) as error:
            raise JournalFailed(str(error)) from error

    def room(self) -> int:
        """Return how many bytes the map has behind its last page in use."""
        used = (self._environment.info()["last_pgno"] + 1) * self._page_bytes
        return self.map_bytes - used

    def copy(self, snapshot: Snapshot, file: int) -> None:
        """Write what a snapshot sees into an open file or pipe, without free pages.

        Raises:
            JournalDamaged: the file is not what was written.
            JournalFailed: the disk failed, or nobody reads the pipe any more.
        """
        try:
            self._environment.copyfd(file, compact=True, txn=snapshot.transaction)
        except lmdb.Error as error:
            raise _not_read(error) from error
        except OSError as error:
            raise JournalFailed(f"the journal cannot be copied: {error}") from error

    @property
    def used_bytes(self) -> int:
        """How many bytes the file has up to its last page in use."""
        return int((self._environment.info()["last_pgno"] + 1) * self._page_bytes)

    def is_seen_by_all(self, snapshot: Snapshot) -> bool:
        """Say whether no snapshot of any process is older than this one."""
        self.reader_check()
        own = snapshot.transaction.id()
        # One line for each slot of a reader: its process, thread, and transaction.
        slots = _SLOTS.findall(self._environment.readers())
        # Without our own among them, we could not read the list.
        return str(own) in slots and all(age == "-" or int(age) >= own for age in slots)

    def reader_check(self) -> int:
        """Forget readers of processes that have died; return how many."""
        try:
            return self._environment.reader_check()
        except lmdb.Error:
            return 0  # it is tried again; nothing depends on it

    def close(self) -> None:
        """Close the file; nothing may use it any more."""
        self._environment.close()


def _write(
    txn: "lmdb.Transaction[bytes]",
    table: "lmdb._Database",
    rows: Mapping[bytes, bytes | None],
    rest: Callable[[], object],
) -> None:
    puts: list[tuple[bytes, bytes]] = []
    for key, value in rows.items():
        if value is None:
            txn.delete(key, db=table)
            rest()
        else:
            puts.append((key, value))
    if len(puts) == 1:
        txn.put(*puts[0], db=table)
    elif puts:
        puts.sort()
        with txn.cursor(table) as cursor:
            for first in range(0, len(puts), _WRITE_ROWS):
                cursor.putmulti(puts[first : first + _WRITE_ROWS])
                rest()


def open_environment(
    path: Path,
    tables: tuple[str, ...],
    *,
    map_bytes: int,
    readonly: bool = False,
    make: bool = False,
    sync: bool = True,
) -> Environment:
    """Open the LMDB file in a directory with as large a map as there is room for.

    `make`: there is none; make it and its tables. Without `sync` a write is not durable,
    and the file is not to be trusted after the machine has failed.

    Raises:
        JournalOwned: this process has the file open.
        JournalForeign: the file is not LMDB's, or lacks our tables.
        JournalDamaged: the file is not what was written.
        JournalFailed: the disk failed or there is no memory.
    """
    while True:
        try:
            with _open_errors(path):
                return _open(
                    path,
                    tables,
                    map_bytes=map_bytes,
                    readonly=readonly,
                    make=make,
                    sync=sync,
                )
        except (MemoryError, lmdb.MemoryError) as error:
            # A container or ulimit -v may not allow a terabyte of address space.
            map_bytes //= 2
            if map_bytes < MAP_BYTES_MIN:
                raise JournalFailed(
                    f"there is no address space to map {path}: raise 'ulimit -v'"
                ) from error


def _open(
    path: Path,
    tables: tuple[str, ...],
    *,
    map_bytes: int,
    readonly: bool,
    make: bool,
    sync: bool,
) -> Environment:
    environment = lmdb.open(
        str(path),
        map_size=map_bytes,
        max_dbs=TABLES_MAX,
        max_readers=READERS_MAX,
        max_spare_txns=4,
        readonly=readonly,
        create=make,
        sync=sync,
        readahead=False,
        mode=0o600,
    )
    try:
        return Environment(environment, tables, path=path, make=make)
    except BaseException:
        environment.close()
        raise


@contextmanager
def _open_errors(path: Path) -> Generator[None]:
    try:
        yield
    except _FOREIGN as error:
        raise JournalForeign(
            f"{path / 'data.mdb'} is not an ironflow journal ({error}); name another"
            " directory, or put the right file back"
        ) from error
    except lmdb.NotFoundError as error:
        raise JournalForeign(
            f"{path / 'data.mdb'} is an LMDB file, but not an ironflow journal"
            f" ({error}); name another directory"
        ) from error
    except _DAMAGED as error:
        raise _damaged(error) from error
    except (MemoryError, lmdb.MemoryError):
        raise
    except lmdb.Error as error:
        raise _not_opened(path, error) from error


def _not_opened(path: Path, error: lmdb.Error) -> JournalError:
    if "already open in this process" in str(error):
        return JournalOwned(
            f"{path} is open in this process; use that journal, or close it first"
        )
    return JournalFailed(
        f"{path} cannot be opened: {error}; look at the disk and the permissions"
    )


def _not_read(error: lmdb.Error) -> JournalError:
    if isinstance(error, _DAMAGED):
        return _damaged(error)
    if isinstance(error, lmdb.ReadersFullError):
        return JournalFailed(
            f"{READERS_MAX} readers have the journal open; end some of them"
        )
    return JournalFailed(f"the journal cannot be read: {error}")


def _damaged(error: Exception) -> JournalDamaged:
    return JournalDamaged(
        f"the journal's file is damaged ({error}); take a copy of the directory, then"
        " 'ironflow verify' shows what is left, or put a backup back"
    )


def check_pages(path: Path) -> list[str]:
    """Return what is wrong with the pages of a file that nobody writes.

    It reads bytes and never maps the file, so no damage can end the process.

    Raises:
        JournalForeign: the file is not LMDB's.
    """
    try:
        return list(map(str, _verify(str(path), subdir=False)))
    except lmdb.verify.VerifyError as error:
        raise JournalForeign(
            f"{path} is not an ironflow journal ({error}); name another directory, or"
            " put the right file back"
        ) from error
