"""Pages of the event log, newest first, in both directions.

A cursor is the position of an event in the log: *older* pages go on below it, *newer* ones
end above it. A journal finds the newest below a position; the oldest above one are sought
window by window.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

from ironflow import ids, limits
from ironflow.errors import ConfigurationError, EventNotFound
from ironflow.journal.event_lists import EventNames, EventQuery
from ironflow.journal.rows import StoredEvent
from ironflow.journal.served import ServedJournal
from ironflow.policy.match import parse_pattern
from ironflow.policy.names import check_text

_DIGITS_MAX: Final = 18
_WINDOW: Final = 256  # events of the log that are looked at in one go


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, newest first; `older` and `newer` are cursors, empty where there are none."""

    events: Sequence[StoredEvent]
    older: str
    newer: str


def position_of(cursor: str, *, option: str) -> int:
    """Return the position that a cursor stands for; 0 for none.

    Raises:
        ConfigurationError: it is no cursor.
    """
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdecimal()) or len(cursor) > _DIGITS_MAX:
        raise ConfigurationError(
            f"{option}={cursor[:40]!r} is no cursor; give what a page before has given"
        )
    return int(cursor)


@dataclass(frozen=True, slots=True)
class EventLog:
    """Events, oldest first; `after` is 0 on the last page."""

    events: Sequence[StoredEvent]
    after: int


@final
class EventReads:
    """What may be asked of the log of events."""

    def __init__(self, journal: ServedJournal) -> None:
        self._journal = journal

    async def older(self, query: EventQuery) -> EventPage:
        """Return the newest events before `query.before`; 0: before none.

        Raises:
            ConfigurationError: the limit is none, or the pattern or a name is wrong.
        """
        return await older_page(self._journal, _checked(query))

    async def newer(self, query: EventQuery) -> EventPage:
        """Return the oldest events after `query.after`, newest first all the same.

        Raises:
            ConfigurationError: as for `older`.
        """
        return await newer_page(self._journal, _checked(query))

    async def log(
        self, pattern: str = ">", *, after: int = 0, limit: int = 100
    ) -> EventLog:
        """Return events by pattern in the order in which they were stored.

        Raises:
            ConfigurationError: the pattern is none, or a number is wrong.
        """
        parse_pattern(pattern, option="name")
        check_after(after)
        size = page_size(limit, limits.PAGE_EVENTS_MAX)
        found = await self._journal.events(pattern, after=after, limit=size)
        return EventLog(found, found[-1].position if len(found) == size else 0)

    async def get(self, event_id: str) -> StoredEvent:
        """Return an event.

        Raises:
            EventNotFound: there is none with this id.
        """
        found = await self._journal.event(ids.check_event_id(event_id))
        if found is None:
            raise EventNotFound(
                f"there is no event {event_id} in environment"
                f" {self._journal.environment!r}"
            )
        return found

    async def names(
        self, *, since: int = 0, until: int = 0, source: str = ""
    ) -> EventNames:
        """Count the names of events; times are microseconds, 0 for none."""
        return await self._journal.event_names(since=since, until=until, source=source)


def _checked(query: EventQuery) -> EventQuery:
    for name in query.names:
        check_text(name, option="names")
    parse_pattern(query.pattern, option="name")
    return replace(query, limit=page_size(query.limit, limits.PAGE_EVENTS_MAX))


def check_after(position: int) -> None:
    """Refuse a place in a log or history that is none.

    Raises:
        ConfigurationError: it is negative, or has more than 63 bits.
    """
    if not 0 <= position < 1 << 63:
        raise ConfigurationError(f"after={position} must be 0 or a position")


def page_size(limit: int, most: int) -> int:
    """Return how many to look for: as asked, but no more than there may be on a page.

    Raises:
        ConfigurationError: the limit is less than one.
    """
    if limit < 1:
        raise ConfigurationError(
            f"limit={limit} must be 1 or more; at most {most} are given at once"
        )
    return min(limit, most)


async def older_page(journal: ServedJournal, query: EventQuery) -> EventPage:
    """Return the newest events before `query.before`; 0: before none."""
    found = await journal.find_events(query)
    newer = ""
    if query.before:
        first = found.events[0].position if found.events else query.before - 1
        newer = str(first)
    return EventPage(found.events, str(found.before or ""), newer)


async def newer_page(journal: ServedJournal, query: EventQuery) -> EventPage:
    """Return the oldest events after `query.after`, newest first all the same."""
    found: list[StoredEvent] = []
    start, is_whole = query.after, False
    while len(found) <= query.limit and not is_whole:
        if start - query.after >= limits.EVENTS_SEARCHED_MAX:
            break
        found.extend(reversed(await _between(journal, query, start, start + _WINDOW)))
        start += _WINDOW
        is_whole = not await journal.events(">", after=start, limit=1)
    kept = found[: query.limit][::-1]
    if len(found) > len(kept):
        return EventPage(kept, str(kept[-1].position), str(kept[0].position))
    older = kept[-1].position if kept else query.after + 1
    return EventPage(kept, str(older), "" if is_whole else str(start))


async def _between(
    journal: ServedJournal, query: EventQuery, after: int, through: int
) -> list[StoredEvent]:
    """Return what a query finds in a window of the log, newest first."""
    found: list[StoredEvent] = []
    before = through + 1
    while before:
        page = await journal.find_events(
            replace(query, after=after, before=before, limit=_WINDOW)
        )
        found.extend(page.events)
        before = page.before
    return found
