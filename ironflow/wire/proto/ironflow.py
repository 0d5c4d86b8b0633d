"""ironflow/v1/ironflow.proto, made by `scripts/protos`: do not edit."""

from typing import Annotated, Final

from msgspec import UNSET

from ironflow.wire.message import (
    Empty,
    Field,
    Kind,
    Message,
    Method,
    Service,
    StructField,
    ValueField,
)
from ironflow.wire.proto.types import (
    CancelOnSpec,
    CircuitBreakerConfig,
    ConcurrencyConfig,
    DebounceConfig,
    Error,
    ExecutionMode,
    Function,
    FunctionStatus,
    RetryConfig,
    Run,
    RunStatus,
    Step,
    ThrottleConfig,
    Trigger,
)


class RegisterFunctionRequest(Message, frozen=True):
    """ironflow.v1.RegisterFunctionRequest."""

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
    secrets: Annotated[tuple[str, ...], Field(11, Kind.STRING, many=True)] = ()
    recording: Annotated[bool, Field(12, Kind.BOOL)] = False
    metadata: Annotated[StructField, Field(15, Kind.STRUCT)] = None
    change_reason: Annotated[str, Field(16, Kind.STRING)] = ""
    debounce: Annotated[
        DebounceConfig | None, Field(17, Kind.MESSAGE, DebounceConfig)
    ] = None
    cancel_on: Annotated[
        tuple[CancelOnSpec, ...], Field(19, Kind.MESSAGE, CancelOnSpec, many=True)
    ] = ()
    recording_profile: Annotated[str, Field(20, Kind.STRING)] = ""
    circuit_breaker: Annotated[
        CircuitBreakerConfig | None, Field(21, Kind.MESSAGE, CircuitBreakerConfig)
    ] = None
    throttle: Annotated[
        ThrottleConfig | None, Field(22, Kind.MESSAGE, ThrottleConfig)
    ] = None


class RegisterFunctionResponse(Message, frozen=True):
    """ironflow.v1.RegisterFunctionResponse."""

    function: Annotated[Function | None, Field(1, Kind.MESSAGE, Function)] = None
    created: Annotated[bool, Field(2, Kind.BOOL)] = False


class GetFunctionRequest(Message, frozen=True):
    """ironflow.v1.GetFunctionRequest."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""


class ListFunctionsRequest(Message, frozen=True):
    """ironflow.v1.ListFunctionsRequest."""

    status: Annotated[int, Field(1, Kind.ENUM, FunctionStatus)] = 0
    limit: Annotated[int, Field(2, Kind.INT32)] = 0
    cursor: Annotated[str, Field(3, Kind.STRING)] = ""
    name: Annotated[str, Field(4, Kind.STRING)] = ""
    mode: Annotated[str, Field(5, Kind.STRING)] = ""
    offset: Annotated[int, Field(6, Kind.INT32)] = 0


class ListFunctionsResponse(Message, frozen=True):
    """ironflow.v1.ListFunctionsResponse."""

    functions: Annotated[
        tuple[Function, ...], Field(1, Kind.MESSAGE, Function, many=True)
    ] = ()
    next_cursor: Annotated[str, Field(2, Kind.STRING)] = ""
    total_count: Annotated[int, Field(3, Kind.INT32)] = 0


class UpdateFunctionStatusRequest(Message, frozen=True):
    """ironflow.v1.UpdateFunctionStatusRequest."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    status: Annotated[int, Field(2, Kind.ENUM, FunctionStatus)] = 0


