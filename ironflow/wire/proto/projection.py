"""ironflow/v1/projection.proto, made by `scripts/protos`: do not edit."""

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


class ProjectionEventKind(IntEnum):
    """ironflow.v1.ProjectionEventKind."""

    PROJECTION_EVENT_KIND_UNSPECIFIED = 0
    PROJECTION_EVENT_KIND_EVENT = 1
    PROJECTION_EVENT_KIND_HEARTBEAT = 2


class WaitStreamFrameKind(IntEnum):
    """ironflow.v1.WaitStreamFrameKind."""

    WAIT_STREAM_FRAME_KIND_UNSPECIFIED = 0
    WAIT_STREAM_FRAME_KIND_PROGRESS = 1
    WAIT_STREAM_FRAME_KIND_HEARTBEAT = 2
    WAIT_STREAM_FRAME_KIND_DONE = 3


class RegisterProjectionRequest(Message, frozen=True):
    """ironflow.v1.RegisterProjectionRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    events: Annotated[tuple[str, ...], Field(2, Kind.STRING, many=True)] = ()
    partition_key: Annotated[str, Field(3, Kind.STRING)] = ""
    version: Annotated[int, Field(4, Kind.INT32)] = 0
    mode: Annotated[str, Field(5, Kind.STRING)] = ""
    change_reason: Annotated[str, Field(6, Kind.STRING)] = ""


class RegisterProjectionResponse(Message, frozen=True):
    """ironflow.v1.RegisterProjectionResponse."""

    status: Annotated[str, Field(1, Kind.STRING)] = ""
    last_event_seq: Annotated[int, Field(2, Kind.INT64)] = 0


class UnregisterProjectionRequest(Message, frozen=True):
    """ironflow.v1.UnregisterProjectionRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""


class UnregisterProjectionResponse(Message, frozen=True):
    """ironflow.v1.UnregisterProjectionResponse."""


class ProjectionLease(Message, frozen=True):
    """ironflow.v1.ProjectionLease."""

    token: Annotated[str, Field(1, Kind.STRING)] = ""
    epoch: Annotated[int, Field(2, Kind.INT64)] = 0


class PollProjectionEventsRequest(Message, frozen=True):
    """ironflow.v1.PollProjectionEventsRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    batch_size: Annotated[int, Field(2, Kind.INT32)] = 0
    partition: Annotated[str, Field(3, Kind.STRING)] = ""
    lease: Annotated[
        ProjectionLease | None, Field(4, Kind.MESSAGE, ProjectionLease)
    ] = None


class ProjectionEvent(Message, frozen=True):
    """ironflow.v1.ProjectionEvent."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    name: Annotated[str, Field(2, Kind.STRING)] = ""
    data: Annotated[StructField, Field(3, Kind.STRUCT)] = None
    seq: Annotated[int, Field(4, Kind.INT64)] = 0
    timestamp: Annotated[int | None, Field(5, Kind.TIMESTAMP)] = None
    source: Annotated[str, Field(6, Kind.STRING)] = ""
    metadata: Annotated[StructField, Field(7, Kind.STRUCT)] = None
    kind: Annotated[int, Field(8, Kind.ENUM, ProjectionEventKind)] = 0
    data_value: Annotated[ValueField, Field(9, Kind.VALUE)] = UNSET


class PollProjectionEventsResponse(Message, frozen=True):
    """ironflow.v1.PollProjectionEventsResponse."""

    events: Annotated[
        tuple[ProjectionEvent, ...], Field(1, Kind.MESSAGE, ProjectionEvent, many=True)
    ] = ()
    current_state: Annotated[StructField, Field(2, Kind.STRUCT)] = None
    last_event_seq: Annotated[int, Field(3, Kind.INT64)] = 0
    current_state_value: Annotated[ValueField, Field(4, Kind.VALUE)] = UNSET


