"""A request is a span, and what it emits names it."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, format_trace_id

from ironflow.transport import tracing
from ironflow.transport.http.messages import (
    Answer,
    Headers,
    Request,
    Response,
    WebSocket,
    WebSocketUpgrade,
)
from ironflow.transport.tracing import traced

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(tracing, "provider", lambda: provider)
    return kept


async def test_an_answer_is_given_inside_the_clients_trace(
    kept: InMemorySpanExporter,
) -> None:
    async def handler(_: Request) -> Answer:
        return Response(503)

    headers = Headers([("traceparent", GIVEN)])
    await traced(handler)(Request("POST", "/api/v1/events", headers=headers))

    [span] = kept.get_finished_spans()
    assert span.name == "POST /api/v1/events"
    assert span.context is not None
    assert format_trace_id(span.context.trace_id) == GIVEN.split("-")[1]
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 503


async def test_an_upgrade_has_no_status(kept: InMemorySpanExporter) -> None:
    async def handler(_: Request) -> Answer:
        return WebSocketUpgrade(serve)

    async def serve(_: WebSocket) -> None:
        """Say nothing."""

    await traced(handler)(Request("GET", "/ws"))

    [span] = kept.get_finished_spans()
    assert span.attributes is not None
    assert "http.response.status_code" not in span.attributes
