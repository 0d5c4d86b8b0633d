"""Messages of a worker's stream, read to reports; segments written as assignments.

A stream tells each step as it ends, where a worker that polls tells many at once. What they
mean for a run is the same.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec
from msgspec import UNSET

from ironflow import ids
from ironflow.errors import ConfigurationError
from ironflow.interpreter.segments_news import (
    ChildAsked,
    Finished,
    News,
    Row,
    Segment,
    SleepAsked,
    StepDone,
    Then,
    WaitAsked,
)
from ironflow.records import ErrorInfo
from ironflow.wire import documents, segments
from ironflow.wire.message import Message, payload, payload_fields
from ironflow.wire.proto.types import Error, Event
from ironflow.wire.proto.worker import (
    CompletedStep,
    ExecutedStep,
    JobAssignment,
    JobCompleted,
    JobContext,
    JobFailed,
    StepCompleted,
    StepFailed,
    StepYielded,
)
from ironflow.wire.segments import Report, invoke_timeout_us, step_id, stored
from ironflow.wire.segments_jobs import (
    Lease,
    event_document,
    failure_document,
    output_of,
    wire_id,
)

Told = StepCompleted | StepFailed | StepYielded | JobCompleted | JobFailed

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


def report_of(told: Told, run_id: str, *, now: int) -> Report:
    """Return what a message reports of a run; `now` is in microseconds.

    Raises:
        ConfigurationError: something in it is wrong.
        ValueRejected: a value cannot be stored.
    """
    match told:
        case StepCompleted():
            value = stored(_given(told, "output"))
            return _step(told, run_id, now, payload=value)
        case StepFailed():
            return _step(told, run_id, now, error=_error(told.error))
        case StepYielded():
            return Report(News(then=_yielded(told, run_id, now)))
        case JobCompleted():
            return Report(News(then=Finished(stored(_given(told, "output")))))
        case JobFailed():
            return _failed(told, run_id)


def assignment(
    segment: Segment, lease: Lease, secrets: Mapping[str, str]
) -> JobAssignment:
    """Return the assignment of a job."""
    return JobAssignment(
        job_id=segment.run_id,
        run_id=segment.run_id,
        function_id=segment.function_id,
        event=_event(segment),
        completed_steps=tuple(_completed(segment, row) for row in segment.rows),
        attempt=segment.attempt,
        context=JobContext(secrets=dict(secrets)),
        execution_seq=lease.execution_seq,
        lease_token=lease.token,
        lease_expires_at=lease.expires_at,
        max_attempts=segment.max_attempts,
        on_exhausted=segment.on_exhausted,
    )


# --- reports --------------------------------------------------------------------------------


def _given(message: Message, name: str) -> Any:
    value = payload(message, name)
    return None if value is UNSET else value


def _step(
    told: StepCompleted | StepFailed,
    run_id: str,
    now: int,
    *,
    payload: bytes = b"",
    error: ErrorInfo | None = None,
) -> Report:
    step = StepDone(
        id=step_id(told.step_id, run_id),
        payload=payload,
        error=error,
        began_at=max(0, now - max(0, told.duration_ms) * 1_000),
    )
    return Report(News((step,)))


def _failed(told: JobFailed, run_id: str) -> Report:
    """Steps that were told before come again here, with those of the undo."""
    error = told.error or Error()
    steps = tuple(_executed(each, run_id) for each in told.steps)
    after = error.retry_after_ms
    return Report(
        News(steps, error=_error(error)),
        retryable=error.retryable,
        retry_after=timedelta(milliseconds=min(after, 10**12)) if after > 0 else None,
    )


def _executed(step: ExecutedStep, run_id: str) -> StepDone:
    id_ = step_id(step.id, run_id)
    if step.status == "failed":
        return StepDone(id=id_, error=_error(step.error))
    return StepDone(id=id_, payload=stored(_given(step, "output")))


def _error(error: Error | None) -> ErrorInfo:
    error = error or Error()
    return segments.error_of(
        {
            "message": error.message,
            "code": error.code,
            "stack": error.stack,
            "retryable": error.retryable,
        }
    )


def _yielded(told: StepYielded, run_id: str, now: int) -> Then:
    id_ = step_id(told.step_id, run_id)
    if told.sleep is not None:
        return SleepAsked(id_, max(1, told.sleep.until or now))
    if told.wait_event is not None:
        wait = told.wait_event
        # A point in time here, where a worker that polls says how long.
        left = max(1, wait.timeout - now) if wait.timeout else 0
        return WaitAsked(
            id=id_,
            event=wait.event_name,
            match=wait.match_expression,
            literal=wait.match_value or None,
            timeout_us=left,
        )
    if told.invoke_function is not None:
        child = told.invoke_function
        return ChildAsked(
            id=id_,
            function_id=child.function_id,
            payload=_input(child.input_json),
            timeout_us=invoke_timeout_us(child.invoke_timeout_ms),
        )
    if told.invoke_function_async is not None:
        other = told.invoke_function_async
        return ChildAsked(
            id=id_,
            function_id=other.function_id,
            payload=_input(other.input_json),
            awaited=False,
        )
    raise ConfigurationError("a yield says nothing that is known to wait for")


def _input(text: bytes) -> bytes:
    try:
        return stored(_decode(text) if text else None)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"input_json is not JSON: {error}") from error


# --- assignments ----------------------------------------------------------------------------


def _event(segment: Segment) -> Event:
    event = segment.event
    document = event_document(event)
    return Event(
        id=event.id,
        name=event.name,
        **payload_fields("data", document["data"]),
        idempotency_key=event.idempotency_key,
        source=event.source,
        timestamp=event.timestamp,
        metadata=dict(event.metadata) if event.metadata else None,
        version=max(1, event.version),
    )


def _completed(segment: Segment, row: Row) -> CompletedStep:
    id_, name = wire_id(segment, row), ids.name_of(row.id)
    if row.error is not None:
        failure = _encode(failure_document(row, row.error))
        return CompletedStep(
            step_id=id_, name=name, status="failed", error_json=failure
        )
    output = output_of(row)
    return CompletedStep(
        step_id=id_,
        name=name,
        **payload_fields("output", output),
        output_json=_encode(output),
    )


def register_document(message: Message) -> documents.Document:
    """Return the registration of a worker as the document that one who polls sends."""
    return documents.document(msgspec.to_builtins(message), what="register")