class StreamProjectionEventsRequest(Message, frozen=True):
    """ironflow.v1.StreamProjectionEventsRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    batch_size: Annotated[int, Field(2, Kind.INT32)] = 0
    partition: Annotated[str, Field(3, Kind.STRING)] = ""
    accept_heartbeats: Annotated[bool, Field(4, Kind.BOOL)] = False
    lease: Annotated[
        ProjectionLease | None, Field(5, Kind.MESSAGE, ProjectionLease)
    ] = None


class SaveProjectionStateRequest(Message, frozen=True):
    """ironflow.v1.SaveProjectionStateRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    partition_key: Annotated[str, Field(2, Kind.STRING)] = ""
    state: Annotated[StructField, Field(3, Kind.STRUCT)] = None
    last_event_id: Annotated[str, Field(4, Kind.STRING)] = ""
    last_event_seq: Annotated[int, Field(5, Kind.INT64)] = 0
    last_event_time: Annotated[int | None, Field(6, Kind.TIMESTAMP)] = None
    state_value: Annotated[ValueField, Field(7, Kind.VALUE)] = UNSET
    lease: Annotated[
        ProjectionLease | None, Field(8, Kind.MESSAGE, ProjectionLease)
    ] = None


class SaveProjectionStateResponse(Message, frozen=True):
    """ironflow.v1.SaveProjectionStateResponse."""

    ok: Annotated[bool, Field(1, Kind.BOOL)] = False


class AckProjectionEventsRequest(Message, frozen=True):
    """ironflow.v1.AckProjectionEventsRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    last_event_id: Annotated[str, Field(2, Kind.STRING)] = ""
    last_event_seq: Annotated[int, Field(3, Kind.INT64)] = 0
    lease: Annotated[
        ProjectionLease | None, Field(4, Kind.MESSAGE, ProjectionLease)
    ] = None


class AckProjectionEventsResponse(Message, frozen=True):
    """ironflow.v1.AckProjectionEventsResponse."""

    ok: Annotated[bool, Field(1, Kind.BOOL)] = False


class AcquireProjectionLeaseRequest(Message, frozen=True):
    """ironflow.v1.AcquireProjectionLeaseRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""


class AcquireProjectionLeaseResponse(Message, frozen=True):
    """ironflow.v1.AcquireProjectionLeaseResponse."""

    granted: Annotated[bool, Field(1, Kind.BOOL)] = False
    lease: Annotated[
        ProjectionLease | None, Field(2, Kind.MESSAGE, ProjectionLease)
    ] = None
    ttl: Annotated[int | None, Field(3, Kind.DURATION)] = None


class RenewProjectionLeaseRequest(Message, frozen=True):
    """ironflow.v1.RenewProjectionLeaseRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    lease: Annotated[
        ProjectionLease | None, Field(2, Kind.MESSAGE, ProjectionLease)
    ] = None


class RenewProjectionLeaseResponse(Message, frozen=True):
    """ironflow.v1.RenewProjectionLeaseResponse."""

    ttl: Annotated[int | None, Field(1, Kind.DURATION)] = None


class ReleaseProjectionLeaseRequest(Message, frozen=True):
    """ironflow.v1.ReleaseProjectionLeaseRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    lease: Annotated[
        ProjectionLease | None, Field(2, Kind.MESSAGE, ProjectionLease)
    ] = None


class ReleaseProjectionLeaseResponse(Message, frozen=True):
    """ironflow.v1.ReleaseProjectionLeaseResponse."""


