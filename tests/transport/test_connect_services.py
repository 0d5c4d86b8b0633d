"""Functions, messages and the server itself over the RPC surface."""

from typing import Any

import msgspec
import pytest

from ironflow.transport.rpc.routes import ABSENT, SERVED
from ironflow.wire.proto import ironflow as calls
from ironflow.wire.proto import pubsub, types
from ironflow.wire.proto.types import ExecutionMode
from ironflow.wire.protobuf_encode import encode
from tests.transport.calling import PACKAGE, RUN, call, call_of, say
from tests.transport.conftest import Answered, Server, open_server
from tests.wire.schema import FILES, our_services

# --- functions -----------------------------------------------------------------------------


async def test_a_function_is_registered_and_found(server: Server) -> None:
    sent = {
        "id": "far",
        "name": "Far",
        "triggers": [{"event": "far.*"}],
        "preferredMode": "EXECUTION_MODE_PULL",
        "retry": {"maxAttempts": 3, "onExhausted": "fail"},
        "debounce": {"period_ms": 1000, "key": "id"},
        "throttle": {"limit": 2, "periodMs": 1000},
        "cancelOn": [{"event": "far.off", "match": "data.id"}],
        "concurrency": {"limit": 2, "key": "id"},
        "metadata": {"__ironflow_code_hash": "0123456789abcdef"},
    }

    first = (await say(server, "RegisterFunction", **sent)).document
    again = (await say(server, "RegisterFunction", **sent)).document
    found = await call(server, "GetFunction", calls.GetFunctionRequest(id="far"))

    assert (first["created"], again["created"]) == (True, False)
    assert again["function"] == first["function"]
    assert found.preferred_mode == ExecutionMode.EXECUTION_MODE_PULL
    assert found.triggers == (types.Trigger(event="far.*"),)
    assert (found.retry.max_attempts, found.retry.on_exhausted) == (3, "fail")
    assert found.debounce == types.DebounceConfig(period_ms=1000, key="id")
    assert found.throttle == types.ThrottleConfig(limit=2, period_ms=1000)
    assert found.concurrency == types.ConcurrencyConfig(limit=2, key="id")
    assert found.metadata == sent["metadata"]
    assert (found.version, found.created_at) == (1, found.updated_at)


async def test_functions_are_listed_in_pages(server: Server) -> None:
    sent = calls.RegisterFunctionRequest(
        id="pushed",
        name="Pushed",
        preferred_mode=ExecutionMode.EXECUTION_MODE_PUSH,
        endpoint_url="http://127.0.0.1:1/x",
    )
    await call(server, "RegisterFunction", sent)

    async def listed(**wanted: Any) -> tuple[list[str], str, int]:
        found = await call(
            server, "ListFunctions", calls.ListFunctionsRequest(**wanted)
        )
        return (
            [each.id for each in found.functions],
            found.next_cursor,
            found.total_count,
        )

    names = sorted({*server.harness.engine.functions, "pushed"})
    count = len(names)
    assert await listed() == (names, "", count)
    assert await listed(limit=2) == (names[:2], names[1], count)
    rest = await listed(limit=count, cursor=names[1], offset=1)
    assert rest == (names[3:], "", count)
    assert await listed(mode="push") == (["pushed"], "", 1)
    assert await listed(name="PUSH") == (["pushed"], "", 1)
    assert await listed(status=2) == ([], "", 0)
    refused = await say(server, "ListFunctions", limit=-1)
    assert refused.document["code"] == "invalid_argument"


async def test_a_function_that_is_paused_is_started_by_no_event(server: Server) -> None:
    await say(server, "RegisterFunction", id="far", triggers=[{"event": "far.*"}])

    paused = await say(server, "UpdateFunctionStatus", id="far", status="paused")
    before = await say(server, "Emit", event="far.off")
    again = await say(
        server, "RegisterFunction", id="far", triggers=[{"event": "far.*"}]
    )
    active = await say(server, "UpdateFunctionStatus", id="far", status="active")
    after = await say(server, "Emit", event="far.off")

    assert paused.document["status"] == "FUNCTION_STATUS_PAUSED"
    assert before.document["runIds"] == []
    assert again.document["function"]["status"] == "FUNCTION_STATUS_PAUSED"
    assert [paused.document["version"], active.document["version"]] == [2, 3]
    assert len(after.document["runIds"]) == 1


async def test_a_function_that_is_deleted_is_archived(server: Server) -> None:
    await say(server, "RegisterFunction", id="far", triggers=[{"event": "far.*"}])

    assert (await say(server, "DeleteFunction", id="far")).document == {}

    def ids(found: Answered) -> list[str]:
        return [each["id"] for each in found.document["functions"]]

    assert "far" not in ids(await say(server, "ListFunctions"))
    assert ids(await say(server, "ListFunctions", status="archived")) == ["far"]
    assert (await say(server, "Emit", event="far.off")).document["runIds"] == []
    anew = await say(server, "RegisterFunction", id="far")
    assert anew.document["created"]
    assert anew.document["function"]["status"] == "FUNCTION_STATUS_ACTIVE"


