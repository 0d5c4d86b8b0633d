"""The parts that stand on nothing: overlay, head file, keys."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow.errors import JournalFull, JournalOwned, RunNotFound
from ironflow.journal.lmdb import _lmdb, keys
from ironflow.journal.lmdb.head import HEAD_BYTES, Head, frame, parse
from ironflow.journal.lmdb.overlay import Overlay

KEYS = st.binary(min_size=1, max_size=3)
CHANGES = st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=2)), max_size=30)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterable[_lmdb.Environment]:
    environment = _lmdb.open_environment(
        tmp_path_factory.mktemp("store"), keys.TABLES, map_bytes=1 << 30, make=True
    )
    yield environment
    environment.close()


@given(
    stored=st.dictionaries(KEYS, st.binary(max_size=2)),
    changes=CHANGES,
    place=st.tuples(st.binary(max_size=1), KEYS),
)
def test_an_overlay_reads_like_the_store_after_the_write(
    store: _lmdb.Environment,
    stored: dict[bytes, bytes],
    changes: list[tuple[bytes, bytes | None]],
    place: tuple[bytes, bytes],
) -> None:
    clear(store)
    store.write({keys.INBOX: dict(stored)})
    expected: dict[bytes, bytes | None] = {**stored}
    expected.update(changes)
    prefix, start = place[0], place[0] + place[1]
    with store.snapshot() as snapshot:
        overlay = Overlay(snapshot)
        change(overlay, changes)
        seen = list(overlay.scan(keys.INBOX, prefix, start=start))
        for key, value in expected.items():
            assert overlay.get(keys.INBOX, key) == value
    store.write(overlay.changes)

    with store.snapshot() as snapshot:
        assert seen == list(snapshot.scan(keys.INBOX, prefix, start=start))
        assert dict(snapshot.scan(keys.INBOX, b"")) == {
            key: value for key, value in expected.items() if value is not None
        }


def change(overlay: Overlay, changes: list[tuple[bytes, bytes | None]]) -> None:
    for key, value in changes:
        if value is None:
            overlay.delete(keys.INBOX, key)
        else:
            overlay.put(keys.INBOX, key, value)


def clear(store: _lmdb.Environment) -> None:
    with store.snapshot() as snapshot:
        gone = [key for key, _ in snapshot.scan(keys.INBOX, b"")]
    store.write({keys.INBOX: dict.fromkeys(gone)})


def test_ends_of_tables_are_ends_of_scans(store: _lmdb.Environment) -> None:
    store.write({keys.LOG: {b"a\x01": b"1", b"b": b"2", b"\xff\xfe": b"3"}})
    with store.snapshot() as snapshot:
        assert snapshot.last_key(keys.LOG, b"a", width=1) == b"a\x01"
        assert snapshot.last_key(keys.LOG, b"\xff", width=1) == b"\xff\xfe"
        assert snapshot.last_key(keys.LOG, b"c", width=1) is None
        assert next(snapshot.scan_back(keys.LOG, b"", before=b"\xff\xff\xff")) == (
            b"\xff\xfe",
            b"3",
        )
        assert not snapshot.values(keys.LOG, b"\xff\xff\xff", limit=3)


def test_a_map_that_is_full_stores_nothing(tmp_path: Path) -> None:
    store = _lmdb.open_environment(tmp_path, keys.TABLES, map_bytes=1 << 20, make=True)
    with pytest.raises(JournalFull):
        store.write({keys.LOG: {b"a": b"1", b"b": b"x" * (2 << 20)}})

    with store.snapshot() as snapshot:
        assert snapshot.get(keys.LOG, b"a") is None
    with pytest.raises(JournalOwned):
        _lmdb.open_environment(tmp_path, keys.TABLES, map_bytes=1 << 20)
    store.close()


@given(st.integers(0, 2**64 - 1), st.binary(min_size=16, max_size=16))
def test_a_head_reads_back(number: int, digest: bytes) -> None:
    data = frame(Head(number, digest))

    assert len(data) == HEAD_BYTES
    assert parse(data) == Head(number, digest)


@given(st.integers(0, HEAD_BYTES * 8 - 1))
def test_a_torn_head_says_nothing(bit: int) -> None:
    data = bytearray(frame(Head(7, b"d" * 16)))
    data[bit // 8] ^= 1 << bit % 8

    assert parse(bytes(data)) is None


def test_text_that_is_no_run_id_is_no_key() -> None:
    for text in ("", "run_", "run_12", "run_" + "x" * 32, "evt_" + "0" * 32):
        with pytest.raises(RunNotFound, match="32 hexadecimal digits"):
            keys.run(text)


@given(st.binary(min_size=1, max_size=4))
def test_after_a_prefix_come_all_other_keys(prefix: bytes) -> None:
    after = keys.after(prefix)

    assert after > prefix
    if prefix.strip(b"\xff"):
        assert after > prefix + b"\xff" * 8
