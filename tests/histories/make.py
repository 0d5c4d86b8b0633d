"""Make the journal of the museum, with the version of ironflow that is imported.

    python -m tests.histories.make DIRECTORY            a journal
    python -m tests.histories.make DIRECTORY describe   what is in it, as JSON

It is run once for each layout, with the last version that wrote it. It ends without
closing the journal, like a process that was killed.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import trio

from ironflow import ids
from ironflow.engine.open import run_engine
from ironflow.journal.base import EmitEvents, Journal, RunQuery
from ironflow.journal.lmdb.store import open_lmdb, open_reader
from ironflow.records import EventData
from ironflow.testing.checks_scene import encoded
from tests.histories.workflows import app

EVENTS = [
    ("hello", "Ada"),
    ("long", 600),
    ("large", None),
    ("wide", ["a", "b", "c"]),
    ("order", "chair"),
    ("seek", {"id": 1}),
    ("seek", {"id": 2}),
    ("sleep", None),
    ("parent", "word"),
    ("retry", "bank"),
    ("broken", "no such thing"),
    ("count", 3),
    ("seek", {"id": 3}),
]


async def fill(directory: Path, environment: str) -> Journal:
    journal = await open_lmdb(directory, environment=environment)
    async with run_engine(app, journal) as engine:
        receipts = [
            await engine.emit(name, data, idempotency_key=f"{name}-{number}")
            for number, (name, data) in enumerate(EVENTS)
        ]
        await engine.result(receipts[1].run_ids[0], timeout=60)
        with trio.move_on_after(2):
            await engine.result(receipts[5].run_ids[0])
        await engine.cancel(receipts[-1].run_ids[0], reason="no longer", actor="Ada")
        await engine.emit("approved", {"id": 1})
        await engine.result(receipts[5].run_ids[0], timeout=60)
    # With no engine: a run that nobody has claimed, and one with news in its inbox.
    now = (await journal.events(limit=100))[-1].event.timestamp
    for name, data in (("hello", "Bob"), ("approved", {"id": 2})):
        event_id = ids.event_id(ids.derived(now, "museum", name))
        event = EventData(id=event_id, name=name, data=msgspec.Raw(encoded(data)))
        await journal.commit([EmitEvents((event,), now)])
    return journal


async def described(journal: Journal) -> dict[str, Any]:
    """What a later version must find again."""
    runs = {}
    for run in await journal.find(RunQuery(limit=1_000)):
        entries = await journal.history(run.row.run_id)
        runs[run.row.run_id] = {
            "function": run.row.function_id,
            "status": run.status,
            "length": run.length,
            "digest": entries[-1].digest.hex(),
            "payloads": sum(len(bytes(entry.payload)) for entry in entries),
            "timers": [
                [timer.step, timer.kind, timer.due]
                for timer in await journal.timers(run.row.run_id)
            ],
        }
    events = [
        [stored.position, stored.event.id, stored.event.name, list(stored.run_ids)]
        for stored in await journal.events(limit=1_000)
    ]
    return {"runs": runs, "events": events}


async def make(directory: Path) -> None:
    other = await fill(directory, "other")
    await other.close()
    await fill(directory, "default")
    os._exit(0)


async def describe(directory: Path) -> None:
    found = {}
    for environment in ("default", "other"):
        journal = await open_reader(directory, environment=environment)
        found[environment] = await described(journal)
        await journal.close()
    print(json.dumps(found, indent=1, sort_keys=True))


if __name__ == "__main__":
    trio.run(describe if sys.argv[2:] else make, Path(sys.argv[1]))
