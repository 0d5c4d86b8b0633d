"""How the server stands, over REST: health, readiness, capabilities, workers."""

from typing import Final

from msgspec import UNSET

from ironflow.transport.handlers.endpoint import Call, Endpoint, Nothing, reply
from ironflow.transport.http.messages import Response
from ironflow.transport.rendering import worker_document
from ironflow.wire.answers import (
    CapabilitiesDocument,
    HealthDocument,
    ReadyDocument,
    WorkerListDocument,
    moment,
)


async def health(call: Call[Nothing, Nothing]) -> HealthDocument:
    """Say that the server answers."""
    found = call.operations.health()
    return HealthDocument(
        status="ok", version=found.version, timestamp=moment(found.now)
    )


async def ready(call: Call[Nothing, Nothing]) -> Response:
    """Say whether the server takes work: 200, or 503 with the reasons why not."""
    issues = sorted(call.operations.issues)
    if issues:
        return reply(ReadyDocument(status="not_ready", issues=issues), 503)
    return reply(ReadyDocument(status="ready", issues=UNSET))


async def capabilities(call: Call[Nothing, Nothing]) -> CapabilitiesDocument:
    """Say what a client may expect."""
    found = call.operations.capabilities
    return CapabilitiesDocument(
        transports=sorted(found.transports),
        features=sorted(found.features),
        version=call.operations.health().version,
        auth_required=found.auth_required,
    )


async def workers(call: Call[Nothing, Nothing]) -> WorkerListDocument:
    """Return the workers that are connected."""
    found = [worker_document(each) for each in call.operations.workers.infos()]
    return WorkerListDocument(workers=found, count=len(found))


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/health",
        summary="Say that the server answers.",
        answer=health,
        returns=HealthDocument,
        query=Nothing,
        body=Nothing,
    ),
    Endpoint(
        method="GET",
        path="/ready",
        summary="Say whether the server takes work.",
        answer=ready,
        returns=ReadyDocument,
        query=Nothing,
        body=Nothing,
        other_answers={503: ReadyDocument},
    ),
    Endpoint(
        method="GET",
        path="/api/v1/capabilities",
        summary="Say what a client may expect.",
        answer=capabilities,
        returns=CapabilitiesDocument,
        query=Nothing,
        body=Nothing,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/workers",
        summary="List the workers that are connected.",
        answer=workers,
        returns=WorkerListDocument,
        query=Nothing,
        body=Nothing,
    ),
)
