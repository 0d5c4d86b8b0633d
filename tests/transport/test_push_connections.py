"""Connections to endpoints: what is sent behind an answer is nobody's."""

import json
from contextlib import suppress
from typing import Any

import pytest
import trio

from ironflow import limits
from ironflow.transport import rest
from ironflow.transport.segment_part import Segments
from tests.transport.conftest import open_server
from tests.transport.segment_scene import Scene
from tests.transport.test_segment_push import open_endpoint

HEAD_END = b"\r\n\r\n"


def answer(request: bytes) -> bytes:
    """Complete a run with its own id."""
    run_id = json.loads(request.partition(HEAD_END)[2])["run_id"]
    body = json.dumps({"status": "completed", "result": run_id}).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}".encode()
    return head + HEAD_END + body


async def answer_twice(stream: trio.SocketStream) -> None:
    """Give each request on a connection its answer two times, in one piece."""
    request = b""
    with suppress(trio.BrokenResourceError):  # the rest may not be wanted
        async for piece in stream:
            request += piece
            if b"{" in request and request.endswith(b"}"):
                await stream.send_all(answer(request) * 2)
                request = b""


async def test_an_answer_that_comes_twice_is_not_taken_for_that_of_another_run() -> (
    None
):
    parts = (rest.routes, Segments().routes)
    async with trio.open_nursery() as nursery, open_server(parts=parts) as server:
        listeners = await nursery.start(trio.serve_tcp, answer_twice, 0)
        port = listeners[0].socket.getsockname()[1]
        scene = Scene(server)
        url = f"http://127.0.0.1:{port}/ironflow"
        await scene.function(preferredMode="push", endpointUrl=url)
        runs = [await scene.emit({"number": number}) for number in range(3)]
        ended = [await scene.server.get(f"/api/v1/runs/{run}?wait=5s") for run in runs]
        nursery.cancel_scope.cancel()

    assert [each["output"] for each in ended] == runs


async def test_a_call_that_waits_for_others_is_not_late(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    """An endpoint is given its whole time, however many calls are before."""
    monkeypatch.setattr(limits, "SEGMENT_CALLS_MAX", 1)
    async with open_endpoint() as (scene, endpoint):

        async def answer_slowly(body: Any) -> dict[str, str]:
            await trio.sleep(6)
            return {"status": "completed"}

        endpoint.answer = answer_slowly
        runs = [await scene.emit({"number": number}) for number in range(3)]
        await trio.sleep(20)
        await scene.settle()
        attempts = [body["attempt"] for body in endpoint.bodies]
        statuses = [await scene.status(run) for run in runs]

    assert statuses == ["completed"] * 3
    assert attempts == [1, 1, 1]
