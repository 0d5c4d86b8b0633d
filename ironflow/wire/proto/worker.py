"""ironflow/v1/worker.proto, made by `scripts/protos`: do not edit."""

from enum import IntEnum
from typing import Annotated, Final

from msgspec import UNSET

from ironflow.wire.message import (
    Field,
    Kind,
    Message,
    Method,
    Service,
    StructField,
    ValueField,
)
from ironflow.wire.proto.types import Error, Event, StepType


class JobNackReason(IntEnum):
    """ironflow.v1.JobNackReason."""

    JOB_NACK_REASON_UNSPECIFIED = 0
    JOB_NACK_REASON_AT_CAPACITY = 1
    JOB_NACK_REASON_DRAINING = 2


class LeaseState(IntEnum):
    """ironflow.v1.LeaseState."""

    LEASE_STATE_UNSPECIFIED = 0
    LEASE_STATE_REFRESHED = 1
    LEASE_STATE_STALE = 2
    LEASE_STATE_UNKNOWN = 3


class WorkerVersion(Message, frozen=True):
    """ironflow.v1.WorkerVersion."""

    sdk: Annotated[str, Field(1, Kind.STRING)] = ""
    runtime: Annotated[str, Field(2, Kind.STRING)] = ""


class WorkerRegister(Message, frozen=True):
    """ironflow.v1.WorkerRegister."""

    worker_id: Annotated[str, Field(1, Kind.STRING)] = ""
    hostname: Annotated[str, Field(2, Kind.STRING)] = ""
    function_ids: Annotated[tuple[str, ...], Field(3, Kind.STRING, many=True)] = ()
    max_concurrent_jobs: Annotated[int, Field(4, Kind.INT32)] = 0
    labels: Annotated[dict[str, str], Field(5, Kind.STRING, keyed=True)] = {}
    version: Annotated[WorkerVersion | None, Field(6, Kind.MESSAGE, WorkerVersion)] = (
        None
    )


class ActiveJob(Message, frozen=True):
    """ironflow.v1.ActiveJob."""

    job_id: Annotated[str, Field(1, Kind.STRING)] = ""
    started_at: Annotated[int | None, Field(2, Kind.TIMESTAMP)] = None
    run_id: Annotated[str, Field(3, Kind.STRING)] = ""
    execution_seq: Annotated[int, Field(4, Kind.INT64)] = 0
    lease_token: Annotated[str, Field(5, Kind.STRING)] = ""


class WorkerMetrics(Message, frozen=True):
    """ironflow.v1.WorkerMetrics."""

    cpu_percent: Annotated[float, Field(1, Kind.DOUBLE)] = 0.0
    memory_percent: Annotated[float, Field(2, Kind.DOUBLE)] = 0.0
    jobs_completed: Annotated[int, Field(3, Kind.INT64)] = 0
    jobs_failed: Annotated[int, Field(4, Kind.INT64)] = 0


class WorkerHeartbeat(Message, frozen=True):
    """ironflow.v1.WorkerHeartbeat."""

    worker_id: Annotated[str, Field(1, Kind.STRING)] = ""
    active_jobs: Annotated[int, Field(2, Kind.INT32)] = 0
    jobs: Annotated[
        tuple[ActiveJob, ...], Field(3, Kind.MESSAGE, ActiveJob, many=True)
    ] = ()
    metrics: Annotated[WorkerMetrics | None, Field(4, Kind.MESSAGE, WorkerMetrics)] = (
        None
    )


class StepStarted(Message, frozen=True):
    """ironflow.v1.StepStarted."""

    job_id: Annotated[str, Field(1, Kind.STRING)] = ""
    step_id: Annotated[str, Field(2, Kind.STRING)] = ""
    name: Annotated[str, Field(3, Kind.STRING)] = ""
    step_type: Annotated[int, Field(4, Kind.ENUM, StepType)] = 0
    execution_seq: Annotated[int, Field(5, Kind.INT64)] = 0
    lease_token: Annotated[str, Field(6, Kind.STRING)] = ""


class StepCompleted(Message, frozen=True):
    """ironflow.v1.StepCompleted."""

    job_id: Annotated[str, Field(1, Kind.STRING)] = ""
    step_id: Annotated[str, Field(2, Kind.STRING)] = ""
    output: Annotated[StructField, Field(3, Kind.STRUCT)] = None
    duration_ms: Annotated[int, Field(4, Kind.INT32)] = 0
    execution_seq: Annotated[int, Field(5, Kind.INT64)] = 0
    lease_token: Annotated[str, Field(6, Kind.STRING)] = ""
    output_value: Annotated[ValueField, Field(7, Kind.VALUE)] = UNSET