@pytest.mark.parametrize(
    ("method", "plain", "code"),
    [
        ("UpdateFunctionStatus", {"id": "far"}, "invalid_argument"),
        ("UpdateFunctionStatus", {"id": "far", "status": 2}, "not_found"),
        ("UpdateFunctionStatus", {"id": "ask", "status": 2}, "failed_precondition"),
        ("DeleteFunction", {"id": "ask"}, "failed_precondition"),
    ],
)
async def test_a_function_that_cannot_be_changed_stays(
    server: Server, method: str, plain: dict[str, Any], code: str
) -> None:
    assert (await say(server, method, **plain)).document["code"] == code


async def test_a_function_that_is_not_there_is_not_found(server: Server) -> None:
    assert (await say(server, "GetFunction", id="none")).document["code"] == "not_found"


# --- messages ------------------------------------------------------------------------------


async def test_a_message_is_stored_once_by_its_key(server: Server) -> None:
    message = pubsub.PublishRequest(
        topic="news", data_value=["a"], idempotency_key="step-1"
    )

    first = await call_of(server, "PubSubService", "Publish", message)
    second = await call_of(server, "PubSubService", "Publish", message)

    [stored] = await server.harness.engine.list_events("topic:news")
    assert first == pubsub.PublishResponse(event_id=stored.event.id, sequence=1)
    assert second == msgspec.structs.replace(first, duplicate=True)
    assert msgspec.msgpack.decode(stored.event.data) == ["a"]
    assert stored.run_ids == ()


async def test_a_message_of_a_step_says_which_run_it_is_of(server: Server) -> None:
    path = f"{PACKAGE}PubSubService/Publish"
    for run_id, key in [(RUN, "a"), ("run_x", "b")]:
        headers = {"content-type": "application/json", "x-ironflow-run-id": run_id}
        body = {"topic": "news", "data": {}, "idempotencyKey": key}
        found = await server.request("POST", path, body, headers)
        assert found.document["sequence"] in {"1", "2"}

    stored = await server.harness.engine.list_events("topic:news")
    assert [each.event.source for each in stored] == [RUN, "sdk"]


@pytest.mark.parametrize(
    ("topic", "key"),
    [("news", "a b"), ("news", "ä" * 128), ("topic:news", ""), ("", ""), ("a..b", "")],
)
async def test_a_message_that_cannot_be_kept_is_refused(
    server: Server, topic: str, key: str
) -> None:
    body = {"topic": topic, "idempotencyKey": key}

    found = await server.request("POST", f"{PACKAGE}PubSubService/Publish", body)

    assert (found.status, found.document["code"]) == (400, "invalid_argument")


async def test_an_event_may_be_emitted_by_pubsub(server: Server) -> None:
    message = pubsub.EmitRequest(event="order.placed", data={"id": "o"})
    other = pubsub.EmitRequest(event="order.placed", namespace="other")

    found = await call_of(server, "PubSubService", "Emit", message)
    refused = await server.request(
        "POST",
        f"{PACKAGE}PubSubService/Emit",
        encode(other),
        {"content-type": "application/proto"},
    )

    assert len(found.run_ids) == 1
    assert refused.status == 501


# --- the server ----------------------------------------------------------------------------


async def test_the_server_says_how_it_is(server: Server) -> None:
    health = await call(server, "Health", calls.HealthRequest())
    info = await call(server, "Info", calls.InfoRequest())
    capabilities = await say(server, "GetCapabilities")

    assert health.components["engine"].status == "healthy"
    assert (health.status, health.timestamp) == ("healthy", server.harness.clock.now())
    assert info.function_count == len(server.harness.engine.functions)
    assert "connect" in capabilities.document["transports"]


async def test_a_server_that_stops_is_not_healthy(server: Server) -> None:
    server.context.operations.issues.add("it is stopping")

    health = await call(server, "Health", calls.HealthRequest())

    assert health.status == "unhealthy"
    assert health.components["engine"] == calls.ComponentHealth(
        "unhealthy", "it is stopping"
    )


async def test_the_server_counts_what_is_under_way(server: Server) -> None:
    started_at = server.harness.clock.now()
    for event in ("approval.asked", "order.placed", "order.lost", "payment.asked"):
        await server.emit(event, {"id": "o"})
    await server.harness.advance("1s")

    info = await call(server, "Info", calls.InfoRequest())

    assert (info.active_runs, info.started_at) == (2, started_at)


async def test_another_environment_is_not_here() -> None:
    async with open_server() as server:
        found = await server.request(
            "POST",
            f"{PACKAGE}IronflowService/GetRun",
            {"id": RUN},
            {"x-ironflow-environment-id": "other"},
        )

    assert (found.status, found.document["code"]) == (404, "not_found")


def test_every_service_of_the_schema_answers() -> None:
    assert SERVED.keys() | set(ABSENT) == {
        name for file in FILES for name in file.services
    } - {"WorkerService"}
    assert our_services().keys() >= SERVED.keys()
