"""Raw LMDB making the same puts durable as the engine did: the physical limit."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import lmdb

Puts = Sequence[tuple[bytes, bytes]]


def seconds(scratch: Path, transactions: Sequence[Puts]) -> float:
    """Return how long LMDB needs to commit these transactions, one after the other."""
    folder = scratch / "raw"
    shutil.rmtree(folder, ignore_errors=True)
    environment = lmdb.open(str(folder), map_size=1 << 34, max_dbs=4)
    log = environment.open_db(b"log")
    began = time.perf_counter()
    for puts in transactions:
        with environment.begin(write=True, db=log) as transaction:
            for key, value in puts:
                transaction.put(key, value)
    took = time.perf_counter() - began
    environment.close()
    return took


def grouped(records: Sequence[bytes], group: int) -> list[Puts]:
    """Return records as transactions of `group` puts and one for the commit table."""
    transactions: list[Puts] = []
    for start in range(0, len(records), group):
        puts = [
            (b"\x00\x01log" + (start + offset).to_bytes(12, "big"), record)
            for offset, record in enumerate(records[start : start + group])
        ]
        puts.append((b"\x00\x02commits" + start.to_bytes(12, "big"), b"c" * 80))
        transactions.append(puts)
    return transactions