class GetProjectionRequest(Message, frozen=True):
    """ironflow.v1.GetProjectionRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    partition: Annotated[str, Field(2, Kind.STRING)] = ""
    as_of: Annotated[int | None, Field(3, Kind.TIMESTAMP)] = None


class ProjectionInfo(Message, frozen=True):
    """ironflow.v1.ProjectionInfo."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    mode: Annotated[str, Field(2, Kind.STRING)] = ""
    status: Annotated[str, Field(3, Kind.STRING)] = ""
    events: Annotated[tuple[str, ...], Field(4, Kind.STRING, many=True)] = ()
    partition_key: Annotated[str, Field(5, Kind.STRING)] = ""
    version: Annotated[int, Field(6, Kind.INT32)] = 0
    last_event_seq: Annotated[int, Field(7, Kind.INT64)] = 0
    created_at: Annotated[int | None, Field(8, Kind.TIMESTAMP)] = None
    updated_at: Annotated[int | None, Field(9, Kind.TIMESTAMP)] = None
    environment_id: Annotated[str, Field(10, Kind.STRING)] = ""
    error_message: Annotated[str, Field(11, Kind.STRING)] = ""
    type: Annotated[str, Field(12, Kind.STRING)] = ""
    sql_definition: Annotated[str, Field(13, Kind.STRING)] = ""
    event_handlers: Annotated[StructField, Field(14, Kind.STRUCT)] = None
    description: Annotated[str, Field(15, Kind.STRING)] = ""
    rebuild_target_seq: Annotated[int | None, Field(16, Kind.INT64, optional=True)] = (
        None
    )
    rebuild_start_cursor: Annotated[
        int | None, Field(17, Kind.INT64, optional=True)
    ] = None
    rebuild_started_at: Annotated[int | None, Field(18, Kind.TIMESTAMP)] = None
    version_full: Annotated[int, Field(19, Kind.INT64)] = 0


class GetProjectionResponse(Message, frozen=True):
    """ironflow.v1.GetProjectionResponse."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    partition: Annotated[str, Field(2, Kind.STRING)] = ""
    state: Annotated[StructField, Field(3, Kind.STRUCT)] = None
    last_event_id: Annotated[str, Field(4, Kind.STRING)] = ""
    last_event_time: Annotated[int | None, Field(5, Kind.TIMESTAMP)] = None
    version: Annotated[int, Field(6, Kind.INT64)] = 0
    mode: Annotated[str, Field(7, Kind.STRING)] = ""
    state_value: Annotated[ValueField, Field(8, Kind.VALUE)] = UNSET
    registry: Annotated[
        ProjectionInfo | None, Field(9, Kind.MESSAGE, ProjectionInfo)
    ] = None
    state_last_event_seq: Annotated[int, Field(10, Kind.INT64)] = 0
    state_updated_at: Annotated[int | None, Field(11, Kind.TIMESTAMP)] = None
    state_environment_id: Annotated[str, Field(12, Kind.STRING)] = ""


class ListProjectionsRequest(Message, frozen=True):
    """ironflow.v1.ListProjectionsRequest."""

    status: Annotated[str, Field(1, Kind.STRING)] = ""
    mode: Annotated[str, Field(2, Kind.STRING)] = ""
    limit: Annotated[int, Field(3, Kind.INT32)] = 0
    offset: Annotated[int, Field(4, Kind.INT32)] = 0


class ListProjectionsResponse(Message, frozen=True):
    """ironflow.v1.ListProjectionsResponse."""

    projections: Annotated[
        tuple[ProjectionInfo, ...], Field(1, Kind.MESSAGE, ProjectionInfo, many=True)
    ] = ()
    total_count: Annotated[int, Field(2, Kind.INT32)] = 0


class GetProjectionStatusRequest(Message, frozen=True):
    """ironflow.v1.GetProjectionStatusRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""


