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
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, TypeVar, final

import trio

from ironflow import limits
from ironflow.errors import JournalDamaged, JournalError, JournalFull, JournalNewer
from ironflow.journal.base import Packing
from ironflow.journal.lmdb import keys, segments
from ironflow.journal.lmdb._lmdb import Environment
from ironflow.journal.lmdb.layers import Overlay
from ironflow.journal.lmdb.old_runs import OldRun, old_runs
from ironflow.journal.lmdb.packed import (
    Packed,
    Rests,
    RunPacker,
    StoppedError,
    Todo,
    swap,
)
from ironflow.journal.lmdb.run_index import RunIndex

log: Final = logging.getLogger("ironflow.journal")

Change = Callable[[Overlay], None]
Submit = Callable[[Change], Awaitable[int]]
"""Commits a change of the store's own; returns the number of the newest commit."""

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

    `retentions` are those of functions. `go_on` is asked from another thread, often. Few
    runs of a day wait until it is over, unless they shall be packed `at_once`.
    """

    ended_before: int
    retentions: Mapping[str, int]
    go_on: Callable[[], bool]
    at_once: bool = False


@final
class Packer:
    """Packs for the owner of a journal, in one environment of it.

    `bring_in` lets LMDB have all that is committed; `index` is that of runs, if any.
    """

    def __init__(
        self,
        store: Environment,
        directory: Path,
        *,
        environment: int,
        submit: Submit,
        bring_in: Callable[[], Awaitable[None]],
        index: Callable[[], RunIndex | None],
    ) -> None:
        self._store: Final = store
        self._directory: Final = directory
        self._prefix: Final = keys.environment_prefix(environment)
        self._submit: Final = submit
        self._bring_in: Final = bring_in
        self._index: Final = index
        self._lock: Final = trio.Lock()
        self._threads: Final = trio.CapacityLimiter(1)
        self._closing = False
        self._known: Final[dict[int, bytes]] = {}  # a row that refers, by segment

    async def pack(self, wanted: Wanted) -> Packing:
        """Make a round: delete segments that nobody needs, pack what is wanted.

        Returns what was packed, unless it was stopped.

        Raises:
            JournalFull: there is no room for a segment; nothing was changed by it.
            JournalError: a segment cannot be written, or LMDB not be read.
        """
        async with self._lock:
            rests = Rests(lambda: wanted.go_on() and not self._closing)
            if wanted.ended_before or segments.numbers(self._directory):
                # What a quiet journal has is in the log, and what was swapped before.
                await self._bring_in()
            with suppress(StoppedError):
                await self._in_thread(self._unlink, rests)
                if wanted.ended_before:
                    return await self._pack(wanted, rests)
        return Packing()

    async def close(self) -> None:
        """End what is under way."""
        self._closing = True
        with trio.CancelScope(shield=True):
            await self._lock.acquire()  # for ever: nothing begins any more

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

    async def _pack(self, wanted: Wanted, rests: Rests) -> Packing:
        packing = Packing()
        old = old_runs(
            self._store,
            self._index(),
            self._prefix,
            before=wanted.ended_before,
            rest=rests,
        )
        is_last = False
        while not is_last:
            find = partial(_find, wanted, old)
            found, is_last = await self._in_thread(find, rests)
            for batch in found:
                while batch.todo:
                    packing += await self._pack_some(batch, rests)
        return packing

    async def _pack_some(self, batch: _Batch, rests: Rests) -> Packing:
        """Write one segment, and let LMDB refer to it."""
        packed = await self._in_thread(partial(self._write, batch.todo), rests)
        for some in _commits(packed):
            if self._closing:
                raise StoppedError
            await self._submit(partial(_swap_all, some, batch.changed))
        swapped = [each for each in packed if each.run not in batch.changed]
        return Packing(
            len({each.run for each in swapped}),
            sum(each.records for each in swapped),
            sum(each.size + each.more for each in swapped),
            sum(each.packed for each in swapped),
        )

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


def _find(
    wanted: Wanted, old: Iterator[OldRun], rests: Rests
) -> tuple[list[_Batch], bool]:
    """Return batches of the next runs that are worth a segment, and whether all is said."""
    groups: dict[Group, _Batch] = {}
    some = 0
    for key, row, length in islice(old, limits.PACKED_RUNS_PER_ROUND_MAX):
        some += 1
        retention_us = wanted.retentions.get(row.function_id, 0)
        group = Group(retention_us, row.ended_at // keys.DAY_US)
        batch = groups.setdefault(group, _Batch())
        batch.todo.append(Todo(key, length))
        batch.records += length
        rests()
    over = wanted.ended_before // keys.DAY_US  # days before it bring no more runs
    worth = [
        batch
        for group, batch in sorted(groups.items())
        if wanted.at_once
        or group.day < over
        or batch.records >= limits.SEGMENT_RECORDS_MIN
    ]
    return worth, some < limits.PACKED_RUNS_PER_ROUND_MAX


def _packed(packer: RunPacker, todo: Todo) -> Iterator[Packed]:
    """Pack a run as far as it can be read."""
    try:
        yield from packer.pack(todo)
    except (JournalDamaged, JournalNewer) as error:
        shown = keys.shown_run(todo.run[keys.ENVIRONMENT_BYTES :])
        log.warning("%s is not packed: %s", shown, error)
        todo.is_done = True


def _commits(packed: Sequence[Packed]) -> Iterator[list[Packed]]:
    """Yield what each commit shall swap: so much that no other waits long for it."""
    some: list[Packed] = []
    count = size = 0
    for each in packed:
        count += each.rows
        size += each.size
        is_much = (
            count > limits.PACKED_ROWS_PER_COMMIT_MAX
            or size > limits.PACKED_BYTES_PER_COMMIT_MAX
        )
        if some and is_much:
            yield some
            some, count, size = [], each.rows, each.size
        some.append(each)
    if some:
        yield some


def _swap_all(packed: Sequence[Packed], changed: set[bytes], overlay: Overlay) -> None:
    """Swap what is still as it was packed; of a run that has changed, nothing more."""
    for each in packed:
        if each.run not in changed and not swap(overlay, each):
            changed.add(each.run)
