"""Events over REST: emit one and wait for its runs, list those there are."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from ironflow import limits
from ironflow.journal.event_lists import EventQuery
from ironflow.policy.attributes import Attributes
from ironflow.policy.duration import parse_time
from ironflow.transport.event_pages import position_of
from ironflow.transport.handlers.endpoint import Call, Endpoint, Nothing
from ironflow.transport.handlers.patience import WaitQuery, results
from ironflow.transport.handlers.runs import details_document
from ironflow.transport.rendering import event_document
from ironflow.wire.answers import (
    EmittedDocument,
    EventDocument,
    EventListDocument,
    EventNameDocument,
    EventNamesDocument,
    RunDetailsDocument,
    moment,
)


class TimeBody(msgspec.Struct, frozen=True, kw_only=True):
    """A moment, as the value of an attribute."""

    time: datetime


AttributesBody = dict[str, str | int | float | bool | TimeBody | None]


class EmitBody(msgspec.Struct, frozen=True, kw_only=True):
    """An event. `idempotencyKey` may be written for `idempotency_key`.

    A value of `metadata` that is no text is kept as JSON text. `attributes` are those of
    the runs that it starts; a time is written `{"time": "2026-03-01T12:00:00Z"}`.
    """

    name: str
    data: Any = None
    idempotency_key: str = ""
    metadata: dict[str, Any] = {}
    version: int = 1
    source: str = "api"
    attributes: AttributesBody = {}


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which events. `names` has exact names, with commas; `name` may be a pattern.

    `search` is in the name or the data. `cursor` goes on to older events, `before` back
    to newer ones. Times are RFC 3339.
    """

    name: str = ">"
    names: str = ""
    source: str = ""
    since: str = ""
    until: str = ""
    search: str = ""
    cursor: str = ""
    before: str = ""
    limit: int = 20


class EventNamesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Of which events. Times are RFC 3339."""

    source: str = ""
    since: str = ""
    until: str = ""


async def list_events(call: Call[EventsQuery, Nothing]) -> EventListDocument:
    """Return a page of events, newest first."""
    asked = call.query
    query = EventQuery(
        names=tuple(each for each in asked.names.split(",") if each),
        pattern=asked.name,
        source=asked.source,
        since=_time(asked.since, option="since"),
        until=_time(asked.until, option="until"),
        text=asked.search,
        before=position_of(asked.cursor, option="cursor"),
        after=position_of(asked.before, option="before"),
        limit=asked.limit,
    )
    if asked.before:
        page = await call.operations.events.newer(query)
    else:
        page = await call.operations.events.older(query)
    return EventListDocument(
        events=[event_document(each) for each in page.events],
        count=len(page.events),
        limit=asked.limit,
        has_next=bool(page.older),
        has_prev=bool(page.newer),
        next_cursor=page.older or UNSET,
        prev_cursor=page.newer or UNSET,
    )


async def get_event(call: Call[Nothing, Nothing]) -> EventDocument:
    """Return an event."""
    return event_document(await call.operations.events.get(call.parameters["id"]))


async def list_event_names(call: Call[EventNamesQuery, Nothing]) -> EventNamesDocument:
    """Return the names of events, with how many there are of each."""
    query = call.query
    found = await call.operations.events.names(
        since=_time(query.since, option="since"),
        until=_time(query.until, option="until"),
        source=query.source,
    )
    return EventNamesDocument(
        names=[
            EventNameDocument(
                name=each.name,
                count=each.count,
                first_at=moment(each.first_at),
                last_at=moment(each.last_at),
            )
            for each in found.names
        ],
        scanned=found.searched,
        scan_cap=limits.EVENT_NAMES_SEARCHED_MAX,
        truncated=not found.is_whole,
    )


def _time(text: str, *, option: str) -> int:
    return parse_time(text, option=option) if text else 0


async def emit(call: Call[WaitQuery, EmitBody]) -> EmittedDocument:
    """Store an event and start its runs; the answer comes when both are durable."""
    body = call.body
    receipt = await call.operations.emit(
        body.name,
        body.data,
        idempotency_key=body.idempotency_key,
        metadata=texts(body.metadata) if body.metadata else None,
        version=body.version,
        source=body.source,
        attributes=attributes_of(body.attributes),
    )
    runs = await waited(call, receipt.run_ids, call.query.wait)
    return EmittedDocument(
        event_id=receipt.event_id,
        id=receipt.event_id,
        run_ids=list(receipt.run_ids),
        duplicate=receipt.duplicate,
        runs=runs,
    )


async def waited(
    call: Call[Any, Any], run_ids: Sequence[str], wait: str
) -> list[RunDetailsDocument] | UnsetType:
    """Return what came of runs, if the client waits for them."""
    if not wait:
        return UNSET
    return [details_document(run) for run in await results(call, run_ids, wait)]


def attributes_of(body: AttributesBody) -> Attributes | None:
    """Return the attributes in a request; None for none."""
    return {
        name: value.time if isinstance(value, TimeBody) else value
        for name, value in body.items()
    } or None


def texts(metadata: dict[str, Any]) -> dict[str, str]:
    """Return metadata as it is stored: what is no text becomes JSON."""
    return {
        key: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for key, value in metadata.items()
    }


ENDPOINTS: Final = (
    Endpoint(
        method="POST",
        path="/api/v1/events",
        summary="Emit an event.",
        answer=emit,
        returns=EmittedDocument,
        query=WaitQuery,
        body=EmitBody,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/events",
        summary="List events, newest first.",
        answer=list_events,
        returns=EventListDocument,
        query=EventsQuery,
        body=Nothing,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/events/names",
        summary="List the names of events, with how many there are of each.",
        answer=list_event_names,
        returns=EventNamesDocument,
        query=EventNamesQuery,
        body=Nothing,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/events/{id}",
        summary="Get an event.",
        answer=get_event,
        returns=EventDocument,
        query=Nothing,
        body=Nothing,
    ),
)