class StepFailed(Message, frozen=True):
    """ironflow.v1.StepFailed."""

    job_id: Annotated[str, Field(1, Kind.STRING)] = ""
    step_id: Annotated[str, Field(2, Kind.STRING)] = ""
    error: Annotated[Error | None, Field(3, Kind.MESSAGE, Error)] = None
    duration_ms: Annotated[int, Field(4, Kind.INT32)] = 0
    execution_seq: Annotated[int, Field(5, Kind.INT64)] = 0
    lease_token: Annotated[str, Field(6, Kind.STRING)] = ""


class SleepYield(Message, frozen=True):
    """ironflow.v1.SleepYield."""

    until: Annotated[int | None, Field(1, Kind.TIMESTAMP)] = None


class WaitEventYield(Message, frozen=True):
    """ironflow.v1.WaitEventYield."""

    event_name: Annotated[str, Field(1, Kind.STRING)] = ""
    match_expression: Annotated[str, Field(2, Kind.STRING)] = ""
    match_value: Annotated[str, Field(3, Kind.STRING)] = ""
    timeout: Annotated[int | None, Field(4, Kind.TIMESTAMP)] = None
    payload_json: Annotated[bytes, Field(5, Kind.BYTES)] = b""


class InvokeFunctionYield(Message, frozen=True):
    """ironflow.v1.InvokeFunctionYield."""

    function_id: Annotated[str, Field(1, Kind.STRING)] = ""
    input_json: Annotated[bytes, Field(2, Kind.BYTES)] = b""
    invoke_timeout_ms: Annotated[int, Field(3, Kind.INT64)] = 0


class InvokeFunctionAsyncYield(Message, frozen=True):
    """ironflow.v1.InvokeFunctionAsyncYield."""

    function_id: Annotated[str, Field(1, Kind.STRING)] = ""
    input_json: Annotated[bytes, Field(2, Kind.BYTES)] = b""


class StepYielded(Message, frozen=True):
    """ironflow.v1.StepYielded."""

    job_id: Annotated[str, Field(1, Kind.STRING)] = ""
    step_id: Annotated[str, Field(2, Kind.STRING)] = ""
    sleep: Annotated[
        SleepYield | None, Field(3, Kind.MESSAGE, SleepYield, oneof="yield_info")
    ] = None
    wait_event: Annotated[
        WaitEventYield | None,
        Field(4, Kind.MESSAGE, WaitEventYield, oneof="yield_info"),
    ] = None
    invoke_function: Annotated[
        InvokeFunctionYield | None,
        Field(7, Kind.MESSAGE, InvokeFunctionYield, oneof="yield_info"),
    ] = None
    invoke_function_async: Annotated[
        InvokeFunctionAsyncYield | None,
        Field(8, Kind.MESSAGE, InvokeFunctionAsyncYield, oneof="yield_info"),
    ] = None
    execution_seq: Annotated[int, Field(5, Kind.INT64)] = 0
    lease_token: Annotated[str, Field(6, Kind.STRING)] = ""


class JobCompleted(Message, frozen=True):
    """ironflow.v1.JobCompleted."""

    job_id: Annotated[str, Field(1, Kind.STRING)] = ""
    output: Annotated[StructField, Field(2, Kind.STRUCT)] = None
    duration_ms: Annotated[int, Field(3, Kind.INT32)] = 0
    execution_seq: Annotated[int, Field(4, Kind.INT64)] = 0
    lease_token: Annotated[str, Field(5, Kind.STRING)] = ""
    output_value: Annotated[ValueField, Field(6, Kind.VALUE)] = UNSET


