"""Runs and steps as spans: one trace from who emitted to the last step, over crashes."""

from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import ironflow
from ironflow.engine.tracing import RunIds, Tracing
from tests.engine.bench import Bench, settle


class Traces:
    """A tracer provider that keeps what it is told."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        self.provider = TracerProvider(id_generator=RunIds())
        self.provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracer = self.provider.get_tracer("test")

    def hooks(self, bench: Bench) -> Tracing:
        """Return the hooks of an engine on the journal as it is now."""
        return Tracing(bench.journal, self.provider)

    def named(self, start: str) -> Sequence[ReadableSpan]:
        """Return the spans whose names begin so."""
        spans = self._kept.get_finished_spans()
        return [span for span in spans if span.name.startswith(start)]


@pytest.fixture
def traces() -> Traces:
    return Traces()


async def charge() -> int:
    return 7


@ironflow.function(id="order", triggers=["order.placed"])
async def order(ctx: ironflow.Context[Any]) -> int:
    await ctx.step.run("charge", charge)
    await ctx.step.wait_for_event("go", "go")
    return await ctx.step.run("charge", charge)


@ironflow.function(id="broken", triggers=["break"])
async def broken(_: ironflow.Context[Any]) -> None:
    raise ironflow.NonRetryableError("no such order")


async def test_a_trace_leads_from_the_emit_to_steps_after_a_crash(
    bench: Bench, traces: Traces
) -> None:
    async with bench.crashing(order, hooks=traces.hooks(bench)) as engine:
        with traces.tracer.start_as_current_span("shop"):
            receipt = await engine.emit("order.placed")
        await settle()
    async with bench.engine(order, hooks=traces.hooks(bench)) as engine:
        await engine.emit("go")
        await engine.result(receipt.run_ids[0])
        await settle()

    [shop], [run] = traces.named("shop"), traces.named("run order")
    first, second = traces.named("step charge")
    assert run.parent is not None
    assert run.parent.span_id == shop.context.span_id
    for span in (first, second):
        assert span.parent is not None
        assert span.parent.span_id == run.context.span_id
        assert span.context.trace_id == shop.context.trace_id
    assert run.attributes is not None
    assert run.attributes["ironflow.run.id"] == receipt.run_ids[0]
    assert run.attributes["ironflow.run.status"] == "completed"
    records = bench.records(receipt.run_ids[0])
    assert (run.start_time, run.end_time) == (
        records[0].recorded_at * 1_000,
        records[-1].recorded_at * 1_000,
    )


async def test_a_run_that_nobody_traces_begins_a_trace_of_its_own(
    bench: Bench, traces: Traces
) -> None:
    async with bench.engine(order, hooks=traces.hooks(bench)) as engine:
        [run_id] = (await engine.emit("order.placed")).run_ids
        await engine.emit("go")
        await engine.result(run_id)
        await settle()

    [run] = traces.named("run order")
    spans = traces.named("step charge")
    assert run.parent is None
    assert {span.context.trace_id for span in spans} == {run.context.trace_id}
    assert {span.parent and span.parent.span_id for span in spans} == {
        run.context.span_id
    }


async def test_a_failed_run_is_an_error_and_keeps_the_callers_context(
    bench: Bench, traces: Traces
) -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with bench.engine(broken, hooks=traces.hooks(bench)) as engine:
        with traces.tracer.start_as_current_span("shop"):
            receipt = await engine.emit("break", metadata={"traceparent": given})
        await engine.result(receipt.run_ids[0])
        await settle()

    [run] = traces.named("run broken")
    assert run.status.status_code is trace.StatusCode.ERROR
    assert run.status.description == "no such order"
    assert trace.format_trace_id(run.context.trace_id) == given.split("-")[1]
