"""Runs, operations and functions of an engine as messages of the published schema."""

from typing import Any, Final

import msgspec
from msgspec import UNSET

from ironflow.interpreter.fold import OperationState
from ironflow.journal.base import FunctionRow, Pause, RunSummary
from ironflow.records import ErrorInfo, Payload
from ironflow.transport.patches import Patch
from ironflow.transport.registry import config_of
from ironflow.transport.rendering import shown
from ironflow.transport.run_reads import RunDetails, RunSteps
from ironflow.wire.function_history import FunctionVersion
from ironflow.wire.functions import FunctionConfig
from ironflow.wire.message import payload_fields
from ironflow.wire.proto import types
from ironflow.wire.proto.ironflow import FunctionHistoryEntry, RunResult
from ironflow.wire.proto.types import (
    ExecutionMode,
    FunctionStatus,
    RunStatus,
    StepStatus,
    StepType,
)

RUN_STATUSES: Final = {
    "queued": RunStatus.RUN_STATUS_WAITING_FOR_CAPACITY,
    "running": RunStatus.RUN_STATUS_RUNNING,
    "waiting": RunStatus.RUN_STATUS_WAITING,
    "paused": RunStatus.RUN_STATUS_PAUSED,
    "completed": RunStatus.RUN_STATUS_COMPLETED,
    "failed": RunStatus.RUN_STATUS_FAILED,
    "cancelled": RunStatus.RUN_STATUS_CANCELLED,
    # It has ended, and another goes on; the schema has no word for that.
    "continued": RunStatus.RUN_STATUS_COMPLETED,
}
_MODES: Final = {
    "local": ExecutionMode.EXECUTION_MODE_UNSPECIFIED,
    "pull": ExecutionMode.EXECUTION_MODE_PULL,
    "push": ExecutionMode.EXECUTION_MODE_PUSH,
}
_STEP_TYPES: Final = {
    "step": StepType.STEP_TYPE_INVOKE,
    "sleep": StepType.STEP_TYPE_SLEEP,
    "wait": StepType.STEP_TYPE_WAIT_FOR_EVENT,
    "invoke": StepType.STEP_TYPE_INVOKE_FUNCTION,
    "publish": StepType.STEP_TYPE_INVOKE,
    "attributes": StepType.STEP_TYPE_INVOKE,
    "undo": StepType.STEP_TYPE_COMPENSATE,
}
_STEP_STATUSES: Final = {
    "started": StepStatus.STEP_STATUS_RUNNING,
    "backing_off": StepStatus.STEP_STATUS_RETRYING,
    "held": StepStatus.STEP_STATUS_FAILED,
    "in_doubt": StepStatus.STEP_STATUS_FAILED,
    "sleeping": StepStatus.STEP_STATUS_SLEEPING,
    "fired": StepStatus.STEP_STATUS_COMPLETED,
    "waiting": StepStatus.STEP_STATUS_WAITING,
    "received": StepStatus.STEP_STATUS_COMPLETED,
    "timed_out": StepStatus.STEP_STATUS_TIMED_OUT,
    "running": StepStatus.STEP_STATUS_RUNNING,
    "stopping": StepStatus.STEP_STATUS_RUNNING,
    "completed": StepStatus.STEP_STATUS_COMPLETED,
    "failed": StepStatus.STEP_STATUS_FAILED,
    "cancelled": StepStatus.STEP_STATUS_FAILED,
    "published": StepStatus.STEP_STATUS_COMPLETED,
    "set": StepStatus.STEP_STATUS_COMPLETED,
    "abandoned": StepStatus.STEP_STATUS_DEAD,
}
# Somebody asks for a pause to look at the run, and to inject what its steps returned.
_PAUSES: Final = {"asked": "injection"}
INT32_MAX: Final = 2**31 - 1
SEPARATOR: Final = ":"
_UNDO: Final = "compensate:"


