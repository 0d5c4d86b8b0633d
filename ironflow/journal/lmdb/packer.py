"""Moves histories of runs that ended long ago out of LMDB, into segments.

What takes time is done in a thread: to find the runs, to read and compress them, to make
a segment durable. Then commits, small ones among the others, put places in the stead of
pages. Nothing has to be undone after a crash: a segment to which nothing refers is
deleted by the next round, and whatever was not swapped is packed again.
"""

import errno
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, TypeVar, final

import trio

from ironflow import limits
from ironflow.errors import JournalDamaged, JournalError, JournalFull, JournalNewer
from ironflow.journal.base import CLOSED, RunRow
from ironflow.journal.lmdb import keys, opening, rows, segments
from ironflow.journal.lmdb._lmdb import Environment, Snapshot
from ironflow.journal.lmdb.layers import Overlay
from ironflow.journal.lmdb.packed import (
    Packed,
    Rests,
    RunPacker,
    StoppedError,
    Todo,
    swap,
)

log: Final = logging.getLogger("ironflow.journal")

Change = Callable[[Overlay], None]
Submit = Callable[[Change], Awaitable[int]]
"""Commits a change of the store's own; returns the number of the newest commit."""

_RUNS_READ_MAX: Final = 64  # with one snapshot
_UNLINK_TRIES: Final = 20
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Found = TypeVar("Found")


class Group(NamedTuple):
    """Runs that are likely to be deleted together: how long they are kept, day of end."""

    retention_us: int
    day: int


@dataclass(slots=True)
class _Batch:
    """Runs of one group, how many records they have, and which have changed meanwhile."""

    todo: deque[Todo] = field(default_factory=deque[Todo])
    records: int = 0
    changed: set[bytes] = field(default_factory=set[bytes])


@dataclass(frozen=True, slots=True)
class Wanted:
    """What shall be packed: runs that ended before a time, 0 for none.

    `retentions` are those of functions. `go_on` is asked from another thread, often.
    """

    ended_before: int
    retentions: Mapping[str, int]
    go_on: Callable[[], bool]