class DeleteFunctionRequest(Message, frozen=True):
    """ironflow.v1.DeleteFunctionRequest."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""


class TriggerRequest(Message, frozen=True):
    """ironflow.v1.TriggerRequest."""

    event: Annotated[str, Field(1, Kind.STRING)] = ""
    data: Annotated[StructField, Field(2, Kind.STRUCT)] = None
    idempotency_key: Annotated[str, Field(3, Kind.STRING)] = ""
    metadata: Annotated[StructField, Field(4, Kind.STRUCT)] = None
    version: Annotated[int, Field(5, Kind.INT32)] = 0
    data_value: Annotated[ValueField, Field(6, Kind.VALUE)] = UNSET


class TriggerResponse(Message, frozen=True):
    """ironflow.v1.TriggerResponse."""

    run_ids: Annotated[tuple[str, ...], Field(1, Kind.STRING, many=True)] = ()
    event_id: Annotated[str, Field(2, Kind.STRING)] = ""
    error: Annotated[Error | None, Field(3, Kind.MESSAGE, Error)] = None


class TriggerSyncRequest(Message, frozen=True):
    """ironflow.v1.TriggerSyncRequest."""

    event: Annotated[str, Field(1, Kind.STRING)] = ""
    data: Annotated[StructField, Field(2, Kind.STRUCT)] = None
    idempotency_key: Annotated[str, Field(3, Kind.STRING)] = ""
    timeout_ms: Annotated[int, Field(4, Kind.INT32)] = 0
    metadata: Annotated[StructField, Field(5, Kind.STRUCT)] = None
    data_value: Annotated[ValueField, Field(6, Kind.VALUE)] = UNSET
    version: Annotated[int, Field(7, Kind.INT32)] = 0


class RunResult(Message, frozen=True):
    """ironflow.v1.RunResult."""

    run_id: Annotated[str, Field(1, Kind.STRING)] = ""
    function_id: Annotated[str, Field(2, Kind.STRING)] = ""
    status: Annotated[int, Field(3, Kind.ENUM, RunStatus)] = 0
    output: Annotated[StructField, Field(4, Kind.STRUCT)] = None
    error: Annotated[Error | None, Field(5, Kind.MESSAGE, Error)] = None
    duration_ms: Annotated[int, Field(6, Kind.INT32)] = 0
    wait_timed_out: Annotated[bool, Field(7, Kind.BOOL)] = False
    output_value: Annotated[ValueField, Field(8, Kind.VALUE)] = UNSET


class TriggerSyncResponse(Message, frozen=True):
    """ironflow.v1.TriggerSyncResponse."""

    results: Annotated[
        tuple[RunResult, ...], Field(1, Kind.MESSAGE, RunResult, many=True)
    ] = ()
    event_id: Annotated[str, Field(2, Kind.STRING)] = ""


class InvokeFunctionRequest(Message, frozen=True):
    """ironflow.v1.InvokeFunctionRequest."""

    function_id: Annotated[str, Field(1, Kind.STRING)] = ""
    data: Annotated[StructField, Field(2, Kind.STRUCT)] = None
    data_value: Annotated[ValueField, Field(3, Kind.VALUE)] = UNSET
    idempotency_key: Annotated[str, Field(4, Kind.STRING)] = ""


class InvokeFunctionResponse(Message, frozen=True):
    """ironflow.v1.InvokeFunctionResponse."""

    run_id: Annotated[str, Field(1, Kind.STRING)] = ""
    event_id: Annotated[str, Field(2, Kind.STRING)] = ""


class InvokeFunctionSyncRequest(Message, frozen=True):
    """ironflow.v1.InvokeFunctionSyncRequest."""

    function_id: Annotated[str, Field(1, Kind.STRING)] = ""
    data: Annotated[StructField, Field(2, Kind.STRUCT)] = None
    timeout_ms: Annotated[int, Field(3, Kind.INT32)] = 0
    idempotency_key: Annotated[str, Field(4, Kind.STRING)] = ""
    metadata: Annotated[StructField, Field(5, Kind.STRUCT)] = None
    data_value: Annotated[ValueField, Field(6, Kind.VALUE)] = UNSET


class InvokeFunctionSyncResponse(Message, frozen=True):
    """ironflow.v1.InvokeFunctionSyncResponse."""

    result: Annotated[RunResult | None, Field(1, Kind.MESSAGE, RunResult)] = None


class TriggerBatchRequest(Message, frozen=True):
    """ironflow.v1.TriggerBatchRequest."""

    events: Annotated[
        tuple[TriggerRequest, ...], Field(1, Kind.MESSAGE, TriggerRequest, many=True)
    ] = ()


class TriggerBatchResponse(Message, frozen=True):
    """ironflow.v1.TriggerBatchResponse."""

    results: Annotated[
        tuple[TriggerResponse, ...], Field(1, Kind.MESSAGE, TriggerResponse, many=True)
    ] = ()


class GetRunRequest(Message, frozen=True):
    """ironflow.v1.GetRunRequest."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""


