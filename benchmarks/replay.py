"""Replay of long runs from LMDB: read, decode, run the function's code again."""

import shutil
import time
from functools import partial
from pathlib import Path

import msgspec
import trio

from benchmarks.functions import app
from benchmarks.rows import Row
from ironflow import ids, values
from ironflow.engine.loading import load
from ironflow.interpreter import outcomes
from ironflow.interpreter.session import Session, player_of
from ironflow.journal.base import (
    AppendRecords,
    EmitEvents,
    Emitted,
    FunctionRow,
    Journal,
    RegisterFunctions,
)
from ironflow.journal.url import open_journal
from ironflow.records import Entry, EventData

_SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
_PAGE = 10_000
_STEPS_MIN = 10_000  # of one measurement


def measure(scratch: Path, rounds: int) -> list[Row]:
    """Write one run of each size, then replay each several times."""
    folder = scratch / "replay"
    shutil.rmtree(folder, ignore_errors=True)
    rows = []
    for size, rates in trio.run(_measure, folder, rounds).items():
        rows.append(
            Row(
                f"replay from LMDB, {size:,} steps",
                "steps/s",
                tuple(rates),
                must=300_000,
                aim=700_000,
                higher=True,
            )
        )
    return rows


async def _measure(folder: Path, rounds: int) -> dict[int, list[float]]:
    async with open_journal(f"lmdb://{folder}") as journal:
        program = app.programs["steps"]
        await journal.commit(
            [RegisterFunctions((FunctionRow("steps", program.version, ("steps",)),), 1)]
        )
        runs = {size: await _write(journal, size) for size in _SIZES}
        rates: dict[int, list[float]] = {size: [] for size in _SIZES}
        for _ in range(rounds):
            for size, run_id in runs.items():
                rates[size].append(await _rate(journal, run_id, size))
    return rates


async def _rate(journal: Journal, run_id: str, size: int) -> float:
    repeat = max(1, _STEPS_MIN // size)
    began = time.perf_counter()
    for _ in range(repeat):
        await _replay(journal, run_id, size)
    return size * repeat / (time.perf_counter() - began)


async def _write(journal: Journal, size: int) -> str:
    now = size
    event = EventData(
        id=ids.event_id(ids.uuid7(now * 1_000, b"0123456789")),
        name="steps",
        data=msgspec.Raw(values.encode({"count": size})),
        timestamp=now,
    )
    [answer] = await journal.commit([EmitEvents((event,), now)])
    assert isinstance(answer, Emitted)
    [run_id] = answer.receipts[0].run_ids
    [claim] = await journal.claim(frozenset({"steps"}), limit=1)
    session = Session(app.programs["steps"], run_id, journal.environment)
    session.load(await journal.history(run_id))
    move = session.absorb((), now)
    payload = values.round_trip(
        {"number": 1, "ok": True, "name": "trivial"}, dict, step=""
    )
    ended = False
    while not ended:
        entries: list[Entry] = []
        headers: list[bytes] = []
        while not ended and len(entries) < _PAGE:
            move = session.absorb([outcomes.completed(move.perform[0], payload)], now)
            entries += move.entries
            headers += move.headers
            ended = move.state == "ended"
        first = entries[0].record.sequence - 1
        await journal.commit(
            [AppendRecords(run_id, claim.epoch, first, tuple(entries), tuple(headers))]
        )
    return run_id


async def _replay(journal: Journal, run_id: str, size: int) -> None:
    program = app.programs["steps"]
    afresh = partial(player_of, program, run_id, journal.environment)
    player = await load(journal, afresh(), afresh)
    move = player.absorb((), 1)
    assert move.state == "ended", move
    assert player.length == size + 2
    player.close()
