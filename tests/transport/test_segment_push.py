"""Endpoints of published SDKs: signed calls, their answers, faults and the breaker."""

import inspect
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import trio

from ironflow.policy.reach import Reach
from ironflow.transport import rest
from ironflow.transport.push_dial import Dialing
from ironflow.transport.segment_part import Segments
from ironflow.wire.signing import HEADER, signature
from tests.transport.conftest import open_server
from tests.transport.segment_scene import Scene

URL = "http://app.example/ironflow"


class Endpoint:
    """An app that answers what a test says, or awaits.

    None hangs, an exception is a broken line.
    """

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answer: Callable[[Any], Any] = lambda body: {"status": "completed"}
        self.status = 200

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(each.content) for each in self.requests]

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        found = self.answer(json.loads(request.content))
        if found is None:
            await trio.sleep_forever()
        if inspect.isawaitable(found):
            found = await found
        if isinstance(found, Exception):
            raise found
        if isinstance(found, bytes):
            return httpx.Response(self.status, content=found)
        return httpx.Response(self.status, json=found)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.handle))


@asynccontextmanager
async def open_endpoint(
    **changes: Any,
) -> AsyncGenerator[tuple[Scene, Endpoint]]:
    """A server with a push function and its endpoint."""
    endpoint = Endpoint()
    parts = (rest.routes, Segments(client=endpoint.client).routes)
    async with open_server(parts=parts, signing_key="sk_test") as server:
        scene = Scene(server)
        await scene.function(preferredMode="push", endpointUrl=URL, **changes)
        yield scene, endpoint


def row(body: Any, id_: str, output: Any = None) -> dict[str, Any]:
    return {
        "id": f"{body['run_id']}:{id_}",
        "name": id_,
        "type": "invoke",
        "status": "completed",
        "output": output,
    }


async def test_a_run_is_one_signed_request() -> None:
    async with open_endpoint() as (scene, endpoint):
        endpoint.answer = lambda body: {
            "status": "completed",
            "steps": [row(body, "a:0", 1)],
            "result": {"n": 2},
        }

        run_id = await scene.emit({"orderId": "o1"})
        run = await scene.run(run_id)

    [request] = endpoint.requests
    [body] = endpoint.bodies
    assert (run["status"], run["output"]) == ("completed", {"n": 2})
    assert (str(request.url), request.method) == (URL, "POST")
    assert request.headers["content-type"] == "application/json"
    now_s = 1_893_456_000
    assert request.headers[HEADER] == signature("sk_test", request.content, now_s=now_s)
    assert (body["run_id"], body["attempt"], body["steps"]) == (run_id, 1, [])
    assert body["event"]["data"] == {"orderId": "o1"}
    assert "metadata" not in body["event"]


async def test_a_sleep_is_followed_by_another_request_with_its_row() -> None:
    async with open_endpoint() as (scene, endpoint):

        def answer(body: Any) -> Any:
            if body["steps"]:
                return {"status": "completed", "steps": [], "result": "late"}
            nap = {
                "type": "sleep",
                "step_id": f"{body['run_id']}:nap:0",
                "until": "2030-01-01T00:10:00Z",
            }
            return {"status": "yielded", "steps": [row(body, "a:0", 1)], "yield": nap}

        endpoint.answer = answer
        run_id = await scene.emit()
        before = await scene.status(run_id)
        await scene.advance("10m")
        run = await scene.run(run_id)

    assert before == "waiting"
    assert (run["status"], run["output"]) == ("completed", "late")
    assert [each["name"] for each in endpoint.bodies[1]["steps"]] == ["a", "nap"]
    assert endpoint.bodies[1]["steps"][1]["output"] is None
    assert endpoint.bodies[1]["attempt"] == 1


async def test_a_failure_is_tried_again_with_what_was_reported() -> None:
    async with open_endpoint() as (scene, endpoint):

        def answer(body: Any) -> Any:
            if body["attempt"] == 2:
                return {"status": "completed", "steps": []}
            error = {"message": "no", "code": "STEP_FAILED", "retryable": True}
            return {"status": "failed", "steps": [row(body, "a:0", 1)], "error": error}

        endpoint.answer = answer
        run_id = await scene.emit()
        await scene.advance("1s")
        status = await scene.status(run_id)

    assert status == "completed"
    assert [each["name"] for each in endpoint.bodies[1]["steps"]] == ["a"]


