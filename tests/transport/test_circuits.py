"""Circuits of endpoints: one for each published function, told over REST, closed by hand."""

from typing import Any
from urllib.parse import quote

import httpx

from ironflow.policy.breaker import BreakerPolicy
from ironflow.transport.circuits import Breaker, Circuits
from tests.transport.test_metrics import samples
from tests.transport.test_segment_push import URL, Endpoint, open_endpoint

PATH = "/api/v1/circuit-breakers"
SOON = {"failureThreshold": 2, "openDurationMs": 10_000, "maxOpenDurationMs": 30_000}


def refuse(endpoint: Endpoint) -> None:
    endpoint.answer = lambda body: httpx.ConnectError("refused")


async def test_a_function_goes_by_its_own_policy() -> None:
    async with open_endpoint(circuitBreaker=SOON) as (scene, endpoint):
        refuse(endpoint)
        await scene.emit()
        await scene.emit()
        calls = [len(endpoint.requests)]
        for duration in ("9s", "1s", "19s", "1s", "29s", "1s", "29s", "1s"):
            await scene.advance(duration)
            calls.append(len(endpoint.requests))

    assert calls == [2, 2, 3, 3, 4, 4, 5, 5, 6]


async def test_functions_at_one_url_do_not_answer_for_each_other() -> None:
    async with open_endpoint(circuitBreaker=SOON) as (scene, endpoint):
        other = {"id": "other", "triggers": [{"event": "other.asked"}]}
        await scene.function(preferredMode="push", endpointUrl=URL, **other)

        def answer(body: Any) -> Any:
            if body["function_id"] == "hello":
                return httpx.ConnectError("refused")
            return {"status": "completed"}

        endpoint.answer = answer
        for _ in range(2):
            await scene.emit()
        run_id = await scene.emit(name="other.asked")
        status = await scene.status(run_id)
        found = await scene.server.get(PATH)

    assert status == "completed"
    states = [(each["key"], each["state"]) for each in found]
    assert states == [("hello", "open"), ("other", "closed")]


async def test_a_run_a_function_and_the_list_tell_why_nothing_happens() -> None:
    async with open_endpoint(circuitBreaker=SOON) as (scene, endpoint):
        before = await scene.server.get("/api/v1/functions/hello")
        refuse(endpoint)
        for _ in range(2):
            await scene.emit()
        run_id = await scene.emit()
        run = await scene.run(run_id)
        function = await scene.server.get("/api/v1/functions/hello")
        [listed] = await scene.server.get(PATH)
        figures = await samples(scene.server)

    assert before["circuit"]["state"] == "closed"
    assert run["status"] == "queued"
    assert run["circuit"] == function["circuit"] == listed
    assert listed == {
        "key": "hello",
        "endpoint": URL,
        "function_id": "hello",
        "environment_id": "default",
        "state": "open",
        "consecutive_fails": 2,
        "last_failure": "2030-01-01T00:00:00Z",
        "last_error": listed["last_error"],
        "open_until": "2030-01-01T00:00:10Z",
    }
    assert "ConnectError: refused" in listed["last_error"]
    assert figures["ironflow_circuits", "open"] == 1
    assert figures["ironflow_circuits", "closed"] == 0
    assert figures["ironflow_circuit_open", "hello"] == 1


async def test_it_is_half_open_while_one_call_finds_out() -> None:
    async with open_endpoint(circuitBreaker=SOON) as (scene, endpoint):
        refuse(endpoint)
        runs = [await scene.emit() for _ in range(2)]
        endpoint.answer = lambda body: None  # it hangs
        await scene.advance("10s")
        [probed] = await scene.server.get(PATH)
        calls = len(endpoint.requests)
        endpoint.answer = lambda body: {"status": "completed"}
        for run_id in runs:
            await scene.server.post(f"/api/v1/runs/{run_id}/cancel")

    assert probed["state"] == "half_open"
    assert calls == 3


async def test_one_is_closed_by_hand() -> None:
    async with open_endpoint(circuitBreaker=SOON) as (scene, endpoint):
        refuse(endpoint)
        for _ in range(2):
            await scene.emit()
        run_id = await scene.emit()
        endpoint.answer = lambda body: {"status": "completed"}
        found = await scene.server.post(f"{PATH}/hello/reset")
        await scene.settle()
        status = await scene.status(run_id)
        run = await scene.run(run_id)

    assert (found["state"], found["consecutive_fails"]) == ("closed", 0)
    assert status == "completed"
    assert "circuit" not in run


async def test_one_that_is_not_there_is_not_found() -> None:
    async with open_endpoint() as (scene, _):
        path = f"{PATH}/{quote(URL, safe='')}/reset"
        found = await scene.server.request("POST", path)

    assert found.status == 404
    assert URL in found.document["message"]


async def test_a_function_with_another_url_begins_anew() -> None:
    async with open_endpoint(circuitBreaker=SOON) as (scene, endpoint):
        refuse(endpoint)
        for _ in range(2):
            await scene.emit()
        endpoint.answer = lambda body: {"status": "completed"}
        await scene.function(preferredMode="push", endpointUrl=f"{URL}/new")
        await scene.settle()
        run_id = await scene.emit()
        status = await scene.status(run_id)
        await scene.function(preferredMode="pull")
        pulled = await scene.server.get(PATH)

    assert status == "completed"
    assert pulled == []


def test_a_circuit_is_found_by_any_of_its_functions() -> None:
    circuits = Circuits()
    ours = Breaker(
        URL, URL, BreakerPolicy(), frozenset({"a", "b"}), changed=lambda: None
    )
    circuits.add(ours)

    assert circuits.of("a") is circuits.of("b") is ours
    assert circuits.of("c") is None
