"""Checks of a journal: events are found by what a query says, and their names counted."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec

from ironflow import ids
from ironflow.errors import ConfigurationError
from ironflow.journal.base import StoredEvent
from ironflow.journal.event_lists import EventName, EventQuery
from ironflow.journal.served import ServedJournal
from ironflow.testing.checks_scene import (
    SECOND_US,
    OpenJournal,
    Scene,
    expect,
    require,
)

_YEAR_US: Final = 365 * 24 * 3600 * SECOND_US
_PAGE: Final = 3


async def check_events_are_found_newest_first(open_journal: OpenJournal) -> None:
    """By names, pattern, source and text, alone and together, page after page."""
    scene = Scene("found_events", open_journal)
    async with scene.open():
        stored = await _populate(scene, years=10)
        await _check_queries(scene, stored)
    async with scene.open():
        await _check_queries(scene, stored)
        a, b = scene.name("a"), scene.name("b")
        late = await _emit(scene, "a", {"late": True})
        newest = await _served(scene).find_events(EventQuery(names=(a, b), limit=1))
        expect(newest.events, (late,), what="the newest event, after a restart")
        try:
            await _served(scene).find_events(EventQuery(pattern="a..b"))
        except ConfigurationError:
            return
        require(holds=False, what="a pattern that is none is refused")


async def check_events_are_found_by_time(open_journal: OpenJournal) -> None:
    """`since` counts, `until` does not; to the millisecond of the id."""
    scene = Scene("event_times", open_journal)
    scene.now += 20 * _YEAR_US
    async with scene.open():
        stored: list[StoredEvent] = []
        for _ in range(8):
            stored.append(await _emit(scene, "a"))
            scene.now += 20 * SECOND_US
        # An older event that comes late, as from a node whose clock is behind.
        scene.now -= 50 * SECOND_US
        stored.append(await _emit(scene, "a"))
        times = sorted(ids.time_us(each.event.id) for each in stored)
        since_of_all = EventQuery(names=(scene.name("a"),), since=times[0])
        for since, until in (
            *((each, 0) for each in times),
            *((times[0], each) for each in times),
            (times[2], times[5]),
            (times[2] + 1, times[5] + 1),
            (times[4], times[4]),
            (times[-1] + 1, 0),
            (times[-1] + _YEAR_US, times[-1] + 2 * _YEAR_US),
        ):
            query = replace(since_of_all, since=since, until=until)
            await _check_query(scene, query, stored)
            await _check_query(scene, replace(query, names=()), stored)


async def check_an_event_is_found_by_its_id(open_journal: OpenJournal) -> None:
    """Also after a restart, and where others were made at other times."""
    scene = Scene("event_ids", open_journal)
    async with scene.open():
        stored = await _populate(scene, years=30)
    async with scene.open():
        journal = _served(scene)
        for each in stored:
            found = await journal.event(each.event.id)
            expect(found, each, what="an event by its id")
        for other in (
            ids.event_id(ids.derived(scene.now, scene.word, "other")),
            ids.event_id(ids.derived(scene.now + _YEAR_US, scene.word, "other")),
            "evt_",
            "\ud800",
        ):
            expect(await journal.event(other), None, what="an event that is not there")


async def check_names_of_events_are_counted(open_journal: OpenJournal) -> None:
    """How many of each name, and when the first and last were made."""
    scene = Scene("event_names", open_journal)
    async with scene.open():
        stored = await _populate(scene, years=40)
        await _check_names(scene, stored)
        await _check_names(scene, stored, source=scene.name("shop"))
        middle = ids.time_us(stored[len(stored) // 2].event.id)
        await _check_names(scene, stored, since=middle)
        await _check_names(scene, stored, until=middle)


async def _populate(scene: Scene, *, years: int) -> list[StoredEvent]:
    """Store events of three names and two sources, after all that others have stored."""
    scene.now += years * _YEAR_US
    return [
        await _emit(
            scene,
            ("a", "b", "b.c")[number % 3],
            {"Number": number, "word": f"Ünit {number}"},
            source="shop" if number % 2 else "",
        )
        for number in range(20)
    ]


async def _emit(
    scene: Scene, word: str, data: object = None, *, source: str = ""
) -> StoredEvent:
    event = scene.event(word, data)
    if source:
        event = msgspec.structs.replace(event, source=scene.name(source))
    [receipt] = await scene.emit(event)
    [stored] = await scene.journal.events(after=receipt.position - 1, limit=1)
    return stored


async def _check_queries(scene: Scene, stored: Sequence[StoredEvent]) -> None:
    a, b, c = (scene.name(word) for word in ("a", "b", "b.c"))
    shop, everything = scene.name("shop"), scene.name(">")
    middle = stored[len(stored) // 2].position
    for query in (
        EventQuery(names=(a,)),
        EventQuery(pattern=a),
        EventQuery(names=(a, c, a)),
        EventQuery(names=(a, b, c), source=shop),
        EventQuery(pattern=everything),
        EventQuery(pattern=scene.name("*")),
        EventQuery(names=(b, c), pattern=scene.name("b.>")),
        EventQuery(pattern=everything, source=shop),
        EventQuery(names=(a,), text="ünIT 1"),
        EventQuery(pattern=everything, text='"number":7,'),
        EventQuery(pattern=everything, text=f"{scene.word}.B.c".upper()),
        EventQuery(pattern=everything, text="nowhere"),
        EventQuery(names=(scene.name("none"),)),
        EventQuery(names=(a, b), before=middle),
        EventQuery(pattern=everything, before=middle),
        EventQuery(names=(a, b), after=middle),
        EventQuery(pattern=everything, after=middle),
        EventQuery(pattern=everything, after=middle - 2, before=middle + 2),
        EventQuery(pattern=everything, after=stored[-1].position),
    ):
        await _check_query(scene, query, stored)


async def _check_query(
    scene: Scene, query: EventQuery, stored: Sequence[StoredEvent]
) -> None:
    """Ask it in one page, then in small ones."""
    wanted = sorted(
        (each for each in stored if _fits(query, each)),
        key=lambda each: each.position,
        reverse=True,
    )
    journal = _served(scene)
    page = await journal.find_events(query)
    expect(page.events, tuple(wanted), what=f"the events of {query}")
    expect(page.before, 0, what=f"where to go on after all of {query}")
    found: list[StoredEvent] = []
    step = replace(query, limit=_PAGE)
    while True:
        page = await journal.find_events(step)
        require(len(page.events) <= _PAGE, what="a page is as long as was asked")
        found += page.events
        if not page.before:
            break
        step = replace(step, before=page.before)
    expect(found, wanted, what=f"the pages of {query}")


def _fits(query: EventQuery, stored: StoredEvent) -> bool:
    """What a query says, without a thought for how it is found."""
    event = stored.event
    stem, _, last = query.pattern.rpartition(".")
    fits_pattern = query.pattern == event.name or (
        last in {"*", ">", ""}
        and event.name.startswith(f"{stem}.")
        and (last == ">" or "." not in event.name[len(stem) + 1 :])
    )
    made_at = ids.time_us(event.id)
    return (
        (query.pattern == ">" or fits_pattern)
        and (not query.names or event.name in query.names)
        and query.source in {"", event.source}
        and query.since <= made_at
        and (not query.until or made_at < query.until)
        and (not query.before or stored.position < query.before)
        and stored.position > query.after
        and query.text.casefold() in _shown(stored)
    )


def _shown(stored: StoredEvent) -> str:
    data = msgspec.msgpack.decode(stored.event.data)
    shown = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"{stored.event.name}\n{shown}".casefold()


async def _check_names(
    scene: Scene,
    stored: Sequence[StoredEvent],
    *,
    since: int = 0,
    until: int = 0,
    source: str = "",
) -> None:
    query = EventQuery(since=since, until=until, source=source)
    times: dict[str, list[int]] = {}
    for each in stored:
        if _fits(query, each):
            made_at = ids.time_us(each.event.id)
            times.setdefault(each.event.name, []).append(made_at)
    wanted = [
        EventName(name, len(own), min(own), max(own))
        for name, own in sorted(times.items())
    ]
    answer = await _served(scene).event_names(since=since, until=until, source=source)
    own = [each for each in answer.names if each.name.startswith(f"{scene.word}.")]
    expect(own, wanted, what="the names of events and how many")
    order = [each.name for each in answer.names]
    expect(order, sorted(order), what="the order of the names")
    require(answer.searched >= len(stored) or since or until, what="all were looked at")


def _served(scene: Scene) -> ServedJournal:
    journal = scene.journal
    require(isinstance(journal, ServedJournal), what="a journal lists events")
    assert isinstance(journal, ServedJournal)
    return journal


EVENT_LIST_CHECKS = (
    check_events_are_found_newest_first,
    check_events_are_found_by_time,
    check_an_event_is_found_by_its_id,
    check_names_of_events_are_counted,
)