class GetProjectionStatusResponse(Message, frozen=True):
    """ironflow.v1.GetProjectionStatusResponse."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    status: Annotated[str, Field(2, Kind.STRING)] = ""
    mode: Annotated[str, Field(3, Kind.STRING)] = ""
    last_event_seq: Annotated[int, Field(4, Kind.INT64)] = 0
    lag: Annotated[int, Field(5, Kind.INT64)] = 0
    error_message: Annotated[str, Field(6, Kind.STRING)] = ""
    updated_at: Annotated[int | None, Field(7, Kind.TIMESTAMP)] = None
    rebuild_target_seq: Annotated[int, Field(8, Kind.INT64)] = 0
    rebuild_start_cursor: Annotated[int, Field(9, Kind.INT64)] = 0
    rebuild_started_at: Annotated[int | None, Field(10, Kind.TIMESTAMP)] = None


class RebuildProjectionRequest(Message, frozen=True):
    """ironflow.v1.RebuildProjectionRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    partition: Annotated[str, Field(2, Kind.STRING)] = ""
    from_event_id: Annotated[str, Field(3, Kind.STRING)] = ""
    dry_run: Annotated[bool, Field(4, Kind.BOOL)] = False
    to_event_id: Annotated[str, Field(5, Kind.STRING)] = ""


class RebuildJob(Message, frozen=True):
    """ironflow.v1.RebuildJob."""

    job_id: Annotated[str, Field(1, Kind.STRING)] = ""
    projection_name: Annotated[str, Field(2, Kind.STRING)] = ""
    status: Annotated[str, Field(3, Kind.STRING)] = ""
    events_processed: Annotated[int, Field(4, Kind.INT64)] = 0
    total_events: Annotated[int, Field(5, Kind.INT64)] = 0
    progress: Annotated[float, Field(6, Kind.DOUBLE)] = 0.0
    started_at: Annotated[int | None, Field(7, Kind.TIMESTAMP)] = None
    estimated_remaining: Annotated[int | None, Field(8, Kind.DURATION)] = None
    error: Annotated[str, Field(9, Kind.STRING)] = ""
    from_event_id: Annotated[str, Field(10, Kind.STRING)] = ""
    to_event_id: Annotated[str, Field(11, Kind.STRING)] = ""
    partition: Annotated[str, Field(12, Kind.STRING)] = ""
    dry_run: Annotated[bool, Field(13, Kind.BOOL)] = False


class RebuildProjectionResponse(Message, frozen=True):
    """ironflow.v1.RebuildProjectionResponse."""

    job: Annotated[RebuildJob | None, Field(1, Kind.MESSAGE, RebuildJob)] = None


class GetRebuildJobRequest(Message, frozen=True):
    """ironflow.v1.GetRebuildJobRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""


class GetRebuildJobResponse(Message, frozen=True):
    """ironflow.v1.GetRebuildJobResponse."""

    job: Annotated[RebuildJob | None, Field(1, Kind.MESSAGE, RebuildJob)] = None


class CancelRebuildRequest(Message, frozen=True):
    """ironflow.v1.CancelRebuildRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""


class CancelRebuildResponse(Message, frozen=True):
    """ironflow.v1.CancelRebuildResponse."""

    status: Annotated[str, Field(1, Kind.STRING)] = ""


class PauseProjectionRequest(Message, frozen=True):
    """ironflow.v1.PauseProjectionRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""


class PauseProjectionResponse(Message, frozen=True):
    """ironflow.v1.PauseProjectionResponse."""

    status: Annotated[str, Field(1, Kind.STRING)] = ""


class ResumeProjectionRequest(Message, frozen=True):
    """ironflow.v1.ResumeProjectionRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""


class ResumeProjectionResponse(Message, frozen=True):
    """ironflow.v1.ResumeProjectionResponse."""

    status: Annotated[str, Field(1, Kind.STRING)] = ""


class CreateSQLProjectionRequest(Message, frozen=True):
    """ironflow.v1.CreateSQLProjectionRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    table_sql: Annotated[str, Field(2, Kind.STRING)] = ""
    event_handlers: Annotated[dict[str, str], Field(3, Kind.STRING, keyed=True)] = {}
    events: Annotated[tuple[str, ...], Field(4, Kind.STRING, many=True)] = ()
    description: Annotated[str, Field(5, Kind.STRING)] = ""


class CreateSQLProjectionResponse(Message, frozen=True):
    """ironflow.v1.CreateSQLProjectionResponse."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    status: Annotated[str, Field(2, Kind.STRING)] = ""


