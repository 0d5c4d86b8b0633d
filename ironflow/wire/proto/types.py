"""ironflow/v1/types.proto, made by `scripts/protos`: do not edit."""

from enum import IntEnum
from typing import Annotated

from msgspec import UNSET

from ironflow.wire.message import Field, Kind, Message, StructField, ValueField


class FunctionStatus(IntEnum):
    """ironflow.v1.FunctionStatus."""

    FUNCTION_STATUS_UNSPECIFIED = 0
    FUNCTION_STATUS_ACTIVE = 1
    FUNCTION_STATUS_PAUSED = 2
    FUNCTION_STATUS_ARCHIVED = 3


class ExecutionMode(IntEnum):
    """ironflow.v1.ExecutionMode."""

    EXECUTION_MODE_UNSPECIFIED = 0
    EXECUTION_MODE_PUSH = 1
    EXECUTION_MODE_PULL = 2


class RunStatus(IntEnum):
    """ironflow.v1.RunStatus."""

    RUN_STATUS_UNSPECIFIED = 0
    RUN_STATUS_RUNNING = 2
    RUN_STATUS_COMPLETED = 3
    RUN_STATUS_FAILED = 4
    RUN_STATUS_CANCELLED = 5
    RUN_STATUS_PAUSED = 6
    RUN_STATUS_WAITING_FOR_CAPACITY = 7
    RUN_STATUS_WAITING = 8


class StepStatus(IntEnum):
    """ironflow.v1.StepStatus."""

    STEP_STATUS_UNSPECIFIED = 0
    STEP_STATUS_PENDING = 1
    STEP_STATUS_RUNNING = 2
    STEP_STATUS_COMPLETED = 3
    STEP_STATUS_FAILED = 4
    STEP_STATUS_SLEEPING = 5
    STEP_STATUS_WAITING = 6
    STEP_STATUS_TIMED_OUT = 7
    STEP_STATUS_RETRYING = 8
    STEP_STATUS_DEAD = 9


class StepType(IntEnum):
    """ironflow.v1.StepType."""

    STEP_TYPE_UNSPECIFIED = 0
    STEP_TYPE_INVOKE = 1
    STEP_TYPE_SLEEP = 2
    STEP_TYPE_WAIT_FOR_EVENT = 3
    STEP_TYPE_COMPENSATE = 4
    STEP_TYPE_INVOKE_FUNCTION = 5


class Trigger(Message, frozen=True):
    """ironflow.v1.Trigger."""

    event: Annotated[str, Field(1, Kind.STRING)] = ""
    expression: Annotated[str, Field(2, Kind.STRING)] = ""
    cron: Annotated[str, Field(3, Kind.STRING)] = ""


class RetryConfig(Message, frozen=True):
    """ironflow.v1.RetryConfig."""

    max_attempts: Annotated[int, Field(1, Kind.INT32)] = 0
    initial_delay_ms: Annotated[int, Field(2, Kind.INT32)] = 0
    backoff_factor: Annotated[float, Field(3, Kind.DOUBLE)] = 0.0
    max_delay_ms: Annotated[int, Field(4, Kind.INT32)] = 0
    on_exhausted: Annotated[str, Field(5, Kind.STRING)] = ""


class CircuitBreakerConfig(Message, frozen=True):
    """ironflow.v1.CircuitBreakerConfig."""

    failure_threshold: Annotated[int, Field(1, Kind.INT32)] = 0
    open_duration_ms: Annotated[int, Field(2, Kind.INT32)] = 0
    max_open_duration_ms: Annotated[int, Field(3, Kind.INT32)] = 0


class ThrottleConfig(Message, frozen=True):
    """ironflow.v1.ThrottleConfig."""

    limit: Annotated[int, Field(1, Kind.INT32)] = 0
    period_ms: Annotated[int, Field(2, Kind.INT32)] = 0
    key: Annotated[str, Field(3, Kind.STRING)] = ""


class ConcurrencyConfig(Message, frozen=True):
    """ironflow.v1.ConcurrencyConfig."""

    limit: Annotated[int, Field(1, Kind.INT32)] = 0
    key: Annotated[str, Field(2, Kind.STRING)] = ""


class CancelOnSpec(Message, frozen=True):
    """ironflow.v1.CancelOnSpec."""

    event: Annotated[str, Field(1, Kind.STRING)] = ""
    match: Annotated[str, Field(2, Kind.STRING)] = ""


class DebounceConfig(Message, frozen=True):
    """ironflow.v1.DebounceConfig."""

    period_ms: Annotated[int, Field(1, Kind.INT32)] = 0
    key: Annotated[str, Field(2, Kind.STRING)] = ""
    max_wait_ms: Annotated[int, Field(3, Kind.INT64)] = 0


