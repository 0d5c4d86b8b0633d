"""ironflow/v1/environment.proto, made by `scripts/protos`: do not edit."""

from typing import Annotated, Final

from ironflow.wire.message import Field, Kind, Message, Method, Service


class EnvironmentInfo(Message, frozen=True):
    """ironflow.v1.EnvironmentInfo."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    name: Annotated[str, Field(2, Kind.STRING)] = ""
    api_key: Annotated[str, Field(3, Kind.STRING)] = ""
    created_at: Annotated[int | None, Field(4, Kind.TIMESTAMP)] = None
    updated_at: Annotated[int | None, Field(5, Kind.TIMESTAMP)] = None


class CreateEnvironmentRequest(Message, frozen=True):
    """ironflow.v1.CreateEnvironmentRequest."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""


class GetEnvironmentRequest(Message, frozen=True):
    """ironflow.v1.GetEnvironmentRequest."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""


class ListEnvironmentsRequest(Message, frozen=True):
    """ironflow.v1.ListEnvironmentsRequest."""


class ListEnvironmentsResponse(Message, frozen=True):
    """ironflow.v1.ListEnvironmentsResponse."""

    environments: Annotated[
        tuple[EnvironmentInfo, ...], Field(1, Kind.MESSAGE, EnvironmentInfo, many=True)
    ] = ()


class DeleteEnvironmentRequest(Message, frozen=True):
    """ironflow.v1.DeleteEnvironmentRequest."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""


class DeleteEnvironmentResponse(Message, frozen=True):
    """ironflow.v1.DeleteEnvironmentResponse."""

    success: Annotated[bool, Field(1, Kind.BOOL)] = False


class RotateAPIKeyRequest(Message, frozen=True):
    """ironflow.v1.RotateAPIKeyRequest."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""


class RotateAPIKeyResponse(Message, frozen=True):
    """ironflow.v1.RotateAPIKeyResponse."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    name: Annotated[str, Field(2, Kind.STRING)] = ""
    api_key: Annotated[str, Field(3, Kind.STRING)] = ""


EnvironmentService: Final[Service] = {
    "CreateEnvironment": Method(
        "CreateEnvironment", CreateEnvironmentRequest, EnvironmentInfo
    ),
    "GetEnvironment": Method("GetEnvironment", GetEnvironmentRequest, EnvironmentInfo),
    "ListEnvironments": Method(
        "ListEnvironments", ListEnvironmentsRequest, ListEnvironmentsResponse
    ),
    "DeleteEnvironment": Method(
        "DeleteEnvironment", DeleteEnvironmentRequest, DeleteEnvironmentResponse
    ),
    "RotateAPIKey": Method("RotateAPIKey", RotateAPIKeyRequest, RotateAPIKeyResponse),
}
