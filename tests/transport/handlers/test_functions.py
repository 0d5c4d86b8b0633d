"""Functions over REST."""

from typing import Any

import pytest

from ironflow.journal.base import FunctionRow
from tests.transport.conftest import Server

FUNCTIONS = "/api/v1/functions"
WIRE = {
    "id": "send-mail",
    "name": "Send a mail",
    "triggers": [{"event": "mail.asked"}],
    "preferredMode": "pull",
    "timeoutMs": 5000,
    "concurrency": {"limit": 3, "key": "to"},
    "metadata": {"team": "a"},
}


async def test_functions_of_the_app_are_there(server: Server) -> None:
    found = await server.get(FUNCTIONS)

    assert found["count"] == 5
    names = [each["id"] for each in found["functions"]]
    assert names == ["ask", "fail", "pay", "process-order", "stuck"]
    order = found["functions"][3]
    assert order["host"] == "local"
    assert order["rules"] == "records-1"
    assert order["triggers"] == [{"event": "order.placed"}]
    assert order["retry"] is None


async def test_one_function_is_found(server: Server) -> None:
    found = await server.get(f"{FUNCTIONS}/ask")

    assert found["id"] == found["name"] == "ask"


async def test_a_function_that_is_not_there_is_not_found(server: Server) -> None:
    found = await server.request("GET", f"{FUNCTIONS}/nothing")

    assert found.status == 404
    assert "no function 'nothing'" in found.document["message"]


async def test_a_function_is_registered(server: Server) -> None:
    told: list[FunctionRow] = []
    server.context.operations.functions.registered.append(told.append)

    made = await server.post(FUNCTIONS, WIRE)
    found = await server.get(f"{FUNCTIONS}/send-mail")

    assert found == made
    assert found["host"] == "pull"
    assert found["rules"] == "segments-1"
    assert found["timeout_ms"] == 5000
    assert found["metadata"] == {"team": "a"}
    assert found["created_at"] == found["updated_at"]
    [row] = told
    assert row.triggers == ("mail.asked",)
    assert (row.concurrency, row.concurrency_key) == (3, "data.to")


@pytest.mark.parametrize("key", ["data.to", "$.to", "event.data.to"])
async def test_a_key_is_inside_the_event_s_data(server: Server, key: str) -> None:
    await server.post(FUNCTIONS, {**WIRE, "concurrency": {"limit": 1, "key": key}})

    row = await server.context.operations.functions.get("send-mail")
    assert row.concurrency_key == "data.to"


async def test_a_registration_that_changes_nothing_keeps_the_revision(
    server: Server,
) -> None:
    first = await server.post(FUNCTIONS, WIRE)
    await server.harness.advance("1s")
    same = await server.post(FUNCTIONS, WIRE)
    other = await server.post(FUNCTIONS, {**WIRE, "description": "new"})

    assert same == first
    assert other["revision"] == first["revision"] + 1
    assert other["created_at"] == first["created_at"] < other["updated_at"]


async def test_an_event_starts_a_function_that_was_registered(server: Server) -> None:
    await server.post(FUNCTIONS, WIRE)

    run_id = await server.emit("mail.asked", {"to": "a"})

    found = await server.get(f"/api/v1/runs/{run_id}")
    assert found["status"] == "queued"


async def test_a_function_is_invoked_whatever_its_triggers(server: Server) -> None:
    found = await server.post(
        f"{FUNCTIONS}/process-order/invoke?wait=30", {"data": {"id": "o1", "total": 2}}
    )

    [run] = found["runs"]
    assert found["run_id"] == run["id"] == found["run_ids"][0]
    assert run["output"] == {"order": "o1", "receipt": "charged 2"}


@pytest.mark.parametrize("name", ["idempotency_key", "idempotencyKey"])
async def test_an_invocation_with_a_key_is_made_once(server: Server, name: str) -> None:
    body = {"data": {"id": "o1"}, name: "k", "metadata": {"a": 1}}

    first = await server.post(f"{FUNCTIONS}/ask/invoke", body)
    second = await server.post(f"{FUNCTIONS}/ask/invoke", body)

    assert "runs" not in first
    assert second == {**first, "duplicate": True}


async def test_what_nobody_registered_cannot_be_invoked(server: Server) -> None:
    found = await server.request("POST", f"{FUNCTIONS}/nothing/invoke", {})

    assert found.status == 404
    assert found.document["code"] == "not_found"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "id="),
        ({"id": "ask"}, "hosted by the server itself"),
        ({"id": "x", "preferredMode": "push"}, "endpoint_url"),
        ({"id": "x", "preferredMode": "carrier pigeon"}, "preferred_mode"),
        ({"id": "x", "triggers": "order.placed"}, "triggers must be a list"),
        ({"id": "x", "concurrency": {"limit": 1, "key": "a..b"}}, "not a path"),
        ([], "must be a JSON object"),
    ],
)
async def test_what_is_wrong_is_said(server: Server, body: Any, says: str) -> None:
    found = await server.request("POST", FUNCTIONS, body)

    assert found.status == 400
    assert says in found.document["message"]
