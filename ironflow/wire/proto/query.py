"""ironflow/v1/query.proto, made by `scripts/protos`: do not edit."""

from typing import Annotated, Final

from ironflow.wire.message import Field, Kind, Message, Method, Service


class ExecuteSQLRequest(Message, frozen=True):
    """ironflow.v1.ExecuteSQLRequest."""

    query: Annotated[str, Field(1, Kind.STRING)] = ""
    timeout_ms: Annotated[int, Field(2, Kind.INT32)] = 0
    max_rows: Annotated[int, Field(3, Kind.INT32)] = 0


class SQLRow(Message, frozen=True):
    """ironflow.v1.SQLRow."""

    values: Annotated[tuple[str, ...], Field(1, Kind.STRING, many=True)] = ()


class ExecuteSQLResponse(Message, frozen=True):
    """ironflow.v1.ExecuteSQLResponse."""

    columns: Annotated[tuple[str, ...], Field(1, Kind.STRING, many=True)] = ()
    rows: Annotated[tuple[SQLRow, ...], Field(2, Kind.MESSAGE, SQLRow, many=True)] = ()
    total_rows: Annotated[int, Field(3, Kind.INT32)] = 0


QueryService: Final[Service] = {
    "ExecuteSQL": Method(
        "ExecuteSQL", ExecuteSQLRequest, ExecuteSQLResponse, has_side_effects=False
    ),
}