async def test_an_endpoint_that_refuses_is_called_again() -> None:
    async with open_endpoint() as (scene, endpoint):
        endpoint.status = 401
        endpoint.answer = lambda body: {
            "error": {"code": "SIGNATURE_INVALID", "message": "bad"}
        }
        run_id = await scene.emit()
        waiting = await scene.status(run_id)
        steps = await scene.server.get(f"/api/v1/runs/{run_id}/steps")
        endpoint.status = 200
        endpoint.answer = lambda body: {"status": "completed"}
        await scene.advance("1s")
        status = await scene.status(run_id)

    error = steps["steps"][0]["attempts"][0]["error"]
    assert error["code"] == "ENDPOINT_ERROR"
    assert "401 SIGNATURE_INVALID: bad" in error["message"]
    assert (waiting, status) == ("running", "completed")
    assert endpoint.bodies[1]["attempt"] == 2


async def test_a_line_that_breaks_and_an_answer_that_is_none_are_faults() -> None:
    broken = [httpx.ConnectError("refused"), b"<html>", {"status": "progress"}]
    async with open_endpoint(retry={"maxAttempts": 9}) as (scene, endpoint):
        endpoint.answer = lambda body: broken[body["attempt"] - 1]
        run_id = await scene.emit()
        await scene.advance("10s")
        run = await scene.run(run_id)
        steps = await scene.server.get(f"/api/v1/runs/{run_id}/steps")

    codes = [each["error"]["code"] for each in steps["steps"][0]["attempts"]]
    assert codes == ["CONNECTION_LOST", "ENDPOINT_ERROR", "NOT_CONFIGURED"]
    assert run["status"] == "failed"  # the same call would give the same answer


async def test_an_endpoint_that_hangs_is_left(autojump_clock: object) -> None:
    async with open_endpoint() as (scene, endpoint):
        endpoint.answer = lambda body: None
        run_id = await scene.emit()
        await trio.sleep(11)
        await scene.settle()
        steps = await scene.server.get(f"/api/v1/runs/{run_id}/steps")

    error = steps["steps"][0]["attempts"][0]["error"]
    assert (error["code"], "10 s" in error["message"]) == ("TIMEOUT", True)


async def test_an_open_circuit_holds_runs_back_without_attempts() -> None:
    """Five faults in a row open it for a minute; one run finds out for all."""
    async with open_endpoint() as (scene, endpoint):
        endpoint.answer = lambda body: httpx.ConnectError("refused")
        for number in range(5):
            await scene.emit({"n": number})
        calls = len(endpoint.requests)
        late = await scene.emit({"n": 9})
        await scene.advance("59s")
        held = (len(endpoint.requests), await scene.status(late))
        endpoint.answer = lambda body: {"status": "completed"}
        await scene.advance("1s")
        status = await scene.status(late)

    assert (calls, held) == (5, (5, "queued"))
    assert status == "completed"
    assert len(endpoint.requests) == 11
    assert endpoint.bodies[5]["attempt"] in {1, 2}


async def test_a_failed_probe_opens_the_circuit_for_longer() -> None:
    async with open_endpoint() as (scene, endpoint):
        endpoint.answer = lambda body: httpx.ConnectError("refused")
        for number in range(5):
            await scene.emit({"n": number})

        await scene.advance("60s")
        probed = len(endpoint.requests)
        await scene.advance("119s")
        held = len(endpoint.requests)
        await scene.advance("1s")
        again = len(endpoint.requests)

    assert (probed, held, again) == (6, 6, 7)


async def test_a_cancelled_run_ends_its_call() -> None:
    async with open_endpoint() as (scene, endpoint):
        endpoint.answer = lambda body: None
        run_id = await scene.emit()

        await scene.server.post(f"/api/v1/runs/{run_id}/cancel")
        await scene.settle()
        status = await scene.status(run_id)

    assert status == "cancelled"


async def test_calls_do_not_wait_for_each_other() -> None:
    """More than the hundred that a client lets through at once if nobody says more."""
    arrived = 0
    all_there = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal arrived
        received = b""
        while b"\r\n\r\n" not in received:
            received += await stream.receive_some()
        arrived += 1
        if arrived == 120:
            all_there.set()
        await all_there.wait()
        await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await stream.aclose()

    dialing = Dialing(Reach())
    async with trio.open_nursery() as nursery, dialing.once() as client:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        statuses: list[int] = []

        async def call() -> None:
            answer = await client.post(f"http://127.0.0.1:{port}/", content=b"")
            statuses.append(answer.status_code)

        async with trio.open_nursery() as calls:
            for _ in range(120):
                calls.start_soon(call)
        nursery.cancel_scope.cancel()

    assert statuses == [200] * 120
