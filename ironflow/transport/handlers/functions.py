"""Functions over REST: which there are, one of them, and registering one."""

from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from ironflow.transport.handlers.circuits import circuit_of
from ironflow.transport.handlers.endpoint import Call, Endpoint, Nothing, body_of
from ironflow.transport.handlers.events import (
    AttributesBody,
    attributes_of,
    texts,
    waited,
)
from ironflow.transport.handlers.patience import WaitQuery
from ironflow.transport.rendering import (
    function_document,
    function_version_document,
)
from ironflow.wire.answers import (
    FunctionDocument,
    FunctionListDocument,
    FunctionVersionsDocument,
    InvokedDocument,
)
from ironflow.wire.functions import from_document


class RegisterBody(msgspec.Struct, frozen=True, kw_only=True):
    """A function whose code lives elsewhere.

    `preferred_mode` is `pull` (a worker asks for jobs) or `push` (the server calls
    `endpoint_url`).
    """

    id: str
    name: str = ""
    description: str = ""
    triggers: list[dict[str, Any]] = []
    preferred_mode: str = "pull"
    endpoint_url: str = ""
    retry: dict[str, Any] = {}
    timeout_ms: int = 0
    concurrency: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    change_reason: str = ""


class FunctionsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which functions: `active`, `paused` or `archived` ones; all but archived for none."""

    status: Literal["", "active", "paused", "archived"] = ""


class InvokeBody(msgspec.Struct, frozen=True, kw_only=True):
    """What the run is given; `attributes` as for an event."""

    data: Any = None
    idempotency_key: str = ""
    metadata: dict[str, Any] = {}
    attributes: AttributesBody = {}


async def list_functions(call: Call[FunctionsQuery, Nothing]) -> FunctionListDocument:
    """Return functions, by id."""
    wanted = call.query.status
    every = map(function_document, await call.operations.functions.all())
    found = [
        each
        for each in every
        if (each.status == wanted if wanted else each.status != "archived")
    ]
    return FunctionListDocument(functions=found, count=len(found))


async def get_function(call: Call[Nothing, Nothing]) -> FunctionDocument:
    """Return a function, with the circuit of its endpoint if it has one."""
    row = await call.operations.functions.get(call.parameters["id"])
    return replace(function_document(row), circuit=circuit_of(call.operations, row.id))


async def list_versions(call: Call[Nothing, Nothing]) -> FunctionVersionsDocument:
    """Return the versions of a function that are kept, newest first."""
    every = await call.operations.functions.versions(call.parameters["id"])
    found = [function_version_document(each) for each in reversed(every)]
    return FunctionVersionsDocument(versions=found, count=len(found))


async def register(call: Call[Nothing, Nothing]) -> FunctionDocument:
    """Make a function known; its code lives elsewhere."""
    config = from_document(body_of(await call.request.read()))
    found = await call.operations.functions.register(config, actor=call.request.actor)
    return function_document(found.row)


async def invoke(call: Call[WaitQuery, InvokeBody]) -> InvokedDocument:
    """Start a run of a function, whatever its triggers."""
    receipt = await call.operations.invoke(
        call.parameters["id"],
        call.body.data,
        idempotency_key=call.body.idempotency_key,
        metadata=texts(call.body.metadata),
        attributes=attributes_of(call.body.attributes),
    )
    return InvokedDocument(
        run_id=receipt.run_ids[0],
        event_id=receipt.event_id,
        id=receipt.event_id,
        run_ids=list(receipt.run_ids),
        duplicate=receipt.duplicate,
        runs=await waited(call, receipt.run_ids, call.query.wait),
    )


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/api/v1/functions",
        summary="List functions.",
        answer=list_functions,
        returns=FunctionListDocument,
        query=FunctionsQuery,
        body=Nothing,
    ),
    Endpoint(
        method="POST",
        path="/api/v1/functions",
        summary="Register a function whose code lives elsewhere.",
        answer=register,
        returns=FunctionDocument,
        query=Nothing,
        body=Nothing,
        described_body=RegisterBody,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/functions/{id}",
        summary="Get a function.",
        answer=get_function,
        returns=FunctionDocument,
        query=Nothing,
        body=Nothing,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/functions/{id}/versions",
        summary="List what a function was, newest first.",
        answer=list_versions,
        returns=FunctionVersionsDocument,
        query=Nothing,
        body=Nothing,
    ),
    Endpoint(
        method="POST",
        path="/api/v1/functions/{id}/invoke",
        summary="Start a run of a function, whatever its triggers.",
        answer=invoke,
        returns=InvokedDocument,
        query=WaitQuery,
        body=InvokeBody,
    ),
)
