"""Packs histories into a segment, and swaps their pages for places in one commit.

A run is read from LMDB, by any thread, while it may change: `swap` decides inside the
transaction whether it is still what was packed, and changes nothing if it is not.
"""

import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from time import perf_counter
from typing import Final, final

import msgspec

from ironflow import codec, limits
from ironflow.errors import JournalDamaged
from ironflow.journal.lmdb import keys, retention, segments
from ironflow.journal.lmdb._lmdb import Environment
from ironflow.journal.lmdb.layers import Overlay

ROWS_READ_MAX: Final = 16  # with one snapshot
# A payload that a run names more often stays in LMDB, where it is stored once.
NAMED_MAX: Final = 2
_SLICE_SECONDS: Final = 0.0005
_REST: Final = 1.0  # how long a thread rests after a slice, against its own time


class StoppedError(Exception):
    """Whoever asked for the work does not want it any more."""


@final
class Rests:
    """Lets others have the interpreter after each slice of work in a thread."""

    def __init__(self, go_on: Callable[[], bool]) -> None:
        self._go_on: Final = go_on
        self._never: Final = threading.Event()
        self._begun = perf_counter()

    def __call__(self) -> None:
        """Rest if the slice is over.

        Raises:
            StoppedError: the work is not wanted any more.
        """
        spent = perf_counter() - self._begun
        if spent < _SLICE_SECONDS:
            return
        if not self._go_on():
            raise StoppedError
        self._never.wait(spent * _REST)
        self._begun = perf_counter()


# None of these is looked at by the collector of garbage, and there may be many.
class Todo(msgspec.Struct, gc=False):
    """A run to be packed: how long its history is, and up to where it has been packed.

    `named` counts the records that are not packed yet by the large payload they name.
    """

    run: bytes
    length: int
    after: int = 0
    named: Counter[bytes] | None = None
    is_done: bool = False


class Packed(msgspec.Struct, frozen=True, gc=False):
    """What one commit changes: rows of pages that go (with CRC-32), and places for them.

    `taken` are digests of payloads that are in segments now wherever the run names them.
    `size` is how many bytes the rows have that go, `more` how many the payloads that
    went along, `packed` how many of the segment stand for both; `records` were packed.
    """

    run: bytes
    length: int
    segment: int
    gone: tuple[tuple[bytes, int], ...] = ()
    places: tuple[tuple[bytes, bytes], ...] = ()
    taken: tuple[bytes, ...] = ()
    size: int = 0
    more: int = 0
    packed: int = 0
    records: int = 0

    @property
    def rows(self) -> int:
        """How many rows a commit changes with it, or looks at."""
        return len(self.gone) + len(self.places) + len(self.taken)


@dataclass(slots=True)
class _Making:
    """What is to become a `Packed`."""

    gone: list[tuple[bytes, int]] = field(default_factory=list[tuple[bytes, int]])
    places: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    taken: list[bytes] = field(default_factory=list[bytes])
    size: int = 0
    more: int = 0
    packed: int = 0
    records: int = 0


# --- into the segment -----------------------------------------------------------------


