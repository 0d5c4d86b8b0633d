"""The events of a damaged journal, into the places that they had in a new one."""

from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from ironflow import ids, limits
from ironflow.errors import JournalDamaged
from ironflow.journal.base import ImportEvents, Journal, Refused, StoredEvent
from ironflow.journal.lmdb import apart, keys, ordered, rows
from ironflow.journal.lmdb.reading import Source
from ironflow.records import EventData

# Stands for an event that is lost, so that the others keep their positions.
LOST_EVENT: Final = "ironflow.lost"
_NIL: Final = msgspec.Raw(b"\xc0")


class EventSaver:
    """Saves the events of one environment.

    Only an event whose digest proves its place counts: what a damaged key says could
    be any number. Between two of them each one that is lost is stood for. Those before
    the first are not: the new log begins where the old one does.
    """

    def __init__(self, source: Source, number: int, journal: Journal) -> None:
        self._source = source
        self._number = number
        self._prefix = keys.environment_prefix(number)
        self._journal = journal
        self._page: list[StoredEvent] = []
        self._lost: list[tuple[int, int]] = []  # first and last, in order
        self._kept = 0
        self._last = 0  # position of the last event that is saved or stood for
        self._stored = 0  # by a process before this one

    async def save(self, runs: Collection[str]) -> None:
        """Store the events; of the runs they started, those that are given."""
        self._stored = await self._position()
        behind = 0  # rows after the last intact event that are none
        for position, stored in self._intact():
            if stored is None:
                behind += 1
                continue
            behind = 0
            await self._stand_for(position - 1)
            started = tuple(each for each in stored.run_ids if each in runs)
            await self._keep(msgspec.structs.replace(stored, run_ids=started))
            self._kept += 1
        if self._last:
            await self._stand_for(self._last + behind)
        elif behind:  # not one is intact; the places of those to come are behind them
            await self._stand_for(self._first_known() + behind - 1)
            await self._keep(_lost(self._last))
        await self._flush()
        name = self._journal.environment
        apart.say({"environment": name, "events": self._kept, "lost": self._lost})

    def _intact(self) -> Iterator[tuple[int, StoredEvent | None]]:
        try:
            for page in ordered.scan(self._source, keys.EVENTS, self._prefix):
                for key, data in page:
                    position = keys.to_number(key[len(self._prefix) :])
                    yield position, _opened(position, data)
        except JournalDamaged:
            return  # there is no next page

    async def _stand_for(self, last: int) -> None:
        """Stand for all events behind the last that was kept, up to this one."""
        if not self._last:
            first = self._first_known()
            self._last = last
        else:
            first = self._last + 1
            for position in range(first, last + 1):
                await self._keep(_lost(position))
        if first <= last:
            self._lost.append((first, last))

    def _first_known(self) -> int:
        """The first event that must be there: the chain names it, nobody deleted it."""
        lowest, dropped = 0, 0
        try:
            for body in self._commits():
                if not lowest and body.events:
                    lowest = min(each.position for each in body.events)
                dropped = max(dropped, body.dropped)
        except JournalDamaged:
            return 1  # nothing proves that the others were deleted
        return max(lowest, dropped + 1)

    def _commits(self) -> Iterator[rows.CommitBody]:
        for page in ordered.scan(self._source, keys.COMMITS, b""):
            for _, data in page:
                body, _ = rows.read_commit(data)
                if body.environment == self._number:
                    yield body

    async def _keep(self, stored: StoredEvent) -> None:
        self._last = stored.position
        if stored.position > self._stored:
            self._page.append(stored)
        if len(self._page) >= limits.PAGE_EVENTS_MAX:
            await self._flush()

    async def _flush(self) -> None:
        apart.say({"through": self._last})
        page, self._page = tuple(self._page), []
        if page:
            [answer] = await self._journal.commit([ImportEvents(page)])
            if isinstance(answer, Refused):
                raise answer.error

    async def _position(self) -> int:
        """How far a process before this one came."""
        after = 0
        while page := await self._journal.events(
            after=after, limit=limits.PAGE_EVENTS_MAX
        ):
            after = page[-1].position
            apart.say({"through": after})
        return after


def _opened(position: int, data: bytes) -> StoredEvent | None:
    try:
        return rows.open_event(position, data)[0]
    except JournalDamaged:
        return None


def _lost(position: int) -> StoredEvent:
    event = EventData(
        id=ids.event_id(ids.derived(0, LOST_EVENT, str(position))),
        name=LOST_EVENT,
        data=_NIL,
    )
    return StoredEvent(position, event)