def run_message(
    run: RunDetails,
    function: FunctionRow | None,
    *,
    environment: str,
    function_version: int = 0,
    timeout_at: int = 0,
) -> types.Run:
    """Return a run; `function` is its own in the registry, `function_version` as it was.

    `timeout_at` is when it ends if it has not by then, in microseconds; 0 for none.
    """
    row = run.summary.row
    config = config_of(function) if function is not None else None
    return types.Run(
        id=row.run_id,
        function_id=row.function_id,
        event_id=row.event_id,
        execution_mode=_MODES[function.host] if function else 0,
        status=RUN_STATUSES[run.summary.status],
        attempt=row.attempt,
        max_attempts=config.retry.max_attempts if config else row.attempt,
        error=error_message(run.error),
        error_value=error_value(run.error),
        started_at=row.created_at,
        ended_at=row.ended_at or None,
        created_at=row.created_at,
        updated_at=_updated_at(run.summary),
        pause_requested=row.asked is not None,
        pause_reason=pause_reason(row.pause),
        function_version=function_version,
        timeout_at=timeout_at or None,
        cancellation_cause=_cause(run),
        version=min(run.summary.length, INT32_MAX),
        parent_run_id=row.parent_run,
        parent_step_id=step_id(row.parent_run, row.parent_step),
        environment_id=environment,
        event_name=row.event_name,
        **_payload("input", run.event.data if run.event else b""),
        **_payload("output", run.output),
    )


def pause_reason(pause: Pause | None) -> str:
    """Return why a run is paused: the published word, or ours where there is none."""
    if pause is None:
        return ""
    return _PAUSES.get(pause.reason, pause.reason)


def _cause(run: RunDetails) -> str:
    if run.summary.status != "cancelled" or run.error is None:
        return ""
    return run.error.message


def _updated_at(summary: RunSummary) -> int:
    row = summary.row
    paused_at = row.pause.paused_at if row.pause else 0
    return max(row.ended_at, paused_at, row.claimed_at, row.created_at)


