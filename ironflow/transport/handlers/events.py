"""Events over REST: emit one, and wait for its runs if asked."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from ironflow.transport.handlers.endpoint import Call, Endpoint
from ironflow.transport.handlers.patience import WaitQuery, results
from ironflow.transport.handlers.runs import details_document
from ironflow.wire.answers import EmittedDocument, RunDetailsDocument


class EmitBody(msgspec.Struct, frozen=True, kw_only=True):
    """An event. `idempotencyKey` may be written for `idempotency_key`.

    A value of `metadata` that is no text is kept as JSON text.
    """

    name: str
    data: Any = None
    idempotency_key: str = ""
    metadata: dict[str, Any] = {}
    version: int = 1
    source: str = "api"


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
)
