"""Events over REST."""

from typing import Any

import pytest
import trio

from ironflow.transport.http.messages import Headers, Request
from tests.transport.conftest import Server

EVENTS = "/api/v1/events"


async def test_an_event_is_stored_and_starts_its_runs(server: Server) -> None:
    found = await server.post(
        EVENTS, {"name": "order.placed", "data": {"id": "o1", "total": 3}}
    )

    assert found["id"] == found["event_id"]
    assert found["duplicate"] is False
    assert "runs" not in found
    [stored] = server.harness.events()
    assert stored.event.id == found["event_id"]
    assert stored.event.source == "api"
    assert list(stored.run_ids) == found["run_ids"]


@pytest.mark.parametrize("name", ["idempotency_key", "idempotencyKey"])
async def test_a_key_gives_the_first_answer_again(server: Server, name: str) -> None:
    event = {"name": "order.placed", "data": {"id": "o1"}, name: "k1"}

    first = await server.post(EVENTS, event)
    second = await server.post(EVENTS, event)

    assert second == {**first, "duplicate": True}
    assert len(server.harness.events()) == 1


async def test_everything_an_event_has_is_kept(server: Server) -> None:
    await server.post(
        EVENTS,
        {
            "name": "order.shipped",
            "data": [1, None, "x"],
            "metadata": {"tenant": "t1", "depth": {"is": 2}},
            "version": "3",
            "source": "sdk",
            "unknown": True,
        },
    )

    [stored] = server.harness.events()
    assert stored.event.version == 3
    assert stored.event.source == "sdk"
    assert stored.event.metadata == {"tenant": "t1", "depth": '{"is":2}'}


async def test_null_is_the_same_as_absent(server: Server) -> None:
    found = await server.post(
        EVENTS,
        {
            "name": "order.shipped",
            "idempotency_key": None,
            "metadata": None,
            "version": None,
        },
    )

    assert found["run_ids"] == []


async def test_who_waits_gets_the_runs(server: Server) -> None:
    found = await server.post(
        f"{EVENTS}?wait=30", {"name": "order.placed", "data": {"id": "o1", "total": 3}}
    )

    [run] = found["runs"]
    assert run["id"] == found["run_ids"][0]
    assert run["status"] == "completed"
    assert run["output"] == {"order": "o1", "receipt": "charged 3"}
    assert run["event"]["data"] == {"id": "o1", "total": 3}


async def test_who_waits_for_nothing_gets_no_runs(server: Server) -> None:
    found = await server.post(f"{EVENTS}?wait=30", {"name": "order.shipped"})

    assert found["runs"] == []


async def test_a_run_that_takes_longer_is_given_as_it_is(server: Server) -> None:
    answers: list[Any] = []

    async def wait() -> None:
        answers.append(
            await server.post(f"{EVENTS}?wait=30s", {"name": "approval.asked"})
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await server.harness.advance("29s")
        before = list(answers)
        await server.harness.advance("1s")

    assert before == []
    assert answers[0]["runs"][0]["status"] == "waiting"
    assert answers[0]["runs"][0]["output"] is None


async def test_nothing_is_waited_for_when_the_client_goes_away(server: Server) -> None:
    class Going:
        """A client that leaves while it waits."""

        def __init__(self) -> None:
            self.body = b'{"name": "approval.asked"}'
            self.left = trio.Event()

        async def receive(self, *, is_timed: bool) -> bytes:
            body, self.body = self.body, b""
            return body

        def is_gone(self) -> bool:
            return self.left.is_set()

        async def wait_gone(self) -> None:
            await self.left.wait()

    client = Going()
    request = Request("POST", EVENTS, query="wait=300", headers=Headers(), body=client)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.handler, request)
        await server.harness.settle()
        assert len(nursery.child_tasks) == 1
        client.left.set()
        await trio.testing.wait_all_tasks_blocked()

        assert not nursery.child_tasks


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        (EVENTS, b"", "required field `name`"),
        (EVENTS, b"{", "not JSON"),
        (EVENTS, b"\xff", "not JSON"),
        (EVENTS, b"[1]", "is a list and must be a JSON object"),
        (EVENTS, b'"x"', "is text and must be"),
        (EVENTS, b"null", "is null and must be"),
        (EVENTS, b"true", "is true or false and must be"),
        (EVENTS, b"1.5", "is a number and must be"),
        (EVENTS, b"[" * 5000, "not JSON"),
        (EVENTS, {"name": 5}, "Expected `str`"),
        (EVENTS, {"name": "a b"}, "not a name"),
        (EVENTS, {"name": "system.run"}, "namespace of the engine"),
        (EVENTS, {"name": "a", "version": -1}, "whole number"),
        (EVENTS, {"name": "a", "version": "x"}, "Expected `int`"),
        (EVENTS, {"name": "a", "metadata": []}, "Expected `object`"),
        (
            EVENTS,
            {"name": "a", "metadata": {str(i): "" for i in range(65)}},
            "65 entries",
        ),
        (EVENTS, {"name": "a", "idempotency_key": "x" * 256}, "256 characters"),
        (EVENTS, b'{"name": "a", "data": "\\ud800"}', ""),
        (EVENTS, b'{"name": "a", "source": "\\ud800"}', ""),
        (EVENTS, b'{"name": "a", "data": 18446744073709551616}', ""),
        (EVENTS, b'{"name": "a", "data": ' + b"[" * 300 + b"]" * 300 + b"}", ""),
        (f"{EVENTS}?wait=soon", {"name": "a"}, "not a duration"),
        (f"{EVENTS}?wait=301", {"name": "a"}, "300 s at most"),
        (
            f"{EVENTS}?{'&'.join(f'a{i}=1' for i in range(99))}",
            {"name": "a"},
            "too many",
        ),
    ],
)
async def test_what_is_wrong_is_said(
    server: Server, path: str, body: Any, says: str
) -> None:
    found = await server.request("POST", path, body)

    assert found.status == 400
    document = found.document
    assert document["code"] == "invalid_argument"
    assert document["error"] == document["message"]
    assert document["retryable"] is False
    assert says in document["message"]
