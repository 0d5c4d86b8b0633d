"""The parts that stand on nothing: the driver's door, head file, keys."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow.errors import JournalFull, JournalOwned, RunNotFound
from ironflow.journal.lmdb import _lmdb, keys
from ironflow.journal.lmdb.head import HEAD_BYTES, Head, frame, parse

SIXTEEN = st.binary(min_size=16, max_size=16)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterable[_lmdb.Environment]:
    environment = _lmdb.open_environment(
        tmp_path_factory.mktemp("store"), keys.TABLES, map_bytes=1 << 30, make=True
    )
    yield environment
    environment.close()


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


def test_a_map_that_is_full_stores_nothing(tmp_path: Path) -> None:
    store = _lmdb.open_environment(tmp_path, keys.TABLES, map_bytes=1 << 20, make=True)
    with pytest.raises(JournalFull):
        store.write({keys.LOG: {b"a": b"1", b"b": b"x" * (2 << 20)}})

    with store.snapshot() as snapshot:
        assert snapshot.get(keys.LOG, b"a") is None
    with pytest.raises(JournalOwned):
        _lmdb.open_environment(tmp_path, keys.TABLES, map_bytes=1 << 20)
    store.close()


@given(st.integers(0, 2**64 - 1), SIXTEEN, SIXTEEN)
def test_a_head_reads_back(number: int, digest: bytes, store_id: bytes) -> None:
    data = frame(Head(number, digest, store_id))

    assert len(data) == HEAD_BYTES
    assert parse(data) == Head(number, digest, store_id)


@given(st.integers(0, HEAD_BYTES * 8 - 1))
def test_a_torn_head_says_nothing(bit: int) -> None:
    data = bytearray(frame(Head(7, b"d" * 16, b"s" * 16)))
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