class _Value:
    """Records on their way into one value of a segment."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.size = 0
        self.kept: dict[bytes, None] = {}

    def add(self, record: bytes) -> None:
        self.records.append(record)
        self.size += len(record)


@final
class RunPacker:
    """Packs one run after the other into a segment that is being written."""

    def __init__(
        self, store: Environment, writer: segments.SegmentWriter, rests: Rests
    ) -> None:
        self._store: Final = store
        self._writer: Final = writer
        self._rests: Final = rests

    @property
    def is_full(self) -> bool:
        """Say whether the segment takes no more; it takes one value at least."""
        values, written = self._writer.values, self._writer.written
        is_long = values >= limits.SEGMENT_VALUES_MAX
        return bool(values) and (is_long or written >= limits.SEGMENT_BYTES_MAX)

    def pack(self, todo: Todo) -> Iterator[Packed]:
        """Yield what commits shall change, until the run or the segment is at its end.

        Raises:
            JournalDamaged: a record or a payload is not there, or not what it should be.
            OSError: the segment cannot be written.
            StoppedError: it is not wanted any more.
        """
        if todo.named is None:
            todo.named = self._count(todo.run)
        value, making = _Value(), _Making()
        for key, page in self._pages(todo.run, todo.after):
            if segments.is_place(page):  # of before the run was retried
                self._put(todo, value, making, last=todo.after)
                value = _Value()
            else:
                value = self._take(todo, value, making, (key, page))
            todo.after = keys.to_number(key[len(todo.run) :])
            if making.places or len(making.gone) >= limits.PACKED_ROWS_PER_COMMIT_MAX:
                self._put(todo, value, making, last=todo.after)
                yield self._made(todo, making)
                value, making = _Value(), _Making()
                if self.is_full:
                    return
        self._put(todo, value, making, last=todo.after)
        if making.gone:
            yield self._made(todo, making)
        todo.is_done = True

    def _made(self, todo: Todo, making: _Making) -> Packed:
        return Packed(
            todo.run,
            todo.length,
            self._writer.number,
            tuple(making.gone),
            tuple(making.places),
            tuple(making.taken),
            making.size,
            making.more,
            making.packed,
            making.records,
        )

    def _take(
        self, todo: Todo, value: _Value, making: _Making, row: tuple[bytes, bytes]
    ) -> _Value:
        """Take a page in; return the value in which the next one goes on."""
        key, page = row
        records = codec.split_page(page)
        first = keys.to_number(key[len(todo.run) :]) - len(records) + 1
        for sequence, record in enumerate(records, first):
            value.add(self._filled(todo, value, making, record))
            self._rests()
            if value.size >= limits.PACKED_BYTES_MIN:
                self._put(todo, value, making, last=sequence)
                value = _Value()
        making.gone.append((key, zlib.crc32(page)))
        making.size += len(page)
        return value

    def _put(self, todo: Todo, value: _Value, making: _Making, *, last: int) -> None:
        """Write a value, if there is something in it."""
        if value.records:
            page = codec.page(value.records)
            kept = tuple(value.kept)
            before = self._writer.written
            place = self._writer.add(todo.run, page, last=last, kept=kept)
            making.packed += self._writer.written - before
            making.records += len(value.records)
            making.places.append((todo.run + keys.number(last), place))
            value.records = []
        self._rests()

    def _filled(
        self, todo: Todo, value: _Value, making: _Making, record: bytes
    ) -> bytes:
        """Return a record with its payload, if that goes along."""
        entry = codec.decode(record)
        if not codec.needs_blob(entry):
            return record
        assert todo.named is not None
        digest = entry.record.payload_digest
        has_room = len(making.taken) < limits.PACKED_PAYLOADS_PER_COMMIT_MAX
        payload = self._payload(todo, digest)
        if payload is None or not has_room:
            value.kept[digest] = None
            return record
        todo.named[digest] -= 1
        if not todo.named[digest]:
            making.taken.append(digest)
            making.more += len(payload)
        return codec.filled(record, payload)

    def _payload(self, todo: Todo, digest: bytes) -> bytes | None:
        """A payload that this run alone has, names seldom, and is not too large."""
        blob = todo.run[: keys.ENVIRONMENT_BYTES] + digest
        size = self._store.size_of(keys.BLOBS, blob)
        if size is None:
            raise JournalDamaged(f"the payload {digest.hex()} is gone")
        assert todo.named is not None
        is_seldom = 0 < todo.named[digest] <= NAMED_MAX
        if size > limits.PACKED_PAYLOAD_BYTES_MAX or not is_seldom:
            return None
        with self._store.snapshot() as snapshot:
            first = blob + bytes(keys.RUN_BYTES)
            found = snapshot.scan(keys.BLOBS, blob, start=first)
            has = [key for key, _ in islice(found, 2)]
            own = blob + todo.run[keys.ENVIRONMENT_BYTES :]
            return snapshot.get(keys.BLOBS, blob) if has == [own] else None

    def _count(self, run: bytes) -> Counter[bytes]:
        """Count which payloads a run names that lie beside its records."""
        found = Counter[bytes]()
        for _, page in self._pages(run, 0):
            self._rests()
            if segments.is_place(page):  # what it names must stay
                found.update(dict.fromkeys(segments.kept(page), NAMED_MAX))
            else:
                found.update(
                    entry.record.payload_digest
                    for entry in codec.decode_page(page)
                    if codec.needs_blob(entry)
                )
        return found

    def _pages(self, run: bytes, after: int) -> Iterator[tuple[bytes, bytes]]:
        """Yield rows of a history, some with each snapshot."""
        start = run + keys.number(after + 1)
        while start:
            with self._store.snapshot() as snapshot:
                scanned = snapshot.scan(keys.LOG, run, start=start)
                page = list(islice(scanned, ROWS_READ_MAX))
            yield from page
            start = page[-1][0] + b"\0" if len(page) == ROWS_READ_MAX else b""


# --- the commit -----------------------------------------------------------------------


def swap(overlay: Overlay, packed: Packed) -> bool:
    """Let places stand for pages; False: the run is not any more what was packed."""
    if not _is_as_packed(overlay, packed):
        return False
    for key, _ in packed.gone:
        overlay.delete(keys.LOG, key)
    for key, place in packed.places:
        overlay.put(keys.LOG, key, place)
    for digest in packed.taken:
        retention.drop_blob(overlay, packed.run, digest)
    overlay.put(keys.META, keys.SEGMENT_KEY, keys.number(packed.segment))
    overlay.raise_layout(keys.LAYOUT_PACKED)
    return True


def _is_as_packed(overlay: Overlay, packed: Packed) -> bool:
    if overlay.get(keys.RUNS, packed.run) is None:
        return False
    if overlay.length(packed.run) != packed.length:
        return False  # it goes on, and may name payloads that were to go
    return all(
        (page := overlay.get(keys.LOG, key)) is not None and zlib.crc32(page) == crc
        for key, crc in packed.gone
    )
