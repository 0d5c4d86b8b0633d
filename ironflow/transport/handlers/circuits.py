"""The circuits of endpoints over REST: how they stand, and closing one by hand."""

from typing import Any, Final, cast

import msgspec
from msgspec import UNSET, UnsetType

from ironflow.transport.circuits import Breaker
from ironflow.transport.handlers.endpoint import JSON, Call, Endpoint, Nothing
from ironflow.transport.http.messages import HttpError, Response
from ironflow.transport.operations import Operations
from ironflow.transport.rendering import circuit_document
from ironflow.wire.answers import CircuitDocument


async def list_circuits(call: Call[Nothing, Nothing]) -> Response:
    """Return all circuits, by key: a bare list, as published clients read it."""
    found = [
        _document(call.operations, each) for each in call.operations.circuits.all()
    ]
    return Response(200, [JSON], msgspec.json.encode(found))


async def reset(call: Call[Nothing, Nothing]) -> CircuitDocument:
    """Close a circuit: whoever asks knows that the endpoint is well."""
    key = call.parameters["key"]
    breaker = call.operations.circuits.get(key)
    if breaker is None:
        raise HttpError(
            404, "not_found", f"no endpoint that is called has the circuit {key!r}"
        )
    breaker.succeeded()
    return _document(call.operations, breaker)


def circuit_of(
    operations: Operations, function_id: str, *, is_closed_told: bool = True
) -> CircuitDocument | UnsetType:
    """Return the circuit of a function's endpoint, if it has one that is to be told."""
    breaker = operations.circuits.of(function_id)
    if breaker is None or not (breaker.circuit.is_open or is_closed_told):
        return UNSET
    return _document(operations, breaker)


def _document(operations: Operations, breaker: Breaker) -> CircuitDocument:
    now = operations.health().now
    return circuit_document(breaker, now=now, environment=operations.environment)


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/api/v1/circuit-breakers",
        summary="List the circuits of endpoints.",
        answer=list_circuits,
        returns=cast("Any", list[CircuitDocument]),  # no object, as with keys
        query=Nothing,
        body=Nothing,
    ),
    Endpoint(
        method="POST",
        path="/api/v1/circuit-breakers/{key}/reset",
        summary="Close the circuit of an endpoint.",
        answer=reset,
        returns=CircuitDocument,
        query=Nothing,
        body=Nothing,
    ),
)
