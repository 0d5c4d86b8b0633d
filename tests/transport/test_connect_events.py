"""Events and invocations over the RPC surface, in memory and in virtual time."""

from typing import Any

import msgspec
import pytest
import trio

from ironflow import limits
from ironflow.transport.http.messages import Request
from ironflow.wire.proto import ironflow as calls
from ironflow.wire.proto.types import RunStatus
from tests.transport.calling import PACKAGE, call, say, start
from tests.transport.conftest import Server


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


async def test_a_batch_is_stored_whole(server: Server) -> None:
    good = calls.TriggerRequest(event="order.placed", data={"id": "o"})
    other = calls.TriggerRequest(event="approval.asked", data_value=[1])

    found = await call(
        server, "TriggerBatch", calls.TriggerBatchRequest(events=(good, other))
    )
    none = await call(server, "TriggerBatch", calls.TriggerBatchRequest())

    assert [len(each.run_ids) for each in found.results] == [1, 1]
    assert [each.error for each in found.results] == [None, None]
    assert none.results == ()


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ({"event": "a..b"}, "invalid_argument"),
        ({"event": "a", "version": -1}, "invalid_argument"),
        ({"event": "a", "idempotency_key": "k" * 10_000}, "invalid_argument"),
        (
            {"event": "a", "metadata": dict.fromkeys(map(str, range(99)), "x")},
            "invalid_argument",
        ),
        ({"event": "order.placed", "idempotency_key": "k"}, "already_exists"),
    ],
)
async def test_a_batch_with_one_bad_event_is_not_stored_at_all(
    server: Server, bad: dict[str, Any], code: str
) -> None:
    good = {"event": "order.placed", "idempotency_key": "k"}

    found = await say(server, "TriggerBatch", events=[good, bad])

    assert found.status == 200
    beside, at_fault = found.document["results"]
    assert at_fault["error"]["code"] == code or "invalid_argument"
    assert not at_fault["error"]["retryable"]
    assert (beside["runIds"], beside["eventId"]) == ([], "")
    assert (beside["error"]["code"], beside["error"]["retryable"]) == ("aborted", True)
    assert await server.harness.engine.list_events() == []


async def test_what_is_wrong_with_no_single_event_is_wrong_with_the_batch(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EMIT_BATCH_EVENTS_MAX", 1)

    found = await say(server, "TriggerBatch", events=[{"event": "a"}, {"event": "b"}])

    assert (found.status, found.document["code"]) == (400, "invalid_argument")


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
