"""What published clients really send and read, where the schema says otherwise."""

import json
from typing import Any

import pytest
from google.protobuf import json_format

from ironflow.wire.proto.types import StepStatus
from tests.transport.calling import PACKAGE, say, start
from tests.transport.conftest import Server
from tests.wire.schema import foreign_class


async def taken(server: Server, method: str, **plain: Any) -> Any:
    """Return what a method answers that has to take this."""
    found = await say(server, method, **plain)
    assert found.status == 200, found.body
    return found.document


@pytest.mark.parametrize(
    ("said", "mode"),
    [
        ("push", "EXECUTION_MODE_PUSH"),
        ("pull", "EXECUTION_MODE_PULL"),
        ("PULL", "EXECUTION_MODE_PULL"),
        ("EXECUTION_MODE_PUSH", "EXECUTION_MODE_PUSH"),
        (2, "EXECUTION_MODE_PULL"),
    ],
)
async def test_a_mode_is_a_word(server: Server, said: object, mode: str) -> None:
    found = await taken(
        server,
        "RegisterFunction",
        id="far",
        preferredMode=said,
        endpointUrl="https://far.example/x",
    )

    assert found["function"]["preferredMode"] == mode


@pytest.mark.parametrize("said", ["failed", "FAILED", "RUN_STATUS_FAILED", 4])
async def test_a_status_is_a_word_of_any_size(server: Server, said: object) -> None:
    failed = await start(server, "order.lost", {})
    await start(server, "order.placed", {"id": "o"})

    one = await taken(server, "ListRuns", status=said)
    many = await taken(server, "ListRuns", statuses=[said])

    assert [each["id"] for each in one["runs"]] == [failed]
    assert many["runs"] == one["runs"]


async def test_names_of_both_kinds_may_be_mixed(server: Server) -> None:
    found = await taken(
        server,
        "RegisterFunction",
        id="far",
        timeoutMs=7,
        debounce={"period_ms": 1000, "key": "id", "max_wait_ms": "5000"},
        cancel_on=[{"event": "far.off", "match": "data.id"}],
        retry={"max_attempts": 2, "initialDelayMs": 5},
    )

    function = found["function"]
    assert function["timeoutMs"] == 7
    assert function["debounce"] == {"periodMs": 1000, "key": "id", "maxWaitMs": "5000"}
    assert function["cancelOn"] == [{"event": "far.off", "match": "data.id"}]
    assert (function["retry"]["maxAttempts"], function["retry"]["initialDelayMs"]) == (
        2,
        5,
    )


async def test_what_the_schema_lacks_and_null_are_passed_over(server: Server) -> None:
    found = await taken(
        server,
        "TriggerSync",
        event="order.placed",
        data={"id": "o"},
        metadata=None,
        idempotency_key="",
        recordingRetention="7d",
        timeout_ms=5000,
    )

    [result] = found["results"]
    # What the browser client checks: these are numbers and texts, also when empty.
    assert isinstance(result["durationMs"], int)
    assert isinstance(found["eventId"], str)
    assert result["status"] == "RUN_STATUS_COMPLETED"


@pytest.mark.parametrize("data", [[1], "text", 3, True, None])
async def test_data_need_not_be_an_object(server: Server, data: object) -> None:
    """The unary calls of JavaScript put any value into `data`."""
    run_id = (await taken(server, "Trigger", event="approval.asked", data=data))[
        "runIds"
    ][0]

    run = await taken(server, "GetRun", id=run_id)

    assert run.get("inputValue") == data
    assert "input" not in run


async def test_a_run_has_all_that_a_browser_checks(server: Server) -> None:
    run_id = await start(server, "approval.asked", {})

    run = await taken(server, "GetRun", id=run_id)

    assert {type(run[name]) for name in ("attempt", "maxAttempts")} == {int}
    texts = ("id", "functionId", "eventId", "status", "createdAt", "updatedAt")
    assert {type(run[name]) for name in texts} == {str}
    assert run["createdAt"].endswith("Z")


