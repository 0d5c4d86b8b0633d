"""Layers over LMDB read like one table that has had every change."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow import codec
from ironflow.errors import JournalDamaged
from ironflow.journal.lmdb import checkpoint, keys
from ironflow.journal.lmdb._lmdb import Environment, open_environment
from ironflow.journal.lmdb.checkpoint import Committed, Memtable
from ironflow.journal.lmdb.layers import Layer, Layered, Overlay, Tail
from ironflow.journal.lmdb.wal import Commit, seal
from ironflow.records import Draft, Entry, StepCompleted
from ironflow.testing.checks_scene import encoded

RUN = b"\0\0" + b"r" * keys.RUN_BYTES
OTHER = b"\0\0" + b"s" * keys.RUN_BYTES
KEYS = st.binary(min_size=1, max_size=3)
CHANGES = st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=2)), max_size=12)
COMMITS = st.lists(CHANGES, max_size=4)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterable[Environment]:
    environment = open_environment(
        tmp_path_factory.mktemp("store"), keys.TABLES, map_bytes=1 << 30, make=True
    )
    yield environment
    environment.close()


def clear(store: Environment) -> None:
    with store.snapshot() as snapshot:
        gone = {
            table: dict.fromkeys(key for key, _ in snapshot.scan(table, b""))
            for table in (keys.INBOX, keys.LOG)
        }
    store.write(gone)


def layer_of(commits: list[list[tuple[bytes, bytes | None]]]) -> Layer:
    """A layer that took some commits, and was scanned after each."""
    layer = Layer()
    for number, changes in enumerate(commits):
        layer.take({keys.INBOX: dict(changes)} if changes else {}, {})
        if number % 2:
            list(layer.scan(keys.INBOX, b"", b"") or ())
    return layer


@given(
    stored=st.dictionaries(KEYS, st.binary(max_size=2)),
    frozen=COMMITS,
    active=COMMITS,
    own=CHANGES,
    place=st.tuples(st.binary(max_size=1), KEYS),
    again=CHANGES,
)
def test_layers_read_like_a_dict_that_had_every_change(
    store: Environment,
    *,
    stored: dict[bytes, bytes],
    frozen: list[list[tuple[bytes, bytes | None]]],
    active: list[list[tuple[bytes, bytes | None]]],
    own: list[tuple[bytes, bytes | None]],
    place: tuple[bytes, bytes],
    again: list[tuple[bytes, bytes | None]],
) -> None:
    clear(store)
    store.write({keys.INBOX: dict(stored)})
    model: dict[bytes, bytes | None] = {**stored}
    for changes in (*frozen, *active, own):
        model.update(changes)
    layers = (layer_of(active), layer_of(frozen))

    with Overlay(store, layers) as overlay:
        change(overlay, own)
        check(overlay, model, *place)
        change(overlay, again)  # now in a table that was scanned
        model.update(again)
        check(overlay, model, *place)


def change(overlay: Overlay, changes: list[tuple[bytes, bytes | None]]) -> None:
    for key, value in changes:
        if value is None:
            overlay.delete(keys.INBOX, key)
        else:
            overlay.put(keys.INBOX, key, value)


def check(
    tables: Layered, model: dict[bytes, bytes | None], prefix: bytes, end: bytes
) -> None:
    there = sorted((key, value) for key, value in model.items() if value is not None)
    place = prefix + end
    within = [row for row in there if row[0].startswith(prefix)]
    assert list(tables.scan(keys.INBOX, prefix, start=place)) == [
        row for row in within if row[0] >= place
    ]
    assert list(tables.scan(keys.INBOX, prefix)) == within
    assert tables.rows(keys.INBOX, prefix) == within
    assert list(tables.scan_back(keys.INBOX, prefix, before=place)) == [
        row for row in reversed(within) if row[0] < place
    ]
    last = [key for key, _ in within if key < prefix + b"\xff" * 2]
    assert tables.last_key(keys.INBOX, prefix, width=2) == (last[-1] if last else None)
    for key, value in model.items():
        assert tables.get(keys.INBOX, key) == value


def test_a_layer_counts_rows_once() -> None:
    layer = Layer()
    assert not layer

    layer.take({keys.INBOX: {b"a": b"1", b"b": None}}, {RUN: Tail(1, [b"x"])})
    layer.take({keys.INBOX: {b"b": b"2", b"c": b"3"}}, {RUN: Tail(2, [b"y"])})
    list(layer.scan(keys.INBOX, b"", b"") or ())
    layer.take({keys.INBOX: {b"c": None, b"d": b"4"}}, {})

    assert layer.rows == 5
    assert list(layer.scan(keys.INBOX, b"", b"") or ()) == [
        (b"a", b"1"),
        (b"b", b"2"),
        (b"d", b"4"),
    ]
    assert layer.tails[RUN] == Tail(1, [b"x", b"y"])


# --- histories ------------------------------------------------------------------


def history(length: int) -> list[Entry]:
    entries: list[Entry] = []
    digest = codec.chain_start("default", "run")
    for number in range(1, length + 1):
        draft = Draft(StepCompleted(id=f"s:{number}"), encoded("x" * (number % 40)))
        entry, _ = codec.seal(draft, sequence=number, recorded_at=1, previous=digest)
        digest = entry.digest
        entries.append(entry)
    return entries


def stored_of(entries: list[Entry]) -> list[bytes]:
    return [*map(codec.encode, entries)]


def tails(entries: list[Entry], sizes: list[int]) -> list[Tail]:
    """The records cut into tails of these sizes."""
    found, at = list[Tail](), 0
    for size in sizes:
        found.append(Tail(at + 1, stored_of(entries[at : at + size])))
        at += size
    return found


SIZES = st.lists(st.integers(1, 6), max_size=4)


@given(
    stored=SIZES,
    frozen=SIZES,
    active=SIZES,
    own=SIZES,
    page=st.tuples(st.integers(0, 100), st.integers(1, 100)),
    records_max=st.integers(1, 7),
    bytes_max=st.integers(1, 300),
)
def test_a_history_over_layers_reads_like_a_list(
    store: Environment,
    *,
    stored: list[int],
    frozen: list[int],
    active: list[int],
    own: list[int],
    page: tuple[int, int],
    records_max: int,
    bytes_max: int,
) -> None:
    clear(store)
    sizes = [*stored, *frozen, *active, *own]
    entries = history(sum(sizes))
    cut = tails(entries, sizes)
    ends = [len(stored), len(stored) + len(frozen), len(sizes) - len(own)]
    for tail in cut[: ends[0]]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoint, "PAGE_RECORDS", records_max)
            patch.setattr(checkpoint, "PAGE_BYTES", bytes_max)
            checkpointed(store, [tail])
    layers = layer_with(cut[ends[1] : ends[2]]), layer_with(cut[ends[0] : ends[1]])
    after, limit = page

    with Overlay(store, layers) as overlay:
        for tail in cut[ends[2] :]:
            overlay.append(RUN, copy_of(tail))

        assert overlay.length(RUN) == len(entries)
        assert overlay.length(OTHER) == 0
        found = overlay.records(RUN, after=after, limit=limit)
        assert stored_of(found) == stored_of(entries[after : after + limit])
        assert not overlay.records(OTHER, after=0, limit=9)
        above = cut[ends[0] :]
        assert overlay.tails() == ([RUN] if above else [])
        rest, length = list[bytes](), sum(stored)
        while more := overlay.tail(RUN, after=length):
            rest += more
            length += len(more)
        assert rest == [data for tail in above for data in tail.records]


def copy_of(tail: Tail) -> Tail:
    """A tail of its own: layers keep what they are given, and let it grow."""
    return Tail(tail.first, [*tail.records])


def layer_with(tails: list[Tail]) -> Layer:
    layer = Layer()
    for tail in tails:
        layer.take({}, {RUN: copy_of(tail)})
    return layer


def checkpointed(store: Environment, tails: list[Tail]) -> None:
    memtable = Memtable()
    for number, tail in enumerate(tails, 1):
        commit = Commit(number, 0, [], [], {RUN: tail}, {})
        memtable.take(commit, seal(commit, after=b""))
    store.write(memtable.changes(b"")[0])


def test_a_gap_in_a_history_is_damage(store: Environment) -> None:
    clear(store)
    [first, _, last] = tails(history(6), [2, 2, 2])
    checkpointed(store, [first])

    with (
        Layered(store, (layer_with([last]),)) as layered,
        pytest.raises(JournalDamaged, match="lacks a record between 1 and 4"),
    ):
        layered.records(RUN, after=0, limit=9)


def test_a_checkpoint_beside_readers_changes_nothing_for_them(
    store: Environment,
) -> None:
    """LMDB has the rows already, and the layer is still there."""
    clear(store)
    committed = Committed(store, digest=b"")
    [tail] = tails(history(4), [4])
    commit = Commit(1, 0, [], [], {RUN: tail}, {keys.INBOX: {b"a": b"1", b"b": None}})
    committed.active.take(commit, seal(commit, after=b""))
    committed.freeze()

    committed.write()
    with committed.snapshot() as written:
        before = dict(written.scan(keys.INBOX, b"")), written.length(RUN)
        records = stored_of(written.records(RUN, after=1, limit=2))
    committed.thaw()

    with committed.snapshot() as thawed:
        assert before == (dict(thawed.scan(keys.INBOX, b"")), thawed.length(RUN))
        assert records == stored_of(thawed.records(RUN, after=1, limit=2))
    assert records == stored_of(history(4)[1:3])
    assert before == ({b"a": b"1"}, 4)
