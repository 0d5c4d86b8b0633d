"""What is wrong with single events of a batch, which is stored whole or not at all."""

from collections.abc import Sequence

from ironflow import values
from ironflow.engine.checked import checked_key, checked_metadata, checked_version
from ironflow.errors import EventConflict, IronflowError
from ironflow.handles import Emission
from ironflow.policy.names import check_event_name


def unfit(events: Sequence[Emission]) -> list[IronflowError | None]:
    """Return for each event why no batch with it is stored; None if it is not at fault."""
    keys: set[tuple[str, str]] = set()
    found: list[IronflowError | None] = []
    for event in events:
        key = (event.name, event.idempotency_key)
        found.append(_repeated(event) if key in keys else _unfit(event))
        if event.idempotency_key:
            keys.add(key)
    return found


def _repeated(event: Emission) -> EventConflict:
    return EventConflict(
        f"an event {event.name!r} before it in the batch has the idempotency key"
        f" {event.idempotency_key[:80]!r} as well; send it once"
    )


def _unfit(event: Emission) -> IronflowError | None:
    try:
        check_event_name(event.name)
        checked_key(event.idempotency_key)
        checked_metadata(event.metadata)
        checked_version(event.version)
        values.encode(event.data)
    except IronflowError as error:
        return error
    return None
