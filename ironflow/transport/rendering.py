"""Runs, operations and events of an engine as the documents of the API."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from ironflow import values
from ironflow.errors import ValueRejected
from ironflow.interpreter.fold import Attempt, OperationState
from ironflow.journal.base import (
    CLOSED,
    FunctionRow,
    Lost,
    Pause,
    RunCount,
    RunSummary,
    StoredEvent,
)
from ironflow.policy.attributes import shown_all
from ironflow.records import RULES, ErrorInfo, EventData, Payload
from ironflow.transport.circuits import Breaker
from ironflow.transport.patches import Patch
from ironflow.transport.registry import config_of, row_of
from ironflow.transport.workers import WorkerInfo
from ironflow.wire.answers import (
    AttemptDocument,
    CircuitDocument,
    EventDocument,
    FunctionDocument,
    FunctionVersionDocument,
    LostDocument,
    OperationDocument,
    PatchDocument,
    PauseDocument,
    RunCountDocument,
    RunDetailsDocument,
    RunDocument,
    RunEventDocument,
    WorkerDocument,
    WorkerVersionDocument,
    moment,
)
from ironflow.wire.function_history import FunctionVersion
from ironflow.wire.functions import ConcurrencyConfig, FunctionConfig, TriggerConfig

_T = TypeVar("_T")


def run_document(summary: RunSummary) -> RunDocument:
    """Return a run as lists have it."""
    row = summary.row
    return RunDocument(
        id=row.run_id,
        function_id=row.function_id,
        status=summary.status,
        attempt=row.attempt,
        records=summary.length,
        event_id=row.event_id,
        event_name=row.event_name,
        created_at=moment(row.created_at),
        started_at=moment(row.created_at),
        ended_at=moment(row.ended_at),
        parent_run=row.parent_run or None,
        continued_from=row.continued_from or None,
        continued_to=row.continued_to or None,
        pause=None if row.pause is None else _pause(row.pause),
        pause_requested=UNSET if row.asked is None else _pause(row.asked),
        attributes=shown_all(row.attributes),
        lost=UNSET if row.lost is None else _lost(summary, row.lost),
    )


def run_details_document(
    summary: RunSummary,
    *,
    event: EventData | None,
    output: Payload,
    error: ErrorInfo | None,
) -> RunDetailsDocument:
    """Return a run with what it was given and what came of it."""
    return RunDetailsDocument(
        **msgspec.structs.asdict(run_document(summary)),
        event=None
        if event is None
        else RunEventDocument(id=event.id, name=event.name, data=shown(event.data)),
        output=shown(output),
        error=error,
    )


def operation_document(
    state: OperationState, patch: Patch | None = None
) -> OperationDocument:
    """Return an operation of a run, and how its result was replaced, if it was."""
    return OperationDocument(
        id=state.id,
        kind=state.kind,
        name=state.name,
        state=state.state,
        asked_at=moment(state.asked_at),
        settled_at=moment(state.settled_at),
        source=_given(state.source),
        value=shown(state.payload),
        error=_given(state.error),
        retry_at=_given(moment(state.retry_at)),
        until=_given(moment(state.until)),
        timeout_at=_given(moment(state.timeout_at)),
        event=_given(state.event),
        event_id=_given(state.event_id),
        match=_given(state.path),
        function_id=_given(state.function_id),
        child_run=_given(state.child_run),
        input=shown(state.input) if state.input else UNSET,
        attempts=_attempts(state.attempts),
        patched=UNSET if patch is None else _patched(patch),
    )


def _patched(patch: Patch) -> PatchDocument:
    return PatchDocument(
        at=moment(patch.at),
        actor=patch.actor,
        reason=patch.reason,
        original=shown(patch.original),
    )


def event_document(stored: StoredEvent) -> EventDocument:
    """Return a stored event."""
    event = stored.event
    return EventDocument(
        id=event.id,
        name=event.name,
        data=shown(event.data),
        version=event.version,
        source=event.source,
        timestamp=moment(event.timestamp),
        created_at=moment(event.timestamp),
        # Its runs were started in the commit that stored it.
        processed=True,
        position=stored.position,
        run_ids=list(stored.run_ids),
        metadata=event.metadata,
        idempotency_key=_given(event.idempotency_key),
    )


def function_document(row: FunctionRow) -> FunctionDocument:
    """Return a function of the registry."""
    config = config_of(row)
    is_ours = row.rules == RULES
    if config is None or is_ours:  # then the row says it all, but where it is called
        config = FunctionConfig(
            id=row.id,
            name=row.id,
            endpoint_url=config.endpoint_url if config is not None else "",
            triggers=tuple(TriggerConfig(event=each) for each in row.triggers),
            concurrency=ConcurrencyConfig(
                limit=row.concurrency, key=row.concurrency_key
            ),
            timeout_ms=row.run_timeout_us // 1_000,
        )
    return FunctionDocument(
        id=config.id,
        name=config.name or config.id,
        description=config.description,
        status=config.status,
        host=row.host,
        version=row.version,
        revision=config.revision,
        rules=row.rules,
        triggers=list(config.triggers),
        concurrency=config.concurrency,
        endpoint_url=config.endpoint_url,
        retry=None if is_ours else config.retry,
        timeout_ms=config.timeout_ms,
        patches=list(row.patches),
        metadata=config.metadata,
        inactive=list(config.inactive),
        created_at=moment(config.created_at),
        updated_at=moment(config.updated_at),
    )


def function_version_document(version: FunctionVersion) -> FunctionVersionDocument:
    """Return a version of a function."""
    return FunctionVersionDocument(
        version=version.number,
        change=version.change,
        reason=version.reason,
        actor=version.actor,
        at=moment(version.at),
        function=function_document(row_of(version.config)),
    )


def circuit_document(
    breaker: Breaker, *, now: int, environment: str
) -> CircuitDocument:
    """Return how the circuit of an endpoint stands at a time (microseconds)."""
    circuit = breaker.circuit
    functions = breaker.functions
    return CircuitDocument(
        key=breaker.key,
        endpoint=breaker.endpoint,
        function_id=next(iter(functions)) if len(functions) == 1 else "",
        environment_id=environment,
        state=breaker.state(now),
        consecutive_fails=breaker.failures,
        last_failure=_given(moment(breaker.failed_at)),
        last_error=_given(breaker.error),
        open_until=_given(moment(circuit.open_until)),
    )


def worker_document(worker: WorkerInfo) -> WorkerDocument:
    """Return a worker."""
    return WorkerDocument(
        id=worker.id,
        hostname=worker.hostname,
        transport=worker.transport,
        function_ids=list(worker.function_ids),
        active_jobs=worker.active_jobs,
        max_concurrent=worker.max_concurrent,
        labels=dict(worker.labels),
        registered_at=moment(worker.registered_at),
        last_heartbeat=moment(worker.last_heartbeat),
        version=WorkerVersionDocument(runtime=worker.runtime, sdk=worker.sdk),
    )


def run_count_document(count: RunCount) -> RunCountDocument:
    """Return how many runs of a function stand so."""
    return RunCountDocument(
        function_id=count.function_id, status=count.status, runs=count.count
    )


def shown(payload: Payload) -> object:
    """Return a stored value as JSON shows it; None where there is none."""
    try:
        return values.to_json(payload) if payload else None
    except ValueRejected as error:
        return {"$unreadable": str(error)}


def _pause(pause: Pause) -> PauseDocument:
    return PauseDocument(
        reason=pause.reason,
        message=pause.message,
        version=pause.version,
        paused_at=moment(pause.paused_at),
        actor=pause.actor,
    )


def _lost(summary: RunSummary, lost: Lost) -> LostDocument:
    went_on = summary.row.status in CLOSED or summary.length > lost.length
    return LostDocument(
        worker=lost.worker,
        why=lost.why,
        at=moment(lost.at),
        by=lost.by or None,
        went_on=bool(lost.by) or went_on,
    )


def _attempts(attempts: Sequence[Attempt]) -> list[AttemptDocument] | UnsetType:
    if not attempts:
        return UNSET
    return [
        AttemptDocument(
            number=each.number,
            started_at=moment(each.started_at),
            ended_at=moment(each.ended_at),
            error=each.error,
            in_doubt=each.in_doubt,
        )
        for each in attempts
    ]


def _given(value: _T | None) -> _T | UnsetType:
    return UNSET if value is None or value == "" else value
