"""Requests to a whole server in memory: no answer is the server's fault.

An input is a list of requests: the number of a route, flags, two bytes of length, a body. The
body of a GET is its query.
"""

from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec
import pytest
import trio
from trio.testing import MockClock

from ironflow.transport.http.messages import Answer, Headers, Request, Response
from ironflow.transport.rest import ENDPOINTS
from ironflow.transport.rpc.routes import SERVED
from ironflow.wire import protobuf_encode
from ironflow.wire.proto.ironflow import TriggerRequest
from tests.fuzz.connections import silence
from tests.fuzz.messages import REGISTERED, REPORTS
from tests.fuzz.target import Target
from tests.transport.calling import PACKAGE
from tests.transport.conftest import Server, open_server

_WORKER: Final = "/api/v1/workers/w"
_ROUTES: Final[tuple[tuple[str, str], ...]] = (
    *((each.method, each.path) for each in ENDPOINTS),
    ("POST", f"{_WORKER}/register"),
    ("POST", f"{_WORKER}/heartbeat"),
    ("GET", f"{_WORKER}/jobs"),
    ("PUT", f"{_WORKER}/jobs/{{id}}/ack"),
    ("PUT", f"{_WORKER}/jobs/{{id}}"),
    *(
        ("POST", f"{PACKAGE}{name}/{method}")
        for name, (service, procedures) in sorted(SERVED.items())
        for method in service
        if method in procedures
    ),
    ("POST", f"{PACKAGE}WorkerService/Connect"),
)
_FORMS: Final = (
    "application/json",
    "application/proto",
    "application/connect+json",
    "application/connect+proto",
)
_IDS: Final = ("process-order", "w", "run_" + "0" * 32, "%ff", "evt_1", "a/b", "")
_REQUESTS_MAX: Final = 6
_PIECES_MAX: Final = 20
_UNIMPLEMENTED: Final = 501


def requests(data: bytes) -> None:
    """Send them one after the other; whatever is logged as an error is a finding."""
    with silence(only_tracebacks=True), pytest.MonkeyPatch.context() as patch:
        # Nothing moves the clock of this server, so nobody may wait for a run.
        patch.setattr("ironflow.limits.RESULT_WAIT_US_MAX", 0)
        trio.run(_send_all, data, clock=MockClock(autojump_threshold=0))


async def _send_all(data: bytes) -> None:
    async with open_server() as server:
        known = [*_IDS, await server.emit("approval.asked")]
        for _ in range(_REQUESTS_MAX):
            if len(data) < _HEAD_BYTES:
                return
            size = int.from_bytes(data[2:_HEAD_BYTES])
            head, body = data[:2], data[_HEAD_BYTES : _HEAD_BYTES + size]
            data = data[_HEAD_BYTES + size :]
            await _send(server, _request(head, body, known))


_HEAD_BYTES: Final = 4


def _request(head: bytes, body: bytes, known: list[str]) -> Request:
    method, path = _ROUTES[head[0] % len(_ROUTES)]
    while "{" in path:
        begin, _, rest = path.partition("{")
        path = begin + known[head[1] // 8 % len(known)] + rest.partition("}")[2]
    headers = [("content-type", _FORMS[head[1] % len(_FORMS)])]
    if head[1] & 4:
        headers.append(("content-encoding", "gzip"))
    query = body.decode("latin-1") if method == "GET" else ""
    return Request(
        method,
        path,
        query=query,
        headers=Headers(headers),
        body=b"" if method == "GET" else body,
    )


async def _send(server: Server, request: Request) -> None:
    answer: Answer | None = None
    with trio.move_on_after(100):
        answer = await server.handler(request)
    if isinstance(answer, Response):
        status = answer.status
        assert status < 500 or status == _UNIMPLEMENTED, (request.path, answer.body)
        if not isinstance(answer.body, bytes):
            with trio.move_on_after(100):
                await _drain(answer.body)
    await server.harness.clock.settle()


async def _drain(body: AsyncIterator[bytes]) -> None:
    for _ in range(_PIECES_MAX):
        if await anext(body, None) is None:
            return


# --- seeds --------------------------------------------------------------------------------


def _asked(path: str, body: bytes, flags: int = 0) -> bytes:
    [number] = [at for at, route in enumerate(_ROUTES) if route[1].endswith(path)][:1]
    return bytes([number, flags]) + len(body).to_bytes(2) + body


_encode: Final[Callable[[object], bytes]] = msgspec.json.encode
_RUN: Final = len(_IDS) * 8  # the flag of the run that is there
_EVENT: Final = {"name": "order.placed", "data": {"id": "o", "total": 3}}
_TRIGGER: Final = TriggerRequest(event="order.placed", data={"id": "o"})
_PULLED: Final = {**REGISTERED, "preferredMode": "EXECUTION_MODE_PULL", "triggers": []}
_JOB: Final = {"worker_id": "w", "function_ids": ["hello"], "max_concurrent_jobs": 2}
_SEEDS: Final = [
    _asked("/api/v1/events", _encode(_EVENT)),
    _asked("IronflowService/Trigger", protobuf_encode.encode(_TRIGGER), 1),
    _asked("IronflowService/ListRuns", b'{"status":"FAILED","limit":2}'),
    _asked("IronflowService/RegisterFunction", _encode(_PULLED))
    + _asked("/register", _encode(_JOB))
    + _asked("/invoke", b"{}")
    + _asked("/jobs", b"available=2&wait=0"),
    _asked("/jobs/{id}", _encode(REPORTS[0] | {"lease_token": "t"}), _RUN),
    _asked("/steps/patch", b'{"run_id":"r","step_id":"a:0","output":1}', _RUN),
    _asked("/api/v1/runs", b"limit=2&status=failed&cursor=1"),
    _asked("WorkerService/Connect", b"\0\0\0\0\2{}", 2),
]
TARGETS: Final = (
    Target("requests", requests, _SEEDS, [b"null", b"{", b"1e999", b"%00"], many=40),
)
