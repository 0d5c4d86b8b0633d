"""Runs that are paused, corrected, cancelled and deleted over the RPC surface."""

import base64

import pytest
from msgspec import UNSET

from ironflow import limits
from ironflow.wire.message import payload
from ironflow.wire.proto import ironflow as calls
from ironflow.wire.proto.types import RunStatus
from tests.transport.calling import RUN, call, say, start
from tests.transport.conftest import Server


async def test_a_run_is_cancelled(server: Server) -> None:
    run_id = await start(server, "approval.asked", None)

    await call(server, "CancelRun", calls.CancelRunRequest(id=run_id, reason="enough"))
    await server.harness.clock.settle()

    run = await call(server, "GetRun", calls.GetRunRequest(id=run_id))
    assert run.status == RunStatus.RUN_STATUS_CANCELLED


async def test_a_paused_run_says_how_it_stands_and_is_resumed(server: Server) -> None:
    run_id = await start(server, "order.odd", {})

    state = await call(
        server, "GetPausedState", calls.GetPausedStateRequest(run_id=run_id)
    )
    run = await call(server, "GetRun", calls.GetRunRequest(id=run_id))
    resumed = await call(server, "ResumeRun", calls.ResumeRunRequest(run_id=run_id))

    assert (state.steps, state.pause_reason) == ((), "code")
    assert (run.status, run.pause_reason) == (RunStatus.RUN_STATUS_PAUSED, "code")
    assert run.error.code == "PAUSED"
    assert resumed.id == run_id


async def test_a_run_that_is_not_paused_has_no_such_state(server: Server) -> None:
    run_id = await start(server, "approval.asked", None)

    found = await say(server, "GetPausedState", run_id=run_id)

    assert found.document["code"] == "failed_precondition"


async def test_a_run_is_paused_where_it_waits(server: Server) -> None:
    run_id = await start(server, "approval.asked", None)

    found = await call(server, "PauseRun", calls.PauseRunRequest(run_id=run_id))
    await server.harness.clock.settle()

    assert found.status in {"paused", "pause_requested"}
    run = await call(server, "GetRun", calls.GetRunRequest(id=run_id))
    assert run.status == RunStatus.RUN_STATUS_PAUSED


async def test_a_run_that_has_ended_is_not_paused(server: Server) -> None:
    run_id = await start(server, "order.placed", {"id": "o"})

    found = await say(server, "PauseRun", run_id=run_id)

    assert found.document["code"] == "failed_precondition"


async def test_the_result_of_a_step_is_patched(server: Server) -> None:
    run_id = await start(server, "order.lost", {"id": "o"})
    none = await say(server, "PatchStep", step_id=f"{run_id}:charge:0", output={"a": 1})

    waiting = await start(server, "payment.asked", {"id": "o"})
    step = await call(
        server,
        "PatchStep",
        calls.PatchStepRequest(
            step_id=f"{waiting}:limit:0", output={"a": 1}, reason="typo"
        ),
    )

    assert none.status == 400
    assert step.output == {"a": 1}


async def paused_run(server: Server) -> str:
    """Return a run that has a step behind it and is paused while it sleeps."""
    run_id = await start(server, "payment.asked", {"id": "o"})
    await call(server, "PauseRun", calls.PauseRunRequest(run_id=run_id))
    await server.harness.clock.settle()
    return run_id


@pytest.mark.parametrize("sent", ['{"a": 1}', {"a": 1}, "eyJhIjogMX0="])
async def test_what_a_step_returned_is_replaced_while_its_run_is_paused(
    server: Server, sent: object
) -> None:
    run_id = await paused_run(server)

    found = await say(
        server, "InjectStepOutput", run_id=run_id, step_id="limit:0", new_output=sent
    )
    state = await say(server, "GetPausedState", run_id=run_id)

    assert base64.b64decode(found.document["previousOutput"]) == b"10"
    [step] = state.document["steps"]
    assert (step["name"], step["status"], step["stepType"]) == (
        "limit",
        "completed",
        "invoke",
    )
    assert base64.b64decode(step["output"]) == b'{"a":1}'


async def test_a_paused_run_says_what_was_injected_and_what_comes_next(
    server: Server,
) -> None:
    run_id = await paused_run(server)
    request = calls.GetPausedStateRequest(run_id=run_id)

    before = await call(server, "GetPausedState", request)
    await say(
        server, "InjectStepOutput", run_id=run_id, step_id="limit:0", new_output="3"
    )
    after = await call(server, "GetPausedState", request)

    assert (before.pause_reason, before.next_step_hint) == ("injection", "cool-off")
    assert [each.injected for each in before.steps] == [False]
    assert [(each.injected, each.output) for each in after.steps] == [(True, b"3")]
    assert after.steps[0].completed_at == before.steps[0].completed_at


