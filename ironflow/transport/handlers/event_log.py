"""The log of events over REST, in the order in which they were stored."""

from typing import Final

import msgspec

from ironflow.transport.handlers.endpoint import Call, Endpoint, Nothing
from ironflow.transport.rendering import event_document
from ironflow.wire.answers import EventLogDocument


class EventLogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Events of a name or pattern, after a position, and how many at most."""

    name: str = ">"
    after: int = 0
    limit: int = 100


async def read_log(call: Call[EventLogQuery, Nothing]) -> EventLogDocument:
    """Return events in the order in which they were stored."""
    query = call.query
    page = await call.operations.events.log(
        query.name, after=query.after, limit=query.limit
    )
    return EventLogDocument(
        events=[event_document(each) for each in page.events],
        count=len(page.events),
        after=page.after or None,
    )


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/api/v1/events/log",
        summary="Read the log of events, oldest first.",
        answer=read_log,
        returns=EventLogDocument,
        query=EventLogQuery,
        body=Nothing,
    ),
)