def result_message(run: RunDetails) -> RunResult:
    """Return what came of a run that was waited for."""
    row = run.summary.row
    lasted = row.ended_at - row.created_at if row.ended_at else 0
    return RunResult(
        run_id=row.run_id,
        function_id=row.function_id,
        status=RUN_STATUSES[run.summary.status],
        error=error_message(run.error),
        duration_ms=min(lasted // 1_000, INT32_MAX),
        wait_timed_out=not run.is_settled,
        **_payload("output", run.output),
    )


def step_id(run_id: str, operation: str) -> str:
    """Return the id by which the published surface knows a step of a run."""
    return f"{run_id}{SEPARATOR}{operation}" if operation else ""


def step_message(
    run_id: str, state: OperationState, patch: Patch | None = None
) -> types.Step:
    """Return an operation of a run as a step, also as it was before it was replaced."""
    last = state.attempts[-1] if state.attempts else None
    lasted = state.settled_at - state.asked_at if state.settled_at else None
    is_undo = state.kind == "undo"
    return types.Step(
        id=step_id(run_id, state.id),
        run_id=run_id,
        step_id=step_id(run_id, state.id),
        step_type=_STEP_TYPES[state.kind],
        sequence=state.sequence,
        status=_STEP_STATUSES[state.state],
        stored_status=state.state,
        error=error_message(state.error),
        error_value=error_value(state.error),
        attempt=last.number if last else 1,
        duration_ms=min((lasted or 0) // 1_000, INT32_MAX),
        duration_ms_full=None if lasted is None else lasted // 1_000,
        started_at=state.asked_at or None,
        ended_at=state.settled_at or None,
        created_at=state.asked_at or None,
        updated_at=state.settled_at or state.asked_at or None,
        compensation_for=state.name.removeprefix(_UNDO) if is_undo else "",
        sleep_until=state.until or None,
        wait_event_name=state.event if state.kind == "wait" else "",
        wait_timeout=state.timeout_at or None,
        child_run_id=state.child_run,
        **_payload("input", state.input),
        **_payload("output", state.payload),
        **_patched(patch),
    )


def _patched(patch: Patch | None) -> dict[str, Any]:
    if patch is None:
        return {}
    original = _payload("original_output", patch.original)
    return {"patched_at": patch.at, "patched_by": patch.actor, **original}


def step_messages(run_id: str, found: RunSteps) -> tuple[types.Step, ...]:
    """Return all operations of a run, in the order in which they were asked."""
    return tuple(
        step_message(run_id, each, found.patches.get(each.id))
        for each in found.state.operations
    )


def error_message(error: ErrorInfo | None) -> types.Error | None:
    """Return an error as the schema has it."""
    if error is None:
        return None
    return types.Error(
        message=error.message,
        code=error.code,
        stack=error.traceback,
        retryable=error.retryable,
        details=dict(error.details) or None,
    )


def error_value(error: ErrorInfo | None) -> Any:
    """Return all that is stored of an error, as plain data; absent for none."""
    return UNSET if error is None else msgspec.to_builtins(error)


def _payload(name: str, data: Payload) -> dict[str, Any]:
    return payload_fields(name, shown(data)) if data else {}


# --- functions -----------------------------------------------------------------------------

_STANDINGS: Final = {
    "active": FunctionStatus.FUNCTION_STATUS_ACTIVE,
    "paused": FunctionStatus.FUNCTION_STATUS_PAUSED,
    "archived": FunctionStatus.FUNCTION_STATUS_ARCHIVED,
}


def function_message(row: FunctionRow) -> types.Function:
    """Return a function of the registry."""
    config = config_of(row)
    if config is None:
        return types.Function(
            id=row.id,
            name=row.id,
            triggers=tuple(types.Trigger(event=each) for each in row.triggers),
            status=FunctionStatus.FUNCTION_STATUS_ACTIVE,
            concurrency=_concurrency(row.concurrency, row.concurrency_key),
        )
    return configured(config)


def version_message(version: FunctionVersion) -> FunctionHistoryEntry:
    """Return a version of a function."""
    return FunctionHistoryEntry(
        entity_version=version.number,
        function_id=version.config.id,
        function_snapshot=configured(version.config),
        actor_id=version.actor,
        change_reason=version.reason,
        change_type=version.change,
        recorded_at=version.at,
    )


def configured(config: FunctionConfig) -> types.Function:
    """Return a function that was registered over the wire."""
    retry, breaker = config.retry, config.circuit_breaker
    return types.Function(
        id=config.id,
        name=config.name or config.id,
        description=config.description,
        triggers=tuple(
            types.Trigger(event=each.event, expression=each.expression, cron=each.cron)
            for each in config.triggers
        ),
        retry=types.RetryConfig(
            max_attempts=retry.max_attempts,
            initial_delay_ms=retry.initial_delay_ms,
            backoff_factor=retry.backoff_factor,
            max_delay_ms=retry.max_delay_ms,
            on_exhausted=retry.on_exhausted,
        ),
        timeout_ms=config.timeout_ms,
        concurrency=_concurrency(config.concurrency.limit, config.concurrency.key),
        preferred_mode=_MODES[config.mode],
        endpoint_url=config.endpoint_url,
        actor_key=config.actor_key,
        status=_STANDINGS[config.status],
        version=config.revision,
        created_at=config.created_at,
        updated_at=config.updated_at,
        recording=config.recording,
        recording_profile=config.recording_profile,
        metadata=dict(config.metadata) or None,
        cancel_on=tuple(
            types.CancelOnSpec(event=each.event, match=each.match)
            for each in config.cancel_on
        ),
        circuit_breaker=types.CircuitBreakerConfig(
            failure_threshold=breaker.failure_threshold,
            open_duration_ms=breaker.open_duration_ms,
            max_open_duration_ms=breaker.max_open_duration_ms,
        ),
        **_starts(config),
    )


def _starts(config: FunctionConfig) -> dict[str, Any]:
    """Return what bounds how often runs start, as far as it was given."""
    found: dict[str, Any] = {}
    if config.debounce is not None:
        found["debounce"] = types.DebounceConfig(
            period_ms=config.debounce.period_ms,
            key=config.debounce.key,
            max_wait_ms=config.debounce.max_wait_ms,
        )
    if config.throttle is not None:
        found["throttle"] = types.ThrottleConfig(
            limit=config.throttle.limit,
            period_ms=config.throttle.period_ms,
            key=config.throttle.key,
        )
    return found


def _concurrency(limit: int, key: str) -> types.ConcurrencyConfig | None:
    return types.ConcurrencyConfig(limit=limit, key=key) if limit else None
