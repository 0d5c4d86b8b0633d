"""What is asked of many events: which there are, newest first, and under which names.

Pure: a store gives the events one after the other, and asks here what a query means.
The time of an event is the one in its id, to a millisecond: when it was made.
"""

from dataclasses import dataclass
from typing import Final, final

import msgspec

from ironflow import ids, limits
from ironflow.journal.rows import StoredEvent
from ironflow.policy.match import parse_pattern, pattern_matches

_WILD: Final = frozenset({"*", ">"})
_decode: Final = msgspec.msgpack.Decoder().decode
_as_json: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events: newest first, at positions before `before` and after `after`.

    Both are exclusive, 0 for none. `names`: any of these, exactly; none for all.
    `pattern` is one of names, as triggers have it. `since` and `until` (exclusive) are
    times in microseconds, 0 for none: an event is found by them if its id is at most
    `limits.EVENTS_OUT_OF_ORDER_MAX` places out of the log's order. `text` is in the name, or
    in the data as JSON, whatever the case.
    """

    names: tuple[str, ...] = ()
    pattern: str = ">"
    source: str = ""
    since: int = 0
    until: int = 0
    text: str = ""
    before: int = 0
    after: int = 0
    limit: int = 50


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, newest first. The older ones are before `before`; 0: there are none.

    A page may have few events, or none, and yet a `before`: so many were looked at.
    """

    events: tuple[StoredEvent, ...]
    before: int


@dataclass(frozen=True, slots=True)
class EventName:
    """How many events of a name were counted, and when the first and last were made."""

    name: str
    count: int
    first_at: int
    last_at: int


@dataclass(frozen=True, slots=True)
class EventNames:
    """The names of events, in order, among the newest `searched`.

    `is_whole`: those are all that the question is about; else older ones, and names that
    only they have, were not counted.
    """

    names: tuple[EventName, ...]
    searched: int
    is_whole: bool


def time_of(event_id: str) -> int:
    """Return the time in an event id; 0 if there is none."""
    try:
        return ids.time_us(event_id)
    except ValueError:
        return 0


def exact_names(query: EventQuery) -> tuple[str, ...]:
    """Return the names of all events that a query may find; none if it does not say.

    Raises:
        ConfigurationError: the pattern is none.
    """
    if query.names:
        return tuple(dict.fromkeys(query.names))
    segments = parse_pattern(query.pattern, option="pattern")
    return () if _WILD & set(segments) else (query.pattern,)


@final
class EventSearch:
    """A query on its way through the log, from the newest to the oldest event.

    Events between its positions are given to `look` until `is_done`; `end` says that
    there are no more.
    """

    def __init__(self, query: EventQuery) -> None:
        self.is_done = False
        self.last = 0  # position of the last event that was looked at
        self._query: Final = query
        self._pattern: Final = parse_pattern(query.pattern, option="pattern")
        self._text: Final = query.text.casefold()
        self._limit: Final = min(max(1, query.limit), limits.PAGE_EVENTS_MAX)
        self._found: Final[list[StoredEvent]] = []
        self._looked = self._bytes = 0
        self._is_cut = False

    def look(self, stored: StoredEvent) -> None:
        """Look at the next older event."""
        self.last = stored.position
        if self._fits(stored):
            self._found.append(stored)
            if len(self._found) > self._limit:  # one more: the page is not the last
                self.is_done = True
                return
        self._looked += 1
        self._bytes += len(stored.event.data)
        self._is_cut = self.is_done = (
            self._looked >= limits.EVENTS_SEARCHED_MAX
            or self._bytes >= limits.EVENTS_SEARCHED_BYTES_MAX
        )

    def end(self) -> None:
        """Say that there is no older event."""
        self.is_done = True

    def page(self) -> EventPage:
        """Return what was found."""
        found = tuple(self._found)
        if len(found) > self._limit:
            kept = found[: self._limit]
            return EventPage(kept, kept[-1].position)
        return EventPage(found, self.last if self._is_cut else 0)

    def _fits(self, stored: StoredEvent) -> bool:
        query, event = self._query, stored.event
        return (
            (not query.names or event.name in query.names)
            and query.source in {"", event.source}
            and is_between(time_of(event.id), query.since, query.until)
            and pattern_matches(self._pattern, event.name)
            and (not self._text or self._has_text(stored))
        )

    def _has_text(self, stored: StoredEvent) -> bool:
        event = stored.event
        if self._text in event.name.casefold():
            return True
        return self._text in _shown(event.data).casefold()


def _shown(data: bytes) -> str:
    """The data of an event as JSON; empty if it is none."""
    try:
        return _as_json(_decode(data)).decode()
    except (msgspec.MsgspecError, TypeError, ValueError, UnicodeDecodeError):
        return ""


def is_between(time_us: int, since: int, until: int) -> bool:
    """Say whether a time is at or after `since` and before `until`; 0: no bound."""
    return since <= time_us and (not until or time_us < until)


@final
class NameCount:
    """The names of events on their way to be counted, from the newest event on."""

    def __init__(self, *, since: int, until: int, source: str) -> None:
        self.is_done = False
        self.last = 0
        self._since, self._until, self._source = since, until, source
        self._names: Final[dict[str, EventName]] = {}
        self._looked = 0
        self._is_cut = False

    def look(self, position: int, *, event_id: str, name: str, source: str) -> None:
        """Look at the next older event."""
        self.last = position
        made_at = time_of(event_id)
        if self._source in {"", source} and is_between(
            made_at, self._since, self._until
        ):
            known = self._names.get(name) or EventName(name, 0, made_at, made_at)
            self._names[name] = EventName(
                name,
                known.count + 1,
                min(made_at, known.first_at),
                max(made_at, known.last_at),
            )
        self._looked += 1
        self._is_cut = self.is_done = self._looked >= limits.EVENT_NAMES_SEARCHED_MAX

    def end(self) -> None:
        """Say that there is no older event."""
        self.is_done = True

    def answer(self) -> EventNames:
        """Return what was counted."""
        names = sorted(self._names.values(), key=lambda each: each.name)
        return EventNames(tuple(names), self._looked, not self._is_cut)
