"""Which runs may be packed: they ended before a time, and have pages in LMDB.

The index of runs has them in the order of their ends. So what it costs to find them is
what there is to be packed, and not how many runs there are. Where the index is not of
use yet, the rows of all runs are looked at.
"""

from collections.abc import Callable, Iterator
from itertools import islice, takewhile
from typing import Final, NamedTuple

from ironflow.errors import JournalDamaged
from ironflow.journal.base import CLOSED, RunRow
from ironflow.journal.lmdb import keys, rows, segments
from ironflow.journal.lmdb._lmdb import Environment, Snapshot
from ironflow.journal.lmdb.layers import Layered
from ironflow.journal.lmdb.run_index import RunIndex
from ironflow.journal.lmdb.run_states import ENDED

RUNS_READ_MAX: Final = 64  # with one snapshot


class OldRun(NamedTuple):
    """A run that may be packed: its key, row, and the length of its history."""

    key: bytes
    row: RunRow
    length: int


def old_runs(
    store: Environment,
    index: RunIndex | None,
    prefix: bytes,
    *,
    before: int,
    rest: Callable[[], object],
) -> Iterator[OldRun]:
    """Yield the runs of an environment that ended before a time and are to be packed.

    `rest` is called now and then, on the thread that asks for the next one.
    """
    later = None if index is None else _later(index, store)
    if index is None or later is None:
        pages = _all(store, prefix)
    else:
        pages = _indexed(index, prefix, keys.number(before), later)
    for page in pages:
        with store.snapshot() as snapshot:
            found = [_old(snapshot, key, before) for key in page]
        rest()
        yield from (old for old in found if old is not None)


def _later(index: RunIndex, store: Environment) -> set[bytes] | None:
    """The runs that have changed beyond the index; None: it is of no use."""
    # The index first: nothing in it may be newer than what it stands beside.
    with index.environment.snapshot() as opened, Layered(store, ()) as tables:
        return index.later(opened, tables)


def _indexed(
    index: RunIndex, prefix: bytes, before: bytes, later: set[bytes]
) -> Iterator[list[bytes]]:
    beyond = iter(sorted(key for key in later if key.startswith(prefix)))
    while page := list(islice(beyond, RUNS_READ_MAX)):
        yield page
    start, end = prefix, prefix + before
    while start:
        with index.environment.snapshot() as snapshot:
            found = (key for key, _ in snapshot.scan(ENDED, prefix, start=start))
            some = list(takewhile(end.__gt__, islice(found, RUNS_READ_MAX)))
        own = (prefix + key[-keys.RUN_BYTES :] for key in some)
        yield [key for key in own if key not in later]
        start = some[-1] + b"\0" if len(some) == RUNS_READ_MAX else b""


def _all(store: Environment, prefix: bytes) -> Iterator[list[bytes]]:
    start = prefix
    while start:
        with store.snapshot() as snapshot:
            found = snapshot.scan(keys.RUNS, prefix, start=start)
            page = [key for key, _ in islice(found, RUNS_READ_MAX)]
        yield page
        start = page[-1] + b"\0" if len(page) == RUNS_READ_MAX else b""


def _old(snapshot: Snapshot, key: bytes, before: int) -> OldRun | None:
    """Look at a run as it is now."""
    data = snapshot.get(keys.RUNS, key)
    row = None if data is None else _closed(data, before)
    length = 0 if row is None else _unpacked_length(snapshot, key)
    return OldRun(key, row, length) if row is not None and length else None


def _closed(data: bytes, before: int) -> RunRow | None:
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
