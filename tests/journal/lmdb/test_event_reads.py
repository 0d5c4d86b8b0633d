"""Events in LMDB are found by halving the log, a slice in each snapshot."""

from pathlib import Path

import msgspec
import pytest

from ironflow import ids, limits
from ironflow.journal.base import ImportEvents, StoredEvent
from ironflow.journal.event_lists import EventPage, EventQuery, EventSearch
from ironflow.journal.lmdb import event_reads
from ironflow.journal.lmdb.salvage_events import LOST_EVENT
from ironflow.journal.lmdb.store import LmdbJournal, open_lmdb, open_reader
from ironflow.records import EventData
from ironflow.testing.checks import JournalCheck
from ironflow.testing.checks_event_lists import EVENT_LIST_CHECKS
from ironflow.testing.checks_scene import SECOND_US
from tests.journal.lmdb.conftest import store_in

START_US = 1_700_000_000 * SECOND_US


def event(position: int, *, made_at: int, name: str = "a") -> StoredEvent:
    event_id = ids.event_id(ids.derived(made_at, str(position)))
    return StoredEvent(
        position, EventData(id=event_id, name=name, data=msgspec.Raw(b"\xc0"))
    )


async def opened(directory: Path, events: list[StoredEvent]) -> LmdbJournal:
    journal = await open_lmdb(directory)
    for first in range(0, len(events), 1_000):
        await journal.commit([ImportEvents(tuple(events[first : first + 1_000]))])
    return journal


@pytest.mark.parametrize("check", EVENT_LIST_CHECKS, ids=lambda check: check.__name__)
async def test_events_are_found_a_few_in_each_snapshot(
    check: JournalCheck, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_reads, "LOOKED_EVENTS_MAX", 2)
    monkeypatch.setattr(event_reads, "COUNTED_EVENTS_MAX", 2)
    monkeypatch.setattr(limits, "EVENTS_OUT_OF_ORDER_MAX", 3)

    await check(store_in(directory))


async def test_a_reader_finds_what_only_the_log_has(directory: Path) -> None:
    events = [event(n, made_at=START_US + n * SECOND_US) for n in range(1, 4)]
    journal = await opened(directory, events)
    await journal.close()
    reader = await open_reader(directory)
    try:
        page = await reader.find_events(EventQuery(limit=2))
        assert page == EventPage((events[2], events[1]), 2)
        assert await reader.event(events[0].event.id) == events[0]
    finally:
        await reader.close()


async def test_an_empty_log_has_no_events(directory: Path) -> None:
    journal = await open_lmdb(directory)
    try:
        query = EventQuery(since=START_US, until=START_US + 1)
        assert await journal.find_events(query) == EventPage((), 0)
        assert await journal.event(event(1, made_at=START_US).event.id) is None
        assert (await journal.event_names(since=1)).names == ()
    finally:
        await journal.close()


async def test_lost_events_have_no_time_and_hide_no_others(directory: Path) -> None:
    """Salvage stands for them; a log that begins behind others has them as well."""
    events = [event(n, made_at=START_US + n * SECOND_US * 100) for n in range(40, 80)]
    for place in (3, 17, 18, 19, 20, 21, 38, 39):
        events[place] = event(events[place].position, made_at=0, name=LOST_EVENT)
    kept = [each for each in events if each.event.name != LOST_EVENT]
    journal = await opened(directory, events)
    try:
        for each in kept:
            assert await journal.event(each.event.id) == each
            made_at = ids.time_us(each.event.id)
            query = EventQuery(since=made_at, until=made_at + 1_000)
            assert await journal.find_events(query) == EventPage((each,), 0)
    finally:
        await journal.close()


async def test_an_event_far_from_its_time_is_found_up_to_a_bound(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_reads, "LOOKED_EVENTS_MAX", 10)
    monkeypatch.setattr(limits, "EVENTS_SOUGHT_MAX", 70)
    events = [event(n, made_at=START_US + n * SECOND_US) for n in range(1, 301)]
    late = [event(151 + away, made_at=START_US + 150_500_000) for away in (69, 70)]
    early = [event(151 - away, made_at=START_US + 150_500_000) for away in (70, 71)]
    for each in (*late, *early):
        events[each.position - 1] = each
    journal = await opened(directory, events)
    try:
        found = [await journal.event(each.event.id) for each in (*late, *early)]
        assert found == [late[0], None, early[0], None]
    finally:
        await journal.close()


async def test_a_search_passes_over_few_rows(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest of a name, and those of an hour long ago, cost the same in a long log."""
    events = [
        event(n, made_at=START_US + n * SECOND_US, name="rare" if n == 7 else "a")
        for n in range(1, 3_001)
    ]
    journal = await opened(directory, events)
    monkeypatch.setattr(limits, "EVENTS_OUT_OF_ORDER_MAX", 60)
    looked: list[int] = []
    look = EventSearch.look

    def counted(search: EventSearch, stored: StoredEvent) -> None:
        looked.append(stored.position)
        look(search, stored)

    monkeypatch.setattr(EventSearch, "look", counted)
    try:
        for query, most in (
            (EventQuery(names=("a",), limit=20), 21),
            (EventQuery(names=("rare",)), 1),
            (EventQuery(until=START_US + 50 * SECOND_US, limit=20), 60 + 21),
            (EventQuery(since=START_US + 2_990 * SECOND_US), 60 + 11),
        ):
            looked.clear()
            assert (await journal.find_events(query)).events
            assert len(looked) <= most, query
    finally:
        await journal.close()
