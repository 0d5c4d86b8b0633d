"""Runs of IronflowService, to look at."""

from collections.abc import Mapping, Sequence
from typing import Final, final

import msgspec

from ironflow.errors import RunNotFound
from ironflow.interpreter.fold import OperationState
from ironflow.journal.base import FunctionRow, RunRow
from ironflow.transport.connect import WithMembers
from ironflow.transport.http.messages import Request
from ironflow.transport.operations import Operations
from ironflow.transport.registry import SEGMENTS, config_of
from ironflow.transport.rendering import shown
from ironflow.transport.rpc import rendering
from ironflow.transport.rpc.procedures import Procedure
from ironflow.transport.run_reads import RunDetails, RunFilter
from ironflow.wire.answers import moment
from ironflow.wire.errors import ConnectError, malformed
from ironflow.wire.function_history import Versions, made_by
from ironflow.wire.message import camel
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
from ironflow.wire.proto.types import Run, Step, StepStatus, StepType

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
    [found] = await run_messages(operations, [run])
    return found


async def run_messages(operations: Operations, runs: Sequence[RunDetails]) -> list[Run]:
    """Return runs as messages, each with the version that its function had."""
    functions = {row.id: row for row in await operations.functions.all()}
    numbers = _Numbers(operations, functions)
    return [
        rendering.run_message(
            run,
            functions.get(run.summary.row.function_id),
            environment=operations.environment,
            function_version=await numbers.of(run.summary.row),
            timeout_at=await operations.runs.deadline(run.summary),
        )
        for run in runs
    ]


@final
class _Numbers:
    """Which versions functions had when runs were made; versions are read once, if at all."""

    def __init__(
        self, operations: Operations, functions: Mapping[str, FunctionRow]
    ) -> None:
        self._operations = operations
        self._functions = functions
        self._versions: dict[str, Versions] = {}

    async def of(self, run: RunRow) -> int:
        """Return a number; 0 for a function that has no versions, or not that any more."""
        function = self._functions.get(run.function_id)
        if function is None or function.rules != SEGMENTS:
            return 0
        config = config_of(function)
        if config is not None and config.updated_at <= run.created_at:
            return config.revision
        if function.id not in self._versions:
            found = await self._operations.functions.versions(function.id)
            self._versions[function.id] = found
        return made_by(self._versions[function.id], run.created_at)


async def list_some(
    operations: Operations, _: Request, message: ListRunsRequest
) -> ListRunsResponse:
    """Return a page of runs, newest first; `cursor` is the id of the last one seen."""
    if message.limit < 0 or message.offset < 0:
        raise malformed("limit and offset must be 0 or more")
    wanted = RunFilter(
        statuses=_statuses(message),
        function_id=message.function_id,
        since=message.since or 0,
        until=message.until or 0,
        event_id=message.event_id,
        search=message.search.strip(),
        cursor=message.cursor,
        offset=message.offset,
        limit=message.limit or _PAGE_DEFAULT,
    )
    page = await operations.runs.page(wanted)
    run_ids = [each.row.run_id for each in page.runs]
    runs = await _those_there(operations, run_ids)
    return ListRunsResponse(
        runs=tuple(await run_messages(operations, runs)),
        next_cursor=page.next_cursor,
        total_count=min(await operations.runs.count(wanted), rendering.INT32_MAX),
    )


async def _those_there(
    operations: Operations, run_ids: Sequence[str]
) -> list[RunDetails]:
    found: list[RunDetails] = []
    for run_id in run_ids:
        try:
            found.append(await operations.runs.get(run_id))
        except RunNotFound:  # deleted meanwhile
            continue
    return found


def _statuses(message: ListRunsRequest) -> list[str]:
    """Return our words for the statuses that are wanted."""
    wanted = {number for number in (message.status, *message.statuses) if number}
    return [word for word, number in rendering.RUN_STATUSES.items() if number in wanted]


async def steps(
    operations: Operations, _: Request, message: GetRunStepsRequest
) -> GetRunStepsResponse:
    """Return what a run has done and waits for."""
    found = await operations.runs.steps(message.run_id)
    return GetRunStepsResponse(steps=rendering.step_messages(message.run_id, found))


async def paused_state(
    operations: Operations, _: Request, message: GetPausedStateRequest
) -> WithMembers:
    """Return what a paused run has done, what it stands at, and why it is paused."""
    run = await operations.runs.summary(message.run_id)
    if run.row.pause is None:
        raise ConnectError("failed_precondition", f"run {message.run_id} is not paused")
    found = await operations.runs.steps(message.run_id)
    every = found.state.operations
    steps = zip(every, rendering.step_messages(message.run_id, found), strict=True)
    state = GetPausedStateResponse(
        steps=tuple(
            _paused_step(operation, step)
            for operation, step in steps
            if step.status in _DONE
        ),
        next_step_hint=next((each.name for each in every if not each.settled_at), ""),
        pause_reason=rendering.pause_reason(run.row.pause),
    )
    return WithMembers(state, _as_javascript_reads(state))


def _as_javascript_reads(state: GetPausedStateResponse) -> dict[str, object]:
    """Return the names that the published JavaScript clients read: outputs are JSON texts."""
    steps = [
        {
            **msgspec.structs.asdict(each),
            "step_id": each.id,
            "output": each.output.decode(),
            "error": each.error.decode(),
            "completed_at": moment(each.completed_at or 0),
        }
        for each in state.steps
    ]
    return {
        "completed_steps": steps,
        "completedSteps": [
            {camel(name): value for name, value in each.items()} for each in steps
        ],
        "next_step_hint": state.next_step_hint,
        "pause_reason": state.pause_reason,
    }


def _paused_step(operation: OperationState, step: Step) -> PausedStepInfo:
    kind = StepType(step.step_type).name.removeprefix(_STEP_TYPE).lower()
    return PausedStepInfo(
        id=step.id,
        name=operation.name,
        output=_json(shown(operation.payload)) if operation.payload else b"",
        injected=step.patched_at is not None,
        completed_at=step.ended_at,
        step_type=kind,
        status=_DONE[StepStatus(step.status)],
        error=_json(operation.error) if operation.error else b"",
    )


_json: Final = msgspec.json.Encoder().encode

RUNS: Final[dict[str, Procedure]] = {
    "GetRun": get,
    "ListRuns": list_some,
    "GetRunSteps": steps,
    "GetPausedState": paused_state,
}
