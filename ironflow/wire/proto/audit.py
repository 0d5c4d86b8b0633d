"""ironflow/v1/audit.proto, made by `scripts/protos`: do not edit."""

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


class AuditEvent(Message, frozen=True):
    """ironflow.v1.AuditEvent."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    run_id: Annotated[str, Field(2, Kind.STRING)] = ""
    function_id: Annotated[str, Field(3, Kind.STRING)] = ""
    step_id: Annotated[str, Field(4, Kind.STRING)] = ""
    event_type: Annotated[str, Field(5, Kind.STRING)] = ""
    payload: Annotated[StructField, Field(6, Kind.STRUCT)] = None
    metadata: Annotated[dict[str, str], Field(7, Kind.STRING, keyed=True)] = {}
    created_at: Annotated[int | None, Field(8, Kind.TIMESTAMP)] = None
    payload_value: Annotated[ValueField, Field(9, Kind.VALUE)] = UNSET
    environment_id: Annotated[str, Field(10, Kind.STRING)] = ""
    metadata_value: Annotated[ValueField, Field(11, Kind.VALUE)] = UNSET
    scope: Annotated[str, Field(12, Kind.STRING)] = ""
    platform_key_id: Annotated[str, Field(13, Kind.STRING)] = ""
    platform_user_id: Annotated[str, Field(14, Kind.STRING)] = ""
    impersonated_org_id: Annotated[str, Field(15, Kind.STRING)] = ""


class GetAuditTrailRequest(Message, frozen=True):
    """ironflow.v1.GetAuditTrailRequest."""

    run_id: Annotated[str, Field(1, Kind.STRING)] = ""
    event_type: Annotated[str, Field(2, Kind.STRING)] = ""
    from_timestamp: Annotated[str, Field(3, Kind.STRING)] = ""
    to_timestamp: Annotated[str, Field(4, Kind.STRING)] = ""
    limit: Annotated[int, Field(5, Kind.INT32)] = 0
    cursor: Annotated[str, Field(6, Kind.STRING)] = ""


class GetAuditTrailResponse(Message, frozen=True):
    """ironflow.v1.GetAuditTrailResponse."""

    events: Annotated[
        tuple[AuditEvent, ...], Field(1, Kind.MESSAGE, AuditEvent, many=True)
    ] = ()
    total_count: Annotated[int, Field(2, Kind.INT32)] = 0
    next_cursor: Annotated[str, Field(3, Kind.STRING)] = ""


class GetAuthAuditTrailRequest(Message, frozen=True):
    """ironflow.v1.GetAuthAuditTrailRequest."""

    org_id: Annotated[str, Field(1, Kind.STRING)] = ""
    api_key_id: Annotated[str, Field(2, Kind.STRING)] = ""
    action: Annotated[str, Field(3, Kind.STRING)] = ""
    from_timestamp: Annotated[str, Field(4, Kind.STRING)] = ""
    to_timestamp: Annotated[str, Field(5, Kind.STRING)] = ""
    limit: Annotated[int, Field(6, Kind.INT32)] = 0
    cursor: Annotated[str, Field(7, Kind.STRING)] = ""


class GetAuthAuditTrailResponse(Message, frozen=True):
    """ironflow.v1.GetAuthAuditTrailResponse."""

    events: Annotated[
        tuple[AuditEvent, ...], Field(1, Kind.MESSAGE, AuditEvent, many=True)
    ] = ()
    total_count: Annotated[int, Field(2, Kind.INT32)] = 0
    next_cursor: Annotated[str, Field(3, Kind.STRING)] = ""


AuditService: Final[Service] = {
    "GetAuditTrail": Method(
        "GetAuditTrail",
        GetAuditTrailRequest,
        GetAuditTrailResponse,
        has_side_effects=False,
    ),
    "GetAuthAuditTrail": Method(
        "GetAuthAuditTrail",
        GetAuthAuditTrailRequest,
        GetAuthAuditTrailResponse,
        has_side_effects=False,
    ),
}
