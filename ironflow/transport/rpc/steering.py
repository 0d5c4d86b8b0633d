"""What changes runs, of IronflowService: pause, correct, resume, cancel, delete."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from ironflow import limits
from ironflow.errors import MisusedOperation, RunNotFound
from ironflow.interpreter.fold import OperationState
from ironflow.transport.http.messages import Request
from ironflow.transport.operations import Operations
from ironflow.transport.patches import Patch
from ironflow.transport.rendering import shown
from ironflow.transport.rpc import rendering
from ironflow.transport.rpc.procedures import Procedure
from ironflow.transport.rpc.runs import run_message
from ironflow.transport.run_reads import RunFilter
from ironflow.wire import protojson
from ironflow.wire.errors import ConnectError, malformed
from ironflow.wire.message import Empty, payload
from ironflow.wire.proto.ironflow import (
    CancelRunRequest,
    DeleteRunRequest,
    DeleteRunsRequest,
    DeleteRunsResponse,
    InjectStepOutputRequest,
    InjectStepOutputResponse,
    PatchStepRequest,
    PauseRunRequest,
    PauseRunResponse,
    ResumeRunRequest,
)
from ironflow.wire.proto.types import Run, Step

_ENDED: Final = ("completed", "failed", "cancelled", "continued")


async def cancel(
    operations: Operations, request: Request, message: CancelRunRequest
) -> Run:
    """Ask a run to cancel; return it as it is now."""
    run = await operations.steering.cancel(
        message.id, reason=message.reason, actor=request.actor
    )
    return await run_message(operations, run)


async def pause(
    operations: Operations, request: Request, message: PauseRunRequest
) -> PauseRunResponse:
    """Let a run stand still, at once or when its step has ended."""
    run = await operations.steering.pause(message.run_id, actor=request.actor)
    if run.summary.row.ended_at:
        raise ConnectError("failed_precondition", f"run {message.run_id} has ended")
    is_paused = run.summary.status == "paused"
    return PauseRunResponse(status="paused" if is_paused else "pause_requested")


async def resume(
    operations: Operations, request: Request, message: ResumeRunRequest
) -> Run:
    """Let a paused or failed run go on, where it stopped or from a step."""
    run_id, step, actor = message.run_id, message.from_step, request.actor
    if not step:
        found = await operations.steering.resume(run_id, actor=actor)
        return await run_message(operations, found)
    found = await operations.steering.resume_from(run_id, step, actor=actor)
    shown = await run_message(operations, found)
    return msgspec.structs.replace(shown, resume_from_step=step)


async def patch(
    operations: Operations, request: Request, message: PatchStepRequest
) -> Step:
    """Replace the result of a step, by the id of its row."""
    run_id, _separator, step = message.step_id.partition(rendering.SEPARATOR)
    output = payload(message, "output")
    await operations.steering.patch_step(
        run_id,
        step,
        None if output is msgspec.UNSET else output,
        reason=message.reason,
        actor=request.actor,
    )
    operation, patched = await _operation(operations, run_id, step)
    return rendering.step_message(run_id, operation, patched)


async def inject(
    operations: Operations, request: Request, message: InjectStepOutputRequest
) -> InjectStepOutputResponse:
    """Replace the result of a step of a paused run; return what it was."""
    run_id = message.run_id
    summary = await operations.runs.summary(run_id)
    if summary.row.pause is None:
        raise ConnectError("failed_precondition", f"run {run_id} is not paused")
    step = message.step_id.removeprefix(run_id + rendering.SEPARATOR)
    before, _ = await _operation(operations, run_id, step)
    output = _parsed(message.new_output)
    await operations.steering.patch_step(
        run_id, step, output, reason=message.reason, actor=request.actor
    )
    previous = msgspec.json.encode(shown(before.payload)) if before.payload else b""
    return InjectStepOutputResponse(step_id=message.step_id, previous_output=previous)


def _parsed(output: bytes) -> Any:
    return protojson.parse(output) if output else None


async def _operation(
    operations: Operations, run_id: str, step: str
) -> tuple[OperationState, Patch | None]:
    found = await operations.runs.steps(run_id)
    for operation in found.state.operations:
        if operation.id == step:
            return operation, found.patches.get(step)
    raise ConnectError("not_found", f"run {run_id} has no step {step[:200]!r}")


async def delete(
    operations: Operations, request: Request, message: DeleteRunRequest
) -> Empty:
    """Forget a run that has ended."""
    await operations.steering.delete(message.id, actor=request.actor)
    return Empty()


async def delete_some(
    operations: Operations, request: Request, message: DeleteRunsRequest
) -> DeleteRunsResponse:
    """Forget runs that have ended; no more than so many at once, so call it until 0."""
    if not (message.function_id or message.status or message.until):
        raise malformed("give function_id, status or until: not all runs are deleted")
    wanted = RunFilter(
        statuses=_ended(message.status),
        function_id=message.function_id,
        until=message.until or 0,
        limit=limits.PAGE_RUNS_MAX,
    )
    deleted = 0
    while deleted < limits.DELETED_RUNS_MAX:
        page = await operations.runs.page(wanted)
        for run in page.runs[: limits.DELETED_RUNS_MAX - deleted]:
            deleted += await _deleted(operations, run.row.run_id)
        if not page.next_cursor:
            break
        wanted = replace(wanted, cursor=page.next_cursor)
    return DeleteRunsResponse(deleted=deleted)


async def _deleted(operations: Operations, run_id: str) -> bool:
    try:
        await operations.steering.delete(run_id)
    except (RunNotFound, MisusedOperation):  # gone, or the child of one that goes on
        return False
    return True


def _ended(status: int) -> Sequence[str]:
    """Return our words for the status that is wanted, or for all of runs that ended."""
    if not status:
        return _ENDED
    found = [word for word in _ENDED if rendering.RUN_STATUSES[word] == status]
    if not found:
        raise malformed("status must be one of runs that have ended")
    return found


STEERING: Final[dict[str, Procedure]] = {
    "CancelRun": cancel,
    "PauseRun": pause,
    "ResumeRun": resume,
    "PatchStep": patch,
    "InjectStepOutput": inject,
    "DeleteRun": delete,
    "DeleteRuns": delete_some,
}