class QuerySQLProjectionRequest(Message, frozen=True):
    """ironflow.v1.QuerySQLProjectionRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    where: Annotated[str, Field(2, Kind.STRING)] = ""
    order_by: Annotated[str, Field(3, Kind.STRING)] = ""
    limit: Annotated[int, Field(4, Kind.INT32)] = 0
    offset: Annotated[int, Field(5, Kind.INT32)] = 0


class QuerySQLRow(Message, frozen=True):
    """ironflow.v1.QuerySQLRow."""

    values: Annotated[tuple[str, ...], Field(1, Kind.STRING, many=True)] = ()
    typed_values: Annotated[
        tuple[ValueField, ...], Field(2, Kind.VALUE, many=True)
    ] = ()


class QuerySQLProjectionResponse(Message, frozen=True):
    """ironflow.v1.QuerySQLProjectionResponse."""

    columns: Annotated[tuple[str, ...], Field(1, Kind.STRING, many=True)] = ()
    rows: Annotated[
        tuple[QuerySQLRow, ...], Field(2, Kind.MESSAGE, QuerySQLRow, many=True)
    ] = ()
    total_count: Annotated[int, Field(3, Kind.INT32)] = 0


class WaitProjectionCatchupRequest(Message, frozen=True):
    """ironflow.v1.WaitProjectionCatchupRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    min_seq: Annotated[int, Field(2, Kind.UINT64)] = 0
    timeout: Annotated[int | None, Field(3, Kind.DURATION)] = None
    partition: Annotated[str, Field(4, Kind.STRING)] = ""


class WaitProjectionCatchupResponse(Message, frozen=True):
    """ironflow.v1.WaitProjectionCatchupResponse."""

    caught_up: Annotated[bool, Field(1, Kind.BOOL)] = False
    timed_out: Annotated[bool, Field(2, Kind.BOOL)] = False
    current_seq: Annotated[int, Field(3, Kind.UINT64)] = 0
    target_seq: Annotated[int, Field(4, Kind.UINT64)] = 0
    behind_by_events: Annotated[int, Field(5, Kind.INT64)] = 0
    rebuilding: Annotated[bool, Field(6, Kind.BOOL)] = False
    mode: Annotated[str, Field(7, Kind.STRING)] = ""


class WaitItem(Message, frozen=True):
    """ironflow.v1.WaitItem."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    min_seq: Annotated[int, Field(2, Kind.UINT64)] = 0
    partition: Annotated[str, Field(3, Kind.STRING)] = ""


class WaitProjectionCatchupBatchRequest(Message, frozen=True):
    """ironflow.v1.WaitProjectionCatchupBatchRequest."""

    items: Annotated[
        tuple[WaitItem, ...], Field(1, Kind.MESSAGE, WaitItem, many=True)
    ] = ()
    timeout: Annotated[int | None, Field(2, Kind.DURATION)] = None


class WaitItemResult(Message, frozen=True):
    """ironflow.v1.WaitItemResult."""

    result: Annotated[
        WaitProjectionCatchupResponse | None,
        Field(1, Kind.MESSAGE, WaitProjectionCatchupResponse),
    ] = None
    error: Annotated[str, Field(2, Kind.STRING)] = ""


class WaitProjectionCatchupBatchResponse(Message, frozen=True):
    """ironflow.v1.WaitProjectionCatchupBatchResponse."""

    results: Annotated[
        tuple[WaitItemResult, ...], Field(1, Kind.MESSAGE, WaitItemResult, many=True)
    ] = ()


class WaitForEventRequest(Message, frozen=True):
    """ironflow.v1.WaitForEventRequest."""

    event_id: Annotated[str, Field(1, Kind.STRING)] = ""
    projection: Annotated[str, Field(2, Kind.STRING)] = ""
    partition: Annotated[str, Field(3, Kind.STRING)] = ""
    timeout: Annotated[int | None, Field(4, Kind.DURATION)] = None


class WaitProjectionCatchupStreamResponse(Message, frozen=True):
    """ironflow.v1.WaitProjectionCatchupStreamResponse."""

    kind: Annotated[int, Field(1, Kind.ENUM, WaitStreamFrameKind)] = 0
    current_seq: Annotated[int, Field(2, Kind.UINT64)] = 0
    target_seq: Annotated[int, Field(3, Kind.UINT64)] = 0
    behind_by_events: Annotated[int, Field(4, Kind.INT64)] = 0
    caught_up: Annotated[bool, Field(5, Kind.BOOL)] = False
    timed_out: Annotated[bool, Field(6, Kind.BOOL)] = False
    error: Annotated[str, Field(7, Kind.STRING)] = ""
    mode: Annotated[str, Field(8, Kind.STRING)] = ""


class ListProjectionHistoryRequest(Message, frozen=True):
    """ironflow.v1.ListProjectionHistoryRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    limit: Annotated[int, Field(2, Kind.INT32)] = 0
    before_revision: Annotated[int, Field(3, Kind.INT64)] = 0


