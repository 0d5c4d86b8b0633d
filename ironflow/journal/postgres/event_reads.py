"""Events by the page: in the order of the log, newest first, by id, and their names."""

from collections.abc import Sequence
from typing import Final

from ironflow import ids, limits
from ironflow.journal.base import StoredEvent
from ironflow.journal.event_lists import (
    EventNames,
    EventPage,
    EventQuery,
    EventSearch,
    NameCount,
    exact_names,
)
from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres import rows
from ironflow.journal.postgres._psycopg import Statement
from ironflow.journal.postgres.link import Readers
from ironflow.policy.match import parse_pattern, pattern_matches

SEARCHED_EVENTS_MAX: Final = 1_000  # in one statement
LOOKED_EVENTS_MAX: Final = 250  # with their data, for a search that looks into it
_END: Final = (1 << 63) - 1

_EVENTS: Final = Statement(
    "events_after",
    """SELECT position, data FROM events
    WHERE environment = $1::integer AND position > $2::bigint
    ORDER BY position LIMIT $3::bigint""",
)
_EVENTS_NAMED: Final = Statement(
    "events_named_after",
    """SELECT position, data FROM events
    WHERE environment = $1::integer AND name = $4::text AND position > $2::bigint
    ORDER BY position LIMIT $3::bigint""",
)
_BACKWARDS: Final = Statement(
    "events_before",
    """SELECT position, data FROM events
    WHERE environment = $1::integer AND position >= $2::bigint AND position < $3::bigint
    ORDER BY position DESC LIMIT $4::bigint""",
)
# Of each name as many as may be wanted, then the newest of them.
_BACKWARDS_NAMED: Final = Statement(
    "events_named_before",
    """SELECT e.position, e.data FROM unnest($5::text[]) AS a (name)
    CROSS JOIN LATERAL (
        SELECT position, data FROM events
        WHERE environment = $1::integer AND name = a.name
            AND position >= $2::bigint AND position < $3::bigint
        ORDER BY position DESC LIMIT $4::bigint) e
    ORDER BY e.position DESC LIMIT $4""",
)
_HEADS: Final = Statement(
    "event_heads_before",
    """SELECT position, id, name FROM events
    WHERE environment = $1::integer AND position >= $2::bigint AND position < $3::bigint
    ORDER BY position DESC LIMIT $4::bigint""",
)
_EVENT: Final = Statement(
    "event_of_id",
    """SELECT position, data FROM events
    WHERE environment = $1::integer AND id = $2::text LIMIT 1""",
)
# The events next to a time: no older one comes before, no newer one behind.
_OLDER: Final = Statement(
    "event_older",
    """SELECT position FROM events
    WHERE environment = $1::integer AND id < $2::text ORDER BY id DESC LIMIT 1""",
)
_NOT_OLDER: Final = Statement(
    "event_not_older",
    """SELECT position FROM events
    WHERE environment = $1::integer AND id >= $2::text ORDER BY id LIMIT 1""",
)


