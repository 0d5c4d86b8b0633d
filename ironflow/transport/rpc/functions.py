"""Functions of IronflowService: register one, look at them."""

from collections.abc import Sequence
from typing import Final

from ironflow.errors import FunctionNotFound
from ironflow.journal.base import FunctionRow
from ironflow.transport.http.messages import Request
from ironflow.transport.operations import Operations
from ironflow.transport.rpc.procedures import Procedure
from ironflow.transport.rpc.rendering import function_message
from ironflow.wire import protojson
from ironflow.wire.errors import malformed
from ironflow.wire.functions import from_document
from ironflow.wire.proto.ironflow import (
    GetFunctionRequest,
    ListFunctionsRequest,
    ListFunctionsResponse,
    RegisterFunctionRequest,
    RegisterFunctionResponse,
)
from ironflow.wire.proto.types import Function

_PAGE_DEFAULT: Final = 100


async def register(
    operations: Operations, _: Request, message: RegisterFunctionRequest
) -> RegisterFunctionResponse:
    """Make a function known whose code lives elsewhere."""
    config = from_document(protojson.to_plain(message))
    try:
        await operations.get_function(config.id)
        created = False
    except FunctionNotFound:
        created = True
    row = await operations.register_function(config)
    return RegisterFunctionResponse(function=function_message(row), created=created)


async def get(
    operations: Operations, _: Request, message: GetFunctionRequest
) -> Function:
    """Return a function."""
    return function_message(await operations.get_function(message.id))


async def list_all(
    operations: Operations, _: Request, message: ListFunctionsRequest
) -> ListFunctionsResponse:
    """Return a page of functions, by id; `cursor` is the id of the last one seen."""
    if message.limit < 0 or message.offset < 0:
        raise malformed("limit and offset must be 0 or more")
    rows = await operations.list_functions()
    found = [each for each in map(function_message, rows) if _fits(each, message)]
    after = [each for each in found if each.id > message.cursor][message.offset :]
    page = after[: message.limit or _PAGE_DEFAULT]
    return ListFunctionsResponse(
        functions=tuple(page),
        next_cursor=page[-1].id if len(page) < len(after) else "",
        total_count=len(found),
    )


def _fits(function: Function, message: ListFunctionsRequest) -> bool:
    mode = message.mode.lower().removeprefix("execution_mode_")
    return (
        message.status in {0, function.status}
        and message.name.lower() in function.name.lower()
        and mode in {"", ("local", "push", "pull")[function.preferred_mode]}
    )


def by_id(rows: Sequence[FunctionRow]) -> dict[str, FunctionRow]:
    """Return the functions of the registry by their ids."""
    return {row.id: row for row in rows}


FUNCTIONS: Final[dict[str, Procedure]] = {
    "RegisterFunction": register,
    "GetFunction": get,
    "ListFunctions": list_all,
}
