"""Requests as spans of OpenTelemetry, in the trace that the client names (W3C)."""

from opentelemetry import propagate
from opentelemetry.trace import SpanKind, Status, StatusCode

from ironflow.engine.tracing import provider
from ironflow.transport.http.messages import Answer, Handler, Request, Response

_SERVER_FAULT = 500


def traced(handler: Handler) -> Handler:
    """Return a handler that answers inside a span, so that what is emitted names it."""
    tracer = provider().get_tracer("ironflow")

    async def answer(request: Request) -> Answer:
        context = propagate.extract(dict(request.headers.items()))
        with tracer.start_as_current_span(
            f"{request.method} {request.path}",
            context=context,
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": request.method,
                "url.path": request.path,
            },
        ) as span:
            found = await handler(request)
            if isinstance(found, Response):
                span.set_attribute("http.response.status_code", found.status)
                if found.status >= _SERVER_FAULT:
                    span.set_status(Status(StatusCode.ERROR))
            return found

    return answer
