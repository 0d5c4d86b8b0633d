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
from ironflow.wire.functions import Standing, from_document
from ironflow.wire.message import Empty
from ironflow.wire.proto.ironflow import (
    DeleteFunctionRequest,
    GetFunctionRequest,
    ListFunctionsRequest,
    ListFunctionsResponse,
    RegisterFunctionRequest,
    RegisterFunctionResponse,
    UpdateFunctionStatusRequest,
)
from ironflow.wire.proto.types import Function, FunctionStatus

_PAGE_DEFAULT: Final = 100
_STANDINGS: Final[dict[int, Standing]] = {
    FunctionStatus.FUNCTION_STATUS_ACTIVE: "active",
    FunctionStatus.FUNCTION_STATUS_PAUSED: "paused",
    FunctionStatus.FUNCTION_STATUS_ARCHIVED: "archived",
}


async def register(
    operations: Operations, _: Request, message: RegisterFunctionRequest
) -> RegisterFunctionResponse:
    """Make a function known whose code lives elsewhere."""
    config = from_document(protojson.to_plain(message))
    try:
        before = function_message(await operations.functions.get(config.id))
        is_new = before.status == FunctionStatus.FUNCTION_STATUS_ARCHIVED
    except FunctionNotFound:
        is_new = True
    row = await operations.functions.register(config)
    return RegisterFunctionResponse(function=function_message(row), created=is_new)


async def get(
    operations: Operations, _: Request, message: GetFunctionRequest
) -> Function:
    """Return a function."""
    return function_message(await operations.functions.get(message.id))


async def list_all(
    operations: Operations, _: Request, message: ListFunctionsRequest
) -> ListFunctionsResponse:
    """Return a page of functions, by id; `cursor` is the id of the last one seen."""
    if message.limit < 0 or message.offset < 0:
        raise malformed("limit and offset must be 0 or more")
    rows = await operations.functions.all()
    found = [each for each in map(function_message, rows) if _fits(each, message)]
    after = [each for each in found if each.id > message.cursor][message.offset :]
    page = after[: message.limit or _PAGE_DEFAULT]
    return ListFunctionsResponse(
        functions=tuple(page),
        next_cursor=page[-1].id if len(page) < len(after) else "",
        total_count=len(found),
    )


async def update_status(
    operations: Operations, _: Request, message: UpdateFunctionStatusRequest
) -> Function:
    """Let events start a function, or not."""
    status = _STANDINGS.get(message.status)
    if status is None:
        raise malformed("status must be active, paused or archived")
    return function_message(await operations.functions.set_standing(message.id, status))


async def delete(
    operations: Operations, _: Request, message: DeleteFunctionRequest
) -> Empty:
    """Archive a function: no event starts it, and no list has it. Its runs stay."""
    await operations.functions.set_standing(message.id, "archived")
    return Empty()


def _fits(function: Function, message: ListFunctionsRequest) -> bool:
    mode = message.mode.lower().removeprefix("execution_mode_")
    is_wanted = function.status == message.status
    if not message.status:
        is_wanted = function.status != FunctionStatus.FUNCTION_STATUS_ARCHIVED
    return (
        is_wanted
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
    "UpdateFunctionStatus": update_status,
    "DeleteFunction": delete,
}
