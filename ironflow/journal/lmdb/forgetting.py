"""Takes what was redacted out of the files of a store that nobody has open.

A redaction changes what is read. The bytes that were there are still in pages of LMDB that
became free, in what is left of pages that were changed, in the log, and in values of
segments to which no row refers any more. `compacting` calls this: it copies what is
there, row by row, into a new file that never held anything else.
"""

import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ironflow.errors import JournalDamaged, JournalNewer
from ironflow.journal.lmdb import keys, migrate, opening, segments, wal
from ironflow.journal.lmdb._lmdb import MAP_BYTES_MAX, Environment, open_environment

_CLEAN: Final = f"{opening.DATA}.clean"  # a directory, while it is made
_BYTES: Final = 4 * 1024 * 1024  # written at once


@dataclass(slots=True)
class Forgotten:
    """Segments that nothing needs any more, and files that could not be made clean."""

    unused: list[int] = field(default_factory=list[int])
    left: list[str] = field(default_factory=list[str])


def is_redacted(store: Environment) -> bool:
    """Say whether payloads were ever taken away from a store."""
    with store.snapshot() as snapshot:
        layout = snapshot.get(keys.META, keys.FORMAT_KEY) or b""
    return keys.to_number(layout) >= keys.LAYOUT_REDACTED


# --- segments -------------------------------------------------------------------------


def rewrite_segments(directory: Path, store: Environment) -> Forgotten:
    """Write each segment anew in which something lies that nothing refers to.

    The rows of LMDB refer to the new one when this returns, durably. The old ones are in
    `Forgotten.unused`: they may go when nobody reads what was there before.

    Raises:
        JournalFull: the map is full; nothing was changed by that segment.
        OSError: the disk failed, or is full.
    """
    forgotten = Forgotten()
    segments.drop_parts(directory)
    for number in segments.numbers(directory):
        path = segments.path_of(directory, number)
        try:
            live, is_whole = _live(store, number, segments.read_index(path))
            if live and not is_whole:
                _rewrite(directory, store, live)
        except (JournalDamaged, JournalNewer):
            forgotten.left.append(f"{segments.FOLDER}/{path.name}")
            continue
        if not is_whole:
            forgotten.unused.append(number)
    if (directory / migrate.KEPT).exists():
        forgotten.left.append(migrate.KEPT)
    return forgotten


_Rows = list[tuple[bytes, bytes]]


def _live(
    store: Environment, number: int, index: list[segments.Indexed]
) -> tuple[_Rows, bool]:
    """Return the rows that refer to a segment, and whether they are for all of it."""
    found: _Rows = []
    with store.snapshot() as snapshot:
        for each in index:
            key = each.run + keys.number(each.last)
            data = snapshot.get(keys.LOG, key)
            if data is None or not segments.is_place(data):
                continue
            place = segments.PLACE.decode(data)
            if (place.segment, place.at) == (number, each.at):
                found.append((key, data))
    return found, len(found) == len(index)


def _rewrite(directory: Path, store: Environment, live: _Rows) -> None:
    """Write a segment with these values, then let the rows refer to it."""
    with store.snapshot() as snapshot:
        store_id = snapshot.get(keys.META, keys.STORE_KEY) or b""
        last = keys.to_number(snapshot.get(keys.META, keys.SEGMENT_KEY) or b"")
    number = max([last, *segments.numbers(directory)]) + 1
    places: dict[bytes, bytes | None] = {}
    with segments.SegmentWriter(
        directory,
        number,
        store_id=store_id,
        environment=live[0][0][: keys.ENVIRONMENT_BYTES],
    ) as writer:
        for key, data in live:
            run, last_record = key[: -keys.NUMBER_BYTES], key[-keys.NUMBER_BYTES :]
            places[key] = writer.add(
                run,
                segments.read_page(directory, data),
                last=keys.to_number(last_record),
                kept=segments.kept(data),
            )
        writer.end()
    meta: dict[bytes, bytes | None] = {keys.SEGMENT_KEY: keys.number(number)}
    store.write({keys.LOG: places, keys.META: meta})


# --- LMDB -----------------------------------------------------------------------------


@contextmanager
def clean(directory: Path, store: Environment) -> Generator[Environment]:
    """Give a store with the same rows, in a file that never held others; then drop it.

    Raises:
        JournalFailed: the disk failed, or is full.
    """
    making = directory / _CLEAN
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o700)
    try:
        copy = open_environment(
            making, keys.TABLES, map_bytes=MAP_BYTES_MAX, make=True, sync=False
        )
        try:
            for changes in _all_rows(store):
                copy.write(changes)
            yield copy
        finally:
            copy.close()
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _all_rows(store: Environment) -> Iterator[dict[str, dict[bytes, bytes | None]]]:
    with store.snapshot() as snapshot:
        for table in keys.TABLES:
            for rows in _parts(snapshot.scan(table, b"")):
                yield {table: rows}


def _parts(
    scanned: Iterator[tuple[bytes, bytes]],
) -> Iterator[dict[bytes, bytes | None]]:
    rows: dict[bytes, bytes | None] = {}
    size = 0
    for key, value in scanned:
        rows[key] = value
        size += len(key) + len(value)
        if size >= _BYTES:
            yield rows
            rows, size = {}, 0
    if rows:
        yield rows


# --- the log --------------------------------------------------------------------------


def renew_log(directory: Path) -> None:
    """Put a log without frames in the place of one of which LMDB has everything.

    Raises:
        OSError: the disk failed, or is full; the old one is still there.
    """
    path = directory / wal.NAME
    found = wal.WalFile(path)
    found.close()
    wal.make(path, store_id=found.store_id, half_bytes=found.half_bytes)
    opening.sync(directory)
