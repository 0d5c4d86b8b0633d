"""ironflow/v1/entity_stream.proto, made by `scripts/protos`: do not edit."""

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


class AppendEventRequest(Message, frozen=True):
    """ironflow.v1.AppendEventRequest."""

    entity_id: Annotated[str, Field(1, Kind.STRING)] = ""
    entity_type: Annotated[str, Field(2, Kind.STRING)] = ""
    event_name: Annotated[str, Field(3, Kind.STRING)] = ""
    data: Annotated[StructField, Field(4, Kind.STRUCT)] = None
    expected_version: Annotated[int, Field(5, Kind.INT64)] = 0
    idempotency_key: Annotated[str, Field(6, Kind.STRING)] = ""
    version: Annotated[int, Field(7, Kind.INT32)] = 0
    metadata: Annotated[StructField, Field(8, Kind.STRUCT)] = None
    data_value: Annotated[ValueField, Field(9, Kind.VALUE)] = UNSET


class AppendEventResponse(Message, frozen=True):
    """ironflow.v1.AppendEventResponse."""

    entity_version: Annotated[int, Field(1, Kind.INT64)] = 0
    event_id: Annotated[str, Field(2, Kind.STRING)] = ""
    sequence: Annotated[int, Field(3, Kind.UINT64)] = 0


class ReadStreamRequest(Message, frozen=True):
    """ironflow.v1.ReadStreamRequest."""

    entity_id: Annotated[str, Field(1, Kind.STRING)] = ""
    from_version: Annotated[int, Field(2, Kind.INT64)] = 0
    limit: Annotated[int, Field(3, Kind.INT32)] = 0
    direction: Annotated[str, Field(4, Kind.STRING)] = ""


