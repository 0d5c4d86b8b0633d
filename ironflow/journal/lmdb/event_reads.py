"""Events by the page: in the order of the log, newest first, by id, and their names.

There is no index of ids or times: ids are nearly in the order of the log, so a time is
found by halving it.
"""

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Final

import trio

from ironflow import limits
from ironflow.errors import JournalDamaged
from ironflow.journal.base import StoredEvent
from ironflow.journal.event_lists import (
    EventNames,
    EventPage,
    EventQuery,
    EventSearch,
    NameCount,
    exact_names,
    time_of,
)
from ironflow.journal.lmdb import keys, rows
from ironflow.journal.lmdb.layers import Layered
from ironflow.journal.lmdb.reading import Reading
from ironflow.policy.match import parse_pattern, pattern_matches

SEARCHED_EVENTS_MAX: Final = 2_000  # in one snapshot, then other tasks run
LOOKED_EVENTS_MAX: Final = 100  # that are looked into, or sought: a millisecond or two
COUNTED_EVENTS_MAX: Final = 250  # of which only the head is read


_Row = tuple[int, bytes]  # position, data


class EventReads(Reading):
    """What is asked of events."""

    async def events(
        self, pattern: str = ">", *, after: int = 0, limit: int = 100
    ) -> Sequence[StoredEvent]:
        """Return events by pattern, in commit order, after a position.

        A page has at most `limits.PAGE_EVENTS_MAX`. Who has seen position n has
        seen all up to n.
        """
        segments = parse_pattern(pattern, option="pattern")
        limit = min(limit, limits.PAGE_EVENTS_MAX)
        plain = not {"*", ">"} & set(segments)
        found: list[StoredEvent] = []
        position: int | None = after
        while position is not None and len(found) < limit:
            await self._checkpoint()
            with self.source.snapshot() as snapshot:
                if plain:
                    return list(islice(self._named(snapshot, pattern, after), limit))
                position = self._matching(
                    snapshot, segments, position, found=found, limit=limit
                )
        return found

    def _named(self, snapshot: Layered, name: str, after: int) -> Iterator[StoredEvent]:
        prefix = self._prefix + keys.text(name)
        start = prefix + keys.number(after + 1)
        for key, _ in snapshot.scan(keys.EVENT_NAMES, prefix, start=start):
            place = key[len(prefix) :]
            data = self._data_at(snapshot, place)
            yield rows.decode_event(keys.to_number(place), data)

    def _data_at(self, snapshot: Layered, place: bytes) -> bytes:
        data = snapshot.get(keys.EVENTS, self._prefix + place)
        if data is None:
            raise JournalDamaged(
                f"event {keys.to_number(place)} is gone; 'ironflow verify' shows what"
                " else is damaged"
            )
        return data

    def _matching(
        self,
        snapshot: Layered,
        segments: tuple[str, ...],
        after: int,
        *,
        found: list[StoredEvent],
        limit: int,
    ) -> int | None:
        """Look at the next events; return the last position, None if none is left."""
        start = self._prefix + keys.number(after + 1)
        page = snapshot.scan(keys.EVENTS, self._prefix, start=start)
        rows_seen = list(islice(page, SEARCHED_EVENTS_MAX))
        for key, data in rows_seen:
            after = keys.to_number(key[keys.ENVIRONMENT_BYTES :])
            stored = rows.decode_event(after, data)
            if segments == (">",) or pattern_matches(segments, stored.event.name):
                found.append(stored)
                if len(found) == limit:
                    break
        return after if len(rows_seen) == SEARCHED_EVENTS_MAX else None

    async def find_events(self, query: EventQuery) -> EventPage:
        """Return a page of events, newest first.

        Raises:
            ConfigurationError: the pattern is none.
            JournalDamaged: an event is gone.
        """
        search, names = EventSearch(query), exact_names(query)
        span: range | None = None
        while not search.is_done:
            await self._turn(is_first=span is None)
            with self.source.snapshot() as snapshot:
                if span is None:
                    span = self._span(snapshot, query)
                self._look(snapshot, search, names, span)
                span = range(span.start, search.last)
        return search.page()

    async def _turn(self, *, is_first: bool) -> None:
        """Let others run between two slices."""
        if is_first:
            await self._checkpoint()
        else:
            await trio.lowlevel.checkpoint()
            self._check_open()

    def _span(self, snapshot: Layered, query: EventQuery) -> range:
        """The positions of all events that a query may find."""
        span = _Log(snapshot, self._prefix).span(query.since, query.until)
        stop = min(span.stop, query.before) if query.before else span.stop
        return range(max(span.start, query.after + 1), stop)

    def _look(
        self,
        snapshot: Layered,
        search: EventSearch,
        names: Sequence[str],
        span: range,
    ) -> None:
        """Give a search the next events of these names, newest first, some of them."""
        lists = [self._of_name(snapshot, name, span) for name in names]
        found = merge(*lists or [self._backwards(snapshot, span)], reverse=True)
        for count, (position, data) in enumerate(found):
            if count == LOOKED_EVENTS_MAX:
                return
            search.look(rows.decode_event(position, data))
            if search.is_done:
                return
        search.end()

    def _of_name(self, snapshot: Layered, name: str, span: range) -> Iterator[_Row]:
        prefix = self._prefix + keys.text(name)
        before = prefix + keys.number(span.stop)
        for key, _ in snapshot.scan_back(keys.EVENT_NAMES, prefix, before=before):
            place = key[len(prefix) :]
            if keys.to_number(place) < span.start:
                return
            yield keys.to_number(place), self._data_at(snapshot, place)

    def _backwards(self, snapshot: Layered, span: range) -> Iterator[_Row]:
        before = self._prefix + keys.number(span.stop)
        for key, data in snapshot.scan_back(keys.EVENTS, self._prefix, before=before):
            position = keys.to_number(key[len(self._prefix) :])
            if position < span.start:
                return
            yield position, data

    async def event(self, event_id: str) -> StoredEvent | None:
        """Return an event by its id, or None.

        It is sought where it should be by the time in its id, then farther and farther
        away, among `limits.EVENTS_SOUGHT_MAX` on either side.
        """
        made_at, place = time_of(event_id), None
        step = LOOKED_EVENTS_MAX
        for near in range(0, limits.EVENTS_SOUGHT_MAX, step):
            await self._turn(is_first=place is None)
            with self.source.snapshot() as snapshot:
                if place is None:
                    place = _Log(snapshot, self._prefix).place(made_at)
                spans = (
                    range(place + near, place + near + step),
                    range(max(0, place - near - step), place - near),
                )
                sought = (self._sought(snapshot, event_id, span) for span in spans)
                if found := next(filter(None, sought), None):
                    return found
        return None

    def _sought(
        self, snapshot: Layered, event_id: str, span: range
    ) -> StoredEvent | None:
        sought = event_id.encode(errors="surrogatepass")
        start = self._prefix + keys.number(span.start)
        found = snapshot.scan(keys.EVENTS, self._prefix, start=start)
        for key, data in islice(found, max(0, len(span))):
            position = keys.to_number(key[len(self._prefix) :])
            if sought in data and position in span:
                stored = rows.decode_event(position, data)
                if stored.event.id == event_id:
                    return stored
        return None

    async def event_names(
        self, *, since: int = 0, until: int = 0, source: str = ""
    ) -> EventNames:
        """Count the names of events, the newest `limits.EVENT_NAMES_SEARCHED_MAX`."""
        names = NameCount(since=since, until=until, source=source)
        span: range | None = None
        while not names.is_done:
            await self._turn(is_first=span is None)
            with self.source.snapshot() as snapshot:
                if span is None:
                    span = self._span(snapshot, EventQuery(since=since, until=until))
                self._count(snapshot, names, span)
                span = range(span.start, names.last)
        return names.answer()

    def _count(self, snapshot: Layered, names: NameCount, span: range) -> None:
        found = self._backwards(snapshot, span)
        for count, (position, data) in enumerate(found):
            if count == COUNTED_EVENTS_MAX:
                return
            head = rows.decode_event_head(data)
            names.look(position, event_id=head.id, name=head.name, source=head.source)
            if names.is_done:
                return
        names.end()


