"""ironflow/v1/timetravel.proto, made by `scripts/protos`: do not edit."""

from typing import Annotated, Final

from ironflow.wire.message import Field, Kind, Message, Method, Service


class TimeTravelStepSnapshot(Message, frozen=True):
    """ironflow.v1.TimeTravelStepSnapshot."""

    step_id: Annotated[str, Field(1, Kind.STRING)] = ""
    name: Annotated[str, Field(2, Kind.STRING)] = ""
    type: Annotated[str, Field(3, Kind.STRING)] = ""
    sequence: Annotated[int, Field(4, Kind.INT32)] = 0
    status: Annotated[str, Field(5, Kind.STRING)] = ""
    output: Annotated[bytes, Field(6, Kind.BYTES)] = b""
    error: Annotated[bytes, Field(7, Kind.BYTES)] = b""
    original_output: Annotated[bytes, Field(8, Kind.BYTES)] = b""
    started_at: Annotated[int | None, Field(9, Kind.TIMESTAMP)] = None
    completed_at: Annotated[int | None, Field(10, Kind.TIMESTAMP)] = None
    duration_ms: Annotated[int, Field(11, Kind.INT32)] = 0
    injected: Annotated[bool, Field(12, Kind.BOOL)] = False
    patched: Annotated[bool, Field(13, Kind.BOOL)] = False


class TimeTravelRunStateSnapshot(Message, frozen=True):
    """ironflow.v1.TimeTravelRunStateSnapshot."""

    run_id: Annotated[str, Field(1, Kind.STRING)] = ""
    function_id: Annotated[str, Field(2, Kind.STRING)] = ""
    status: Annotated[str, Field(3, Kind.STRING)] = ""
    input: Annotated[bytes, Field(4, Kind.BYTES)] = b""
    steps: Annotated[
        tuple[TimeTravelStepSnapshot, ...],
        Field(5, Kind.MESSAGE, TimeTravelStepSnapshot, many=True),
    ] = ()
    timestamp: Annotated[int | None, Field(6, Kind.TIMESTAMP)] = None
    created_at: Annotated[int | None, Field(7, Kind.TIMESTAMP)] = None


class GetRunStateAtRequest(Message, frozen=True):
    """ironflow.v1.GetRunStateAtRequest."""

    run_id: Annotated[str, Field(1, Kind.STRING)] = ""
    timestamp: Annotated[int | None, Field(2, Kind.TIMESTAMP)] = None


class GetRunStateAtResponse(Message, frozen=True):
    """ironflow.v1.GetRunStateAtResponse."""

    snapshot: Annotated[
        TimeTravelRunStateSnapshot | None,
        Field(1, Kind.MESSAGE, TimeTravelRunStateSnapshot),
    ] = None


class GetRunTimelineRequest(Message, frozen=True):
    """ironflow.v1.GetRunTimelineRequest."""

    run_id: Annotated[str, Field(1, Kind.STRING)] = ""


class TimeTravelTimelineEvent(Message, frozen=True):
    """ironflow.v1.TimeTravelTimelineEvent."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    event_type: Annotated[str, Field(2, Kind.STRING)] = ""
    step_id: Annotated[str, Field(3, Kind.STRING)] = ""
    step_name: Annotated[str, Field(4, Kind.STRING)] = ""
    summary: Annotated[str, Field(5, Kind.STRING)] = ""
    significant: Annotated[bool, Field(6, Kind.BOOL)] = False
    timestamp: Annotated[int | None, Field(7, Kind.TIMESTAMP)] = None


class GetRunTimelineResponse(Message, frozen=True):
    """ironflow.v1.GetRunTimelineResponse."""

    events: Annotated[
        tuple[TimeTravelTimelineEvent, ...],
        Field(1, Kind.MESSAGE, TimeTravelTimelineEvent, many=True),
    ] = ()


class GetStepOutputAtRequest(Message, frozen=True):
    """ironflow.v1.GetStepOutputAtRequest."""

    run_id: Annotated[str, Field(1, Kind.STRING)] = ""
    step_id: Annotated[str, Field(2, Kind.STRING)] = ""
    timestamp: Annotated[int | None, Field(3, Kind.TIMESTAMP)] = None


class GetStepOutputAtResponse(Message, frozen=True):
    """ironflow.v1.GetStepOutputAtResponse."""

    step_id: Annotated[str, Field(1, Kind.STRING)] = ""
    status: Annotated[str, Field(2, Kind.STRING)] = ""
    output: Annotated[bytes, Field(3, Kind.BYTES)] = b""
    original_output: Annotated[bytes, Field(4, Kind.BYTES)] = b""
    patched: Annotated[bool, Field(5, Kind.BOOL)] = False
    injected: Annotated[bool, Field(6, Kind.BOOL)] = False


TimeTravelService: Final[Service] = {
    "GetRunStateAt": Method(
        "GetRunStateAt",
        GetRunStateAtRequest,
        GetRunStateAtResponse,
        has_side_effects=False,
    ),
    "GetRunTimeline": Method(
        "GetRunTimeline",
        GetRunTimelineRequest,
        GetRunTimelineResponse,
        has_side_effects=False,
    ),
    "GetStepOutputAt": Method(
        "GetStepOutputAt",
        GetStepOutputAtRequest,
        GetStepOutputAtResponse,
        has_side_effects=False,
    ),
}
