"""Runs of IronflowService, to look at."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ironflow import ids
from ironflow.errors import RunNotFound
from ironflow.journal.base import FunctionRow
from ironflow.transport.http.messages import Request
from ironflow.transport.operations import Operations
from ironflow.transport.rendering import shown
from ironflow.transport.rpc import rendering
from ironflow.transport.rpc.functions import by_id
from ironflow.transport.rpc.procedures import Procedure
from ironflow.transport.run_reads import RunDetails, RunFilter
from ironflow.wire.errors import ConnectError, malformed
from ironflow.wire.proto.ironflow import (
    GetPausedStateRequest,
    GetPausedStateResponse,
    GetRunRequest,
    GetRunStepsRequest,
    GetRunStepsResponse,
    ListRunsRequest,
    ListRunsResponse,
    PausedStepInfo,
)
from ironflow.wire.proto.types import Run, StepStatus, StepType

_PAGE_DEFAULT: Final = 50
_STEP_TYPE: Final = "STEP_TYPE_"
_DONE: Final = {
    StepStatus.STEP_STATUS_COMPLETED: "completed",
    StepStatus.STEP_STATUS_FAILED: "failed",
}


async def get(operations: Operations, _: Request, message: GetRunRequest) -> Run:
    """Return a run."""
    return await run_message(operations, await operations.runs.get(message.id))


async def run_message(operations: Operations, run: RunDetails) -> Run:
    """Return a run as a message."""
    functions = by_id(await operations.functions.all())
    return rendering.run_message(run, functions, environment=operations.environment)


async def list_some(
    operations: Operations, _: Request, message: ListRunsRequest
) -> ListRunsResponse:
    """Return a page of runs, newest first; `cursor` is the id of the last one seen."""
    if message.limit < 0 or message.offset < 0:
        raise malformed("limit and offset must be 0 or more")
    if message.search:
        raise ConnectError(
            "unimplemented", "this server cannot search for a text in runs"
        )
    functions = await operations.functions.all()
    if message.event_id:
        run_ids = await _of_event(operations, functions, message)
        next_cursor = ""
    else:
        page = await operations.runs.page(_filter(message))
        run_ids = [each.row.run_id for each in page.runs[message.offset :]]
        next_cursor = page.next_cursor
    known = by_id(functions)
    runs = [
        rendering.run_message(run, known, environment=operations.environment)
        for run in await _those_there(operations, run_ids)
    ]
    return ListRunsResponse(
        runs=tuple(runs), next_cursor=next_cursor, total_count=len(runs)
    )


async def _those_there(
    operations: Operations, run_ids: Sequence[str]
) -> list[RunDetails]:
    found: list[RunDetails] = []
    for run_id in run_ids:
        try:
            found.append(await operations.runs.get(run_id))
        except RunNotFound:  # deleted meanwhile, or never started
            continue
    return found


async def _of_event(
    operations: Operations, functions: Sequence[FunctionRow], message: ListRunsRequest
) -> list[str]:
    """Return the runs that an event has started: their ids follow from its own."""
    event = message.event_id
    if not ids.is_run_id(event.replace("evt_", "run_", 1)):
        raise malformed(f"{event[:80]!r} is no id of an event")
    wanted = _statuses(message)
    run_ids = [
        ids.triggered_run_id(event, each.id)
        for each in functions
        if message.function_id in {"", each.id}
    ]
    return [
        run.summary.row.run_id
        for run in await _those_there(operations, run_ids)
        if not wanted or run.summary.status in wanted
    ]


def _filter(message: ListRunsRequest) -> RunFilter:
    return RunFilter(
        statuses=_statuses(message),
        function_id=message.function_id,
        since=message.since or 0,
        until=message.until or 0,
        cursor=message.cursor,
        limit=(message.limit or _PAGE_DEFAULT) + message.offset,
    )


def _statuses(message: ListRunsRequest) -> list[str]:
    """Return our words for the statuses that are wanted."""
    wanted = {number for number in (message.status, *message.statuses) if number}
    return [word for word, number in rendering.RUN_STATUSES.items() if number in wanted]


async def steps(
    operations: Operations, _: Request, message: GetRunStepsRequest
) -> GetRunStepsResponse:
    """Return what a run has done and waits for."""
    state = await operations.runs.state(message.run_id)
    return GetRunStepsResponse(steps=rendering.step_messages(message.run_id, state))


async def paused_state(
    operations: Operations, _: Request, message: GetPausedStateRequest
) -> GetPausedStateResponse:
    """Return what a paused run has done, and why it is paused."""
    run = await operations.runs.summary(message.run_id)
    if run.row.pause is None:
        raise ConnectError("failed_precondition", f"run {message.run_id} is not paused")
    state = await operations.runs.state(message.run_id)
    found: list[PausedStepInfo] = []
    for operation in state.operations:
        step = rendering.step_message(message.run_id, operation)
        if step.status in _DONE:
            info = PausedStepInfo(
                id=step.id,
                name=operation.name,
                output=_json(shown(operation.payload)) if operation.payload else b"",
                completed_at=step.ended_at,
                step_type=StepType(step.step_type)
                .name.removeprefix(_STEP_TYPE)
                .lower(),
                status=_DONE[StepStatus(step.status)],
                error=_json(operation.error) if operation.error else b"",
            )
            found.append(info)
    return GetPausedStateResponse(steps=tuple(found), pause_reason=run.row.pause.reason)


_json: Final = msgspec.json.Encoder().encode

RUNS: Final[dict[str, Procedure]] = {
    "GetRun": get,
    "ListRuns": list_some,
    "GetRunSteps": steps,
    "GetPausedState": paused_state,
}
