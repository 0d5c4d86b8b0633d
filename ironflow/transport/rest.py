"""The REST surface as a part of a server."""

from typing import Any, Final

import trio

from ironflow.transport import openapi
from ironflow.transport.context import Context
from ironflow.transport.handlers import (
    batches,
    circuits,
    event_log,
    events,
    functions,
    keys,
    records,
    redactions,
    runs,
    status,
)
from ironflow.transport.handlers.endpoint import JSON, Endpoint, add
from ironflow.transport.http.messages import Request, Response
from ironflow.transport.http.router import Parameters, Router
from ironflow.transport.metrics import Figures

ENDPOINTS: Final[tuple[Endpoint[Any, Any], ...]] = (
    *status.ENDPOINTS,
    *events.ENDPOINTS,
    *functions.ENDPOINTS,
    *circuits.ENDPOINTS,
    *runs.ENDPOINTS,
    *records.ENDPOINTS,
    *redactions.ENDPOINTS,
    *batches.ENDPOINTS,
    *event_log.ENDPOINTS,
    *keys.ENDPOINTS,
)
_PROMETHEUS: Final = ("content-type", "text/plain; version=0.0.4; charset=utf-8")


def routes(router: Router, context: Context) -> None:
    """Add the REST surface to a server, with its description and its figures."""
    add(router, context.operations, ENDPOINTS)
    context.operations.capabilities.transports.add("rest")
    description = openapi.encoded(ENDPOINTS)

    async def describe(request: Request, parameters: Parameters) -> Response:
        return Response(200, [JSON], description)

    async def metrics(request: Request, parameters: Parameters) -> Response:
        figures = await context.metrics.figures(
            context.journal,
            context.operations.workers,
            context.operations.circuits.states(context.operations.health().now),
        )
        text = await trio.to_thread.run_sync(_text_of, figures)
        return Response(200, [_PROMETHEUS], text)

    router.add("GET", "/api/v1/openapi.json", describe)
    router.add("GET", "/metrics", metrics)


def _text_of(figures: Figures) -> bytes:
    from ironflow.transport.exposition import text_of  # noqa: PLC0415  see there

    return text_of(figures)
