"""ironflow/v1/event_schema.proto, made by `scripts/protos`: do not edit."""

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


class RegisterSchemaRequest(Message, frozen=True):
    """ironflow.v1.RegisterSchemaRequest."""

    event_name: Annotated[str, Field(1, Kind.STRING)] = ""
    version: Annotated[int, Field(2, Kind.INT32)] = 0
    schema_json: Annotated[str, Field(3, Kind.STRING)] = ""
    description: Annotated[str, Field(4, Kind.STRING)] = ""
    change_reason: Annotated[str, Field(5, Kind.STRING)] = ""


class RegisterSchemaResponse(Message, frozen=True):
    """ironflow.v1.RegisterSchemaResponse."""

    status: Annotated[str, Field(1, Kind.STRING)] = ""


class GetSchemaRequest(Message, frozen=True):
    """ironflow.v1.GetSchemaRequest."""

    event_name: Annotated[str, Field(1, Kind.STRING)] = ""
    version: Annotated[int, Field(2, Kind.INT32)] = 0


class GetSchemaResponse(Message, frozen=True):
    """ironflow.v1.GetSchemaResponse."""

    event_name: Annotated[str, Field(1, Kind.STRING)] = ""
    version: Annotated[int, Field(2, Kind.INT32)] = 0
    schema_json: Annotated[str, Field(3, Kind.STRING)] = ""
    description: Annotated[str, Field(4, Kind.STRING)] = ""
    created_at: Annotated[int | None, Field(5, Kind.TIMESTAMP)] = None
    environment_id: Annotated[str, Field(6, Kind.STRING)] = ""


class ListSchemasRequest(Message, frozen=True):
    """ironflow.v1.ListSchemasRequest."""

    event_name: Annotated[str, Field(1, Kind.STRING)] = ""
    limit: Annotated[int, Field(2, Kind.INT32)] = 0
    offset: Annotated[int, Field(3, Kind.INT32)] = 0


class SchemaInfo(Message, frozen=True):
    """ironflow.v1.SchemaInfo."""

    event_name: Annotated[str, Field(1, Kind.STRING)] = ""
    version: Annotated[int, Field(2, Kind.INT32)] = 0
    description: Annotated[str, Field(3, Kind.STRING)] = ""
    created_at: Annotated[int | None, Field(4, Kind.TIMESTAMP)] = None
    schema_json: Annotated[str, Field(5, Kind.STRING)] = ""
    environment_id: Annotated[str, Field(6, Kind.STRING)] = ""


class ListSchemasResponse(Message, frozen=True):
    """ironflow.v1.ListSchemasResponse."""

    schemas: Annotated[
        tuple[SchemaInfo, ...], Field(1, Kind.MESSAGE, SchemaInfo, many=True)
    ] = ()
    total_count: Annotated[int, Field(2, Kind.INT32)] = 0


class DeleteSchemaRequest(Message, frozen=True):
    """ironflow.v1.DeleteSchemaRequest."""

    event_name: Annotated[str, Field(1, Kind.STRING)] = ""
    version: Annotated[int, Field(2, Kind.INT32)] = 0
    change_reason: Annotated[str, Field(3, Kind.STRING)] = ""


class DeleteSchemaResponse(Message, frozen=True):
    """ironflow.v1.DeleteSchemaResponse."""


class TestUpcastRequest(Message, frozen=True):
    """ironflow.v1.TestUpcastRequest."""

    event_name: Annotated[str, Field(1, Kind.STRING)] = ""
    from_version: Annotated[int, Field(2, Kind.INT32)] = 0
    to_version: Annotated[int, Field(3, Kind.INT32)] = 0
    data: Annotated[StructField, Field(4, Kind.STRUCT)] = None
    data_value: Annotated[ValueField, Field(5, Kind.VALUE)] = UNSET


class UpcastStep(Message, frozen=True):
    """ironflow.v1.UpcastStep."""

    from_version: Annotated[int, Field(1, Kind.INT32)] = 0
    to_version: Annotated[int, Field(2, Kind.INT32)] = 0
    description: Annotated[str, Field(3, Kind.STRING)] = ""


class TestUpcastResponse(Message, frozen=True):
    """ironflow.v1.TestUpcastResponse."""

    data: Annotated[StructField, Field(1, Kind.STRUCT)] = None
    steps_applied: Annotated[
        tuple[UpcastStep, ...], Field(2, Kind.MESSAGE, UpcastStep, many=True)
    ] = ()
    data_value: Annotated[ValueField, Field(3, Kind.VALUE)] = UNSET


class CheckEnforcementRequest(Message, frozen=True):
    """ironflow.v1.CheckEnforcementRequest."""

    event_name: Annotated[str, Field(1, Kind.STRING)] = ""
    traffic_window_hours: Annotated[int, Field(2, Kind.INT32)] = 0


class SchemaTraffic(Message, frozen=True):
    """ironflow.v1.SchemaTraffic."""

    version: Annotated[int, Field(1, Kind.INT32)] = 0
    schema_hash: Annotated[str, Field(2, Kind.STRING)] = ""
    count: Annotated[int, Field(3, Kind.INT64)] = 0


