"""Lists of events over a million of them: newest first, by name, time, text and id.

python -m benchmarks.event_lists [--events 1000000] [--rounds 200]
"""

import argparse
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import trio

from benchmarks.lists import percentiles
from ironflow import ids
from ironflow.journal.base import StoredEvent
from ironflow.journal.event_lists import EventQuery
from ironflow.journal.lmdb import keys, opening, rows
from ironflow.journal.lmdb._lmdb import MAP_BYTES_MAX
from ironflow.journal.lmdb.store import open_lmdb
from ironflow.records import EventData

START_US: Final = 1_780_000_000_000_000
APART_US: Final = 2_000  # five hundred events a second
PREFIX: Final = keys.environment_prefix(0)
WRITTEN_EVENTS: Final = 20_000  # by one transaction
RARE: Final = 100_000  # one event of so many has a rare name

_encode: Final = msgspec.msgpack.Encoder().encode


def event(position: int) -> StoredEvent:
    """Return an event: of ten names, some from a shop, with an order."""
    made_at = START_US + position * APART_US
    name = "order.rare" if position % RARE == RARE // 2 else f"order.{position % 10}"
    data = _encode({"order": position, "customer": f"customer {position % 1_000}"})
    return StoredEvent(
        position,
        EventData(
            id=ids.event_id(ids.derived(made_at, "bench", str(position))),
            name=name,
            data=msgspec.Raw(data),
            timestamp=made_at,
            source="shop" if position % 10 == 3 else "",
        ),
    )


def fill(directory: Path, count: int) -> None:
    """Make a store with so many events: rows as checkpoints write them."""
    trio.run(_make, directory)
    store = opening.open_store(directory, readonly=False, map_bytes=MAP_BYTES_MAX)
    for first in range(1, count + 1, WRITTEN_EVENTS):
        events: dict[bytes, bytes | None] = {}
        names: dict[bytes, bytes | None] = {}
        for position in range(first, min(first + WRITTEN_EVENTS, count + 1)):
            stored, place = event(position), keys.number(position)
            events[PREFIX + place], _ = rows.encode_event(stored)
            names[PREFIX + keys.text(stored.event.name) + place] = b""
        store.write({keys.EVENTS: events, keys.EVENT_NAMES: names})
    store.close()


async def _make(directory: Path) -> None:
    await (await open_lmdb(directory)).close()


def questions(count: int) -> dict[str, EventQuery]:
    """Return what is measured, by name."""
    middle = START_US + count // 2 * APART_US
    return {
        "newest 20": EventQuery(limit=20),
        "newest 20 of a name": EventQuery(names=("order.3",), limit=20),
        "of a name, deep cursor": EventQuery(
            names=("order.3",), limit=20, before=count // 100
        ),
        "newest 20 of three names": EventQuery(
            names=("order.1", "order.2", "order.rare"), limit=20
        ),
        "rare name": EventQuery(names=("order.rare",), limit=20),
        "source": EventQuery(source="shop", limit=20),
        "a minute long ago": EventQuery(
            since=middle, until=middle + 60_000_000, limit=20
        ),
        "of a name, until long ago": EventQuery(
            names=("order.3",), until=middle, limit=20
        ),
        "text of one in a thousand": EventQuery(text="customer 77", limit=20),
        "text that no event has": EventQuery(text="nowhere", limit=20),
    }


async def measure(directory: Path, count: int, rounds: int) -> None:
    """Print the percentiles of each question."""
    journal = await open_lmdb(directory)
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        name: partial(journal.find_events, query)
        for name, query in questions(count).items()
    }
    known = event(count // 3).event.id
    asked["by id"] = partial(journal.event, known)
    asked["by an id that is not there"] = partial(journal.event, known[:-1] + "x")
    asked["names"] = journal.event_names
    for name, ask in asked.items():
        await percentiles(name, ask, rounds)
    await journal.close()


def main() -> None:
    """Make the store, then measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.event_lists")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ironflow-events-") as scratch:
        directory = Path(scratch) / "data"
        fill(directory, options.events)
        size = (directory / "data.mdb").stat().st_blocks * 512 / 1e6
        print(f"{options.events} events, {size:.0f} MB")
        trio.run(measure, directory, options.events, options.rounds)


if __name__ == "__main__":
    main()
