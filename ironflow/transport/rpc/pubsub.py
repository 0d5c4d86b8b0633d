"""PubSubService, as far as it is there: publish a message, emit an event."""

import re
from typing import Final

from ironflow import ids, limits
from ironflow.transport.handlers.events import texts
from ironflow.transport.http.messages import Request
from ironflow.transport.operations import Operations
from ironflow.transport.rpc.events import SOURCE, data_of
from ironflow.transport.rpc.procedures import Procedure
from ironflow.wire.errors import ConnectError, malformed
from ironflow.wire.proto.pubsub import (
    EmitRequest,
    EmitResponse,
    PublishRequest,
    PublishResponse,
)

_RUN: Final = "x-ironflow-run-id"  # of the run whose step publishes
_NO_KEY: Final = re.compile(r"[\s\x00-\x1f\x7f]")


async def publish(
    operations: Operations, request: Request, message: PublishRequest
) -> PublishResponse:
    """Store a message to a topic; runs that wait for it get it, none is started."""
    receipt = await operations.publish(
        message.topic,
        data_of(message),
        idempotency_key=_checked_key(message.idempotency_key),
        source=_source(request),
    )
    return PublishResponse(
        event_id=receipt.event_id,
        sequence=receipt.position,
        duplicate=receipt.duplicate,
    )


def _checked_key(key: str) -> str:
    if _NO_KEY.search(key) or len(key.encode()) > limits.IDEMPOTENCY_KEY_CHARS_MAX:
        raise malformed(
            "idempotency_key must have no spaces or control characters, and at most"
            f" {limits.IDEMPOTENCY_KEY_CHARS_MAX} bytes"
        )
    return key


def _source(request: Request) -> str:
    run_id = request.headers.get(_RUN, "")
    return run_id if ids.is_run_id(run_id) else SOURCE


async def emit(
    operations: Operations, _: Request, message: EmitRequest
) -> EmitResponse:
    """Store an event and start its runs."""
    if message.namespace not in {"", "default"}:
        raise ConnectError(
            "unimplemented", "this server has the default namespace only"
        )
    receipt = await operations.emit(
        message.event,
        data_of(message),
        idempotency_key=message.idempotency_key,
        metadata=texts(message.metadata or {}),
        version=message.version or 1,
        source=SOURCE,
    )
    return EmitResponse(run_ids=receipt.run_ids, event_id=receipt.event_id)


PUBSUB: Final[dict[str, Procedure]] = {"Publish": publish, "Emit": emit}
