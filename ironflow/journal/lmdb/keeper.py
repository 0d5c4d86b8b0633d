"""Keeps the index of runs up to date, in a thread of its own, beside the commits.

It follows what checkpoints have brought into LMDB, and makes an index that is missing,
damaged or of another store anew, a slice at a time. Whatever goes wrong here costs
lists their speed, and nothing else.
"""

import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Final, final

from ironflow.errors import IronflowError, JournalDamaged
from ironflow.journal.lmdb import keys, opening
from ironflow.journal.lmdb._lmdb import (
    MAP_BYTES_MAX,
    Environment,
    Snapshot,
    open_environment,
)
from ironflow.journal.lmdb.pace import Rests
from ironflow.journal.lmdb.run_index import Reach, RunIndex, behind
from ironflow.journal.lmdb.run_states import INDEX_LAYOUT, INDEX_TABLES

log: Final = logging.getLogger("ironflow.journal")

SLICE_RUNS: Final = 500  # taken in by one write, then others get their turn
_REST: Final = 1.0  # how long the thread rests after a slice, against its own time
_USED: Final = "used"  # there while an owner has the index open
_UNCLEAN_ENDS_MAX: Final = 3
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


# --- opening ------------------------------------------------------------------------


def open_index(directory: Path, store: Environment) -> RunIndex:
    """Open the index in a data directory to write it; make it where it is no use.

    Raises:
        JournalError: no index can be made either.
        OSError: the disk failed.
    """
    folder = directory / opening.INDEX
    index = _trusted(folder, store)
    if index is not None:
        return index
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    _note_use(folder, 0)
    environment = open_environment(
        folder, INDEX_TABLES, map_bytes=MAP_BYTES_MAX, make=True, sync=False
    )
    index = RunIndex(environment)
    with store.snapshot() as snapshot:
        last = opening.last_commits(snapshot)
        store_id = snapshot.get(keys.META, keys.STORE_KEY) or b""
    index.begin(Reach(INDEX_LAYOUT, store_id, last.number, last.head, b""))
    return index


def _trusted(folder: Path, store: Environment) -> RunIndex | None:
    """Open the index that is there, if it can be gone on with."""
    if not folder.exists():
        return None
    environment = None
    try:
        ends = _unclean_ends(folder)
        opening.check_file(folder, is_still=True)
        _note_use(folder, ends)
        environment = open_environment(
            folder, INDEX_TABLES, map_bytes=MAP_BYTES_MAX, sync=False
        )
        index = RunIndex(environment)
        _check(index.reach(), store)
    except (IronflowError, OSError) as error:
        if environment is not None:
            environment.close()
        log.warning("the index of runs in %s is made anew: %s", folder, error)
        return None
    return index


def _check(reach: Reach | None, store: Environment) -> None:
    """Make sure that an index is of this very store.

    Raises:
        JournalDamaged: it is not.
    """
    with store.snapshot() as snapshot:
        store_id = snapshot.get(keys.META, keys.STORE_KEY)
        is_ours = (
            reach is not None
            and (reach.layout, reach.store_id) == (INDEX_LAYOUT, store_id)
            and opening.head_at(snapshot, reach.number) == reach.head
        )
    if not is_ours:
        raise JournalDamaged("it is of another store, or of other commits")


def _note_use(folder: Path, unclean_ends: int) -> None:
    (folder / _USED).write_text(f"{_boot()} {unclean_ends}", encoding="utf-8")


def _boot() -> str:
    """What is the same until the machine starts again; empty if that is not known."""
    try:
        return _BOOT.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _unclean_ends(folder: Path) -> int:
    """Return how often in a row the index was not closed.

    Raises:
        JournalDamaged: it may be damaged, as the machine or many processes have failed.
    """
    try:
        boot, _, ends = (folder / _USED).read_text(encoding="utf-8").rpartition(" ")
    except FileNotFoundError:
        return 0
    # It is written without syncs: a process that dies does it no harm, a machine may.
    if not boot or boot != _boot():
        raise JournalDamaged("the machine failed while it was in use")
    if not ends.isdecimal() or int(ends) + 1 >= _UNCLEAN_ENDS_MAX:
        raise JournalDamaged("process after process failed while it was in use")
    return int(ends) + 1


def open_to_read(directory: Path, store: Environment) -> RunIndex | None:
    """Open the index beside whoever writes it; None: there is none to be trusted."""
    folder = directory / opening.INDEX
    environment = None
    try:
        _unclean_ends(folder)
        opening.check_file(folder, is_still=False)
        environment = open_environment(
            folder, INDEX_TABLES, map_bytes=MAP_BYTES_MAX, readonly=True
        )
        index = RunIndex(environment)
        _check(index.reach(), store)
    except (IronflowError, OSError):
        if environment is not None:
            environment.close()
        return None
    return index


def rebuild(directory: Path, store: Environment, told: Callable[[int], object]) -> None:
    """Make the index anew, now; the caller owns the directory.

    `told` is called with the number of runs that were taken in so far.

    Raises:
        JournalError: it cannot be made.
        OSError: the disk failed.
    """
    folder = directory / opening.INDEX
    shutil.rmtree(folder, ignore_errors=True)
    index = open_index(directory, store)
    try:
        while step(index, store):
            told(index.runs())
        index.environment.sync()
        (folder / _USED).unlink()
    finally:
        index.environment.close()