class Function(Message, frozen=True):
    """ironflow.v1.Function."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    name: Annotated[str, Field(2, Kind.STRING)] = ""
    description: Annotated[str, Field(3, Kind.STRING)] = ""
    triggers: Annotated[
        tuple[Trigger, ...], Field(4, Kind.MESSAGE, Trigger, many=True)
    ] = ()
    retry: Annotated[RetryConfig | None, Field(5, Kind.MESSAGE, RetryConfig)] = None
    timeout_ms: Annotated[int, Field(6, Kind.INT32)] = 0
    concurrency: Annotated[
        ConcurrencyConfig | None, Field(7, Kind.MESSAGE, ConcurrencyConfig)
    ] = None
    preferred_mode: Annotated[int, Field(8, Kind.ENUM, ExecutionMode)] = 0
    endpoint_url: Annotated[str, Field(9, Kind.STRING)] = ""
    actor_key: Annotated[str, Field(10, Kind.STRING)] = ""
    status: Annotated[int, Field(11, Kind.ENUM, FunctionStatus)] = 0
    version: Annotated[int, Field(12, Kind.INT32)] = 0
    created_at: Annotated[int | None, Field(13, Kind.TIMESTAMP)] = None
    updated_at: Annotated[int | None, Field(14, Kind.TIMESTAMP)] = None
    recording: Annotated[bool, Field(15, Kind.BOOL)] = False
    metadata: Annotated[StructField, Field(18, Kind.STRUCT)] = None
    debounce: Annotated[
        DebounceConfig | None, Field(19, Kind.MESSAGE, DebounceConfig)
    ] = None
    cancel_on: Annotated[
        tuple[CancelOnSpec, ...], Field(21, Kind.MESSAGE, CancelOnSpec, many=True)
    ] = ()
    recording_profile: Annotated[str, Field(22, Kind.STRING)] = ""
    next_run: Annotated[int | None, Field(23, Kind.TIMESTAMP)] = None
    circuit_breaker: Annotated[
        CircuitBreakerConfig | None, Field(24, Kind.MESSAGE, CircuitBreakerConfig)
    ] = None
    throttle: Annotated[
        ThrottleConfig | None, Field(25, Kind.MESSAGE, ThrottleConfig)
    ] = None


class Event(Message, frozen=True):
    """ironflow.v1.Event."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    name: Annotated[str, Field(2, Kind.STRING)] = ""
    data: Annotated[StructField, Field(3, Kind.STRUCT)] = None
    idempotency_key: Annotated[str, Field(4, Kind.STRING)] = ""
    source: Annotated[str, Field(5, Kind.STRING)] = ""
    timestamp: Annotated[int | None, Field(6, Kind.TIMESTAMP)] = None
    metadata: Annotated[StructField, Field(7, Kind.STRUCT)] = None
    version: Annotated[int, Field(8, Kind.INT32)] = 0
    entity_id: Annotated[str, Field(9, Kind.STRING)] = ""
    entity_type: Annotated[str, Field(10, Kind.STRING)] = ""
    entity_version: Annotated[int, Field(11, Kind.INT64)] = 0
    data_value: Annotated[ValueField, Field(12, Kind.VALUE)] = UNSET
    emitted_by: Annotated[str, Field(13, Kind.STRING)] = ""


class Error(Message, frozen=True):
    """ironflow.v1.Error."""

    message: Annotated[str, Field(1, Kind.STRING)] = ""
    code: Annotated[str, Field(2, Kind.STRING)] = ""
    stack: Annotated[str, Field(3, Kind.STRING)] = ""
    retryable: Annotated[bool, Field(4, Kind.BOOL)] = False
    details: Annotated[StructField, Field(5, Kind.STRUCT)] = None
    retry_after_ms: Annotated[int, Field(6, Kind.INT64)] = 0


