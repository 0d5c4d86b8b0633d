"""Redactions over the RPC and the REST surface: what goes, and what is refused."""

import logging
from typing import Any

import pytest

from ironflow.transport.rights import right_of
from ironflow.wire.keys import RIGHTS, Right
from ironflow.wire.message import payload
from ironflow.wire.proto import ironflow as calls
from tests.transport.calling import call, say, start
from tests.transport.conftest import Server

SECRET = "XyZZy-4111"


async def shown(server: Server, run_id: str) -> dict[str, Any]:
    found = await server.request("GET", f"/api/v1/runs/{run_id}", b"")
    document: dict[str, Any] = found.document
    return document


async def test_a_run_is_redacted(server: Server) -> None:
    """Whoever reads it sees the markers, and it is so once."""
    run_id = await start(server, "order.placed", {"id": SECRET})

    await call(server, "RedactRun", calls.RedactRunRequest(run_id=run_id))
    await call(server, "RedactRun", calls.RedactRunRequest(run_id=run_id))

    found = await shown(server, run_id)
    assert found["output"]["$redacted"] is True
    assert found["event"]["data"]["$redacted"] is True
    assert SECRET not in str(found)
    run = await call(server, "GetRun", calls.GetRunRequest(id=run_id))
    marker = payload(run, "output")
    assert isinstance(marker, dict)
    assert set(marker) == {"$redacted", "sha256", "redactedAt"}


async def test_a_step_is_redacted_by_the_id_of_its_row(server: Server) -> None:
    run_id = await start(server, "order.placed", {"id": SECRET})
    steps = await call(server, "GetRunSteps", calls.GetRunStepsRequest(run_id=run_id))
    first = steps.steps[0].id

    await call(server, "RedactStep", calls.RedactStepRequest(step_id=first))

    steps = await call(server, "GetRunSteps", calls.GetRunStepsRequest(run_id=run_id))
    marker = payload(steps.steps[0], "output")
    assert isinstance(marker, dict)
    assert marker["$redacted"] is True
    unknown = await say(server, "RedactStep", step_id=f"{run_id}:nothing:0")
    assert unknown.document["code"] == "failed_precondition"
    assert "has no step" in unknown.document["message"]


async def test_an_event_is_redacted(server: Server) -> None:
    run_id = await start(server, "order.placed", {"id": SECRET})
    event_id = (await shown(server, run_id))["event"]["id"]

    await call(server, "RedactEvent", calls.RedactEventRequest(event_id=event_id))

    found = await server.request("GET", f"/api/v1/events/{event_id}", b"")
    assert found.document["data"]["$redacted"] is True
    assert SECRET not in str((await shown(server, run_id))["event"])


async def test_what_goes_on_is_refused(server: Server) -> None:
    run_id = await start(server, "approval.asked", {"id": SECRET})
    event_id = (await shown(server, run_id))["event"]["id"]

    for method, asked in (
        ("RedactRun", {"run_id": run_id}),
        ("RedactStep", {"step_id": f"{run_id}:approval:0"}),
        ("RedactEvent", {"event_id": event_id}),
    ):
        found = await say(server, method, **asked)

        assert (found.status, found.document["code"]) == (400, "failed_precondition")
    assert SECRET in str(await shown(server, run_id))


@pytest.mark.parametrize(
    ("method", "asked"),
    [
        ("RedactRun", {"run_id": "run_" + "f" * 32}),
        ("RedactStep", {"step_id": "run_" + "f" * 32 + ":a:0"}),
        ("RedactEvent", {"event_id": "evt_" + "f" * 32}),
    ],
)
async def test_what_is_not_there_is_not_found(
    server: Server, method: str, asked: dict[str, str]
) -> None:
    found = await say(server, method, **asked)

    assert found.document["code"] == "not_found"


async def test_over_rest_the_answer_says_what_went(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """And the log says that something did; a reason is kept."""
    run_id = await start(server, "order.placed", {"id": SECRET})
    event_id = (await shown(server, run_id))["event"]["id"]
    history = (await server.harness.journal.history(run_id))[1:]
    step = next(each.record.id for each in history if each.record.id)

    with caplog.at_level(logging.INFO, logger="ironflow"):
        by_row = await post(server, "/api/v1/steps/redact", step_id=f"{run_id}:{step}")
        by_id = await post(
            server, "/api/v1/steps/redact", run_id=run_id, step_id=step, reason="r"
        )
        run = await post(server, f"/api/v1/runs/{run_id}/redact", reason="a wish")
        event = await post(server, f"/api/v1/events/{event_id}/redact")

    assert by_row["payloads"] >= 1
    assert by_id["payloads"] == 0
    assert run["run_ids"] == [run_id]
    assert run["event_ids"] == [event_id]
    assert event == {"payloads": 1, "run_ids": [run_id], "event_ids": []}
    entries = await server.harness.journal.history(run_id)
    assert {each.redaction.reason for each in entries if each.redaction} == {
        "",
        "a wish",
    }
    told = [each.message for each in caplog.records if "redacted" in each.message]
    assert len(told) == 3
    assert all("payloads redacted, asked for by" in each for each in told)


async def post(server: Server, path: str, **body: str) -> dict[str, Any]:
    import msgspec

    found = await server.request("POST", path, msgspec.json.encode(body))
    assert found.status == 200, found.document
    document: dict[str, Any] = found.document
    return document


@pytest.mark.parametrize(
    "path",
    [
        "/ironflow.v1.IronflowService/RedactRun",
        "/ironflow.v1.IronflowService/RedactStep",
        "/ironflow.v1.IronflowService/RedactEvent",
        "/api/v1/runs/run_1/redact",
        "/api/v1/steps/redact",
        "/api/v1/events/evt_1/redact",
    ],
)
def test_only_administrators_may(path: str) -> None:
    assert right_of("POST", path) is Right.REDACT
    assert [role for role, rights in RIGHTS.items() if Right.REDACT in rights] == [
        "admin"
    ]