# --- keeping ------------------------------------------------------------------------


def step(
    index: RunIndex, store: Environment, *, rest: Callable[[], object] = lambda: None
) -> bool:
    """Take in what a checkpoint has brought, or the next slice; False: nothing is left.

    `rest` is called now and then.

    Raises:
        LookupError: the commits do not say what they have done.
        JournalError: the index cannot be read or written.
    """
    reach = index.reach()
    assert reach is not None
    with store.snapshot() as snapshot:
        found = next(behind(snapshot, reach), None)
        if found is not None:
            number, head, runs = found
            for first in range(0, len(runs) - SLICE_RUNS, SLICE_RUNS):
                index.take(snapshot, runs[first : first + SLICE_RUNS], reach, rest=rest)
            last = runs[(len(runs) - 1) // SLICE_RUNS * SLICE_RUNS :] if runs else []
            goes = Reach(reach.layout, reach.store_id, number, head, reach.built)
            index.take(snapshot, last, goes, rest=rest)
            return True
        if reach.built is None:
            return False
        runs = list(islice(_runs_after(snapshot, reach.built), SLICE_RUNS))
        built = runs[-1] if len(runs) == SLICE_RUNS else None
        goes = Reach(reach.layout, reach.store_id, reach.number, reach.head, built)
        index.take(snapshot, runs, goes, rest=rest)
    return True


def _runs_after(snapshot: Snapshot, run: bytes) -> Iterator[bytes]:
    start = run + b"\0" if run else b""
    return (key for key, _ in snapshot.scan(keys.RUNS, b"", start=start))


@final
class Keeper:
    """The thread that keeps the index of an open journal."""

    def __init__(self, directory: Path, store: Environment) -> None:
        self._directory: Final = directory
        self._folder: Final = directory / opening.INDEX
        self._store: Final = store
        self._index: RunIndex | None = None  # all of it belongs to the thread
        self._file: tuple[int, int] = (0, 0)
        self._usable: RunIndex | None = None  # what others may read
        self._changed: Final = threading.Condition()
        self._rests: Final = Rests()
        self._news = True
        self._closing = False
        self._is_idle = self._has_failed = False
        self._thread: Final = threading.Thread(
            target=self._run, name="ironflow-index", daemon=True
        )
        self._thread.start()

    @property
    def index(self) -> RunIndex | None:
        """The index, if there is one; it may be behind or not be whole yet."""
        return self._usable

    def poke(self) -> None:
        """Say that LMDB has newer commits; it returns at once."""
        with self._changed:
            if not self._has_failed:
                self._news, self._is_idle = True, False
                self._changed.notify_all()

    def wait_idle(self) -> None:
        """Wait, blocking, until the index has all that LMDB has, or is given up."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_idle)

    def close(self) -> None:
        """Take in what is left, but for a rebuild, and end the thread."""
        with self._changed:
            self._closing = True
            self._rests.hurry()
            self._changed.notify_all()
        self._thread.join()
        index, self._usable = self._index, None
        if index is not None:
            index.environment.close()

    def _run(self) -> None:
        try:
            self._index = open_index(self._directory, self._store)
            self._file = identity(self._folder)
            self._usable = self._index
            while self._wait():
                self._follow(self._index)
            self._end(self._index)
        except Exception as error:  # noqa: BLE001 - on this thread nobody sees it
            self._give_up(error)

    def _wait(self) -> bool:
        """Wait for news; False: the journal is closing."""
        with self._changed:
            if not self._news:
                self._is_idle = True
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._news or self._closing)
            self._news = False
            return not self._closing

    def _follow(self, index: RunIndex) -> None:
        while not self._closing:
            begun = perf_counter()
            if identity(self._folder) != self._file:
                raise JournalDamaged("its files were taken away")
            if not step(index, self._store, rest=self._rests.take):
                return
            # The interpreter is shared: whoever runs steps must not wait for this.
            with self._changed:
                rest = (perf_counter() - begun) * _REST
                self._changed.wait_for(lambda: self._closing, timeout=rest)

    def _end(self, index: RunIndex) -> None:
        """Take in the last commits, unless most is missing, and let all reach the disk."""
        while (reach := index.reach()) and reach.built is None:
            if not step(index, self._store):
                break
        if identity(self._folder) == self._file:
            index.environment.sync()
            (self._folder / _USED).unlink()

    def _give_up(self, error: Exception) -> None:
        log.warning(
            "the index of runs in %s is given up (%s): lists and counts look at all runs"
            " until the next start makes it anew",
            self._folder,
            error,
        )
        self._usable = None
        with suppress(OSError):
            # Its owner's mark is left out of date: the next start does not trust it.
            (self._folder / _USED).write_text("", encoding="utf-8")
        with self._changed:
            self._is_idle = self._has_failed = True
            self._changed.notify_all()


def identity(folder: Path) -> tuple[int, int]:
    """Return which file the index of a folder is; another one has another."""
    try:
        found = (folder / opening.DATA).stat()
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino
