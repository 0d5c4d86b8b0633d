"""What a query over events means, and where a page that looked at too much ends."""

from collections.abc import Iterable

import msgspec
import pytest

from ironflow import ids, limits
from ironflow.errors import ConfigurationError
from ironflow.journal.base import EmitEvents, StoredEvent
from ironflow.journal.event_lists import (
    EventName,
    EventNames,
    EventPage,
    EventQuery,
    EventSearch,
    NameCount,
    exact_names,
    time_of,
)
from ironflow.journal.memory import MemoryJournal
from ironflow.records import EventData

SECOND_US = 1_000_000
NIL = msgspec.Raw(b"\xc0")


def stored(
    position: int, *, name: str = "a", data: bytes = b"\xc0", made_at: int = SECOND_US
) -> StoredEvent:
    event_id = ids.event_id(ids.derived(made_at, str(position)))
    return StoredEvent(
        position, EventData(id=event_id, name=name, data=msgspec.Raw(data))
    )


def looked(query: EventQuery, events: Iterable[StoredEvent]) -> EventPage:
    """Give events to a search as a store does, until it has enough."""
    search = EventSearch(query)
    for each in events:
        search.look(each)
        if search.is_done:
            return search.page()
    search.end()
    assert search.is_done
    return search.page()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (EventQuery(), ()),
        (EventQuery(pattern="a.*"), ()),
        (EventQuery(pattern="a.b"), ("a.b",)),
        (EventQuery(names=("b", "a", "b")), ("b", "a")),
        (EventQuery(names=("b",), pattern="c"), ("b",)),
    ],
)
def test_the_names_that_a_query_is_about(
    query: EventQuery, names: tuple[str, ...]
) -> None:
    assert exact_names(query) == names


def test_a_pattern_that_is_none_is_refused() -> None:
    for make in (exact_names, EventSearch):
        with pytest.raises(ConfigurationError, match="pattern"):
            make(EventQuery(pattern=">.a"))


def test_what_is_no_id_has_no_time() -> None:
    assert time_of("evt_x") == 0
    assert time_of(stored(1, made_at=7_000).event.id) == 7_000


def test_a_page_says_where_to_go_on_if_one_more_fits() -> None:
    events = [stored(position) for position in (9, 8, 7)]

    assert looked(EventQuery(limit=2), events) == EventPage(tuple(events[:2]), 8)
    assert looked(EventQuery(limit=3), events) == EventPage(tuple(events), 0)


def test_a_page_has_at_least_one_event_and_no_more_than_a_page() -> None:
    events = [stored(position) for position in range(1_500, 0, -1)]

    assert len(looked(EventQuery(limit=0), events).events) == 1
    assert len(looked(EventQuery(limit=9_999), events).events) == limits.PAGE_EVENTS_MAX


def test_a_search_that_finds_little_ends_and_says_where(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "EVENTS_SEARCHED_MAX", 3)
    events = [stored(position, name="ab"[position == 8]) for position in (9, 8, 7, 6)]

    page = looked(EventQuery(names=("b",)), events)

    assert page == EventPage((events[1],), 7)


def test_large_events_end_a_search_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EVENTS_SEARCHED_BYTES_MAX", 1_000)
    large = msgspec.msgpack.encode("x" * 600)
    events = [stored(position, data=large) for position in (9, 8, 7)]

    page = looked(EventQuery(text="y"), events)

    assert page == EventPage((), 8)


@pytest.mark.parametrize("data", [b"\xd4\x07\x00", b"\xc1", b"\x81\x01\xa1\xff"])
def test_data_that_json_cannot_show_has_no_text(data: bytes) -> None:
    """An extension of MessagePack, no MessagePack, and text that is none."""
    events = [stored(2, data=data), stored(1, name="other")]

    assert looked(EventQuery(text="o"), events).events == (events[1],)


def test_names_are_counted_among_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EVENT_NAMES_SEARCHED_MAX", 3)
    names = NameCount(since=0, until=0, source="")
    for position, name in ((9, "b"), (8, "a"), (7, "b")):
        assert not names.is_done
        event_id = ids.event_id(ids.derived(position * 1_000, ""))
        names.look(position, event_id=event_id, name=name, source="")

    assert names.is_done
    assert names.last == 7
    assert names.answer() == EventNames(
        (EventName("a", 1, 8_000, 8_000), EventName("b", 2, 7_000, 9_000)),
        3,
        is_whole=False,
    )


def test_names_of_other_times_and_sources_are_not_counted() -> None:
    names = NameCount(since=2_000, until=4_000, source="s")
    for made_at, source in ((1_000, "s"), (2_000, "s"), (3_000, ""), (4_000, "s")):
        event_id = ids.event_id(ids.derived(made_at, ""))
        names.look(1, event_id=event_id, name="a", source=source)
    names.end()

    assert names.answer() == EventNames(
        (EventName("a", 1, 2_000, 2_000),), 4, is_whole=True
    )


async def test_names_in_memory_are_counted_to_the_same_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "EVENT_NAMES_SEARCHED_MAX", 2)
    journal = MemoryJournal()
    events = tuple(stored(position).event for position in range(3))
    await journal.commit([EmitEvents(events, SECOND_US)])

    answer = await journal.event_names()

    assert (answer.searched, answer.is_whole) == (2, False)