async def test_a_number_of_64_bits_may_be_a_number_and_is_answered_as_text(
    server: Server,
) -> None:
    await taken(server, "RegisterFunction", id="far")

    for version in (1, "1"):
        found = await taken(
            server, "GetFunctionAtVersion", functionId="far", version=version
        )
        assert found["entry"]["entityVersion"] == "1"


@pytest.mark.parametrize("sent", ['{"a":1}', '"text"', "[1]", "null", {"a": 1}])
async def test_an_output_is_injected_and_read_as_json(
    server: Server, sent: object
) -> None:
    """JavaScript sends JSON where the schema has bytes, and reads it in names of its own."""
    run_id = await start(server, "payment.asked", {"id": "o"})
    await taken(server, "PauseRun", run_id=run_id)

    await taken(
        server,
        "InjectStepOutput",
        run_id=run_id,
        step_id=f"{run_id}:limit:0",
        new_output=sent,
        reason="",
    )
    found = await taken(server, "GetPausedState", run_id=run_id)

    wanted = json.loads(sent) if isinstance(sent, str) else sent
    [node], [browser] = found["completedSteps"], found["completed_steps"]
    assert json.loads(node["output"]) == json.loads(browser["output"]) == wanted
    assert node["stepId"] == browser["step_id"] == f"{run_id}:limit:0"
    assert node["completedAt"] == browser["completed_at"] == "2030-01-01T00:00:00Z"
    assert (node["injected"], node["stepType"], node["status"]) == (
        True,
        "invoke",
        "completed",
    )
    assert found["pauseReason"] == found["pause_reason"] == "injection"
    assert found["nextStepHint"] == found["next_step_hint"] == "cool-off"


async def test_a_generated_client_is_told_each_field_once(server: Server) -> None:
    """It says which version of Connect it speaks, and refuses a field in two spellings."""
    run_id = await start(server, "payment.asked", {"id": "o"})
    await taken(server, "PauseRun", run_id=run_id)

    found = await server.request(
        "POST",
        f"{PACKAGE}IronflowService/GetPausedState",
        {"runId": run_id},
        {"content-type": "application/json", "connect-protocol-version": "1"},
    )

    state: Any = json_format.Parse(
        found.body, foreign_class("GetPausedStateResponse")()
    )
    assert [each.name for each in state.steps] == ["limit"]
    assert state.next_step_hint == "cool-off"


async def test_no_header_of_connect_is_asked_for(server: Server) -> None:
    """Browsers and plain HTTP clients send none, and some no content type."""
    path = f"{PACKAGE}IronflowService/Health"

    found = await server.request("POST", path, {})

    assert found.document["status"] == "healthy"


async def test_an_empty_body_is_an_empty_message(server: Server) -> None:
    path = f"{PACKAGE}IronflowService/ListFunctions"

    found = await server.request(
        "POST", path, b"", {"content-type": "application/json"}
    )

    assert found.status == 200
    assert found.document["totalCount"] == len(server.harness.engine.functions)


async def test_a_step_is_patched_over_both_surfaces_with_what_javascript_sends(
    server: Server,
) -> None:
    run_id = await start(server, "payment.asked", {"id": "o"})
    body = {"step_id": f"{run_id}:limit:0", "output": [3], "reason": "typo"}

    await server.post("/api/v1/steps/patch", body)
    [step, _] = (await taken(server, "GetRunSteps", runId=run_id))["steps"]

    assert step["outputValue"] == [3]
    assert step["status"] == StepStatus.STEP_STATUS_COMPLETED.name


async def test_a_run_is_resumed_from_the_failed_point_by_an_empty_step(
    server: Server,
) -> None:
    run_id = await start(server, "payment.asked", {"id": "o"})
    await server.harness.advance("1d")

    found = await server.post(
        "/api/v1/runs/resume", {"run_id": run_id, "from_step": ""}
    )

    assert (found["id"], found["attempt"]) == (run_id, 2)