class ListRunsRequest(Message, frozen=True):
    """ironflow.v1.ListRunsRequest."""

    function_id: Annotated[str, Field(1, Kind.STRING)] = ""
    status: Annotated[int, Field(2, Kind.ENUM, RunStatus)] = 0
    since: Annotated[int | None, Field(3, Kind.TIMESTAMP)] = None
    until: Annotated[int | None, Field(4, Kind.TIMESTAMP)] = None
    limit: Annotated[int, Field(5, Kind.INT32)] = 0
    cursor: Annotated[str, Field(6, Kind.STRING)] = ""
    offset: Annotated[int, Field(7, Kind.INT32)] = 0
    search: Annotated[str, Field(8, Kind.STRING)] = ""
    event_id: Annotated[str, Field(9, Kind.STRING)] = ""
    statuses: Annotated[
        tuple[int, ...], Field(10, Kind.ENUM, RunStatus, many=True)
    ] = ()


class ListRunsResponse(Message, frozen=True):
    """ironflow.v1.ListRunsResponse."""

    runs: Annotated[tuple[Run, ...], Field(1, Kind.MESSAGE, Run, many=True)] = ()
    next_cursor: Annotated[str, Field(2, Kind.STRING)] = ""
    total_count: Annotated[int, Field(3, Kind.INT32)] = 0


class GetRunStepsRequest(Message, frozen=True):
    """ironflow.v1.GetRunStepsRequest."""

    run_id: Annotated[str, Field(1, Kind.STRING)] = ""


class GetRunStepsResponse(Message, frozen=True):
    """ironflow.v1.GetRunStepsResponse."""

    steps: Annotated[tuple[Step, ...], Field(1, Kind.MESSAGE, Step, many=True)] = ()


class CancelRunRequest(Message, frozen=True):
    """ironflow.v1.CancelRunRequest."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    reason: Annotated[str, Field(2, Kind.STRING)] = ""


class DeleteRunRequest(Message, frozen=True):
    """ironflow.v1.DeleteRunRequest."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""


class DeleteRunsRequest(Message, frozen=True):
    """ironflow.v1.DeleteRunsRequest."""

    function_id: Annotated[str, Field(1, Kind.STRING)] = ""
    status: Annotated[int, Field(2, Kind.ENUM, RunStatus)] = 0
    until: Annotated[int | None, Field(3, Kind.TIMESTAMP)] = None


class DeleteRunsResponse(Message, frozen=True):
    """ironflow.v1.DeleteRunsResponse."""

    deleted: Annotated[int, Field(1, Kind.INT64)] = 0


class RedactEventRequest(Message, frozen=True):
    """ironflow.v1.RedactEventRequest."""

    event_id: Annotated[str, Field(1, Kind.STRING)] = ""


class RedactStepRequest(Message, frozen=True):
    """ironflow.v1.RedactStepRequest."""

    step_id: Annotated[str, Field(1, Kind.STRING)] = ""


class RedactRunRequest(Message, frozen=True):
    """ironflow.v1.RedactRunRequest."""

    run_id: Annotated[str, Field(1, Kind.STRING)] = ""


class PatchStepRequest(Message, frozen=True):
    """ironflow.v1.PatchStepRequest."""

    step_id: Annotated[str, Field(1, Kind.STRING)] = ""
    output: Annotated[StructField, Field(2, Kind.STRUCT)] = None
    reason: Annotated[str, Field(3, Kind.STRING)] = ""
    output_value: Annotated[ValueField, Field(4, Kind.VALUE)] = UNSET


class ResumeRunRequest(Message, frozen=True):
    """ironflow.v1.ResumeRunRequest."""

    run_id: Annotated[str, Field(1, Kind.STRING)] = ""
    from_step: Annotated[str, Field(2, Kind.STRING)] = ""


class PauseRunRequest(Message, frozen=True):
    """ironflow.v1.PauseRunRequest."""

    run_id: Annotated[str, Field(1, Kind.STRING)] = ""


class PauseRunResponse(Message, frozen=True):
    """ironflow.v1.PauseRunResponse."""

    status: Annotated[str, Field(1, Kind.STRING)] = ""


class GetPausedStateRequest(Message, frozen=True):
    """ironflow.v1.GetPausedStateRequest."""

    run_id: Annotated[str, Field(1, Kind.STRING)] = ""


