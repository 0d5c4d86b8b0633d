"""What was committed of late and is not in LMDB yet, in memory, and views over it.

A commit is durable in the write-ahead log (`wal.py`); its changes wait in a *layer*
until a checkpoint puts them into LMDB, many commits at a time. Who reads looks through
the layers, newest first, down to a snapshot of LMDB. A transaction under way is one
more layer, on top.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from typing import Final, Self, final

import msgspec

from ironflow import codec
from ironflow.errors import JournalDamaged
from ironflow.journal.lmdb import keys, segments
from ironflow.journal.lmdb._lmdb import Environment, Snapshot
from ironflow.records import Entry

# A history that is given with a claim: decoding it must not be felt.
SHORT_BYTES: Final = 8 * 1024
SHORT_RECORDS: Final = 32

_Row = tuple[bytes, bytes]
_Changed = Mapping[bytes, bytes | None]


class Tail(msgspec.Struct, array_like=True, gc=False):
    """Encoded records at the end of a history; `first` is the first one's sequence."""

    first: int
    records: list[bytes]

    @property
    def last(self) -> int:
        """Return the sequence of the last record."""
        return self.first + len(self.records) - 1


@final
class Layer:
    """Changed rows by table and key (None: deleted), and the ends of histories."""

    __slots__ = ("order", "tables", "tails")

    def __init__(self) -> None:
        self.tables: Final[dict[str, dict[bytes, bytes | None]]] = {}
        self.tails: Final[dict[bytes, Tail]] = {}
        # The keys that have values, in order, of tables that were scanned. What is deleted
        # is not among them: a scan must not walk over all that was settled of late.
        self.order: Final[dict[str, list[bytes]]] = {}

    def __bool__(self) -> bool:
        return bool(self.tables or self.tails)

    @property
    def rows(self) -> int:
        """How many rows were changed, and histories became longer."""
        return sum(map(len, self.tables.values())) + len(self.tails)

    def change(self, table: str, key: bytes, value: bytes | None) -> None:
        """Put a row, or with None delete it."""
        changed = self.tables.get(table)
        if changed is None:
            changed = self.tables[table] = {}
        order = self.order.get(table)
        if order is not None:
            _keep_in_order(order, key, before=changed.get(key), after=value)
        changed[key] = value

    def extend(self, run: bytes, tail: Tail) -> None:
        """Add records to the end of a history; the tail is taken as it is."""
        known = self.tails.get(run)
        if known is None:
            self.tails[run] = tail
        else:
            assert tail.first == known.last + 1
            known.records += tail.records

    def touched(self) -> set[bytes]:
        """Return the keys of runs whose row, history or readiness has changed."""
        found = set(self.tails)
        for table in (keys.RUNS, keys.READY):
            found.update(self.tables.get(table, ()))
        packed = self.tables.get(keys.LOG, ())
        found.update(key[: -keys.NUMBER_BYTES] for key in packed)
        return found

    def take(
        self,
        tables: Mapping[str, Mapping[bytes, bytes | None]],
        tails: Mapping[bytes, Tail],
    ) -> None:
        """Take over the changes of a commit that came after those in here."""
        for table, changes in tables.items():
            changed = self.tables.get(table)
            if changed is None:
                self.tables[table] = dict(changes)
            elif table in self.order:
                for key, value in changes.items():
                    self.change(table, key, value)
            else:
                changed.update(changes)
        for run, tail in tails.items():
            self.extend(run, tail)

    def rows_of(self, table: str, prefix: bytes) -> Sequence[_Row]:
        """Return the rows that were put with this prefix, which are few."""
        order = self.order.get(table)
        if order is None:
            order = self._sorted(table)
        at = bisect_left(order, prefix)
        if at == len(order) or not order[at].startswith(prefix):  # as mostly
            return ()
        return list(_onwards(order, self.tables[table], prefix, at))

    def scan(self, table: str, prefix: bytes, start: bytes) -> Iterator[_Row] | None:
        """Return rows that were put with this prefix, in order, from `start` on.

        None: there are none.
        """
        order = self._sorted(table)
        at = bisect_left(order, max(prefix, start))
        if at == len(order) or not order[at].startswith(prefix):
            return None
        return _onwards(order, self.tables[table], prefix, at)

    def scan_back(
        self, table: str, prefix: bytes, before: bytes
    ) -> Iterator[_Row] | None:
        """Return rows that were put with this prefix before `before`, last first.

        None: there are none.
        """
        order = self._sorted(table)
        at = bisect_left(order, before) - 1
        if at < 0 or not order[at].startswith(prefix):
            return None
        return _backwards(order, self.tables[table], prefix, at)

    def _sorted(self, table: str) -> list[bytes]:
        """The keys of a table in order: made when first asked for, then kept."""
        order = self.order.get(table)
        if order is None:
            changed = self.tables.get(table)
            if not changed:
                return []
            order = sorted(key for key, value in changed.items() if value is not None)
            self.order[table] = order
        return order


