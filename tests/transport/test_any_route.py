"""Whatever is sent to any route of any part, nothing is the server's fault.

REST by its description is in `test_any_request`; here are the routes of workers, streams,
keys and Connect too, with bodies that look like theirs and are not.
"""

from collections.abc import AsyncIterator

import msgspec
import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ironflow.transport.http.messages import Answer, Headers, Request, Response
from ironflow.transport.rights import PUBLIC, TABLE
from tests.transport.conftest import open_server

ROUTES = sorted({*TABLE, *PUBLIC})
RUN = "run_" + "0" * 32
UNIMPLEMENTED = 501
NAMES = [
    *("id", "run_id", "runId", "function_id", "event_id", "event", "name", "names"),
    *(
        "data",
        "data_value",
        "metadata",
        "version",
        "limit",
        "cursor",
        "status",
        "steps",
    ),
    *(
        "worker_id",
        "function_ids",
        "max_concurrent_jobs",
        "lease_token",
        "yield",
        "type",
    ),
    *("execution_seq", "step_id", "output", "error", "message", "events", "triggers"),
    *("retry", "timeout_ms", "since", "until", "idempotency_key", "topic", "roles"),
]
WORDS = st.sampled_from(
    ["", "ask", "order.placed", RUN, f"{RUN}:charge:0", "0", "-1", "null", "\x00", "é"]
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), WORDS, st.text(max_size=9)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)
FORMS = st.sampled_from(
    [
        "",
        "application/json",
        "application/proto",
        "application/connect+json",
        "application/connect+proto",
        "application/grpc",
        "text/plain",
    ]
)


def in_envelope(flags: int, payload: bytes) -> bytes:
    return bytes([flags]) + len(payload).to_bytes(4, "big") + payload


ENVELOPES = st.builds(
    in_envelope,
    st.sampled_from([0, 1, 2, 3, 255]),
    st.one_of(st.binary(max_size=40), OBJECTS.map(msgspec.json.encode)),
)
BODIES = st.one_of(
    OBJECTS.map(msgspec.json.encode),
    ENVELOPES,
    st.binary(max_size=60),
    VALUES.map(msgspec.json.encode),
)


@pytest.mark.slow
@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.sampled_from(ROUTES), WORDS, FORMS, BODIES)
def test_no_request_is_the_server_s_fault(
    route: tuple[str, str], word: str, form: str, body: bytes
) -> None:
    found = trio.run(answered, route, word, form, body)

    assert found is None or found < 500 or found == UNIMPLEMENTED


async def answered(
    route: tuple[str, str], word: str, form: str, body: bytes
) -> int | None:
    """Send a request; return its status, or None if the answer waits for something."""
    method, path = route
    for part in path.split("/"):
        if part.startswith("{"):
            path = path.replace(part, msgspec.json.encode(word).decode().strip('"'))
    headers = Headers([("content-type", form)] if form else [])
    request = Request(method, path, query="wait=1", headers=headers, body=body)
    found: list[int] = []
    async with open_server() as server, trio.open_nursery() as nursery:

        async def send() -> None:
            found.append(await status_of(await server.handler(request)))

        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return found[0] if found else None


async def status_of(answer: Answer) -> int:
    """Read what is answered to its end."""
    if not isinstance(answer, Response):
        return 101
    if isinstance(answer.body, AsyncIterator):
        async for _ in answer.body:
            pass
    return answer.status
