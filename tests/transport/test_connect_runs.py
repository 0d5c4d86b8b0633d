"""Runs as the RPC surface shows them."""

from typing import Any

import pytest

import ironflow
from ironflow.wire.message import payload
from ironflow.wire.proto import ironflow as calls
from ironflow.wire.proto.types import RunStatus, StepStatus, StepType
from tests.transport.calling import RUN, call, say, start
from tests.transport.conftest import Server, open_server
from tests.transport.segment_scene import open_scene


async def test_runs_are_listed_in_pages(server: Server) -> None:
    run_ids = [await start(server, "order.placed", {"id": str(n)}) for n in range(5)]

    first = await call(server, "ListRuns", calls.ListRunsRequest(limit=2))
    request = calls.ListRunsRequest(limit=10, cursor=first.next_cursor)
    second = await call(server, "ListRuns", request)
    request = calls.ListRunsRequest(limit=2, offset=1)
    third = await call(server, "ListRuns", request)

    newest_first = sorted(run_ids, reverse=True)
    assert [run.id for run in first.runs + second.runs] == newest_first
    assert second.next_cursor == ""
    assert [run.id for run in third.runs] == newest_first[1:3]


@pytest.mark.parametrize("status", ["failed", "FAILED", "RUN_STATUS_FAILED"])
async def test_runs_are_listed_by_status(server: Server, status: str) -> None:
    await start(server, "order.placed", {"id": "o"})
    failed = await start(server, "order.lost", {"id": "o"})

    found = await say(server, "ListRuns", status=status, functionId="fail")

    [run] = found.document["runs"]
    assert (run["id"], run["status"]) == (failed, "RUN_STATUS_FAILED")
    # What the browser client asks for.
    wanted = {
        "attempt",
        "maxAttempts",
        "createdAt",
        "updatedAt",
        "functionId",
        "eventId",
    }
    assert wanted <= run.keys()


async def test_runs_are_listed_by_event(server: Server) -> None:
    await start(server, "order.placed", {"id": "o"})
    run_id = await start(server, "order.placed", {"id": "p"})
    event_id = (await call(server, "GetRun", calls.GetRunRequest(id=run_id))).event_id

    async def found(**wanted: Any) -> list[str]:
        request = calls.ListRunsRequest(event_id=event_id, **wanted)
        return [run.id for run in (await call(server, "ListRuns", request)).runs]

    assert await found() == [run_id]
    assert await found(status=RunStatus.RUN_STATUS_COMPLETED) == [run_id]
    assert await found(status=RunStatus.RUN_STATUS_FAILED) == []
    assert await found(function_id="ask") == []


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"limit": -1}, "invalid_argument"),
        ({"offset": 5_000}, "invalid_argument"),
        ({"event_id": "x"}, "invalid_argument"),
        ({"cursor": "x"}, "invalid_argument"),
        ({"status": "lost"}, "invalid_argument"),
    ],
)
async def test_a_list_that_cannot_be_made_is_refused(
    server: Server, wanted: dict[str, Any], code: str
) -> None:
    assert (await say(server, "ListRuns", **wanted)).document["code"] == code


async def test_what_a_run_has_done_is_a_list_of_steps(server: Server) -> None:
    run_id = await start(server, "order.placed", {"id": "o", "total": 3})

    found = await call(server, "GetRunSteps", calls.GetRunStepsRequest(run_id=run_id))

    [step] = found.steps
    assert (step.id, step.step_id) == (f"{run_id}:charge:0",) * 2
    assert step.step_type == StepType.STEP_TYPE_INVOKE
    assert step.status == StepStatus.STEP_STATUS_COMPLETED
    assert payload(step, "output") == "charged 3"
    assert (step.attempt, step.duration_ms_full) == (1, 0)


async def test_a_wait_is_a_step_that_waits(server: Server) -> None:
    run_id = await start(server, "approval.asked", None)

    [step] = (
        await call(server, "GetRunSteps", calls.GetRunStepsRequest(run_id=run_id))
    ).steps

    assert step.step_type == StepType.STEP_TYPE_WAIT_FOR_EVENT
    assert step.status == StepStatus.STEP_STATUS_WAITING
    assert step.wait_event_name == "approval.given"
    assert step.wait_timeout - step.started_at == 7 * 24 * 3600 * 10**6
    assert step.duration_ms_full is None


async def test_a_cancelled_run_says_why(server: Server) -> None:
    run_id = await start(server, "approval.asked", None)
    request = calls.CancelRunRequest(id=run_id, reason="enough")
    await call(server, "CancelRun", request)
    await server.harness.clock.settle()

    run = await call(server, "GetRun", calls.GetRunRequest(id=run_id))

    assert "enough" in run.cancellation_cause
    waiting = await start(server, "approval.asked", None)
    other = await call(server, "GetRun", calls.GetRunRequest(id=waiting))
    assert other.cancellation_cause == ""


async def test_a_run_knows_the_version_that_its_function_had() -> None:
    async with open_scene() as scene:
        server = scene.server
        runs: list[str] = []
        for timeout_ms in (0, 1, 2):
            await scene.function(timeout_ms=timeout_ms)
            runs.append(await scene.emit())
            await scene.advance("1s")
        await start(server, "approval.asked", None)

        listed = await call(server, "ListRuns", calls.ListRunsRequest())
        request = calls.GetRunRequest(id=runs[0])
        [first, own] = [
            (await call(server, "GetRun", request)).function_version,
            listed.runs[0].function_version,
        ]

    assert [each.function_version for each in listed.runs[1:]] == [3, 2, 1]
    assert (first, own) == (1, 0)


@ironflow.function(id="soon", triggers=["soon.asked"], run_timeout="1h")
async def soon(ctx: ironflow.Context[Any]) -> None:
    await ctx.step.sleep("long", "2h")


async def test_a_run_with_a_deadline_says_when() -> None:
    async with open_server(ironflow.App(functions=[soon])) as server:
        run_id = await start(server, "soon.asked", None)
        request = calls.GetRunRequest(id=run_id)

        run = await call(server, "GetRun", request)
        await server.harness.advance("1h")
        ended = await call(server, "GetRun", request)

    assert run.timeout_at - run.created_at == 3_600_000_000
    assert ended.timeout_at is None


async def test_an_entity_has_written_no_run(server: Server) -> None:
    run_id = await start(server, "approval.asked", None)

    assert await server.get(f"/api/v1/runs/{run_id}/streams") == {"entity_ids": []}
    none = await server.request("GET", f"/api/v1/runs/{RUN}/streams")
    assert none.status == 404
