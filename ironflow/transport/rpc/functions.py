"""Functions of IronflowService: register one, look at them."""

from typing import Final

from ironflow import limits
from ironflow.transport.http.messages import Request
from ironflow.transport.operations import Operations
from ironflow.transport.rpc.procedures import Procedure
from ironflow.transport.rpc.rendering import function_message, version_message
from ironflow.wire import protojson
from ironflow.wire.errors import malformed
from ironflow.wire.functions import Standing, from_document
from ironflow.wire.message import Empty
from ironflow.wire.proto.ironflow import (
    DeleteFunctionRequest,
    GetFunctionAtVersionRequest,
    GetFunctionAtVersionResponse,
    GetFunctionRequest,
    ListFunctionHistoryRequest,
    ListFunctionHistoryResponse,
    ListFunctionsRequest,
    ListFunctionsResponse,
    RegisterFunctionRequest,
    RegisterFunctionResponse,
    RollbackFunctionRequest,
    RollbackFunctionResponse,
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
    operations: Operations, request: Request, message: RegisterFunctionRequest
) -> RegisterFunctionResponse:
    """Make a function known whose code lives elsewhere."""
    config = from_document(protojson.to_plain(message))
    found = await operations.functions.register(config, actor=request.actor)
    return RegisterFunctionResponse(
        function=function_message(found.row), created=found.is_new
    )


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
    operations: Operations, request: Request, message: UpdateFunctionStatusRequest
) -> Function:
    """Let events start a function, or not."""
    status = _STANDINGS.get(message.status)
    if status is None:
        raise malformed("status must be active, paused or archived")
    row = await operations.functions.set_standing(
        message.id, status, actor=request.actor
    )
    return function_message(row)


async def delete(
    operations: Operations, request: Request, message: DeleteFunctionRequest
) -> Empty:
    """Archive a function: no event starts it, and no list has it. Its runs stay."""
    await operations.functions.set_standing(message.id, "archived", actor=request.actor)
    return Empty()


# --- versions ------------------------------------------------------------------------------


async def history(
    operations: Operations, _: Request, message: ListFunctionHistoryRequest
) -> ListFunctionHistoryResponse:
    """Return versions of a function, newest first, those before `from_version`."""
    if message.limit < 0 or message.from_version < 0:
        raise malformed("limit and from_version must be 0 or more")
    every = await operations.functions.versions(message.function_id)
    found = [
        each
        for each in reversed(every)
        if not message.from_version or each.number < message.from_version
    ]
    limit = message.limit or limits.PAGE_FUNCTION_VERSIONS_DEFAULT
    return ListFunctionHistoryResponse(
        entries=tuple(version_message(each) for each in found[:limit]),
        has_more=len(found) > limit,
    )


async def at_version(
    operations: Operations, _: Request, message: GetFunctionAtVersionRequest
) -> GetFunctionAtVersionResponse:
    """Return a function as it was in one version."""
    found = await operations.functions.version(message.function_id, message.version)
    return GetFunctionAtVersionResponse(entry=version_message(found))


async def roll_back(
    operations: Operations, request: Request, message: RollbackFunctionRequest
) -> RollbackFunctionResponse:
    """Make a function what it was in an earlier version, as a new one."""
    row = await operations.functions.roll_back(
        message.function_id,
        message.version,
        reason=message.change_reason,
        actor=request.actor,
    )
    return RollbackFunctionResponse(function=function_message(row))


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


FUNCTIONS: Final[dict[str, Procedure]] = {
    "RegisterFunction": register,
    "GetFunction": get,
    "ListFunctions": list_all,
    "UpdateFunctionStatus": update_status,
    "DeleteFunction": delete,
    "ListFunctionHistory": history,
    "GetFunctionAtVersion": at_version,
    "RollbackFunction": roll_back,
}
