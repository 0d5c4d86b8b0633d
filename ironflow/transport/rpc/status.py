"""What IronflowService says of the server itself."""

from typing import Final

from ironflow.transport.http.messages import Request
from ironflow.transport.operations import Operations
from ironflow.transport.rpc.procedures import Procedure
from ironflow.wire.answers import CapabilitiesDocument
from ironflow.wire.proto.ironflow import (
    ComponentHealth,
    HealthRequest,
    HealthResponse,
    InfoRequest,
    InfoResponse,
)

_ACTIVE: Final = frozenset({"queued", "running", "waiting"})


async def health(
    operations: Operations, _: Request, __: HealthRequest
) -> HealthResponse:
    """Say that the server answers, and whether it takes work."""
    issues = "; ".join(sorted(operations.issues))
    status = "unhealthy" if issues else "healthy"
    return HealthResponse(
        status=status,
        timestamp=operations.health().now,
        components={"engine": ComponentHealth(status=status, message=issues)},
    )


async def info(operations: Operations, _: Request, __: InfoRequest) -> InfoResponse:
    """Say what the server is."""
    found = operations.health()
    return InfoResponse(
        version=found.version,
        started_at=found.started_at,
        active_runs=sum(
            each.count
            for each in await operations.runs.counts()
            if each.status in _ACTIVE
        ),
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