class ExecutedStep(Message, frozen=True):
    """ironflow.v1.ExecutedStep."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    name: Annotated[str, Field(2, Kind.STRING)] = ""
    type: Annotated[str, Field(3, Kind.STRING)] = ""
    status: Annotated[str, Field(4, Kind.STRING)] = ""
    output: Annotated[StructField, Field(5, Kind.STRUCT)] = None
    error: Annotated[Error | None, Field(6, Kind.MESSAGE, Error)] = None
    compensation_for: Annotated[str, Field(7, Kind.STRING)] = ""
    duration_ms: Annotated[int, Field(8, Kind.INT32)] = 0
    output_value: Annotated[ValueField, Field(9, Kind.VALUE)] = UNSET


class JobFailed(Message, frozen=True):
    """ironflow.v1.JobFailed."""

    job_id: Annotated[str, Field(1, Kind.STRING)] = ""
    error: Annotated[Error | None, Field(2, Kind.MESSAGE, Error)] = None
    duration_ms: Annotated[int, Field(3, Kind.INT32)] = 0
    steps: Annotated[
        tuple[ExecutedStep, ...], Field(4, Kind.MESSAGE, ExecutedStep, many=True)
    ] = ()
    execution_seq: Annotated[int, Field(5, Kind.INT64)] = 0
    lease_token: Annotated[str, Field(6, Kind.STRING)] = ""


class JobAck(Message, frozen=True):
    """ironflow.v1.JobAck."""

    job_id: Annotated[str, Field(1, Kind.STRING)] = ""
    run_id: Annotated[str, Field(2, Kind.STRING)] = ""
    execution_seq: Annotated[int, Field(3, Kind.INT64)] = 0
    lease_token: Annotated[str, Field(4, Kind.STRING)] = ""


class JobNack(Message, frozen=True):
    """ironflow.v1.JobNack."""

    job_id: Annotated[str, Field(1, Kind.STRING)] = ""
    run_id: Annotated[str, Field(2, Kind.STRING)] = ""
    execution_seq: Annotated[int, Field(3, Kind.INT64)] = 0
    lease_token: Annotated[str, Field(4, Kind.STRING)] = ""
    reason: Annotated[int, Field(5, Kind.ENUM, JobNackReason)] = 0


class WorkerMessage(Message, frozen=True):
    """ironflow.v1.WorkerMessage."""

    register: Annotated[
        WorkerRegister | None, Field(1, Kind.MESSAGE, WorkerRegister, oneof="payload")
    ] = None
    heartbeat: Annotated[
        WorkerHeartbeat | None, Field(2, Kind.MESSAGE, WorkerHeartbeat, oneof="payload")
    ] = None
    step_started: Annotated[
        StepStarted | None, Field(3, Kind.MESSAGE, StepStarted, oneof="payload")
    ] = None
    step_completed: Annotated[
        StepCompleted | None, Field(4, Kind.MESSAGE, StepCompleted, oneof="payload")
    ] = None
    step_failed: Annotated[
        StepFailed | None, Field(5, Kind.MESSAGE, StepFailed, oneof="payload")
    ] = None
    step_yielded: Annotated[
        StepYielded | None, Field(6, Kind.MESSAGE, StepYielded, oneof="payload")
    ] = None
    job_completed: Annotated[
        JobCompleted | None, Field(7, Kind.MESSAGE, JobCompleted, oneof="payload")
    ] = None
    job_failed: Annotated[
        JobFailed | None, Field(8, Kind.MESSAGE, JobFailed, oneof="payload")
    ] = None
    job_ack: Annotated[
        JobAck | None, Field(9, Kind.MESSAGE, JobAck, oneof="payload")
    ] = None
    job_nack: Annotated[
        JobNack | None, Field(10, Kind.MESSAGE, JobNack, oneof="payload")
    ] = None


class WorkerRegistered(Message, frozen=True):
    """ironflow.v1.WorkerRegistered."""

    worker_id: Annotated[str, Field(1, Kind.STRING)] = ""
    heartbeat_interval_ms: Annotated[int, Field(2, Kind.INT32)] = 0


class CompletedStep(Message, frozen=True):
    """ironflow.v1.CompletedStep."""

    step_id: Annotated[str, Field(1, Kind.STRING)] = ""
    name: Annotated[str, Field(2, Kind.STRING)] = ""
    output: Annotated[StructField, Field(3, Kind.STRUCT)] = None
    output_value: Annotated[ValueField, Field(4, Kind.VALUE)] = UNSET
    status: Annotated[str, Field(5, Kind.STRING)] = ""
    error_json: Annotated[bytes, Field(6, Kind.BYTES)] = b""
    output_json: Annotated[bytes, Field(7, Kind.BYTES)] = b""


class JobContext(Message, frozen=True):
    """ironflow.v1.JobContext."""

    trace_id: Annotated[str, Field(1, Kind.STRING)] = ""
    metadata: Annotated[dict[str, str], Field(2, Kind.STRING, keyed=True)] = {}
    secrets: Annotated[dict[str, str], Field(3, Kind.STRING, keyed=True)] = {}


class JobAssignment(Message, frozen=True):
    """ironflow.v1.JobAssignment."""

    job_id: Annotated[str, Field(1, Kind.STRING)] = ""
    run_id: Annotated[str, Field(2, Kind.STRING)] = ""
    function_id: Annotated[str, Field(3, Kind.STRING)] = ""
    event: Annotated[Event | None, Field(4, Kind.MESSAGE, Event)] = None
    completed_steps: Annotated[
        tuple[CompletedStep, ...], Field(5, Kind.MESSAGE, CompletedStep, many=True)
    ] = ()
    actor_id: Annotated[str, Field(6, Kind.STRING)] = ""
    attempt: Annotated[int, Field(7, Kind.INT32)] = 0
    context: Annotated[JobContext | None, Field(8, Kind.MESSAGE, JobContext)] = None
    execution_seq: Annotated[int, Field(9, Kind.INT64)] = 0
    lease_token: Annotated[str, Field(10, Kind.STRING)] = ""
    lease_expires_at: Annotated[int | None, Field(11, Kind.TIMESTAMP)] = None
    max_attempts: Annotated[int, Field(12, Kind.INT32)] = 0
    on_exhausted: Annotated[str, Field(13, Kind.STRING)] = ""


class StepAck(Message, frozen=True):
    """ironflow.v1.StepAck."""

    step_id: Annotated[str, Field(1, Kind.STRING)] = ""
    accepted: Annotated[bool, Field(2, Kind.BOOL)] = False
    error: Annotated[str, Field(3, Kind.STRING)] = ""


class ResumeJob(Message, frozen=True):
    """ironflow.v1.ResumeJob."""

    job_id: Annotated[str, Field(1, Kind.STRING)] = ""
    step_id: Annotated[str, Field(2, Kind.STRING)] = ""
    resume_type: Annotated[str, Field(3, Kind.STRING)] = ""
    resume_data: Annotated[StructField, Field(4, Kind.STRUCT)] = None
    resume_data_value: Annotated[ValueField, Field(5, Kind.VALUE)] = UNSET


class CancelJob(Message, frozen=True):
    """ironflow.v1.CancelJob."""

    job_id: Annotated[str, Field(1, Kind.STRING)] = ""
    reason: Annotated[str, Field(2, Kind.STRING)] = ""


class Shutdown(Message, frozen=True):
    """ironflow.v1.Shutdown."""

    reason: Annotated[str, Field(1, Kind.STRING)] = ""
    drain_timeout_ms: Annotated[int, Field(2, Kind.INT32)] = 0


class SegmentLeaseStatus(Message, frozen=True):
    """ironflow.v1.SegmentLeaseStatus."""

    run_id: Annotated[str, Field(1, Kind.STRING)] = ""
    execution_seq: Annotated[int, Field(2, Kind.INT64)] = 0
    state: Annotated[int, Field(3, Kind.ENUM, LeaseState)] = 0


class LeaseRefreshResult(Message, frozen=True):
    """ironflow.v1.LeaseRefreshResult."""

    segments: Annotated[
        tuple[SegmentLeaseStatus, ...],
        Field(1, Kind.MESSAGE, SegmentLeaseStatus, many=True),
    ] = ()


class EngineMessage(Message, frozen=True):
    """ironflow.v1.EngineMessage."""

    registered: Annotated[
        WorkerRegistered | None,
        Field(1, Kind.MESSAGE, WorkerRegistered, oneof="payload"),
    ] = None
    job: Annotated[
        JobAssignment | None, Field(2, Kind.MESSAGE, JobAssignment, oneof="payload")
    ] = None
    step_ack: Annotated[
        StepAck | None, Field(3, Kind.MESSAGE, StepAck, oneof="payload")
    ] = None
    resume: Annotated[
        ResumeJob | None, Field(4, Kind.MESSAGE, ResumeJob, oneof="payload")
    ] = None
    cancel: Annotated[
        CancelJob | None, Field(5, Kind.MESSAGE, CancelJob, oneof="payload")
    ] = None
    shutdown: Annotated[
        Shutdown | None, Field(6, Kind.MESSAGE, Shutdown, oneof="payload")
    ] = None
    lease_refresh: Annotated[
        LeaseRefreshResult | None,
        Field(7, Kind.MESSAGE, LeaseRefreshResult, oneof="payload"),
    ] = None


WorkerService: Final[Service] = {
    "Connect": Method(
        "Connect",
        WorkerMessage,
        EngineMessage,
        streams_requests=True,
        streams_responses=True,
    ),
}
