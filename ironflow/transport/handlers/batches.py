"""Many events at once, over REST."""

from typing import Final

import msgspec

from ironflow.handles import Emission
from ironflow.transport.handlers.endpoint import Call, Endpoint, Nothing
from ironflow.transport.handlers.events import EmitBody, attributes_of, texts
from ironflow.wire.answers import EmittedBatchDocument, EmittedDocument


class BatchBody(msgspec.Struct, frozen=True, kw_only=True):
    """Events, which are stored together or not at all."""

    events: list[EmitBody]


async def emit_batch(call: Call[Nothing, BatchBody]) -> EmittedBatchDocument:
    """Store events and start their runs, in one commit."""
    receipts = await call.operations.emit_batch(
        [
            Emission(
                each.name,
                each.data,
                idempotency_key=each.idempotency_key,
                metadata=texts(each.metadata) if each.metadata else None,
                version=each.version,
                source=each.source,
                attributes=attributes_of(each.attributes),
            )
            for each in call.body.events
        ]
    )
    return EmittedBatchDocument(
        events=[
            EmittedDocument(
                event_id=each.event_id,
                id=each.event_id,
                run_ids=list(each.run_ids),
                duplicate=each.duplicate,
            )
            for each in receipts
        ]
    )


ENDPOINTS: Final = (
    Endpoint(
        method="POST",
        path="/api/v1/events/batch",
        summary="Emit events, all of them or none.",
        answer=emit_batch,
        returns=EmittedBatchDocument,
        query=Nothing,
        body=BatchBody,
    ),
)
