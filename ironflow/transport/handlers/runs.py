"""Runs over REST: lists, one with its steps, and what changes it."""

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ironflow import limits
from ironflow.errors import ConfigurationError, RunNotFound
from ironflow.policy.duration import parse_time
from ironflow.transport.handlers.circuits import circuit_of
from ironflow.transport.handlers.endpoint import Call, Endpoint, Nothing
from ironflow.transport.handlers.patience import WaitQuery, results
from ironflow.transport.operations import Operations
from ironflow.transport.rendering import (
    operation_document,
    run_details_document,
    run_document,
)
from ironflow.transport.run_reads import RunDetails, RunFilter, RunPage
from ironflow.wire.answers import (
    PatchedDocument,
    RunDetailsDocument,
    RunDocument,
    RunListDocument,
    RunStepsDocument,
    RunStreamsDocument,
)
from ironflow.wire.statuses import run_status

_READY: Final = frozenset({"queued", "running"})


class RunsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs. `status` may name several, with commas; times are RFC 3339.

    `event_id` is of the event that started them, `search` a text in the id of the run, or
    in the name or id of its function or event.
    `attribute` may be there several times: `customer=c1`, `total>=100`.
    `details`: each with its event, output and error, as `GET /api/v1/runs/{id}` has it.
    """

    status: str = ""
    function_id: str = ""
    function: str = ""
    parent_run: str = ""
    since: str = ""
    until: str = ""
    event_id: str = ""
    search: str = ""
    offset: int = 0
    cursor: str = ""
    limit: int = 50
    details: bool = False
    attribute: list[str] = []


class ReasonBody(msgspec.Struct, frozen=True, kw_only=True):
    """Why it is done."""

    reason: str = ""


class ResumeBody(msgspec.Struct, frozen=True, kw_only=True):
    """Which run, if the path does not say it, and from which step; empty: where it stopped.

    `output` is what that step gives, instead of being performed; since null is the same as
    absent, `output_is_null` says that it is null. `force`: a step that is called at most
    once may be called again.
    """

    run_id: str = ""
    from_step: str = ""
    output: Any | UnsetType = UNSET
    output_is_null: bool = False
    force: bool = False
    reason: str = ""


class PatchBody(msgspec.Struct, frozen=True, kw_only=True):
    """A result that replaces another. `step_id` is `<run>:<step>`, or give `run_id`."""

    step_id: str
    run_id: str = ""
    output: Any = None
    reason: str = ""


def details_document(run: RunDetails) -> RunDetailsDocument:
    """Return a run with what it was given and what came of it, as JSON has it."""
    return run_details_document(
        run.summary, event=run.event, output=run.output, error=run.error
    )


async def list_runs(call: Call[RunsQuery, Nothing]) -> RunListDocument:
    """Return a page of runs, newest first."""
    query = call.query
    page = await call.operations.runs.page(
        RunFilter(
            statuses=tuple(
                run_status(each) for each in query.status.split(",") if each
            ),
            function_id=query.function_id or query.function,
            parent_run=query.parent_run,
            since=parse_time(query.since, option="since") if query.since else 0,
            until=parse_time(query.until, option="until") if query.until else 0,
            event_id=query.event_id,
            search=query.search.strip(),
            offset=query.offset,
            cursor=query.cursor,
            limit=query.limit,
            attributes=query.attribute,
        )
    )
    if query.details:
        return await _detailed(call.operations, page)
    runs = [run_document(each) for each in page.runs]
    return _listed(runs, page.next_cursor)


async def _detailed(operations: Operations, page: RunPage) -> RunListDocument:
    """Return a page of runs with their values; it ends early if these are large."""
    found: list[RunDocument] = []
    size = 0
    for summary in page.runs:
        run_id = summary.row.run_id
        try:
            run = await operations.runs.get(run_id)
        except RunNotFound:  # deleted since it was listed
            continue
        size += len(run.output) + (len(run.event.data) if run.event else 0)
        if found and size > limits.ANSWER_BYTES_MAX:
            return _listed(found, found[-1].id)
        found.append(details_document(run))
    return _listed(found, page.next_cursor)


def _listed(runs: list[RunDocument], next_cursor: str) -> RunListDocument:
    return RunListDocument(
        runs=runs,
        count=len(runs),
        has_next=bool(next_cursor),
        next_cursor=next_cursor or UNSET,
    )


async def get_run(call: Call[WaitQuery, Nothing]) -> RunDetailsDocument:
    """Return a run; if the client waits, when it has ended or is paused."""
    run_id = call.parameters["id"]
    if call.query.wait:
        [run] = await results(call, [run_id], call.query.wait)
    else:
        run = await call.operations.runs.get(run_id)
    carrier = call.operations.workers.carrier_of(run_id)
    found = replace(details_document(run), carried_by=carrier or UNSET)
    if found.status not in _READY:
        return found
    circuit = circuit_of(call.operations, found.function_id, is_closed_told=False)
    return replace(found, circuit=circuit)


async def get_steps(call: Call[Nothing, Nothing]) -> RunStepsDocument:
    """Return what a run has done and waits for."""
    found = await call.operations.runs.steps(call.parameters["id"])
    return RunStepsDocument(
        steps=[
            operation_document(each, found.patches.get(each.id))
            for each in found.state.operations
        ]
    )


async def get_streams(call: Call[Nothing, Nothing]) -> RunStreamsDocument:
    """Return the entities to which a run has appended events: there are none yet."""
    await call.operations.runs.summary(call.parameters["id"])
    return RunStreamsDocument(entity_ids=[])


async def cancel(call: Call[Nothing, ReasonBody]) -> RunDetailsDocument:
    """Ask a run to cancel."""
    found = await call.operations.steering.cancel(
        call.parameters["id"],
        reason=call.body.reason,
        actor=call.request.actor,
    )
    return details_document(found)


async def pause(call: Call[Nothing, ReasonBody]) -> RunDetailsDocument:
    """Ask a run to stand still."""
    found = await call.operations.steering.pause(
        call.parameters["id"],
        reason=call.body.reason,
        actor=call.request.actor,
    )
    return details_document(found)


async def resume(call: Call[Nothing, ResumeBody]) -> RunDetailsDocument:
    """Let a paused or failed run try again."""
    return await _resumed(call, call.parameters["id"])


async def resume_named(call: Call[Nothing, ResumeBody]) -> RunDetailsDocument:
    """Let the paused run that the body names try again."""
    return await _resumed(call, call.body.run_id)


async def _resumed(call: Call[Nothing, ResumeBody], run_id: str) -> RunDetailsDocument:
    body, steering, actor = call.body, call.operations.steering, call.request.actor
    output = None if body.output_is_null else body.output
    if body.from_step:
        found = await steering.resume_from(
            run_id,
            body.from_step,
            output=output,
            force=body.force,
            reason=body.reason,
            actor=actor,
        )
    elif body.force or output is not UNSET:
        raise ConfigurationError("output and force go with from_step; give a step")
    else:
        found = await steering.resume(run_id, reason=body.reason, actor=actor)
    return details_document(found)


async def retry(call: Call[Nothing, ResumeBody]) -> RunDetailsDocument:
    """Let a failed or paused run try again."""
    return await _resumed(call, call.parameters["id"])


async def delete(call: Call[Nothing, Nothing]) -> None:
    """Forget a run that has ended."""
    await call.operations.steering.delete(
        call.parameters["id"], actor=call.request.actor
    )


async def patch(call: Call[Nothing, PatchBody]) -> PatchedDocument:
    """Replace the result of a step."""
    body = call.body
    run_id, step = body.run_id, body.step_id
    if not run_id:
        # Published clients name a step by the id of its row, which has the run's in it.
        run_id, _, step = step.partition(":")
    found = await call.operations.steering.patch_step(
        run_id, step, body.output, reason=body.reason, actor=call.request.actor
    )
    return PatchedDocument(run_id=run_id, step_id=step, status=found.summary.status)


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/api/v1/runs",
        summary="List runs, newest first.",
        answer=list_runs,
        returns=RunListDocument,
        query=RunsQuery,
        body=Nothing,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/runs/{id}",
        summary="Get a run with what it was given and what came of it.",
        answer=get_run,
        returns=RunDetailsDocument,
        query=WaitQuery,
        body=Nothing,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/runs/{id}/steps",
        summary="Get what a run has done and waits for.",
        answer=get_steps,
        returns=RunStepsDocument,
        query=Nothing,
        body=Nothing,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/runs/{id}/streams",
        summary="List the entities to which a run has appended events.",
        answer=get_streams,
        returns=RunStreamsDocument,
        query=Nothing,
        body=Nothing,
    ),
    Endpoint(
        method="POST",
        path="/api/v1/runs/{id}/cancel",
        summary="Ask a run to cancel.",
        answer=cancel,
        returns=RunDetailsDocument,
        query=Nothing,
        body=ReasonBody,
    ),
    Endpoint(
        method="POST",
        path="/api/v1/runs/{id}/pause",
        summary="Ask a run to stand still.",
        answer=pause,
        returns=RunDetailsDocument,
        query=Nothing,
        body=ReasonBody,
    ),
    Endpoint(
        method="POST",
        path="/api/v1/runs/{id}/resume",
        summary="Let a paused or failed run go on, where it stopped or from a step.",
        answer=resume,
        returns=RunDetailsDocument,
        query=Nothing,
        body=ResumeBody,
    ),
    Endpoint(
        method="POST",
        path="/api/v1/runs/resume",
        summary="Let the paused run that the body names try again.",
        answer=resume_named,
        returns=RunDetailsDocument,
        query=Nothing,
        body=ResumeBody,
    ),
    Endpoint(
        method="POST",
        path="/api/v1/runs/{id}/retry",
        summary="Let a failed or paused run try again.",
        answer=retry,
        returns=RunDetailsDocument,
        query=Nothing,
        body=ResumeBody,
    ),
    Endpoint(
        method="DELETE",
        path="/api/v1/runs/{id}",
        summary="Forget a run that has ended.",
        answer=delete,
        returns=None,
        status=204,
        query=Nothing,
        body=Nothing,
    ),
    Endpoint(
        method="POST",
        path="/api/v1/steps/patch",
        summary="Replace the result of a step of a run that is not carried on now.",
        answer=patch,
        returns=PatchedDocument,
        query=Nothing,
        body=PatchBody,
    ),
)