class ProjectionDefinition(Message, frozen=True):
    """ironflow.v1.ProjectionDefinition."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    environment_id: Annotated[str, Field(2, Kind.STRING)] = ""
    version: Annotated[int, Field(3, Kind.INT64)] = 0
    events: Annotated[tuple[str, ...], Field(4, Kind.STRING, many=True)] = ()
    partition_key: Annotated[str, Field(5, Kind.STRING)] = ""
    mode: Annotated[str, Field(6, Kind.STRING)] = ""
    type: Annotated[str, Field(7, Kind.STRING)] = ""
    sql_definition: Annotated[str, Field(8, Kind.STRING)] = ""
    event_handlers: Annotated[dict[str, str], Field(9, Kind.STRING, keyed=True)] = {}
    description: Annotated[str, Field(10, Kind.STRING)] = ""


class ProjectionHistoryEntry(Message, frozen=True):
    """ironflow.v1.ProjectionHistoryEntry."""

    event_id: Annotated[str, Field(1, Kind.STRING)] = ""
    revision: Annotated[int, Field(2, Kind.INT64)] = 0
    previous_definition: Annotated[
        ProjectionDefinition | None, Field(3, Kind.MESSAGE, ProjectionDefinition)
    ] = None
    actor_id: Annotated[str, Field(4, Kind.STRING)] = ""
    change_reason: Annotated[str, Field(5, Kind.STRING)] = ""
    change_type: Annotated[str, Field(6, Kind.STRING)] = ""
    recorded_at: Annotated[int | None, Field(7, Kind.TIMESTAMP)] = None


class ListProjectionHistoryResponse(Message, frozen=True):
    """ironflow.v1.ListProjectionHistoryResponse."""

    entries: Annotated[
        tuple[ProjectionHistoryEntry, ...],
        Field(1, Kind.MESSAGE, ProjectionHistoryEntry, many=True),
    ] = ()
    has_more: Annotated[bool, Field(2, Kind.BOOL)] = False
    next_before_revision: Annotated[int, Field(3, Kind.INT64)] = 0


class GetProjectionRevisionRequest(Message, frozen=True):
    """ironflow.v1.GetProjectionRevisionRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    revision: Annotated[int, Field(2, Kind.INT64)] = 0


class GetProjectionRevisionResponse(Message, frozen=True):
    """ironflow.v1.GetProjectionRevisionResponse."""

    entry: Annotated[
        ProjectionHistoryEntry | None, Field(1, Kind.MESSAGE, ProjectionHistoryEntry)
    ] = None


