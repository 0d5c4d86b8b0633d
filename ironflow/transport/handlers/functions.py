"""Functions over REST: which there are, one of them, and registering one."""

from typing import Any, Final

import msgspec

from ironflow.transport.handlers.endpoint import Call, Endpoint, Nothing, body_of
from ironflow.transport.rendering import function_document
from ironflow.wire.answers import FunctionDocument, FunctionListDocument
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


async def list_functions(call: Call[Nothing, Nothing]) -> FunctionListDocument:
    """Return all functions, by id."""
    rows = await call.operations.list_functions()
    found = [function_document(row) for row in rows]
    return FunctionListDocument(functions=found, count=len(found))


async def get_function(call: Call[Nothing, Nothing]) -> FunctionDocument:
    """Return a function."""
    return function_document(await call.operations.get_function(call.parameters["id"]))


async def register(call: Call[Nothing, Nothing]) -> FunctionDocument:
    """Make a function known; its code lives elsewhere."""
    config = from_document(body_of(await call.request.read()))
    return function_document(await call.operations.register_function(config))


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
)
