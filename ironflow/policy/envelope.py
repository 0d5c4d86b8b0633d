"""An event as value paths see it: its fields, with `data` decoded."""

from collections.abc import Mapping

import msgspec

from ironflow.records import EventData


def envelope_of(event: EventData) -> Mapping[str, object]:
    """Return the event as a mapping; `match.value_at` reads paths from it.

    Raises:
        msgspec.DecodeError: the stored data is not MessagePack.
    """
    return {
        "id": event.id,
        "name": event.name,
        "data": msgspec.msgpack.decode(event.data),
        "version": event.version,
        "timestamp": event.timestamp,
        "metadata": event.metadata,
        "idempotency_key": event.idempotency_key,
        "source": event.source,
    }