class Run(Message, frozen=True):
    """ironflow.v1.Run."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    function_id: Annotated[str, Field(2, Kind.STRING)] = ""
    event_id: Annotated[str, Field(3, Kind.STRING)] = ""
    execution_mode: Annotated[int, Field(4, Kind.ENUM, ExecutionMode)] = 0
    worker_id: Annotated[str, Field(5, Kind.STRING)] = ""
    actor_id: Annotated[str, Field(6, Kind.STRING)] = ""
    input: Annotated[StructField, Field(7, Kind.STRUCT)] = None
    output: Annotated[StructField, Field(8, Kind.STRUCT)] = None
    error: Annotated[Error | None, Field(9, Kind.MESSAGE, Error)] = None
    status: Annotated[int, Field(10, Kind.ENUM, RunStatus)] = 0
    attempt: Annotated[int, Field(11, Kind.INT32)] = 0
    max_attempts: Annotated[int, Field(12, Kind.INT32)] = 0
    started_at: Annotated[int | None, Field(13, Kind.TIMESTAMP)] = None
    ended_at: Annotated[int | None, Field(14, Kind.TIMESTAMP)] = None
    created_at: Annotated[int | None, Field(17, Kind.TIMESTAMP)] = None
    updated_at: Annotated[int | None, Field(18, Kind.TIMESTAMP)] = None
    pause_requested: Annotated[bool, Field(19, Kind.BOOL)] = False
    pause_reason: Annotated[str, Field(20, Kind.STRING)] = ""
    function_version: Annotated[int, Field(21, Kind.INT32)] = 0
    input_value: Annotated[ValueField, Field(22, Kind.VALUE)] = UNSET
    output_value: Annotated[ValueField, Field(23, Kind.VALUE)] = UNSET
    resume_from_step: Annotated[str, Field(24, Kind.STRING)] = ""
    parent_run_id: Annotated[str, Field(25, Kind.STRING)] = ""
    parent_step_id: Annotated[str, Field(26, Kind.STRING)] = ""
    timeout_at: Annotated[int | None, Field(27, Kind.TIMESTAMP)] = None
    environment_id: Annotated[str, Field(28, Kind.STRING)] = ""
    version: Annotated[int, Field(29, Kind.INT32)] = 0
    claimed_by: Annotated[str, Field(30, Kind.STRING)] = ""
    claimed_at: Annotated[int | None, Field(31, Kind.TIMESTAMP)] = None
    cancellation_cause: Annotated[str, Field(32, Kind.STRING)] = ""
    error_value: Annotated[ValueField, Field(33, Kind.VALUE)] = UNSET
    event_name: Annotated[str, Field(34, Kind.STRING)] = ""


class Step(Message, frozen=True):
    """ironflow.v1.Step."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    run_id: Annotated[str, Field(2, Kind.STRING)] = ""
    step_id: Annotated[str, Field(3, Kind.STRING)] = ""
    step_type: Annotated[int, Field(4, Kind.ENUM, StepType)] = 0
    sequence: Annotated[int, Field(5, Kind.INT32)] = 0
    status: Annotated[int, Field(6, Kind.ENUM, StepStatus)] = 0
    input: Annotated[StructField, Field(7, Kind.STRUCT)] = None
    input_hash: Annotated[str, Field(8, Kind.STRING)] = ""
    output: Annotated[StructField, Field(9, Kind.STRUCT)] = None
    error: Annotated[Error | None, Field(10, Kind.MESSAGE, Error)] = None
    attempt: Annotated[int, Field(11, Kind.INT32)] = 0
    duration_ms: Annotated[int, Field(12, Kind.INT32)] = 0
    started_at: Annotated[int | None, Field(13, Kind.TIMESTAMP)] = None
    ended_at: Annotated[int | None, Field(14, Kind.TIMESTAMP)] = None
    original_output: Annotated[StructField, Field(15, Kind.STRUCT)] = None
    patched_at: Annotated[int | None, Field(16, Kind.TIMESTAMP)] = None
    patched_by: Annotated[str, Field(17, Kind.STRING)] = ""
    compensation_for: Annotated[str, Field(18, Kind.STRING)] = ""
    input_value: Annotated[ValueField, Field(19, Kind.VALUE)] = UNSET
    output_value: Annotated[ValueField, Field(20, Kind.VALUE)] = UNSET
    original_output_value: Annotated[ValueField, Field(21, Kind.VALUE)] = UNSET
    duration_ms_full: Annotated[int | None, Field(22, Kind.INT64, optional=True)] = None
    sleep_until: Annotated[int | None, Field(23, Kind.TIMESTAMP)] = None
    wait_event_name: Annotated[str, Field(24, Kind.STRING)] = ""
    wait_timeout: Annotated[int | None, Field(25, Kind.TIMESTAMP)] = None
    created_at: Annotated[int | None, Field(26, Kind.TIMESTAMP)] = None
    updated_at: Annotated[int | None, Field(27, Kind.TIMESTAMP)] = None
    error_value: Annotated[ValueField, Field(28, Kind.VALUE)] = UNSET
    stored_status: Annotated[str, Field(29, Kind.STRING)] = ""
    child_run_id: Annotated[str, Field(30, Kind.STRING)] = ""


class ErrorInfo(Message, frozen=True):
    """ironflow.v1.ErrorInfo."""

    resource_type: Annotated[str, Field(1, Kind.STRING)] = ""
    resource_id: Annotated[str, Field(2, Kind.STRING)] = ""
    metadata: Annotated[dict[str, str], Field(3, Kind.STRING, keyed=True)] = {}
