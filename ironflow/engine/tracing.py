"""Traces of OpenTelemetry: what emitted an event, the runs it started, their steps.

A run may live longer than any process, so its span is never kept open: the ids of its
trace and span follow from the run, every attempt of a step names them as its parent,
wherever it is made, and the span itself is told when the run has ended. The context of
who emitted travels in the event's metadata, as the W3C says (`traceparent`).

Needs the extra `otel`. The run's own span has the id that its steps name if the tracer
provider was made with `RunIds`; `configure` makes such a one.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextvars import ContextVar  # noqa: TID251  OpenTelemetry asks for ids by it
from dataclasses import dataclass
from typing import Any, Final, final

import msgspec
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TracerProvider,
)

from ironflow.engine.hooks import Call, Hooks
from ironflow.interpreter import failures
from ironflow.interpreter.turn import PerformStep
from ironflow.journal.base import Journal
from ironflow.records import COMPLETED, EventData, RunEnded, RunStarted

_KNOWN_MAX: Final = 1_024  # runs whose trace need not be looked up again
_own: ContextVar[SpanContext | None] = ContextVar("ironflow_run_span", default=None)
_decode_event: Final = msgspec.msgpack.Decoder(EventData).decode


@final
class RunIds(RandomIdGenerator):
    """Gives a run's span the id that its steps name as their parent."""

    def generate_span_id(self) -> int:
        """Return the id of the span that is about to begin."""
        own = _own.get()
        return super().generate_span_id() if own is None else own.span_id

    def generate_trace_id(self) -> int:
        """Return the id of the trace that is about to begin: with a run, or another."""
        own = _own.get()
        return super().generate_trace_id() if own is None else own.trace_id


@dataclass(frozen=True, slots=True)
class _RunTrace:
    """A run in its trace; `cause` is who emitted its event, invalid if nobody said."""

    function_id: str
    started_at: int
    cause: SpanContext
    span: SpanContext


@final
class Tracing(Hooks):
    """Makes a span of every attempt of a step, and of every run that ends here."""

    def __init__(self, journal: Journal, provider: TracerProvider) -> None:
        self._journal = journal
        self._tracer: Final[Tracer] = provider.get_tracer("ironflow")
        self._known: OrderedDict[str, _RunTrace] = OrderedDict()

    def emitting(self, metadata: Mapping[str, str]) -> Mapping[str, str]:
        """Add the context of the span that emits, unless the caller gave one."""
        if "traceparent" in metadata:
            return metadata
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return {**metadata, **carrier}

    async def make(self, run_id: str, perform: PerformStep, call: Call) -> Any:
        """Make an attempt inside a span whose parent is the run's."""
        run = await self._trace(run_id)
        parent = trace.set_span_in_context(NonRecordingSpan(run.span))
        attributes: dict[str, str | int] = {
            "ironflow.run.id": run_id,
            "ironflow.function.id": run.function_id,
            "ironflow.step.id": perform.id,
            "ironflow.step.attempt": perform.attempt,
        }
        with self._tracer.start_as_current_span(
            f"step {perform.name}", context=parent, attributes=attributes
        ):
            return await call(perform.fn)

    async def ended(self, run_id: str) -> None:
        """Tell the span of a run, from its first record to its last."""
        run = await self._trace(run_id)
        self._known.pop(run_id, None)
        summary = await self._journal.run(run_id)
        if summary is None:  # its retention has passed already
            return
        [last] = await self._journal.history(run_id, after=summary.length - 1, limit=1)
        token = _own.set(run.span)
        try:
            span = self._tracer.start_span(
                f"run {run.function_id}",
                context=trace.set_span_in_context(NonRecordingSpan(run.cause)),
                start_time=run.started_at * 1_000,
                attributes={
                    "ironflow.run.id": run_id,
                    "ironflow.function.id": run.function_id,
                    "ironflow.run.status": summary.row.status,
                },
            )
        finally:
            _own.reset(token)
        record = last.record
        if isinstance(record, RunEnded) and record.status != COMPLETED:
            why = failures.decode(last.payload).message if last.payload else ""
            span.set_status(Status(StatusCode.ERROR, why))
        span.end(end_time=record.recorded_at * 1_000)

    async def _trace(self, run_id: str) -> _RunTrace:
        known = self._known.get(run_id)
        if known is None:
            known = await self._looked_up(run_id)
            self._known[run_id] = known
            if len(self._known) > _KNOWN_MAX:
                self._known.popitem(last=False)
        return known

    async def _looked_up(self, run_id: str) -> _RunTrace:
        [first] = await self._journal.history(run_id, limit=1)
        record = first.record
        assert isinstance(record, RunStarted), "a run begins with its start"
        event = _decode_event(first.payload)
        context = propagate.extract(dict(event.metadata))
        cause = trace.get_current_span(context).get_span_context()
        digest = hashlib.blake2b(run_id.encode(), digest_size=24).digest()
        span = SpanContext(
            trace_id=cause.trace_id or int.from_bytes(digest[:16], "big"),
            span_id=int.from_bytes(digest[16:], "big"),
            is_remote=True,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        )
        return _RunTrace(record.function_id, record.recorded_at, cause, span)


def provider() -> TracerProvider:
    """Return the tracer provider of this process, which its program has set."""
    return trace.get_tracer_provider()


def configure(service: str) -> Callable[[], None]:
    """Send spans by OTLP, as the environment says (`OTEL_EXPORTER_OTLP_ENDPOINT`, ...).

    For programs of ours, which have nobody else to set a provider. Return what sends
    the last of them.
    """
    own = sdk.TracerProvider(
        resource=Resource.create({"service.name": service}), id_generator=RunIds()
    )
    own.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(own)
    return own.shutdown
