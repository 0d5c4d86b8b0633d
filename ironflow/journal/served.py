"""What a server needs of a journal beyond what an engine does: documents and lists."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ironflow.journal.base import CountedJournal, DocumentRow, StoredEvent
from ironflow.journal.event_lists import EventNames, EventPage, EventQuery


@runtime_checkable
class ServedJournal(CountedJournal, Protocol):
    """A journal that a server can stand on: every store that keeps runs is one."""

    async def find_events(self, query: EventQuery) -> EventPage:
        """Return a page of events, newest first.

        It looks at no more than `limits.EVENTS_SEARCHED_MAX`, then the page says
        where to go on.

        Raises:
            ConfigurationError: the pattern is none.
        """
        ...

    async def event(self, event_id: str) -> StoredEvent | None:
        """Return an event by its id, or None.

        In LMDB it is sought where it should be by the time in its id: see
        `limits.EVENTS_SOUGHT_MAX`.
        """
        ...

    async def event_names(
        self, *, since: int = 0, until: int = 0, source: str = ""
    ) -> EventNames:
        """Count the names of events, the newest `limits.EVENT_NAMES_SEARCHED_MAX`.

        Times and source are as in `EventQuery`.
        """
        ...

    async def documents(
        self, kind: str, *, after: str = "", limit: int = 100
    ) -> Sequence[DocumentRow]:
        """Return documents of a kind with ids after one, in the order of their ids.

        A page has at most `limits.PAGE_DOCUMENTS_MAX`. Ids are in the order of their
        characters' numbers.
        """
        ...

    async def document(self, kind: str, id_: str) -> DocumentRow | None:
        """Return one document, or None."""
        ...
