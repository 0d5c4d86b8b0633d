"""Events of IronflowService: store one, start its runs, wait for them."""

from typing import Any, Final

from msgspec import UNSET

from ironflow import limits
from ironflow.engine.handles import Receipt
from ironflow.errors import IronflowError
from ironflow.handles import Emission
from ironflow.policy.names import check_text
from ironflow.transport.batches import unfit
from ironflow.transport.handlers.events import texts
from ironflow.transport.handlers.patience import while_there
from ironflow.transport.http.messages import ClientGone, Request
from ironflow.transport.operations import Operations
from ironflow.transport.rpc.procedures import Procedure
from ironflow.transport.rpc.rendering import result_message
from ironflow.transport.run_reads import RunDetails
from ironflow.wire.failures import failure, failure_of
from ironflow.wire.message import payload
from ironflow.wire.proto.ironflow import (
    InvokeFunctionRequest,
    InvokeFunctionResponse,
    InvokeFunctionSyncRequest,
    InvokeFunctionSyncResponse,
    TriggerBatchRequest,
    TriggerBatchResponse,
    TriggerRequest,
    TriggerResponse,
    TriggerSyncRequest,
    TriggerSyncResponse,
)
from ironflow.wire.proto.types import Error

SOURCE: Final = "sdk"
_BESIDE: Final = failure(
    "aborted",
    "not stored, because another event of the batch cannot be: correct that one, then send"
    " all again",
    retryable=True,
)
_GONE: Final = "the client that waited for it went away"


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


async def trigger_batch(
    operations: Operations, _: Request, message: TriggerBatchRequest
) -> TriggerBatchResponse:
    """Store events in one commit, all or none.

    If an event cannot be stored, none is: each item has an error then, which says whether
    it was the reason.
    """
    events = [
        Emission(
            each.event,
            data_of(each),
            each.idempotency_key,
            texts(each.metadata or {}),
            each.version or 1,
            SOURCE,
        )
        for each in message.events
    ]
    try:
        receipts = await operations.emit_batch(events)
    except IronflowError:
        errors = unfit(events)
        if not any(errors):  # it is not about single events
            raise
        return TriggerBatchResponse(results=tuple(map(_not_stored, errors)))
    return TriggerBatchResponse(
        results=tuple(
            TriggerResponse(run_ids=each.run_ids, event_id=each.event_id)
            for each in receipts
        )
    )


def _not_stored(error: IronflowError | None) -> TriggerResponse:
    found = _BESIDE if error is None else failure_of(error)
    return TriggerResponse(
        error=Error(message=found.message, code=found.code, retryable=found.retryable)
    )


async def invoke(
    operations: Operations, _: Request, message: InvokeFunctionRequest
) -> InvokeFunctionResponse:
    """Start a run of one function, whatever its triggers."""
    receipt = await operations.invoke(
        check_text(message.function_id, option="function_id"),
        data_of(message),
        idempotency_key=message.idempotency_key,
    )
    [run_id] = receipt.run_ids
    return InvokeFunctionResponse(run_id=run_id, event_id=receipt.event_id)


async def invoke_sync(
    operations: Operations, request: Request, message: InvokeFunctionSyncRequest
) -> InvokeFunctionSyncResponse:
    """Start a run of one function and wait for it; who goes away cancels it."""
    receipt = await operations.invoke(
        check_text(message.function_id, option="function_id"),
        data_of(message),
        idempotency_key=message.idempotency_key,
        metadata=texts(message.metadata or {}),
    )
    seconds = waited_s(message.timeout_ms)

    async def look() -> list[RunDetails]:
        return await operations.results(receipt.run_ids, seconds)

    try:
        [run] = await while_there(request, look)
    except ClientGone:
        if not receipt.duplicate:
            [run_id] = receipt.run_ids
            await operations.steering.cancel(run_id, reason=_GONE, actor=request.actor)
        raise
    return InvokeFunctionSyncResponse(result=result_message(run))


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
    "TriggerBatch": trigger_batch,
    "InvokeFunction": invoke,
    "InvokeFunctionSync": invoke_sync,
}