class PausedStepInfo(Message, frozen=True):
    """ironflow.v1.PausedStepInfo."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    name: Annotated[str, Field(2, Kind.STRING)] = ""
    output: Annotated[bytes, Field(3, Kind.BYTES)] = b""
    injected: Annotated[bool, Field(4, Kind.BOOL)] = False
    completed_at: Annotated[int | None, Field(5, Kind.TIMESTAMP)] = None
    step_type: Annotated[str, Field(6, Kind.STRING)] = ""
    status: Annotated[str, Field(7, Kind.STRING)] = ""
    error: Annotated[bytes, Field(8, Kind.BYTES)] = b""


class GetPausedStateResponse(Message, frozen=True):
    """ironflow.v1.GetPausedStateResponse."""

    steps: Annotated[
        tuple[PausedStepInfo, ...], Field(1, Kind.MESSAGE, PausedStepInfo, many=True)
    ] = ()
    next_step_hint: Annotated[str, Field(2, Kind.STRING)] = ""
    pause_reason: Annotated[str, Field(3, Kind.STRING)] = ""


class InjectStepOutputRequest(Message, frozen=True):
    """ironflow.v1.InjectStepOutputRequest."""

    run_id: Annotated[str, Field(1, Kind.STRING)] = ""
    step_id: Annotated[str, Field(2, Kind.STRING)] = ""
    new_output: Annotated[bytes, Field(3, Kind.BYTES)] = b""
    reason: Annotated[str, Field(4, Kind.STRING)] = ""


class InjectStepOutputResponse(Message, frozen=True):
    """ironflow.v1.InjectStepOutputResponse."""

    step_id: Annotated[str, Field(1, Kind.STRING)] = ""
    previous_output: Annotated[bytes, Field(2, Kind.BYTES)] = b""


class HealthRequest(Message, frozen=True):
    """ironflow.v1.HealthRequest."""


class ComponentHealth(Message, frozen=True):
    """ironflow.v1.ComponentHealth."""

    status: Annotated[str, Field(1, Kind.STRING)] = ""
    message: Annotated[str, Field(2, Kind.STRING)] = ""


class HealthResponse(Message, frozen=True):
    """ironflow.v1.HealthResponse."""

    status: Annotated[str, Field(1, Kind.STRING)] = ""
    timestamp: Annotated[int | None, Field(2, Kind.TIMESTAMP)] = None
    components: Annotated[
        dict[str, ComponentHealth], Field(3, Kind.MESSAGE, ComponentHealth, keyed=True)
    ] = {}


class InfoRequest(Message, frozen=True):
    """ironflow.v1.InfoRequest."""


class InfoResponse(Message, frozen=True):
    """ironflow.v1.InfoResponse."""

    version: Annotated[str, Field(1, Kind.STRING)] = ""
    go_version: Annotated[str, Field(2, Kind.STRING)] = ""
    started_at: Annotated[int | None, Field(3, Kind.TIMESTAMP)] = None
    function_count: Annotated[int, Field(4, Kind.INT32)] = 0
    active_runs: Annotated[int, Field(5, Kind.INT32)] = 0
    connected_workers: Annotated[int, Field(6, Kind.INT32)] = 0


class FunctionHistoryEntry(Message, frozen=True):
    """ironflow.v1.FunctionHistoryEntry."""

    event_id: Annotated[str, Field(1, Kind.STRING)] = ""
    entity_version: Annotated[int, Field(2, Kind.INT64)] = 0
    function_id: Annotated[str, Field(3, Kind.STRING)] = ""
    function_snapshot: Annotated[Function | None, Field(4, Kind.MESSAGE, Function)] = (
        None
    )
    actor_id: Annotated[str, Field(5, Kind.STRING)] = ""
    change_reason: Annotated[str, Field(6, Kind.STRING)] = ""
    change_type: Annotated[str, Field(7, Kind.STRING)] = ""
    recorded_at: Annotated[int | None, Field(8, Kind.TIMESTAMP)] = None


class ListFunctionHistoryRequest(Message, frozen=True):
    """ironflow.v1.ListFunctionHistoryRequest."""

    function_id: Annotated[str, Field(1, Kind.STRING)] = ""
    limit: Annotated[int, Field(2, Kind.INT32)] = 0
    from_version: Annotated[int, Field(3, Kind.INT64)] = 0


class ListFunctionHistoryResponse(Message, frozen=True):
    """ironflow.v1.ListFunctionHistoryResponse."""

    entries: Annotated[
        tuple[FunctionHistoryEntry, ...],
        Field(1, Kind.MESSAGE, FunctionHistoryEntry, many=True),
    ] = ()
    has_more: Annotated[bool, Field(2, Kind.BOOL)] = False


class GetFunctionAtVersionRequest(Message, frozen=True):
    """ironflow.v1.GetFunctionAtVersionRequest."""

    function_id: Annotated[str, Field(1, Kind.STRING)] = ""
    version: Annotated[int, Field(2, Kind.INT64)] = 0


class GetFunctionAtVersionResponse(Message, frozen=True):
    """ironflow.v1.GetFunctionAtVersionResponse."""

    entry: Annotated[
        FunctionHistoryEntry | None, Field(1, Kind.MESSAGE, FunctionHistoryEntry)
    ] = None


class RollbackFunctionRequest(Message, frozen=True):
    """ironflow.v1.RollbackFunctionRequest."""

    function_id: Annotated[str, Field(1, Kind.STRING)] = ""
    version: Annotated[int, Field(2, Kind.INT64)] = 0
    change_reason: Annotated[str, Field(3, Kind.STRING)] = ""


class RollbackFunctionResponse(Message, frozen=True):
    """ironflow.v1.RollbackFunctionResponse."""

    function: Annotated[Function | None, Field(1, Kind.MESSAGE, Function)] = None


IronflowService: Final[Service] = {
    "RegisterFunction": Method(
        "RegisterFunction", RegisterFunctionRequest, RegisterFunctionResponse
    ),
    "GetFunction": Method(
        "GetFunction", GetFunctionRequest, Function, has_side_effects=False
    ),
    "ListFunctions": Method(
        "ListFunctions",
        ListFunctionsRequest,
        ListFunctionsResponse,
        has_side_effects=False,
    ),
    "InvokeFunction": Method(
        "InvokeFunction", InvokeFunctionRequest, InvokeFunctionResponse
    ),
    "UpdateFunctionStatus": Method(
        "UpdateFunctionStatus", UpdateFunctionStatusRequest, Function
    ),
    "DeleteFunction": Method("DeleteFunction", DeleteFunctionRequest, Empty),
    "ListFunctionHistory": Method(
        "ListFunctionHistory",
        ListFunctionHistoryRequest,
        ListFunctionHistoryResponse,
        has_side_effects=False,
    ),
    "GetFunctionAtVersion": Method(
        "GetFunctionAtVersion",
        GetFunctionAtVersionRequest,
        GetFunctionAtVersionResponse,
        has_side_effects=False,
    ),
    "RollbackFunction": Method(
        "RollbackFunction", RollbackFunctionRequest, RollbackFunctionResponse
    ),
    "Trigger": Method("Trigger", TriggerRequest, TriggerResponse),
    "Emit": Method("Emit", TriggerRequest, TriggerResponse),
    "TriggerSync": Method("TriggerSync", TriggerSyncRequest, TriggerSyncResponse),
    "InvokeFunctionSync": Method(
        "InvokeFunctionSync", InvokeFunctionSyncRequest, InvokeFunctionSyncResponse
    ),
    "TriggerBatch": Method("TriggerBatch", TriggerBatchRequest, TriggerBatchResponse),
    "GetRun": Method("GetRun", GetRunRequest, Run, has_side_effects=False),
    "ListRuns": Method(
        "ListRuns", ListRunsRequest, ListRunsResponse, has_side_effects=False
    ),
    "GetRunSteps": Method(
        "GetRunSteps", GetRunStepsRequest, GetRunStepsResponse, has_side_effects=False
    ),
    "CancelRun": Method("CancelRun", CancelRunRequest, Run),
    "DeleteRun": Method("DeleteRun", DeleteRunRequest, Empty),
    "DeleteRuns": Method("DeleteRuns", DeleteRunsRequest, DeleteRunsResponse),
    "RedactEvent": Method("RedactEvent", RedactEventRequest, Empty),
    "RedactStep": Method("RedactStep", RedactStepRequest, Empty),
    "RedactRun": Method("RedactRun", RedactRunRequest, Empty),
    "PatchStep": Method("PatchStep", PatchStepRequest, Step),
    "ResumeRun": Method("ResumeRun", ResumeRunRequest, Run),
    "PauseRun": Method("PauseRun", PauseRunRequest, PauseRunResponse),
    "GetPausedState": Method(
        "GetPausedState",
        GetPausedStateRequest,
        GetPausedStateResponse,
        has_side_effects=False,
    ),
    "InjectStepOutput": Method(
        "InjectStepOutput", InjectStepOutputRequest, InjectStepOutputResponse
    ),
    "Health": Method("Health", HealthRequest, HealthResponse),
    "Info": Method("Info", InfoRequest, InfoResponse),
}
