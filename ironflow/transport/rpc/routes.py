"""The RPC surface as a part of a server."""

from typing import Final

from ironflow.transport import connect
from ironflow.transport.context import Context
from ironflow.transport.handlers.endpoint import reply
from ironflow.transport.http.messages import Request, Response
from ironflow.transport.http.router import Parameters, Router
from ironflow.transport.rpc.events import EVENTS
from ironflow.transport.rpc.functions import FUNCTIONS
from ironflow.transport.rpc.procedures import Procedure, bound
from ironflow.transport.rpc.pubsub import PUBSUB
from ironflow.transport.rpc.redaction import REDACTION
from ironflow.transport.rpc.runs import RUNS
from ironflow.transport.rpc.status import STATUS, capabilities_document
from ironflow.transport.rpc.steering import STEERING
from ironflow.wire.message import Service
from ironflow.wire.proto.ironflow import IronflowService
from ironflow.wire.proto.pubsub import PubSubService

PACKAGE: Final = "ironflow.v1."
SERVED: Final[dict[str, tuple[Service, dict[str, Procedure]]]] = {
    "IronflowService": (
        IronflowService,
        EVENTS | FUNCTIONS | RUNS | STEERING | REDACTION | STATUS,
    ),
    "PubSubService": (PubSubService, PUBSUB),
}
# Services of the schema of which nothing is here: each of their methods says so.
ABSENT: Final = (
    "AgentToolsService",
    "AuditService",
    "DeploymentService",
    "EntityStreamService",
    "EnvironmentService",
    "EventSchemaService",
    "ProjectionService",
    "QueryService",
    "TimeTravelService",
    "WebhookService",
)


def routes(router: Router, context: Context) -> None:
    """Add the RPC surface to a server."""
    for name, (service, procedures) in SERVED.items():
        connect.add(
            router,
            context.nursery,
            (PACKAGE + name, service),
            bound(context.operations, procedures),
        )
    for name in ABSENT:
        connect.add(router, context.nursery, (PACKAGE + name, {}), {})

    async def capabilities(_: Request, __: Parameters) -> Response:
        """Answer what one published client asks, though no schema has it."""
        return reply(capabilities_document(context.operations))

    router.add("POST", f"/{PACKAGE}IronflowService/GetCapabilities", capabilities)
    context.operations.capabilities.transports.add("connect")
