"""ironflow/v1/agent_tools.proto, made by `scripts/protos`: do not edit."""

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


class ToolDef(Message, frozen=True):
    """ironflow.v1.ToolDef."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    description: Annotated[str, Field(2, Kind.STRING)] = ""
    input_schema_json: Annotated[str, Field(3, Kind.STRING)] = ""
    required_scopes: Annotated[tuple[str, ...], Field(4, Kind.STRING, many=True)] = ()
    timeout_ms: Annotated[int, Field(5, Kind.UINT32)] = 0


class RegisterToolRequest(Message, frozen=True):
    """ironflow.v1.RegisterToolRequest."""

    agent_name: Annotated[str, Field(1, Kind.STRING)] = ""
    callback_url: Annotated[str, Field(2, Kind.STRING)] = ""
    tools: Annotated[
        tuple[ToolDef, ...], Field(3, Kind.MESSAGE, ToolDef, many=True)
    ] = ()


class RegisterToolResponse(Message, frozen=True):
    """ironflow.v1.RegisterToolResponse."""

    hmac_secret: Annotated[str, Field(1, Kind.STRING)] = ""
    registered_tool_names: Annotated[
        tuple[str, ...], Field(2, Kind.STRING, many=True)
    ] = ()
    registered_at: Annotated[int | None, Field(3, Kind.TIMESTAMP)] = None


class InvokeToolRequest(Message, frozen=True):
    """ironflow.v1.InvokeToolRequest."""

    tool_name: Annotated[str, Field(1, Kind.STRING)] = ""
    input: Annotated[StructField, Field(2, Kind.STRUCT)] = None
    input_value: Annotated[ValueField, Field(3, Kind.VALUE)] = UNSET


class ToolError(Message, frozen=True):
    """ironflow.v1.ToolError."""

    code: Annotated[str, Field(1, Kind.STRING)] = ""
    message: Annotated[str, Field(2, Kind.STRING)] = ""


class InvokeToolResponse(Message, frozen=True):
    """ironflow.v1.InvokeToolResponse."""

    output: Annotated[StructField, Field(1, Kind.STRUCT)] = None
    error: Annotated[ToolError | None, Field(2, Kind.MESSAGE, ToolError)] = None
    output_value: Annotated[ValueField, Field(3, Kind.VALUE)] = UNSET


class UnregisterToolRequest(Message, frozen=True):
    """ironflow.v1.UnregisterToolRequest."""

    agent_name: Annotated[str, Field(1, Kind.STRING)] = ""


class UnregisterToolResponse(Message, frozen=True):
    """ironflow.v1.UnregisterToolResponse."""

    removed_count: Annotated[int, Field(1, Kind.UINT32)] = 0


class ListToolsRequest(Message, frozen=True):
    """ironflow.v1.ListToolsRequest."""

    cursor: Annotated[str, Field(1, Kind.STRING)] = ""


class VisibleTool(Message, frozen=True):
    """ironflow.v1.VisibleTool."""

    qualified_name: Annotated[str, Field(1, Kind.STRING)] = ""
    description: Annotated[str, Field(2, Kind.STRING)] = ""
    input_schema_json: Annotated[str, Field(3, Kind.STRING)] = ""
    required_scopes: Annotated[tuple[str, ...], Field(4, Kind.STRING, many=True)] = ()


class ListToolsResponse(Message, frozen=True):
    """ironflow.v1.ListToolsResponse."""

    tools: Annotated[
        tuple[VisibleTool, ...], Field(1, Kind.MESSAGE, VisibleTool, many=True)
    ] = ()
    next_cursor: Annotated[str, Field(2, Kind.STRING)] = ""


AgentToolsService: Final[Service] = {
    "RegisterTool": Method("RegisterTool", RegisterToolRequest, RegisterToolResponse),
    "InvokeTool": Method("InvokeTool", InvokeToolRequest, InvokeToolResponse),
    "UnregisterTool": Method(
        "UnregisterTool", UnregisterToolRequest, UnregisterToolResponse
    ),
    "ListTools": Method(
        "ListTools", ListToolsRequest, ListToolsResponse, has_side_effects=False
    ),
}
