"""The services of a server as published clients call them, in memory, in virtual time."""

import base64
import gzip
from typing import Any

import msgspec
import pytest
import trio

from ironflow import limits
from ironflow.transport.http.messages import Request
from ironflow.transport.rpc.routes import ABSENT, SERVED
from ironflow.wire.message import Message, payload
from ironflow.wire.proto import ironflow as calls
from ironflow.wire.proto import pubsub, types
from ironflow.wire.proto.types import ExecutionMode, RunStatus, StepStatus, StepType
from ironflow.wire.protobuf_decode import decode
from ironflow.wire.protobuf_encode import encode
from tests.transport.conftest import Answered, Server, open_server
from tests.wire.schema import FILES, our_services

PACKAGE = "/ironflow.v1."
RUN = "run_" + "0" * 32


async def call(server: Server, method: str, message: Message) -> Any:
    """Call a method of IronflowService as `ironflow-py` does: gzip, binary."""
    return await call_of(server, "IronflowService", method, message)


async def call_of(server: Server, service: str, method: str, message: Message) -> Any:
    found = await server.request(
        "POST",
        f"{PACKAGE}{service}/{method}",
        gzip.compress(encode(message)),
        {"content-type": "application/proto", "content-encoding": "gzip"},
    )
    assert found.status == 200, found.body
    assert found.headers.get("content-type") == "application/proto"
    return decode(SERVED[service][0][method].response, found.body)


async def say(server: Server, method: str, **plain: Any) -> Answered:
    """Call a method as the JavaScript clients do."""
    headers = {"content-type": "application/json"}
    path = f"{PACKAGE}IronflowService/{method}"
    return await server.request("POST", path, plain, headers)


async def start(server: Server, event: str, data: Any) -> str:
    """Emit an event, settle, and return the run that it started."""
    message = calls.TriggerRequest(event=event, data=data)
    found = await call(server, "Trigger", message)
    await server.harness.clock.settle()
    [run_id] = found.run_ids
    return str(run_id)


# --- events --------------------------------------------------------------------------------


async def test_an_event_starts_its_runs(server: Server) -> None:
    run_id = await start(server, "order.placed", {"id": "o-1", "total": 3})

    run = await call(server, "GetRun", calls.GetRunRequest(id=run_id))

    assert run.status == RunStatus.RUN_STATUS_COMPLETED
    assert run.output == {"order": "o-1", "receipt": "charged 3"}
    assert run.input == {"id": "o-1", "total": 3}
    assert (run.function_id, run.event_name) == ("process-order", "order.placed")
    assert run.environment_id == "default"
    assert run.created_at <= run.ended_at == run.updated_at


async def test_a_key_that_was_used_gives_the_first_answer(server: Server) -> None:
    message = calls.TriggerRequest(
        event="order.placed", data={"id": "o-1"}, idempotency_key="k"
    )

    first = await call(server, "Emit", message)
    second = await call(server, "Trigger", message)

    assert first == second


async def test_an_event_keeps_what_json_says_exactly(server: Server) -> None:
    found = await say(
        server,
        "Emit",
        event="approval.asked",
        data=[2**53 + 1, 1.0],
        metadata={"trace": "t", "n": 1},
        version=3,
    )

    [event] = await server.harness.engine.list_events("approval.asked")
    assert found.document["eventId"] == event.event.id
    assert msgspec.msgpack.decode(event.event.data) == [2**53 + 1, 1.0]
    assert event.event.metadata == {"trace": "t", "n": "1"}
    assert (event.event.version, event.event.source) == (3, "sdk")


async def test_results_are_waited_for(server: Server) -> None:
    found = await say(
        server, "TriggerSync", event="order.placed", data={"id": "o"}, timeout_ms=5000
    )

    [result] = found.document["results"]
    assert result["status"] == "RUN_STATUS_COMPLETED"
    assert result["output"] == {"order": "o", "receipt": "charged 0"}
    assert (result["waitTimedOut"], result["durationMs"]) == (False, 0)