def _onwards(
    order: list[bytes], changed: _Changed, prefix: bytes, at: int
) -> Iterator[_Row]:
    while at < len(order) and order[at].startswith(prefix):
        key = order[at]
        if (value := changed[key]) is not None:
            yield key, value
        at += 1


def _backwards(
    order: list[bytes], changed: _Changed, prefix: bytes, at: int
) -> Iterator[_Row]:
    while at >= 0 and order[at].startswith(prefix):
        key = order[at]
        if (value := changed[key]) is not None:
            yield key, value
        at -= 1


def _keep_in_order(
    order: list[bytes], key: bytes, *, before: bytes | None, after: bytes | None
) -> None:
    if before is None and after is not None:
        insort(order, key)
    elif before is not None and after is None:
        del order[bisect_left(order, key)]


class Layered:
    """Rows as the layers above a snapshot have left them; `with` closes the snapshot.

    The snapshot is opened when a read first needs it. Like any snapshot it must not
    be kept over an await: then layers may have gone into LMDB.
    """

    __slots__ = ("_environment", "_layers", "_opened")

    def __init__(
        self,
        environment: Environment,
        layers: tuple[Layer, ...],
        *,
        opened: Snapshot | None = None,
    ) -> None:
        self._environment: Final = environment
        self._layers: Final = layers  # newest first
        self._opened = opened

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: object, error: BaseException | None, where: object
    ) -> None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            opened.__exit__(kind, error, where)

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return the value of a key."""
        for layer in self._layers:
            changed = layer.tables.get(table)
            if changed is not None and key in changed:
                return changed[key]
        return self._snapshot().get(table, key)

    def scan(
        self, table: str, prefix: bytes, *, start: bytes = b""
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield rows with this prefix in order, from `start` on.

        Rows may be changed only after the last one was taken.
        """
        stored = self._snapshot().scan(table, prefix, start=start)
        changed = [layer for layer in self._layers if table in layer.tables]
        if not changed:  # as mostly
            return stored
        put = [layer.scan(table, prefix, start) for layer in changed]
        sources = _visible(table, changed, put, stored)
        return sources[0] if len(sources) == 1 else merge(*sources)

    def scan_back(
        self, table: str, prefix: bytes, *, before: bytes
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield rows with this prefix whose keys come before `before`, last first."""
        stored = self._snapshot().scan_back(table, prefix, before=before)
        changed = [layer for layer in self._layers if table in layer.tables]
        if not changed:
            return stored
        put = [layer.scan_back(table, prefix, before) for layer in changed]
        sources = _visible(table, changed, put, stored)
        return sources[0] if len(sources) == 1 else merge(*sources, reverse=True)

    def rows(self, table: str, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return the rows with this prefix, which are few, in order."""
        found = self._snapshot().rows(table, prefix)
        newer: tuple[_Changed, ...] = ()
        put: list[_Row] = []
        for layer in self._layers:
            changed = layer.tables.get(table)
            if changed is None:
                continue
            own = layer.rows_of(table, prefix)
            if own:
                put += _not_in(newer, iter(own)) if newer else own
            newer = (*newer, changed)
        if found and newer:
            found = list(_not_in(newer, iter(found)))
        return sorted(found + put) if put else found

    def last_key(self, table: str, prefix: bytes, *, width: int) -> bytes | None:
        """Return the last key that is the prefix and `width` bytes more."""
        end = prefix + b"\xff" * width
        return next((key for key, _ in self.scan_back(table, prefix, before=end)), None)

    def length(self, run: bytes) -> int:
        """Return the length of a history."""
        for layer in self._layers:
            tail = layer.tails.get(run)
            if tail is not None:
                return tail.last
        key = self._snapshot().last_key(keys.LOG, run, width=keys.NUMBER_BYTES)
        return 0 if key is None else keys.to_number(key[len(run) :])

    def records(self, run: bytes, *, after: int, limit: int) -> list[Entry]:
        """Return records `after+1 .. after+limit` as they are stored, in order.

        Raises:
            JournalDamaged: a record is no record, or one is missing.
        """
        tails = [
            tail
            for layer in reversed(self._layers)
            if (tail := layer.tails.get(run)) is not None
        ]
        entries: list[Entry] = []
        if not tails or tails[0].first > after + 1:
            entries = self._stored(run, after=after, limit=limit)
        for tail in tails:
            skipped = max(0, after + len(entries) + 1 - tail.first)
            room = limit - len(entries)
            data = tail.records[skipped : skipped + room]
            entries += map(codec.decode, data)
        if entries and entries[-1].record.sequence != after + len(entries):
            raise JournalDamaged(
                f"{keys.shown_run(run[keys.ENVIRONMENT_BYTES :])} lacks a record between"
                f" {after + 1} and {after + len(entries)}; 'ironflow verify' shows what"
                " else is damaged"
            )
        return entries

    def with_payload(self, run: bytes, entry: Entry) -> Entry:
        """Return an entry of a run with its payload, which may lie beside its record.

        Raises:
            JournalDamaged: the payload is gone.
        """
        if entry.payload or not codec.needs_blob(entry):
            return entry
        record = entry.record
        blob = run[: keys.ENVIRONMENT_BYTES] + record.payload_digest
        payload = self.get(keys.BLOBS, blob)
        if payload is None:
            raise JournalDamaged(
                f"the payload of record {record.sequence} is gone; 'ironflow verify'"
                " shows what else is damaged"
            )
        return Entry(entry.format, record, entry.digest, payload)

    def short_records(self, run: bytes) -> tuple[int, list[Entry]]:
        """Return the length of a history, and its records if they are few.

        None of a history of more than `SHORT_BYTES` or `SHORT_RECORDS`. They cost
        hardly more than the length.

        Raises:
            JournalDamaged: a record is no record.
        """
        tails = [
            tail
            for layer in reversed(self._layers)
            if (tail := layer.tails.get(run)) is not None
        ]
        if tails:
            few = tails[0].first == 1 and tails[-1].last <= SHORT_RECORDS
            data = [record for tail in tails for record in tail.records] if few else []
            if sum(map(len, data)) > SHORT_BYTES:
                data = []
            return tails[-1].last, list(map(codec.decode, data))
        row = self._snapshot().last(keys.LOG, run, width=keys.NUMBER_BYTES)
        if row is None:
            return 0, []
        length = keys.to_number(row[0][len(run) :])
        is_short = length <= SHORT_RECORDS and len(row[1]) <= SHORT_BYTES
        if not is_short or segments.is_place(row[1]):
            return length, []
        page = codec.decode_page(row[1])
        return length, page if len(page) == length else []

    def _stored(self, run: bytes, *, after: int, limit: int) -> list[Entry]:
        """Records of LMDB: a row holds as many as came with one checkpoint.

        A commit above LMDB may have packed them, and dropped payloads that they name.
        """
        entries: list[Entry] = []
        start = run + keys.number(after + 1)
        for key, data in self.scan(keys.LOG, run, start=start):
            page = codec.decode_page(self.unpacked(data))
            first = keys.to_number(key[len(run) :]) - len(page) + 1
            skipped = max(0, after + len(entries) + 1 - first)
            entries += page[skipped:] if skipped else page
            if len(entries) >= limit:
                return entries[:limit]
        return entries

    def unpacked(self, data: bytes) -> bytes:
        """Return the page in a row of the table of records, which a segment may have.

        Raises:
            JournalDamaged: the segment is not there, or not what was written.
            JournalFailed: the disk failed.
        """
        if not segments.is_place(data):
            return data
        return segments.read_page(self._environment.path, data)

    def touched(self) -> set[bytes]:
        """Return the keys of runs that are not above LMDB as they are in it."""
        found: set[bytes] = set()
        for layer in self._layers:
            found |= layer.touched()
        return found

    def was_deleted(self, table: str, key: bytes) -> bool:
        """Say whether a row was deleted by a commit that LMDB does not have yet."""
        changed = (layer.tables.get(table, {}) for layer in self._layers)
        return any(rows.get(key, b"") is None for rows in changed)

    def was_changed(self, table: str, key: bytes) -> bool:
        """Say whether a row was changed by a commit that LMDB does not have yet."""
        return any(key in layer.tables.get(table, ()) for layer in self._layers)

    def has_tail(self, run: bytes) -> bool:
        """Say whether a run has records above LMDB."""
        return any(run in layer.tails for layer in self._layers)

    def tails(self) -> list[bytes]:
        """Return the keys of runs with records above LMDB, in order."""
        return sorted({run for layer in self._layers for run in layer.tails})

    def tail(self, run: bytes, *, after: int) -> list[bytes]:
        """Return the encoded records above LMDB that one layer has after `after`."""
        for layer in reversed(self._layers):
            tail = layer.tails.get(run)
            if tail is not None and tail.first <= after + 1 <= tail.last:
                return tail.records[after + 1 - tail.first :]
        return []

    def entries(self, table: str) -> int:
        """Return how many rows a table has in LMDB."""
        return self._snapshot().entries(table)

    def _snapshot(self) -> Snapshot:
        if self._opened is None:
            self._opened = self._environment.snapshot()
        return self._opened


def _visible(
    table: str,
    layers: list[Layer],
    put: list[Iterator[_Row] | None],
    stored: Iterator[_Row],
) -> list[Iterator[_Row]]:
    """Leave out of each source what a newer layer has changed: so no key comes twice.

    A layer that put nothing there is no source.
    """
    newer: tuple[_Changed, ...] = ()
    sources: list[Iterator[_Row]] = []
    for layer, source in zip(layers, put, strict=True):
        if source is not None:
            sources.append(_not_in(newer, source) if newer else source)
        newer = (*newer, layer.tables[table])
    return [*sources, _not_in(newer, stored)]


def _not_in(newer: tuple[_Changed, ...], source: Iterator[_Row]) -> Iterator[_Row]:
    if len(newer) == 1:
        [changed] = newer
        return (row for row in source if row[0] not in changed)
    return (row for row in source if not any(row[0] in changed for changed in newer))


@final
class Overlay(Layered):
    """Writes that are decided but not made yet, over what is committed.

    A batch is decided in the event loop, in memory, and made durable afterwards by
    whichever thread is free. A batch that is dropped has changed nothing.
    """

    __slots__ = ("own",)

    def __init__(self, environment: Environment, layers: tuple[Layer, ...]) -> None:
        self.own: Final = Layer()
        super().__init__(environment, (self.own, *layers))

    def put(self, table: str, key: bytes, value: bytes) -> None:
        """Put a value in place of the one before."""
        own = self.own
        if table in own.tables and table not in own.order:  # as `change` does, mostly
            own.tables[table][key] = value
        else:
            own.change(table, key, value)

    def delete(self, table: str, key: bytes) -> None:
        """Delete a key if it is there."""
        own = self.own
        if table in own.tables and table not in own.order:
            own.tables[table][key] = None
        else:
            own.change(table, key, None)

    def append(self, run: bytes, tail: Tail) -> None:
        """Add records to the end of a history."""
        self.own.extend(run, tail)

    def raise_layout(self, layout: int) -> None:
        """Let no older ironflow open the store, which does not know what is in it."""
        if keys.to_number(self.get(keys.META, keys.FORMAT_KEY) or b"") < layout:
            self.put(keys.META, keys.FORMAT_KEY, keys.number(layout))
