"""What a worker or endpoint of the published SDKs is given, as JSON documents.

A `Segment` becomes a job for a worker that asks, or the body of a request to an endpoint.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import msgspec

from ironflow import ids, values
from ironflow.interpreter.segments_news import Row, Segment
from ironflow.records import ErrorInfo, EventData, Payload
from ironflow.wire.answers import moment

_BEGINNING: Final = "1970-01-01T00:00:00Z"
_encode = msgspec.json.Encoder().encode
_decode_event = msgspec.msgpack.Decoder(EventData).decode


@final
@dataclass(frozen=True, slots=True)
class Lease:
    """Under what a worker may report on a job, until `expires_at` (microseconds)."""

    execution_seq: int
    token: str
    expires_at: int


def job_document(
    segment: Segment, lease: Lease, secrets: Mapping[str, str]
) -> dict[str, Any]:
    """Return the assignment of a job to a worker that polls."""
    return {
        "job_id": segment.run_id,
        "run_id": segment.run_id,
        "function_id": segment.function_id,
        "attempt": segment.attempt,
        "max_attempts": segment.max_attempts,
        "on_exhausted": segment.on_exhausted,
        "event": event_document(segment.event),
        "completed_steps": [_completed(segment, row) for row in segment.rows],
        "step_sequence_base": segment.stored,
        "execution_seq": lease.execution_seq,
        "lease_token": lease.token,
        "lease_expires_at": moment(lease.expires_at),
        "context": {"secrets": dict(secrets)},
    }


def push_body(segment: Segment, secrets: Mapping[str, str]) -> bytes:
    """Return the body of a request that lets an endpoint execute a segment."""
    body: dict[str, Any] = {
        "run_id": segment.run_id,
        "function_id": segment.function_id,
        "attempt": segment.attempt,
        "max_attempts": segment.max_attempts,
        "on_exhausted": segment.on_exhausted,
        "event": event_document(segment.event),
        "steps": [_memoized(segment, row) for row in segment.rows],
    }
    if secrets:
        body["secrets"] = dict(secrets)
    return _encode(body)


def encoded(document: Mapping[str, Any]) -> bytes:
    """Return a document as JSON."""
    return _encode(document)


def wire_id(segment: Segment, row: Row) -> str:
    """Return the id by which an SDK knows a step."""
    return f"{segment.run_id}:{row.id}"


def event_document(event: EventData) -> dict[str, Any]:
    """Return an event; what it lacks is left out, never null."""
    document: dict[str, Any] = {
        "id": event.id,
        "name": event.name,
        "data": shown(event.data),
        "timestamp": moment(event.timestamp) or _BEGINNING,
        "version": max(1, event.version),
    }
    if event.source:
        document["source"] = event.source
    if event.idempotency_key:
        document["idempotency_key"] = event.idempotency_key
    if event.metadata:
        document["metadata"] = event.metadata
    return document


def output_of(row: Row) -> Any:
    """Return the result of a row as JSON has it; of a wait, the whole event."""
    if row.kind == "wait":
        return event_document(_decode_event(row.payload))
    return shown(row.payload)


def shown(payload: Payload) -> Any:
    """Return a stored value as JSON has it; none is null."""
    return values.to_json(payload) if payload else None


def failure_document(row: Row, error: ErrorInfo) -> dict[str, Any]:
    """Return why a child run did not complete, as a parent's SDK reads it."""
    return {
        "message": error.message,
        "function_id": row.function_id,
        "child_run_id": row.child_run,
        "cause": {"message": error.message, "code": error.code},
        "retryable": False,
    }


def _completed(segment: Segment, row: Row) -> dict[str, Any]:
    document: dict[str, Any] = {
        "step_id": wire_id(segment, row),
        "name": ids.name_of(row.id),
        "output": output_of(row),
    }
    if row.error is not None:
        document["status"] = "failed"
        document["error"] = failure_document(row, row.error)
    return document


def _memoized(segment: Segment, row: Row) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": wire_id(segment, row),
        "name": ids.name_of(row.id),
        "status": "completed",
    }
    if row.error is None:
        document["output"] = output_of(row)
    else:
        document["status"] = "failed"
        # A text in the text: both SDKs decode it once more.
        error = failure_document(row, row.error)
        document["error"] = _encode(error).decode()
    return document