@pytest.mark.parametrize(("asked_ms", "longest_s"), [(1_000, 1), (10**9, 300), (0, 30)])
async def test_a_result_that_takes_longer_is_given_as_it_is(
    server: Server, asked_ms: int, longest_s: int
) -> None:
    answers: list[Any] = []

    async def wait() -> None:
        message = calls.TriggerSyncRequest(event="approval.asked", timeout_ms=asked_ms)
        answers.append(await call(server, "TriggerSync", message))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await server.harness.advance(f"{longest_s * 1_000 - 1}ms")
        before = list(answers)
        await server.harness.advance("1ms")

    assert before == []
    [result] = answers[0].results
    assert result.wait_timed_out
    assert result.status == RunStatus.RUN_STATUS_WAITING


async def test_a_failed_run_has_its_error(server: Server) -> None:
    message = calls.TriggerSyncRequest(event="order.lost", data_value="all")

    [result] = (await call(server, "TriggerSync", message)).results

    assert result.status == RunStatus.RUN_STATUS_FAILED
    assert (result.error.code, result.error.message) == ("NON_RETRYABLE", "lost: all")
    assert not result.error.retryable


async def test_a_batch_is_stored_whole_or_not_at_all(server: Server) -> None:
    good = calls.TriggerRequest(event="order.placed", data={"id": "o"})
    other = calls.TriggerRequest(event="approval.asked", data_value=[1])

    found = await call(
        server, "TriggerBatch", calls.TriggerBatchRequest(events=(good, other))
    )
    bad = [{"event": "order.placed"}, {"event": "a..b"}]
    refused = await say(server, "TriggerBatch", events=bad)

    assert [len(each.run_ids) for each in found.results] == [1, 1]
    assert refused.document["code"] == "invalid_argument"
    assert len(await server.harness.engine.list_events("order.placed")) == 1


async def test_a_function_is_invoked_whatever_its_triggers(server: Server) -> None:
    request = calls.InvokeFunctionRequest(
        function_id="process-order", data={"id": "o"}, idempotency_key="k"
    )

    first = await call(server, "InvokeFunction", request)
    second = await call(server, "InvokeFunction", request)
    await server.harness.clock.settle()

    run = await call(server, "GetRun", calls.GetRunRequest(id=first.run_id))
    assert first == second
    assert run.output == {"order": "o", "receipt": "charged 0"}
    unknown = await say(server, "InvokeFunction", functionId="none")
    assert unknown.document["code"] == "not_found"


async def test_the_result_of_a_function_is_waited_for(server: Server) -> None:
    request = calls.InvokeFunctionSyncRequest(
        function_id="process-order", data={"id": "o"}
    )

    found = await call(server, "InvokeFunctionSync", request)

    assert found.result.status == RunStatus.RUN_STATUS_COMPLETED
    assert found.result.output["order"] == "o"


async def test_who_goes_away_cancels_what_it_waited_for(server: Server) -> None:
    class Going:
        """A client that leaves while it waits."""

        def __init__(self) -> None:
            self.body = b'{"functionId": "ask"}'
            self.left = trio.Event()

        async def receive(self, *, is_timed: bool) -> bytes:
            body, self.body = self.body, b""
            return body

        def is_gone(self) -> bool:
            return self.left.is_set()

        async def wait_gone(self) -> None:
            await self.left.wait()

    client = Going()
    path = f"{PACKAGE}IronflowService/InvokeFunctionSync"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.handler, Request("POST", path, body=client))
        await server.harness.clock.settle()
        client.left.set()
    await server.harness.clock.settle()

    [run] = await server.harness.engine.list_runs(function_id="ask")
    assert run.status == "cancelled"


async def test_a_name_that_is_none_is_refused(server: Server) -> None:
    found = await say(server, "Emit", event="system.run")

    assert (found.status, found.document["code"]) == (400, "invalid_argument")


# --- runs ----------------------------------------------------------------------------------


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
        ({"search": "x"}, "unimplemented"),
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


async def test_a_run_is_not_resumed_at_a_step(server: Server) -> None:
    found = await say(server, "ResumeRun", run_id=RUN, from_step="charge")

    assert (found.status, found.document["code"]) == (501, "unimplemented")


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

    assert (unknown.status, unknown.document["code"]) == (404, "not_found")
    assert (none.status, none.document["code"]) == (400, "invalid_argument")


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

    assert (health.status, health.timestamp) == ("healthy", server.harness.clock.now())
    assert info.function_count == len(server.harness.engine.functions)
    assert "connect" in capabilities.document["transports"]


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
