"""Events of IronflowService: store one, start its runs, wait for them."""

from typing import Any, Final

from msgspec import UNSET

from ironflow import limits
from ironflow.engine.handles import Receipt
from ironflow.transport.handlers.events import texts
from ironflow.transport.handlers.patience import while_there
from ironflow.transport.http.messages import Request
from ironflow.transport.operations import Operations, RunDetails
from ironflow.transport.rpc.procedures import Procedure
from ironflow.transport.rpc.rendering import result_message
from ironflow.wire.message import payload
from ironflow.wire.proto.ironflow import (
    TriggerRequest,
    TriggerResponse,
    TriggerSyncRequest,
    TriggerSyncResponse,
)

SOURCE: Final = "sdk"


def data_of(message: Any) -> Any:
    """Return the data that a request brings; null if it brings none."""
    value = payload(message, "data")
    return None if value is UNSET else value


async def trigger(
    operations: Operations, _: Request, message: TriggerRequest
) -> TriggerResponse:
    """Store an event and start its runs."""
    receipt = await _emitted(operations, message)
    return TriggerResponse(run_ids=receipt.run_ids, event_id=receipt.event_id)


async def trigger_sync(
    operations: Operations, request: Request, message: TriggerSyncRequest
) -> TriggerSyncResponse:
    """Store an event, start its runs, and wait until they have ended or time is up."""
    receipt = await _emitted(operations, message)
    seconds = waited_s(message.timeout_ms)

    async def look() -> list[RunDetails]:
        return await operations.results(receipt.run_ids, seconds)

    runs = await while_there(request, look)
    return TriggerSyncResponse(
        results=tuple(result_message(run) for run in runs), event_id=receipt.event_id
    )


async def _emitted(
    operations: Operations, message: TriggerRequest | TriggerSyncRequest
) -> Receipt:
    return await operations.emit(
        message.event,
        data_of(message),
        idempotency_key=message.idempotency_key,
        metadata=texts(message.metadata or {}),
        version=message.version or 1,
        source=SOURCE,
    )


def waited_s(timeout_ms: int) -> float:
    """Return for how many seconds to wait: as asked, or as long as one may."""
    longest = limits.RESULT_WAIT_US_MAX / 1_000_000
    default = limits.EMIT_SYNC_TIMEOUT_US_DEFAULT / 1_000_000
    return min(timeout_ms / 1_000, longest) if timeout_ms > 0 else default


EVENTS: Final[dict[str, Procedure]] = {
    "Trigger": trigger,
    "Emit": trigger,
    "TriggerSync": trigger_sync,
}
