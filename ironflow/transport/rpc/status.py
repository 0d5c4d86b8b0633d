"""What IronflowService says of the server itself."""

from typing import Final

from ironflow.transport.http.messages import Request
from ironflow.transport.operations import Operations
from ironflow.transport.rpc.procedures import Procedure
from ironflow.wire.answers import CapabilitiesDocument
from ironflow.wire.proto.ironflow import (
    HealthRequest,
    HealthResponse,
    InfoRequest,
    InfoResponse,
)


async def health(
    operations: Operations, _: Request, __: HealthRequest
) -> HealthResponse:
    """Say that the server answers."""
    return HealthResponse(status="healthy", timestamp=operations.health().now)


async def info(operations: Operations, _: Request, __: InfoRequest) -> InfoResponse:
    """Say what the server is."""
    return InfoResponse(
        version=operations.health().version,
        function_count=len(await operations.functions.all()),
        connected_workers=len(operations.workers),
    )


def capabilities_document(operations: Operations) -> CapabilitiesDocument:
    """Return what a client may expect, as REST says it."""
    found = operations.capabilities
    return CapabilitiesDocument(
        transports=sorted(found.transports),
        features=sorted(found.features),
        version=operations.health().version,
        auth_required=found.auth_required,
    )


STATUS: Final[dict[str, Procedure]] = {"Health": health, "Info": info}