class _Log:
    """The positions and times of a log; ids are nearly in its order."""

    def __init__(self, snapshot: Layered, prefix: bytes) -> None:
        self._snapshot: Final = snapshot
        self._prefix: Final = prefix
        first = next(snapshot.scan(keys.EVENTS, prefix), None)
        last = snapshot.last_key(keys.EVENTS, prefix, width=keys.NUMBER_BYTES)
        self._first = 1 if first is None else self._position(first[0])
        self._beyond = 1 if last is None else self._position(last) + 1

    def span(self, since: int, until: int) -> range:
        """Return positions that have all events between two times; 0: no bound."""
        slack = limits.EVENTS_OUT_OF_ORDER_MAX
        start = self.place(since) - slack if since else self._first
        beyond = self.place(until) + slack if until else self._beyond
        return range(max(start, self._first), min(beyond, self._beyond))

    def place(self, time_us: int) -> int:
        """Return a position whose event is at or after a time, and the one before not."""
        low, high = self._first, self._beyond
        while low < high:
            middle = (low + high) // 2
            position = self._next_before(time_us, middle, high)
            if position is None:
                high = middle
            else:
                low = position + 1
        return low

    def _next_before(self, time_us: int, position: int, beyond: int) -> int | None:
        """The next event with a time, if that is before another; None: it is not.

        A lost event is stood for by one without a time.
        """
        start = self._prefix + keys.number(position)
        for key, data in self._snapshot.scan(keys.EVENTS, self._prefix, start=start):
            found = self._position(key)
            if found >= beyond:
                break
            made_at = time_of(rows.decode_event_head(data).id)
            if made_at:
                return found if made_at < time_us else None
        return None

    def _position(self, key: bytes) -> int:
        return keys.to_number(key[len(self._prefix) :])
