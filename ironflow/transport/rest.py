"""The REST surface as a part of a server."""

from typing import Any, Final

from ironflow.transport.context import Context
from ironflow.transport.handlers import events, runs, status
from ironflow.transport.handlers.endpoint import Endpoint, add
from ironflow.transport.http.router import Router

ENDPOINTS: Final[tuple[Endpoint[Any, Any], ...]] = (
    *status.ENDPOINTS,
    *events.ENDPOINTS,
    *runs.ENDPOINTS,
)


def routes(router: Router, context: Context) -> None:
    """Add the REST surface to a server."""
    add(router, context.operations, ENDPOINTS)
    context.operations.capabilities.transports.add("rest")