async def test_a_result_that_was_replaced_is_shown_with_what_it_was(
    server: Server,
) -> None:
    run_id = await start(server, "payment.asked", {"id": "o"})
    await server.harness.advance("1s")
    for output in ([1], [2]):
        await say(
            server,
            "PatchStep",
            step_id=f"{run_id}:limit:0",
            output=output,
            reason="typo",
        )

    request = calls.GetRunStepsRequest(run_id=run_id)
    step, sleep = (await call(server, "GetRunSteps", request)).steps
    rest, other = (await server.get(f"/api/v1/runs/{run_id}/steps"))["steps"]

    assert payload(step, "output") == [2]
    assert payload(step, "original_output") == 10
    assert step.patched_at == server.harness.clock.now()
    assert sleep.patched_at is None
    assert payload(sleep, "original_output") is UNSET
    assert rest["value"] == [2]
    assert rest["patched"] == {
        "at": "2030-01-01T00:00:01Z",
        "actor": "",
        "reason": "typo",
        "original": 10,
    }
    assert "patched" not in other


async def test_nothing_is_replaced_elsewhere(server: Server) -> None:
    waiting = await start(server, "approval.asked", None)
    paused = await paused_run(server)

    running = await say(server, "InjectStepOutput", run_id=waiting, step_id="x")
    unknown = await say(server, "InjectStepOutput", run_id=paused, step_id="x")

    assert running.document["code"] == "failed_precondition"
    assert unknown.document["code"] == "not_found"


async def test_a_run_that_has_ended_is_deleted(server: Server) -> None:
    ended = await start(server, "order.placed", {"id": "o"})
    waiting = await start(server, "approval.asked", None)

    await call(server, "DeleteRun", calls.DeleteRunRequest(id=ended))

    assert (await say(server, "GetRun", id=ended)).status == 404
    refused = await say(server, "DeleteRun", id=waiting)
    assert refused.document["code"] == "failed_precondition"


async def test_runs_are_deleted_by_what_they_have_in_common(server: Server) -> None:
    failed = await start(server, "order.lost", {"id": "o"})
    kept = await start(server, "order.placed", {"id": "o"})
    await start(server, "approval.asked", None)
    request = calls.DeleteRunsRequest(status=RunStatus.RUN_STATUS_FAILED)

    first = await call(server, "DeleteRuns", request)
    second = await call(server, "DeleteRuns", request)
    of_ask = calls.DeleteRunsRequest(function_id="ask")
    none = await call(server, "DeleteRuns", of_ask)

    assert (first.deleted, second.deleted, none.deleted) == (1, 0, 0)
    assert (await say(server, "GetRun", id=failed)).status == 404
    assert (await say(server, "GetRun", id=kept)).status == 200


async def test_runs_are_deleted_a_page_at_a_time(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(5):
        await start(server, "order.placed", {"id": str(n)})
    monkeypatch.setattr(limits, "PAGE_RUNS_MAX", 2)
    monkeypatch.setattr(limits, "DELETED_RUNS_MAX", 3)
    request = calls.DeleteRunsRequest(function_id="process-order")

    found = [(await call(server, "DeleteRuns", request)).deleted for _ in range(3)]

    assert found == [3, 2, 0]


@pytest.mark.parametrize("wanted", [{}, {"status": "running"}])
async def test_not_all_runs_are_deleted(server: Server, wanted: dict[str, str]) -> None:
    found = await say(server, "DeleteRuns", **wanted)

    assert found.document["code"] == "invalid_argument"


@pytest.mark.parametrize("named", ["limit", "limit:0", "{run}:limit:0"])
async def test_a_run_is_resumed_from_a_step(server: Server, named: str) -> None:
    """By its name, its id, or that of its row; it is performed again."""
    run_id = await paused_run(server)
    server.harness.replace_step("limit", lambda: 20)
    step = named.format(run=run_id)

    request = calls.ResumeRunRequest(run_id=run_id, from_step=step)
    run = await call(server, "ResumeRun", request)
    await server.harness.clock.settle()
    steps = await say(server, "GetRunSteps", run_id=run_id)
    [limit, *_] = steps.document["steps"]

    assert (run.id, run.resume_from_step) == (run_id, step)
    assert run.pause_reason == ""
    assert limit["outputValue"] == 20


async def test_a_step_to_resume_from_must_be_there(server: Server) -> None:
    """And the run must stand still; both are said, and change nothing."""
    paused = await paused_run(server)
    waiting = await start(server, "approval.asked", None)

    for run_id, why in ((paused, "no step 'x'"), (waiting, "pause it first")):
        found = await say(server, "ResumeRun", run_id=run_id, from_step="x")
        assert found.document["code"] == "failed_precondition"
        assert why in found.document["message"]
    assert (await say(server, "GetPausedState", run_id=paused)).status == 200


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("GetRun", "id"),
        ("GetRunSteps", "run_id"),
        ("CancelRun", "id"),
        ("ResumeRun", "run_id"),
    ],
)
async def test_a_run_that_is_not_there_is_not_found(
    server: Server, method: str, name: str
) -> None:
    unknown = await say(server, method, **{name: RUN})
    none = await say(server, method, **{name: "x"})
    absent = await say(server, method)

    assert (unknown.status, unknown.document["code"]) == (404, "not_found")
    assert (none.status, none.document["code"]) == (404, "not_found")
    assert (absent.status, absent.document["code"]) == (400, "invalid_argument")
