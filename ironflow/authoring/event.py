"""An event as function code sees it, and the way there from what is stored."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar, final

import msgspec

from ironflow import values
from ironflow.errors import PayloadRejected, ValueRejected
from ironflow.records import EventData

PayloadT = TypeVar("PayloadT")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@final
class Event(msgspec.Struct, Generic[PayloadT], frozen=True, kw_only=True):
    """Something that a user published.

    `data` is of the type that the function declares with `Context[...]`; the data
    of an event that was waited for is what JSON would hold. `timestamp` is when
    the event was stored, in UTC. `idempotency_key` and `source` are empty where
    the sender gave none.
    """

    id: str
    name: str
    data: PayloadT
    version: int
    timestamp: datetime
    metadata: dict[str, str]
    idempotency_key: str
    source: str


def moment(time_us: int) -> datetime:
    """Return microseconds since the epoch as a time in UTC."""
    return _EPOCH + timedelta(microseconds=time_us)


def plain_event(stored: EventData) -> Event[Any]:
    """Return an event whose data is what JSON would hold."""
    return _event(stored, values.decode(stored.data))


def typed_event(stored: EventData, payload: object, *, function_id: str) -> Event[Any]:
    """Return the event that starts a run, with data of the type `payload`.

    Raises:
        PayloadRejected: the data does not fit; the message names the path.
    """
    try:
        data = values.decode(stored.data, payload)
    except ValueRejected as error:
        raise PayloadRejected(
            f"the data of event {stored.name!r} ({stored.id}) does not fit function"
            f" {function_id!r}: {error}"
        ) from error
    return _event(stored, data)


def _event(stored: EventData, data: object) -> Event[Any]:
    return Event(
        id=stored.id,
        name=stored.name,
        data=data,
        version=stored.version,
        timestamp=moment(stored.timestamp),
        metadata=dict(stored.metadata),
        idempotency_key=stored.idempotency_key,
        source=stored.source,
    )
