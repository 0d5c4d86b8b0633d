"""ironflow/v1/deployment.proto, made by `scripts/protos`: do not edit."""

from enum import IntEnum
from typing import Annotated, Final

from ironflow.wire.message import Field, Kind, Message, Method, Service, StructField
from ironflow.wire.proto.types import (
    CancelOnSpec,
    CircuitBreakerConfig,
    ConcurrencyConfig,
    DebounceConfig,
    ExecutionMode,
    RetryConfig,
    ThrottleConfig,
    Trigger,
)


class FunctionRoutingMode(IntEnum):
    """ironflow.v1.FunctionRoutingMode."""

    FUNCTION_ROUTING_MODE_UNSPECIFIED = 0
    FUNCTION_ROUTING_MODE_LEGACY = 1
    FUNCTION_ROUTING_MODE_ADOPTING = 2
    FUNCTION_ROUTING_MODE_VERSIONED = 3


class ExecutionSnapshot(Message, frozen=True):
    """ironflow.v1.ExecutionSnapshot."""

    triggers: Annotated[
        tuple[Trigger, ...], Field(1, Kind.MESSAGE, Trigger, many=True)
    ] = ()
    retry: Annotated[RetryConfig | None, Field(2, Kind.MESSAGE, RetryConfig)] = None
    timeout_ms: Annotated[int, Field(3, Kind.INT32)] = 0
    concurrency: Annotated[
        ConcurrencyConfig | None, Field(4, Kind.MESSAGE, ConcurrencyConfig)
    ] = None
    cancel_on: Annotated[
        tuple[CancelOnSpec, ...], Field(5, Kind.MESSAGE, CancelOnSpec, many=True)
    ] = ()
    debounce: Annotated[
        DebounceConfig | None, Field(6, Kind.MESSAGE, DebounceConfig)
    ] = None
    metadata: Annotated[StructField, Field(7, Kind.STRUCT)] = None
    circuit_breaker: Annotated[
        CircuitBreakerConfig | None, Field(8, Kind.MESSAGE, CircuitBreakerConfig)
    ] = None
    throttle: Annotated[
        ThrottleConfig | None, Field(9, Kind.MESSAGE, ThrottleConfig)
    ] = None


class Deployment(Message, frozen=True):
    """ironflow.v1.Deployment."""

    environment_id: Annotated[str, Field(1, Kind.STRING)] = ""
    function_id: Annotated[str, Field(2, Kind.STRING)] = ""
    deployment_id: Annotated[str, Field(3, Kind.STRING)] = ""
    artifact_digest: Annotated[str, Field(4, Kind.STRING)] = ""
    snapshot: Annotated[
        ExecutionSnapshot | None, Field(5, Kind.MESSAGE, ExecutionSnapshot)
    ] = None
    mode: Annotated[int, Field(6, Kind.ENUM, ExecutionMode)] = 0
    endpoint_url: Annotated[str, Field(7, Kind.STRING)] = ""
    created_by: Annotated[str, Field(8, Kind.STRING)] = ""
    created_at: Annotated[int | None, Field(9, Kind.TIMESTAMP)] = None


class RegisterDeploymentRequest(Message, frozen=True):
    """ironflow.v1.RegisterDeploymentRequest."""

    function_id: Annotated[str, Field(1, Kind.STRING)] = ""
    deployment_id: Annotated[str, Field(2, Kind.STRING)] = ""
    artifact_digest: Annotated[str, Field(3, Kind.STRING)] = ""
    snapshot: Annotated[
        ExecutionSnapshot | None, Field(4, Kind.MESSAGE, ExecutionSnapshot)
    ] = None
    mode: Annotated[int, Field(5, Kind.ENUM, ExecutionMode)] = 0
    endpoint_url: Annotated[str, Field(6, Kind.STRING)] = ""
    snapshot_schema_version: Annotated[int, Field(7, Kind.INT32)] = 0


class RegisterDeploymentResponse(Message, frozen=True):
    """ironflow.v1.RegisterDeploymentResponse."""

    deployment: Annotated[Deployment | None, Field(1, Kind.MESSAGE, Deployment)] = None
    created: Annotated[bool, Field(2, Kind.BOOL)] = False


class GetDeploymentRequest(Message, frozen=True):
    """ironflow.v1.GetDeploymentRequest."""

    function_id: Annotated[str, Field(1, Kind.STRING)] = ""
    deployment_id: Annotated[str, Field(2, Kind.STRING)] = ""


class GetDeploymentResponse(Message, frozen=True):
    """ironflow.v1.GetDeploymentResponse."""

    deployment: Annotated[Deployment | None, Field(1, Kind.MESSAGE, Deployment)] = None


class ListDeploymentsRequest(Message, frozen=True):
    """ironflow.v1.ListDeploymentsRequest."""

    function_id: Annotated[str, Field(1, Kind.STRING)] = ""
    limit: Annotated[int, Field(2, Kind.INT32)] = 0
    offset: Annotated[int, Field(3, Kind.INT32)] = 0


class ListDeploymentsResponse(Message, frozen=True):
    """ironflow.v1.ListDeploymentsResponse."""

    deployments: Annotated[
        tuple[Deployment, ...], Field(1, Kind.MESSAGE, Deployment, many=True)
    ] = ()


class GetFunctionExecutionRoutingRequest(Message, frozen=True):
    """ironflow.v1.GetFunctionExecutionRoutingRequest."""

    function_id: Annotated[str, Field(1, Kind.STRING)] = ""


class GetFunctionExecutionRoutingResponse(Message, frozen=True):
    """ironflow.v1.GetFunctionExecutionRoutingResponse."""

    function_id: Annotated[str, Field(1, Kind.STRING)] = ""
    mode: Annotated[int, Field(2, Kind.ENUM, FunctionRoutingMode)] = 0
    active_deployment_id: Annotated[str, Field(3, Kind.STRING)] = ""
    routing_revision: Annotated[int, Field(4, Kind.INT64)] = 0
    transition_id: Annotated[str, Field(5, Kind.STRING)] = ""
    transition_started_at: Annotated[int | None, Field(6, Kind.TIMESTAMP)] = None
    updated_at: Annotated[int | None, Field(7, Kind.TIMESTAMP)] = None


DeploymentService: Final[Service] = {
    "RegisterDeployment": Method(
        "RegisterDeployment", RegisterDeploymentRequest, RegisterDeploymentResponse
    ),
    "GetDeployment": Method(
        "GetDeployment",
        GetDeploymentRequest,
        GetDeploymentResponse,
        has_side_effects=False,
    ),
    "ListDeployments": Method(
        "ListDeployments",
        ListDeploymentsRequest,
        ListDeploymentsResponse,
        has_side_effects=False,
    ),
    "GetFunctionExecutionRouting": Method(
        "GetFunctionExecutionRouting",
        GetFunctionExecutionRoutingRequest,
        GetFunctionExecutionRoutingResponse,
        has_side_effects=False,
    ),
}