ProjectionService: Final[Service] = {
    "ListProjectionHistory": Method(
        "ListProjectionHistory",
        ListProjectionHistoryRequest,
        ListProjectionHistoryResponse,
        has_side_effects=False,
    ),
    "GetProjectionRevision": Method(
        "GetProjectionRevision",
        GetProjectionRevisionRequest,
        GetProjectionRevisionResponse,
        has_side_effects=False,
    ),
    "RegisterProjection": Method(
        "RegisterProjection", RegisterProjectionRequest, RegisterProjectionResponse
    ),
    "UnregisterProjection": Method(
        "UnregisterProjection",
        UnregisterProjectionRequest,
        UnregisterProjectionResponse,
    ),
    "PollProjectionEvents": Method(
        "PollProjectionEvents",
        PollProjectionEventsRequest,
        PollProjectionEventsResponse,
    ),
    "StreamProjectionEvents": Method(
        "StreamProjectionEvents",
        StreamProjectionEventsRequest,
        ProjectionEvent,
        streams_responses=True,
    ),
    "SaveProjectionState": Method(
        "SaveProjectionState", SaveProjectionStateRequest, SaveProjectionStateResponse
    ),
    "AckProjectionEvents": Method(
        "AckProjectionEvents", AckProjectionEventsRequest, AckProjectionEventsResponse
    ),
    "AcquireProjectionLease": Method(
        "AcquireProjectionLease",
        AcquireProjectionLeaseRequest,
        AcquireProjectionLeaseResponse,
    ),
    "RenewProjectionLease": Method(
        "RenewProjectionLease",
        RenewProjectionLeaseRequest,
        RenewProjectionLeaseResponse,
    ),
    "ReleaseProjectionLease": Method(
        "ReleaseProjectionLease",
        ReleaseProjectionLeaseRequest,
        ReleaseProjectionLeaseResponse,
    ),
    "GetProjection": Method(
        "GetProjection",
        GetProjectionRequest,
        GetProjectionResponse,
        has_side_effects=False,
    ),
    "ListProjections": Method(
        "ListProjections",
        ListProjectionsRequest,
        ListProjectionsResponse,
        has_side_effects=False,
    ),
    "GetProjectionStatus": Method(
        "GetProjectionStatus",
        GetProjectionStatusRequest,
        GetProjectionStatusResponse,
        has_side_effects=False,
    ),
    "RebuildProjection": Method(
        "RebuildProjection", RebuildProjectionRequest, RebuildProjectionResponse
    ),
    "GetRebuildJob": Method(
        "GetRebuildJob",
        GetRebuildJobRequest,
        GetRebuildJobResponse,
        has_side_effects=False,
    ),
    "CancelRebuild": Method(
        "CancelRebuild", CancelRebuildRequest, CancelRebuildResponse
    ),
    "PauseProjection": Method(
        "PauseProjection", PauseProjectionRequest, PauseProjectionResponse
    ),
    "ResumeProjection": Method(
        "ResumeProjection", ResumeProjectionRequest, ResumeProjectionResponse
    ),
    "CreateSQLProjection": Method(
        "CreateSQLProjection", CreateSQLProjectionRequest, CreateSQLProjectionResponse
    ),
    "QuerySQLProjection": Method(
        "QuerySQLProjection",
        QuerySQLProjectionRequest,
        QuerySQLProjectionResponse,
        has_side_effects=False,
    ),
    "WaitProjectionCatchup": Method(
        "WaitProjectionCatchup",
        WaitProjectionCatchupRequest,
        WaitProjectionCatchupResponse,
    ),
    "WaitProjectionCatchupBatch": Method(
        "WaitProjectionCatchupBatch",
        WaitProjectionCatchupBatchRequest,
        WaitProjectionCatchupBatchResponse,
    ),
    "WaitForEvent": Method(
        "WaitForEvent", WaitForEventRequest, WaitProjectionCatchupResponse
    ),
    "WaitProjectionCatchupStream": Method(
        "WaitProjectionCatchupStream",
        WaitProjectionCatchupRequest,
        WaitProjectionCatchupStreamResponse,
        streams_responses=True,
    ),
}