class EventReads:
    """What is asked of events; `number` is the environment."""

    def __init__(self, readers: Readers, *, environment: str, number: int) -> None:
        self.environment = environment
        self._readers: Final = readers
        self._number: Final = pg.int4(number)

    async def events(
        self, pattern: str = ">", *, after: int = 0, limit: int = 100
    ) -> Sequence[StoredEvent]:
        """Return events by pattern, in commit order, after a position.

        A page has at most `limits.PAGE_EVENTS_MAX`. Who has seen position n has seen
        all up to n.
        """
        segments = parse_pattern(pattern, option="pattern")
        limit = min(limit, limits.PAGE_EVENTS_MAX)
        if not {"*", ">"} & set(segments):
            return await self._page(_EVENTS_NAMED, after, limit, pattern)
        found: list[StoredEvent] = []
        while len(found) < limit:
            page = await self._page(_EVENTS, after, SEARCHED_EVENTS_MAX)
            found += [
                stored
                for stored in page
                if segments == (">",) or pattern_matches(segments, stored.event.name)
            ]
            if len(page) < SEARCHED_EVENTS_MAX:
                break
            after = page[-1].position
        return found[:limit]

    async def _page(
        self, statement: Statement, after: int, limit: int, *name: str
    ) -> list[StoredEvent]:
        params = [self._number, pg.int8(after), pg.int8(limit), *map(pg.text, name)]
        [found] = await self._readers.run([(statement, params)])
        return [rows.decode_event(pg.to_int(place), data) for place, data in found]

    async def find_events(self, query: EventQuery) -> EventPage:
        """Return a page of events, newest first.

        Raises:
            ConfigurationError: the pattern is none.
        """
        search, names = EventSearch(query), exact_names(query)
        first, beyond = await self._span(query.since, query.until)
        first = max(first, query.after + 1)
        beyond = min(beyond, query.before) if query.before else beyond
        limit = min(max(1, query.limit) + 1, LOOKED_EVENTS_MAX)  # mostly enough
        while not search.is_done:
            page = await self._before(first, beyond, limit, names)
            for stored in page:
                if not search.is_done:
                    search.look(stored)
            if len(page) < limit:
                search.end()
            beyond, limit = search.last, LOOKED_EVENTS_MAX
        return search.page()

    async def _before(
        self, first: int, beyond: int, limit: int, names: Sequence[str]
    ) -> list[StoredEvent]:
        params = [self._number, *map(pg.int8, (first, beyond, limit))]
        call = (_BACKWARDS, params)
        if names:
            call = (_BACKWARDS_NAMED, [*params, pg.texts(names)])
        [found] = await self._readers.run([call])
        return [rows.decode_event(pg.to_int(place), data) for place, data in found]

    async def _span(self, since: int, until: int) -> tuple[int, int]:
        """The positions between which all events of these times are."""
        slack = limits.EVENTS_OUT_OF_ORDER_MAX
        first = await self._place(_OLDER, since)
        beyond = await self._place(_NOT_OLDER, until)
        return (
            0 if first is None else first + 1 - slack,
            _END if beyond is None else beyond + slack,
        )

    async def _place(self, statement: Statement, time_us: int) -> int | None:
        if not time_us:
            return None
        event_id = pg.text(ids.event_id(ids.earliest(time_us)))
        [found] = await self._readers.run([(statement, [self._number, event_id])])
        return pg.to_int(found[0][0]) if found else None

    async def event(self, event_id: str) -> StoredEvent | None:
        """Return an event by its id, or None."""
        params = [self._number, pg.text(event_id)]
        [found] = await self._readers.run([(_EVENT, params)])
        for place, data in found:
            return rows.decode_event(pg.to_int(place), data)
        return None

    async def event_names(
        self, *, since: int = 0, until: int = 0, source: str = ""
    ) -> EventNames:
        """Count the names of events, the newest `limits.EVENT_NAMES_SEARCHED_MAX`."""
        names = NameCount(since=since, until=until, source=source)
        first, beyond = await self._span(since, until)
        while not names.is_done:
            page = await self._heads(first, beyond, with_source=bool(source))
            for position, event_id, name, from_ in page:
                names.look(position, event_id=event_id, name=name, source=from_)
            if len(page) < SEARCHED_EVENTS_MAX:
                names.end()
            beyond = names.last
        return names.answer()

    async def _heads(
        self, first: int, beyond: int, *, with_source: bool
    ) -> list[tuple[int, str, str, str]]:
        """Position, id, name and source of events; the source is in their data."""
        if with_source:
            page = await self._before(first, beyond, SEARCHED_EVENTS_MAX, ())
            events = ((each.position, each.event) for each in page)
            return [
                (place, event.id, event.name, event.source) for place, event in events
            ]
        params = map(pg.int8, (first, beyond, SEARCHED_EVENTS_MAX))
        [found] = await self._readers.run([(_HEADS, [self._number, *params])])
        return [
            (pg.to_int(place), event_id.decode(), name.decode(), "")
            for place, event_id, name in found
        ]