@final
class Packer:
    """Packs for the owner of a journal, in one environment of it."""

    def __init__(
        self, store: Environment, directory: Path, *, environment: int, submit: Submit
    ) -> None:
        self._store: Final = store
        self._directory: Final = directory
        self._prefix: Final = keys.environment_prefix(environment)
        self._submit: Final = submit
        self._lock: Final = trio.Lock()
        self._threads: Final = trio.CapacityLimiter(1)
        self._closing = False
        self._swapped = 0  # number of the last commit that swapped something
        self._known: Final[dict[int, bytes]] = {}  # a row that refers, by segment

    async def pack(self, wanted: Wanted) -> None:
        """Make a round: delete segments that nobody needs, pack what is wanted.

        Raises:
            JournalFull: there is no room for a segment; nothing was changed by it.
            JournalError: a segment cannot be written, or LMDB not be read.
        """
        async with self._lock:
            if not self._is_caught_up():
                return  # in LMDB stands what was packed before: a checkpoint comes
            rests = Rests(lambda: wanted.go_on() and not self._closing)
            try:
                await self._in_thread(self._unlink, rests)
                if wanted.ended_before:
                    await self._pack(wanted, rests)
            except StoppedError:
                return

    async def close(self) -> None:
        """End what is under way."""
        self._closing = True
        with trio.CancelScope(shield=True):
            await self._lock.acquire()  # for ever: nothing begins any more

    def _is_caught_up(self) -> bool:
        with self._store.snapshot() as snapshot:
            return opening.last_commits(snapshot).number >= self._swapped

    async def _in_thread(self, work: Callable[[Rests], Found], rests: Rests) -> Found:
        try:
            return await trio.to_thread.run_sync(work, rests, limiter=self._threads)
        except OSError as error:
            kind = JournalFull if error.errno in _NO_ROOM else JournalError
            folder = self._directory / segments.FOLDER
            raise kind(
                f"no segment can be written in {folder} ({error}); histories stay in"
                " the store meanwhile. Make room or repair the disk"
            ) from error

    async def _pack(self, wanted: Wanted, rests: Rests) -> None:
        start = self._prefix
        while start:
            found, start = await self._in_thread(
                partial(self._find, wanted, start), rests
            )
            for batch in found:
                while batch.todo:
                    await self._pack_some(batch, rests)

    async def _pack_some(self, batch: _Batch, rests: Rests) -> None:
        """Write one segment, and let LMDB refer to it."""
        packed = await self._in_thread(partial(self._write, batch.todo), rests)
        for some in _commits(packed):
            if self._closing:
                raise StoppedError
            change = partial(_swap_all, some, batch.changed)
            self._swapped = await self._submit(change)

    # --- in a thread: what there is to pack ---------------------------------------------

    def _find(
        self, wanted: Wanted, start: bytes, rests: Rests
    ) -> tuple[list[_Batch], bytes]:
        """Return batches of runs that are worth a segment, and where to look on."""
        groups: dict[Group, _Batch] = {}
        next_start = b""
        ended = self._ended(wanted.ended_before, start, rests)
        for count, (key, row, length) in enumerate(ended, 1):
            retention_us = wanted.retentions.get(row.function_id, 0)
            group = Group(retention_us, row.ended_at // keys.DAY_US)
            batch = groups.setdefault(group, _Batch())
            batch.todo.append(Todo(key, length))
            batch.records += length
            if count == limits.PACKED_RUNS_PER_ROUND_MAX:
                next_start = key + b"\0"
                break
        over = wanted.ended_before // keys.DAY_US  # days before it bring no more runs
        worth = [
            batch
            for group, batch in sorted(groups.items())
            if group.day < over or batch.records >= limits.SEGMENT_RECORDS_MIN
        ]
        return worth, next_start

    def _ended(
        self, before: int, start: bytes, rests: Rests
    ) -> Iterator[tuple[bytes, RunRow, int]]:
        """Yield runs that ended before a time and have pages in LMDB, by their keys."""
        while start:
            with self._store.snapshot() as snapshot:
                scanned = snapshot.scan(keys.RUNS, self._prefix, start=start)
                page = list(islice(scanned, _RUNS_READ_MAX))
                found = [*_worth(snapshot, page, before)]
            rests()
            yield from found
            start = page[-1][0] + b"\0" if len(page) == _RUNS_READ_MAX else b""

    # --- in a thread: a segment -----------------------------------------------------------

    def _write(self, todo: deque[Todo], rests: Rests) -> list[Packed]:
        """Write the next segment; return what LMDB shall be told."""
        number, store_id = self._next_number()
        found: list[Packed] = []
        with segments.SegmentWriter(
            self._directory,
            number,
            store_id=store_id,
            environment=self._prefix,
        ) as writer:
            packer = RunPacker(self._store, writer, rests)
            while todo and not packer.is_full:
                found.extend(_packed(packer, todo[0]))
                if todo[0].is_done:
                    todo.popleft()
            if found:
                writer.end()
        return found

    def _next_number(self) -> tuple[int, bytes]:
        """Return a number that no segment has had, and the id of the store."""
        with self._store.snapshot() as snapshot:
            last = keys.to_number(snapshot.get(keys.META, keys.SEGMENT_KEY) or b"")
            store_id = snapshot.get(keys.META, keys.STORE_KEY) or b""
        return max([last, *segments.numbers(self._directory)]) + 1, store_id

    # --- in a thread: segments that nobody needs --------------------------------------------

    def _unlink(self, rests: Rests) -> None:
        """Delete half-written segments, and those to which nothing refers."""
        segments.drop_parts(self._directory)
        unused = [
            number
            for number in segments.numbers(self._directory)
            if not self._is_used(number, rests)
        ]
        for _ in range(_UNLINK_TRIES if unused else 0):
            with self._store.snapshot() as snapshot:
                may_go = self._store.is_seen_by_all(snapshot)
            if may_go:
                break
            rests()
        else:
            return  # somebody reads what was there before: another round will do
        for number in unused:
            segments.unlink(self._directory, number)
            self._known.pop(number, None)

    def _is_used(self, number: int, rests: Rests) -> bool:
        """Say whether a row of LMDB refers to a segment, or it cannot be told."""
        known = self._known.get(number)
        if known is not None and self._refers(known, number):
            return True
        try:
            index = segments.read_index(segments.path_of(self._directory, number))
        except (JournalDamaged, JournalNewer, OSError):
            return True
        for each in index:
            rests()
            key = each.run + keys.number(each.last)
            if self._refers(key, number):
                self._known[number] = key
                return True
        return False

    def _refers(self, key: bytes, number: int) -> bool:
        with self._store.snapshot() as snapshot:
            data = snapshot.get(keys.LOG, key)
        if data is None or not segments.is_place(data):
            return False
        try:
            return segments.PLACE.decode(data).segment == number
        except JournalDamaged:
            return True  # it may


def _packed(packer: RunPacker, todo: Todo) -> Iterator[Packed]:
    """Pack a run as far as it can be read."""
    try:
        yield from packer.pack(todo)
    except (JournalDamaged, JournalNewer) as error:
        shown = keys.shown_run(todo.run[keys.ENVIRONMENT_BYTES :])
        log.warning("%s is not packed: %s", shown, error)
        todo.is_done = True


def _worth(
    snapshot: Snapshot, page: list[tuple[bytes, bytes]], before: int
) -> Iterator[tuple[bytes, RunRow, int]]:
    """Yield the runs of a page that can be packed, with their lengths."""
    for key, data in page:
        row = _closed(data, before)
        length = 0 if row is None else _unpacked_length(snapshot, key)
        if row is not None and length:
            yield key, row, length


def _closed(data: bytes, before: int) -> RunRow | None:
    """Return the row of a run that ended before a time."""
    try:
        row = rows.RUN.decode(data)
    except JournalDamaged:
        return None  # `verify` tells of it
    return row if row.status in CLOSED and row.ended_at < before else None


def _unpacked_length(snapshot: Snapshot, run: bytes) -> int:
    """Return the length of a history whose last records lie in LMDB, else 0."""
    row = snapshot.last(keys.LOG, run, width=keys.NUMBER_BYTES)
    if row is None or segments.is_place(row[1]):
        return 0
    return keys.to_number(row[0][len(run) :])


def _commits(packed: Sequence[Packed]) -> Iterator[list[Packed]]:
    """Yield what each commit shall swap: so much that no other waits long for it."""
    some: list[Packed] = []
    count = size = 0
    for each in packed:
        count += len(each.gone) + len(each.places)
        size += each.size
        is_much = (
            count > limits.PACKED_ROWS_PER_COMMIT_MAX
            or size > limits.PACKED_BYTES_PER_COMMIT_MAX
        )
        if some and is_much:
            yield some
            some, count, size = [], len(each.gone) + len(each.places), each.size
        some.append(each)
    if some:
        yield some


def _swap_all(packed: Sequence[Packed], changed: set[bytes], overlay: Overlay) -> None:
    """Swap what is still as it was packed; of a run that has changed, nothing more."""
    for each in packed:
        if each.run not in changed and not swap(overlay, each):
            changed.add(each.run)