class SchemaCheck(Message, frozen=True):
    """ironflow.v1.SchemaCheck."""

    event_name: Annotated[str, Field(1, Kind.STRING)] = ""
    version: Annotated[int, Field(2, Kind.INT32)] = 0
    schema_hash: Annotated[str, Field(3, Kind.STRING)] = ""
    asserts: Annotated[bool, Field(4, Kind.BOOL)] = False
    compile_error: Annotated[str, Field(5, Kind.STRING)] = ""
    traffic: Annotated[
        tuple[SchemaTraffic, ...], Field(6, Kind.MESSAGE, SchemaTraffic, many=True)
    ] = ()
    traffic_truncated: Annotated[bool, Field(7, Kind.BOOL)] = False


class CheckEnforcementResponse(Message, frozen=True):
    """ironflow.v1.CheckEnforcementResponse."""

    mode: Annotated[str, Field(1, Kind.STRING)] = ""
    schemas: Annotated[
        tuple[SchemaCheck, ...], Field(2, Kind.MESSAGE, SchemaCheck, many=True)
    ] = ()
    traffic_window_hours: Annotated[int, Field(3, Kind.INT32)] = 0
    total_schemas: Annotated[int, Field(4, Kind.INT32)] = 0


class ListSchemaHistoryRequest(Message, frozen=True):
    """ironflow.v1.ListSchemaHistoryRequest."""

    event_name: Annotated[str, Field(1, Kind.STRING)] = ""
    version: Annotated[int, Field(2, Kind.INT32)] = 0
    limit: Annotated[int, Field(3, Kind.INT32)] = 0
    before_revision: Annotated[int, Field(4, Kind.INT64)] = 0


class SchemaDefinition(Message, frozen=True):
    """ironflow.v1.SchemaDefinition."""

    event_name: Annotated[str, Field(1, Kind.STRING)] = ""
    environment_id: Annotated[str, Field(2, Kind.STRING)] = ""
    version: Annotated[int, Field(3, Kind.INT32)] = 0
    schema_json: Annotated[str, Field(4, Kind.STRING)] = ""
    description: Annotated[str, Field(5, Kind.STRING)] = ""


class SchemaHistoryEntry(Message, frozen=True):
    """ironflow.v1.SchemaHistoryEntry."""

    event_id: Annotated[str, Field(1, Kind.STRING)] = ""
    revision: Annotated[int, Field(2, Kind.INT64)] = 0
    previous_definition: Annotated[
        SchemaDefinition | None, Field(3, Kind.MESSAGE, SchemaDefinition)
    ] = None
    actor_id: Annotated[str, Field(4, Kind.STRING)] = ""
    change_reason: Annotated[str, Field(5, Kind.STRING)] = ""
    change_type: Annotated[str, Field(6, Kind.STRING)] = ""
    recorded_at: Annotated[int | None, Field(7, Kind.TIMESTAMP)] = None


class ListSchemaHistoryResponse(Message, frozen=True):
    """ironflow.v1.ListSchemaHistoryResponse."""

    entries: Annotated[
        tuple[SchemaHistoryEntry, ...],
        Field(1, Kind.MESSAGE, SchemaHistoryEntry, many=True),
    ] = ()
    has_more: Annotated[bool, Field(2, Kind.BOOL)] = False
    next_before_revision: Annotated[int, Field(3, Kind.INT64)] = 0


class GetSchemaRevisionRequest(Message, frozen=True):
    """ironflow.v1.GetSchemaRevisionRequest."""

    event_name: Annotated[str, Field(1, Kind.STRING)] = ""
    version: Annotated[int, Field(2, Kind.INT32)] = 0
    revision: Annotated[int, Field(3, Kind.INT64)] = 0


class GetSchemaRevisionResponse(Message, frozen=True):
    """ironflow.v1.GetSchemaRevisionResponse."""

    entry: Annotated[
        SchemaHistoryEntry | None, Field(1, Kind.MESSAGE, SchemaHistoryEntry)
    ] = None


EventSchemaService: Final[Service] = {
    "ListSchemaHistory": Method(
        "ListSchemaHistory",
        ListSchemaHistoryRequest,
        ListSchemaHistoryResponse,
        has_side_effects=False,
    ),
    "GetSchemaRevision": Method(
        "GetSchemaRevision",
        GetSchemaRevisionRequest,
        GetSchemaRevisionResponse,
        has_side_effects=False,
    ),
    "RegisterSchema": Method(
        "RegisterSchema", RegisterSchemaRequest, RegisterSchemaResponse
    ),
    "GetSchema": Method(
        "GetSchema", GetSchemaRequest, GetSchemaResponse, has_side_effects=False
    ),
    "ListSchemas": Method(
        "ListSchemas", ListSchemasRequest, ListSchemasResponse, has_side_effects=False
    ),
    "DeleteSchema": Method("DeleteSchema", DeleteSchemaRequest, DeleteSchemaResponse),
    "TestUpcast": Method(
        "TestUpcast", TestUpcastRequest, TestUpcastResponse, has_side_effects=False
    ),
    "CheckEnforcement": Method(
        "CheckEnforcement",
        CheckEnforcementRequest,
        CheckEnforcementResponse,
        has_side_effects=False,
    ),
}
