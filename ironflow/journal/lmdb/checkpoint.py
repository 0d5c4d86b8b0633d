"""Brings commits from the write-ahead log into LMDB, many at a time.

The commits of one half of the log are one transaction of LMDB. It is written by a
thread of its own while newer commits fill the other half, so nobody waits for it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, final

import trio

from ironflow import codec
from ironflow.journal.lmdb import keys, opening, rows
from ironflow.journal.lmdb._lmdb import Changes, Environment
from ironflow.journal.lmdb.layers import Layer, Layered, Overlay, Tail
from ironflow.journal.lmdb.pace import Rests
from ironflow.journal.lmdb.wal import Commit, Frame

# A row of a history: replay decodes it whole, so that it should stay in a cache.
PAGE_BYTES: Final = 64 * 1024
PAGE_RECORDS: Final = 512


@final
class Memtable:
    """Commits that follow each other: their changes in one layer."""

    def __init__(self) -> None:
        self.layer: Final = Layer()
        self.last: Frame | None = None
        self._environment = 0
        self._heads: Final[list[bytes]] = []
        self._runs: Final[dict[bytes, rows.RunChange]] = {}
        self._events: Final[list[rows.EventChange]] = []
        self._deleted: Final[list[bytes]] = []
        self._dropped = 0
        self._redacted: Final[list[rows.RedactionChange]] = []

    def take(self, commit: Commit, frame: Frame) -> None:
        """Take the next commit in; `frame` is what the log has of it."""
        self.layer.take(commit.tables, commit.tails)
        self._environment = commit.environment
        for change in commit.runs:
            self._runs[change.run] = change
        self._events.extend(commit.events)
        self._deleted.extend(commit.deleted)
        self._dropped = max(self._dropped, commit.dropped)
        self._redacted.extend(commit.redacted)
        self._heads.append(frame.head)
        self.last = frame

    def changes(
        self, previous: bytes, *, rest: Callable[[], object] = lambda: None
    ) -> tuple[Changes, bytes]:
        """Return what LMDB shall write, and the digest of the row of the commits.

        `previous` is the digest of the row before it. `rest` is called now and then.
        """
        assert self.last is not None
        body = rows.CommitBody(
            self.last.number,
            self._environment,
            list(self._runs.values()),
            self._events,
            b"".join(self._heads),
            self._touched(),
            self._deleted,
            self._dropped,
            self._redacted,
        )
        data, digest = rows.encode_commit(previous, body)
        pages: dict[bytes, bytes | None] = {}
        for run, tail in self.layer.tails.items():
            for last, page in _pages(tail):
                pages[run + keys.number(last)] = page
            rest()
        changes: dict[str, dict[bytes, bytes | None]] = dict(self.layer.tables)
        # Pages of runs that are gone, and rows that the chain begins behind, may go.
        changes[keys.LOG] = {**changes.get(keys.LOG, {}), **pages}
        commits = changes.get(keys.COMMITS, {})
        changes[keys.COMMITS] = {**commits, keys.number(body.number): data}
        return changes, digest

    def _touched(self) -> list[bytes]:
        runs = (key[keys.ENVIRONMENT_BYTES :] for key in self.layer.touched())
        return sorted(run for run in runs if run not in self._runs)


def _pages(tail: Tail) -> Iterator[tuple[int, bytes]]:
    """Yield rows for records, each with the sequence of its last one."""
    begin, size = 0, 0
    for index, record in enumerate(tail.records):
        size += len(record)
        if size > PAGE_BYTES or index - begin == PAGE_RECORDS:
            if index > begin:
                yield tail.first + index - 1, codec.page(tail.records[begin:index])
            begin, size = index, len(record)
    if begin < len(tail.records):
        yield tail.last, codec.page(tail.records[begin:])


@final
class Committed:
    """What is committed: LMDB, and the commits that are on their way there."""

    def __init__(self, environment: Environment, *, digest: bytes) -> None:
        self.environment: Final = environment
        self.active = Memtable()
        self._frozen: Memtable | None = None  # what a checkpoint writes
        self._digest = digest  # of the newest row of commits in LMDB
        self._rests: Final = Rests()

    def snapshot(self) -> Layered:
        """Return all that is committed, to be read in a `with` block."""
        return Layered(self.environment, self._layers())

    def overlay(self) -> Overlay:
        """Return the same with room for the changes of a transaction."""
        return Overlay(self.environment, self._layers())

    def _layers(self) -> tuple[Layer, ...]:
        if self._frozen is None:
            return (self.active.layer,)
        return (self.active.layer, self._frozen.layer)

    @property
    def rows(self) -> int:
        """How many changed rows are not in LMDB yet."""
        return sum(layer.rows for layer in self._layers())

    def is_in_store(self, number: int) -> bool:
        """Say whether LMDB has a commit, by its number."""
        with self.environment.snapshot() as snapshot:
            return opening.last_commits(snapshot).number >= number

    @property
    def is_freezing(self) -> bool:
        """Say whether commits are on their way into LMDB."""
        return self._frozen is not None

    def freeze(self) -> None:
        """Let newer commits fill another memtable: `write` is called next."""
        assert self._frozen is None
        self._frozen, self.active = self.active, Memtable()
        self._rests.begin()

    def write(self) -> None:
        """Write what was frozen; on any thread.

        Raises:
            JournalFull: the map is full.
            JournalFailed: the disk failed.
        """
        assert self._frozen is not None
        rest = self._rests.take
        changes, digest = self._frozen.changes(self._digest, rest=rest)
        self.environment.write(changes, rest=rest)
        self._digest = digest

    def hurry(self) -> None:
        """Say that somebody waits for `write`."""
        self._rests.hurry()

    def thaw(self) -> None:
        """LMDB has what was frozen."""
        self._frozen = None

    def write_now(self, commit: Commit, frame: Frame) -> None:
        """Write a commit that the log has no room for; LMDB has all before it.

        Raises:
            JournalFull: the map is full; nothing was stored.
            JournalFailed: the disk failed; nobody knows what is stored.
        """
        assert self._frozen is None
        assert self.active.last is None
        alone = Memtable()
        alone.take(commit, frame)
        changes, digest = alone.changes(self._digest)
        self.environment.write(changes)
        self._digest = digest


@final
class Worker:
    """A thread that does one thing at a time and answers by one call in the loop."""

    def __init__(self, name: str) -> None:
        self._token: Final = trio.lowlevel.current_trio_token()
        self._work: Callable[[], object] | None = None
        self._finish: Callable[[], object] = _nothing
        # A lock as a semaphore: it wakes faster than threading's own.
        self._wake: Final = threading.Lock()
        self._wake.acquire()
        self._thread: Final = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def begin(self, work: Callable[[], object], finish: Callable[[], object]) -> None:
        """Do `work`, which raises nothing, then call `finish` in the loop."""
        self._work, self._finish = work, finish
        self._wake.release()

    def stop(self) -> None:
        """End the thread, which has nothing to do."""
        self._work = None
        self._wake.release()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wake.acquire()
            if self._work is None:
                return
            self._work()
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._finish)


def _nothing() -> None:
    pass