class StreamEvent(Message, frozen=True):
    """ironflow.v1.StreamEvent."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    name: Annotated[str, Field(2, Kind.STRING)] = ""
    data: Annotated[StructField, Field(3, Kind.STRUCT)] = None
    entity_version: Annotated[int, Field(4, Kind.INT64)] = 0
    version: Annotated[int, Field(5, Kind.INT32)] = 0
    timestamp: Annotated[int | None, Field(6, Kind.TIMESTAMP)] = None
    source: Annotated[str, Field(7, Kind.STRING)] = ""
    metadata: Annotated[StructField, Field(8, Kind.STRUCT)] = None
    data_value: Annotated[ValueField, Field(9, Kind.VALUE)] = UNSET
    environment_id: Annotated[str, Field(10, Kind.STRING)] = ""
    idempotency_key: Annotated[str, Field(11, Kind.STRING)] = ""
    processed: Annotated[bool, Field(12, Kind.BOOL)] = False
    run_id: Annotated[str, Field(13, Kind.STRING)] = ""
    webhook_source_id: Annotated[str, Field(14, Kind.STRING)] = ""
    schema_hash: Annotated[str, Field(15, Kind.STRING)] = ""
    created_at: Annotated[int | None, Field(16, Kind.TIMESTAMP)] = None
    entity_id: Annotated[str, Field(17, Kind.STRING)] = ""
    entity_type: Annotated[str, Field(18, Kind.STRING)] = ""
    nats_seq: Annotated[int, Field(19, Kind.INT64)] = 0
    emitted_by: Annotated[str, Field(20, Kind.STRING)] = ""


class ReadStreamResponse(Message, frozen=True):
    """ironflow.v1.ReadStreamResponse."""

    events: Annotated[
        tuple[StreamEvent, ...], Field(1, Kind.MESSAGE, StreamEvent, many=True)
    ] = ()
    total_count: Annotated[int, Field(2, Kind.INT32)] = 0


class GetStreamInfoRequest(Message, frozen=True):
    """ironflow.v1.GetStreamInfoRequest."""

    entity_id: Annotated[str, Field(1, Kind.STRING)] = ""


class GetStreamInfoResponse(Message, frozen=True):
    """ironflow.v1.GetStreamInfoResponse."""

    entity_id: Annotated[str, Field(1, Kind.STRING)] = ""
    entity_type: Annotated[str, Field(2, Kind.STRING)] = ""
    version: Annotated[int, Field(3, Kind.INT64)] = 0
    event_count: Annotated[int, Field(4, Kind.INT64)] = 0
    created_at: Annotated[int | None, Field(5, Kind.TIMESTAMP)] = None
    updated_at: Annotated[int | None, Field(6, Kind.TIMESTAMP)] = None
    deleted: Annotated[bool, Field(7, Kind.BOOL)] = False


class ListStreamsRequest(Message, frozen=True):
    """ironflow.v1.ListStreamsRequest."""

    entity_type: Annotated[str, Field(1, Kind.STRING)] = ""
    limit: Annotated[int, Field(2, Kind.INT32)] = 0
    offset: Annotated[int, Field(3, Kind.INT32)] = 0
    search: Annotated[str, Field(4, Kind.STRING)] = ""
    include_deleted: Annotated[bool, Field(5, Kind.BOOL)] = False


class ListStreamsResponse(Message, frozen=True):
    """ironflow.v1.ListStreamsResponse."""

    streams: Annotated[
        tuple[GetStreamInfoResponse, ...],
        Field(1, Kind.MESSAGE, GetStreamInfoResponse, many=True),
    ] = ()
    total_count: Annotated[int, Field(2, Kind.INT32)] = 0


class GetEntityHistoryRequest(Message, frozen=True):
    """ironflow.v1.GetEntityHistoryRequest."""

    entity_id: Annotated[str, Field(1, Kind.STRING)] = ""
    from_version: Annotated[int, Field(2, Kind.INT64)] = 0
    limit: Annotated[int, Field(3, Kind.INT32)] = 0
    direction: Annotated[str, Field(4, Kind.STRING)] = ""
    from_timestamp: Annotated[int | None, Field(5, Kind.TIMESTAMP)] = None
    to_timestamp: Annotated[int | None, Field(6, Kind.TIMESTAMP)] = None


class EntityHistoryStep(Message, frozen=True):
    """ironflow.v1.EntityHistoryStep."""

    step_id: Annotated[str, Field(1, Kind.STRING)] = ""
    name: Annotated[str, Field(2, Kind.STRING)] = ""
    step_type: Annotated[str, Field(3, Kind.STRING)] = ""
    status: Annotated[str, Field(4, Kind.STRING)] = ""
    duration_ms: Annotated[int, Field(5, Kind.INT32)] = 0
    error_message: Annotated[str, Field(6, Kind.STRING)] = ""
    duration_ms_full: Annotated[int, Field(7, Kind.INT64)] = 0


class EntityHistoryRun(Message, frozen=True):
    """ironflow.v1.EntityHistoryRun."""

    run_id: Annotated[str, Field(1, Kind.STRING)] = ""
    function_id: Annotated[str, Field(2, Kind.STRING)] = ""
    status: Annotated[str, Field(3, Kind.STRING)] = ""
    duration_ms: Annotated[int, Field(4, Kind.INT32)] = 0
    started_at: Annotated[int | None, Field(5, Kind.TIMESTAMP)] = None
    ended_at: Annotated[int | None, Field(6, Kind.TIMESTAMP)] = None
    steps: Annotated[
        tuple[EntityHistoryStep, ...],
        Field(7, Kind.MESSAGE, EntityHistoryStep, many=True),
    ] = ()
    duration_ms_full: Annotated[int, Field(8, Kind.INT64)] = 0


class EntityHistoryEntry(Message, frozen=True):
    """ironflow.v1.EntityHistoryEntry."""

    event_id: Annotated[str, Field(1, Kind.STRING)] = ""
    event_name: Annotated[str, Field(2, Kind.STRING)] = ""
    event_data: Annotated[StructField, Field(3, Kind.STRUCT)] = None
    entity_version: Annotated[int, Field(4, Kind.INT64)] = 0
    schema_version: Annotated[int, Field(5, Kind.INT32)] = 0
    source: Annotated[str, Field(6, Kind.STRING)] = ""
    timestamp: Annotated[int | None, Field(7, Kind.TIMESTAMP)] = None
    runs: Annotated[
        tuple[EntityHistoryRun, ...],
        Field(8, Kind.MESSAGE, EntityHistoryRun, many=True),
    ] = ()
    event_data_value: Annotated[ValueField, Field(9, Kind.VALUE)] = UNSET


class EntityHistoryInfo(Message, frozen=True):
    """ironflow.v1.EntityHistoryInfo."""

    entity_id: Annotated[str, Field(1, Kind.STRING)] = ""
    entity_type: Annotated[str, Field(2, Kind.STRING)] = ""
    current_version: Annotated[int, Field(3, Kind.INT64)] = 0
    total_event_count: Annotated[int, Field(4, Kind.INT64)] = 0
    created_at: Annotated[int | None, Field(5, Kind.TIMESTAMP)] = None
    updated_at: Annotated[int | None, Field(6, Kind.TIMESTAMP)] = None


class GetEntityHistoryResponse(Message, frozen=True):
    """ironflow.v1.GetEntityHistoryResponse."""

    entries: Annotated[
        tuple[EntityHistoryEntry, ...],
        Field(1, Kind.MESSAGE, EntityHistoryEntry, many=True),
    ] = ()
    next_cursor: Annotated[int, Field(2, Kind.INT64)] = 0
    total_events: Annotated[int, Field(3, Kind.INT64)] = 0
    info: Annotated[
        EntityHistoryInfo | None, Field(4, Kind.MESSAGE, EntityHistoryInfo)
    ] = None


class CreateSnapshotRequest(Message, frozen=True):
    """ironflow.v1.CreateSnapshotRequest."""

    entity_id: Annotated[str, Field(1, Kind.STRING)] = ""
    entity_type: Annotated[str, Field(2, Kind.STRING)] = ""
    entity_version: Annotated[int, Field(3, Kind.INT64)] = 0
    state: Annotated[StructField, Field(4, Kind.STRUCT)] = None
    state_value: Annotated[ValueField, Field(5, Kind.VALUE)] = UNSET


class CreateSnapshotResponse(Message, frozen=True):
    """ironflow.v1.CreateSnapshotResponse."""

    snapshot_id: Annotated[str, Field(1, Kind.STRING)] = ""


class GetSnapshotRequest(Message, frozen=True):
    """ironflow.v1.GetSnapshotRequest."""

    entity_id: Annotated[str, Field(1, Kind.STRING)] = ""
    before_version: Annotated[int, Field(2, Kind.INT64)] = 0


class GetSnapshotResponse(Message, frozen=True):
    """ironflow.v1.GetSnapshotResponse."""

    snapshot_id: Annotated[str, Field(1, Kind.STRING)] = ""
    entity_id: Annotated[str, Field(2, Kind.STRING)] = ""
    entity_type: Annotated[str, Field(3, Kind.STRING)] = ""
    entity_version: Annotated[int, Field(4, Kind.INT64)] = 0
    state: Annotated[StructField, Field(5, Kind.STRUCT)] = None
    created_at: Annotated[int | None, Field(6, Kind.TIMESTAMP)] = None
    state_value: Annotated[ValueField, Field(7, Kind.VALUE)] = UNSET


class DeleteStreamRequest(Message, frozen=True):
    """ironflow.v1.DeleteStreamRequest."""

    entity_id: Annotated[str, Field(1, Kind.STRING)] = ""
    purge: Annotated[bool, Field(2, Kind.BOOL)] = False


class DeleteStreamResponse(Message, frozen=True):
    """ironflow.v1.DeleteStreamResponse."""

    entity_version: Annotated[int, Field(1, Kind.INT64)] = 0


EntityStreamService: Final[Service] = {
    "AppendEvent": Method("AppendEvent", AppendEventRequest, AppendEventResponse),
    "ReadStream": Method(
        "ReadStream", ReadStreamRequest, ReadStreamResponse, has_side_effects=False
    ),
    "GetStreamInfo": Method(
        "GetStreamInfo",
        GetStreamInfoRequest,
        GetStreamInfoResponse,
        has_side_effects=False,
    ),
    "ListStreams": Method(
        "ListStreams", ListStreamsRequest, ListStreamsResponse, has_side_effects=False
    ),
    "GetEntityHistory": Method(
        "GetEntityHistory",
        GetEntityHistoryRequest,
        GetEntityHistoryResponse,
        has_side_effects=False,
    ),
    "CreateSnapshot": Method(
        "CreateSnapshot", CreateSnapshotRequest, CreateSnapshotResponse
    ),
    "GetSnapshot": Method(
        "GetSnapshot", GetSnapshotRequest, GetSnapshotResponse, has_side_effects=False
    ),
    "DeleteStream": Method("DeleteStream", DeleteStreamRequest, DeleteStreamResponse),
}
