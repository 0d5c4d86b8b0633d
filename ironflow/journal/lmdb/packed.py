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


@dataclass(slots=True)
class Todo:
    """A run to be packed: how long its history is, and up to where it has been packed.

    `named` counts the records that are not packed yet by the large payload they name.
    """

    run: bytes
    length: int
    after: int = 0
    named: Counter[bytes] | None = None
    is_done: bool = False


@dataclass(slots=True)
class Packed:
    """What one commit changes: rows of pages that go (with CRC-32), and places for them.

    `taken` are digests of payloads that are in segments now wherever the run names them.
    `size` is how many bytes the rows have that go.
    """

    run: bytes
    length: int
    segment: int
    gone: list[tuple[bytes, int]] = field(default_factory=list[tuple[bytes, int]])
    places: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    taken: list[bytes] = field(default_factory=list[bytes])
    size: int = 0


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
        value, packed = _Value(), self._new(todo)
        for key, page in self._pages(todo.run, todo.after):
            if segments.is_place(page):  # of before the run was retried
                self._put(todo, value, packed, last=todo.after)
                value = _Value()
            else:
                value = self._take(todo, value, packed, (key, page))
            todo.after = keys.to_number(key[len(todo.run) :])
            if packed.places or len(packed.gone) >= limits.PACKED_ROWS_PER_COMMIT_MAX:
                self._put(todo, value, packed, last=todo.after)
                yield packed
                value, packed = _Value(), self._new(todo)
                if self.is_full:
                    return
        self._put(todo, value, packed, last=todo.after)
        if packed.gone:
            yield packed
        todo.is_done = True

    def _new(self, todo: Todo) -> Packed:
        return Packed(todo.run, todo.length, self._writer.number)

    def _take(
        self, todo: Todo, value: _Value, packed: Packed, row: tuple[bytes, bytes]
    ) -> _Value:
        """Take a page in; return the value in which the next one goes on."""
        key, page = row
        records = codec.split_page(page)
        first = keys.to_number(key[len(todo.run) :]) - len(records) + 1
        for sequence, record in enumerate(records, first):
            value.add(self._filled(todo, value, packed, record))
            if value.size >= limits.PACKED_BYTES_MIN:
                self._put(todo, value, packed, last=sequence)
                value = _Value()
        packed.gone.append((key, zlib.crc32(page)))
        packed.size += len(page)
        return value

    def _put(self, todo: Todo, value: _Value, packed: Packed, *, last: int) -> None:
        """Write a value, if there is something in it."""
        if value.records:
            page = codec.page(value.records)
            kept = tuple(value.kept)
            place = self._writer.add(todo.run, page, last=last, kept=kept)
            packed.places.append((todo.run + keys.number(last), place))
            value.records = []
        self._rests()

    def _filled(
        self, todo: Todo, value: _Value, packed: Packed, record: bytes
    ) -> bytes:
        """Return a record with its payload, if that goes along."""
        entry = codec.decode(record)
        if not codec.needs_blob(entry):
            return record
        assert todo.named is not None
        digest = entry.record.payload_digest
        payload = self._payload(todo, digest)
        if payload is None:
            value.kept[digest] = None
            return record
        todo.named[digest] -= 1
        if not todo.named[digest]:
            packed.taken.append(digest)
        return codec.filled(record, payload)

    def _payload(self, todo: Todo, digest: bytes) -> bytes | None:
        """A payload that this run alone has, and names seldom; else None."""
        blob = todo.run[: keys.ENVIRONMENT_BYTES] + digest
        with self._store.snapshot() as snapshot:
            found = list(islice(snapshot.scan(keys.BLOBS, blob), 3))
        if not found or found[0][0] != blob:
            raise JournalDamaged(f"the payload {digest.hex()} is gone")
        own = blob + todo.run[keys.ENVIRONMENT_BYTES :]
        is_alone = [key for key, _ in found[1:]] == [own]
        is_seldom = todo.named is not None and 0 < todo.named[digest] <= NAMED_MAX
        return found[0][1] if is_alone and is_seldom else None

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
    packing = keys.number(keys.LAYOUT_PACKED)
    if overlay.get(keys.META, keys.FORMAT_KEY) != packing:
        overlay.put(keys.META, keys.FORMAT_KEY, packing)
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
