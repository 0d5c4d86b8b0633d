"""Functions over REST: which there are, one of them, and registering one."""

from typing import Any, Final

import msgspec

from ironflow.transport.handlers.endpoint import Call, Endpoint, Nothing, body_of
from ironflow.transport.handlers.events import texts, waited
from ironflow.transport.handlers.patience import WaitQuery
from ironflow.transport.rendering import function_document
from ironflow.wire.answers import (
    FunctionDocument,
    FunctionListDocument,
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


class InvokeBody(msgspec.Struct, frozen=True, kw_only=True):
    """What the run is given."""

    data: Any = None
    idempotency_key: str = ""
    metadata: dict[str, Any] = {}


async def list_functions(call: Call[Nothing, Nothing]) -> FunctionListDocument:
    """Return all functions, by id."""
    rows = await call.operations.functions.all()
    found = [function_document(row) for row in rows]
    return FunctionListDocument(functions=found, count=len(found))


async def get_function(call: Call[Nothing, Nothing]) -> FunctionDocument:
    """Return a function."""
    return function_document(await call.operations.functions.get(call.parameters["id"]))


async def register(call: Call[Nothing, Nothing]) -> FunctionDocument:
    """Make a function known; its code lives elsewhere."""
    config = from_document(body_of(await call.request.read()))
    return function_document(await call.operations.functions.register(config))


async def invoke(call: Call[WaitQuery, InvokeBody]) -> InvokedDocument:
    """Start a run of a function, whatever its triggers."""
    receipt = await call.operations.invoke(
        call.parameters["id"],
        call.body.data,
        idempotency_key=call.body.idempotency_key,
        metadata=texts(call.body.metadata),
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
        query=Nothing,
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
        method="POST",
        path="/api/v1/functions/{id}/invoke",
        summary="Start a run of a function, whatever its triggers.",
        answer=invoke,
        returns=InvokedDocument,
        query=WaitQuery,
        body=InvokeBody,
    ),
)
