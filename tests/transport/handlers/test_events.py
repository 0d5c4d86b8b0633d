"""Events over REST."""

import gzip
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


async def test_a_body_may_be_compressed(server: Server) -> None:
    body = gzip.compress(b'{"name": "order.shipped", "data": 5}')

    found = await server.request(
        "POST", EVENTS, body, headers={"content-encoding": "gzip"}
    )

    assert found.status == 200
    [stored] = server.harness.events()
    assert bytes(stored.event.data) == b"\x05"


async def test_a_body_that_is_too_large_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ironflow.limits.HTTP_BODY_BYTES_DEFAULT", 100)

    found = await server.request("POST", EVENTS, {"name": "a", "data": "x" * 100})

    assert found.status == 413
    assert found.document["code"] == "resource_exhausted"
    assert found.document["error"] == "the body is larger than 100 bytes"
    assert found.document["retryable"] is False


async def test_a_value_that_is_too_large_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ironflow.limits.VALUE_BYTES_MAX", 100)

    found = await server.request("POST", EVENTS, {"name": "a", "data": "x" * 100})

    assert found.status == 400
    assert "the limit is 100" in found.document["message"]


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


# --- lists ----------------------------------------------------------------------------


async def fill(server: Server, count: int) -> list[str]:
    """Emit events, a second apart; return their ids, newest first."""
    made = []
    for number in range(count):
        name = "order.shipped" if number % 2 else "order.packed"
        source = "shop" if number % 3 else "api"
        found = await server.post(
            EVENTS, {"name": name, "data": {"number": number}, "source": source}
        )
        made.append(found["id"])
        await server.harness.advance("1s")
    return made[::-1]


async def test_events_are_listed_newest_first(server: Server) -> None:
    made = await fill(server, 3)

    found = await server.get(EVENTS)

    assert [each["id"] for each in found["events"]] == made
    assert (found["count"], found["limit"]) == (3, 20)
    assert (found["has_next"], found["has_prev"]) == (False, False)
    assert "next_cursor" not in found
    assert "prev_cursor" not in found
    newest = found["events"][0]
    assert newest["data"] == {"number": 2}
    assert newest["processed"] is True
    assert newest["timestamp"] == newest["created_at"]
    assert newest["position"] == 3


async def test_pages_of_events_lead_to_older_ones_and_back(server: Server) -> None:
    made = await fill(server, 7)

    first = await server.get(f"{EVENTS}?limit=3")
    second = await server.get(f"{EVENTS}?limit=3&cursor={first['next_cursor']}")
    third = await server.get(f"{EVENTS}?limit=3&cursor={second['next_cursor']}")
    back = await server.get(f"{EVENTS}?limit=3&before={third['prev_cursor']}")
    start = await server.get(f"{EVENTS}?limit=3&before={back['prev_cursor']}")

    pages = [[each["id"] for each in page["events"]] for page in (first, second, third)]
    assert pages == [made[:3], made[3:6], made[6:]]
    assert third["has_next"] is False
    assert back["events"] == second["events"]
    assert start["events"] == first["events"]
    assert (start["has_prev"], start["has_next"]) == (False, True)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("name=order.packed", [4, 2, 0]),
        ("name=order.*", [4, 3, 2, 1, 0]),
        ("names=order.shipped,order.lost", [3, 1]),
        ("source=api", [3, 0]),
        ("search=SHIPPED", [3, 1]),
        ("search=number%22:4", [4]),
        ("until=2001-01-01T00:00:00Z", []),
        ("name=order.packed&limit=2", [4, 2]),
        ("name=order.packed&limit=1&before=1", [2]),
        ("before=4", [4]),
        ("before=5", []),
    ],
)
async def test_events_are_found_by_what_they_are(
    server: Server, query: str, numbers: list[int]
) -> None:
    await fill(server, 5)

    found = await server.get(f"{EVENTS}?{query}")

    assert [each["data"]["number"] for each in found["events"]] == numbers


async def test_newer_events_are_sought_through_many_others(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ironflow.transport.event_pages._WINDOW", 2)
    await fill(server, 9)

    found = await server.get(f"{EVENTS}?name=order.packed&limit=2&before=1")

    assert [each["data"]["number"] for each in found["events"]] == [4, 2]
    assert found["has_prev"] is True


async def test_no_page_looks_at_too_many_events(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ironflow.transport.event_pages._WINDOW", 2)
    monkeypatch.setattr("ironflow.limits.EVENTS_SEARCHED_MAX", 4)
    await fill(server, 9)

    found = await server.get(f"{EVENTS}?name=order.lost&before=1")
    more = await server.get(f"{EVENTS}?name=order.lost&before={found['prev_cursor']}")

    assert found["events"] == []
    assert found["prev_cursor"] == "5"
    assert "prev_cursor" not in more


async def test_an_event_is_found_by_its_id(server: Server) -> None:
    [event_id] = await fill(server, 1)

    found = await server.get(f"{EVENTS}/{event_id}")

    assert found["id"] == event_id
    assert found["name"] == "order.packed"


async def test_an_event_that_is_not_there_is_not_found(server: Server) -> None:
    found = await server.request("GET", f"{EVENTS}/evt_{'0' * 32}")

    assert found.status == 404
    assert found.document["code"] == "not_found"


async def test_names_of_events_are_counted(server: Server) -> None:
    await fill(server, 3)

    found = await server.get(f"{EVENTS}/names")

    assert [(each["name"], each["count"]) for each in found["names"]] == [
        ("order.packed", 2),
        ("order.shipped", 1),
    ]
    assert found["names"][0]["first_at"] < found["names"][0]["last_at"]
    assert (found["scanned"], found["truncated"]) == (3, False)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (f"{EVENTS}?cursor=x", "is no cursor"),
        (f"{EVENTS}?before=-1", "is no cursor"),
        (f"{EVENTS}?cursor=1234567890123456789", "is no cursor"),
        (f"{EVENTS}?limit=0", "1 or more"),
        (f"{EVENTS}?name=a..b", "name="),
        (f"{EVENTS}?names=%00", "cannot be shown"),
        (f"{EVENTS}?since=now", "not a time"),
        (f"{EVENTS}/names?until=now", "not a time"),
    ],
)
async def test_what_is_wrong_in_a_question_is_said(
    server: Server, path: str, says: str
) -> None:
    found = await server.request("GET", path)

    assert found.status == 400
    assert says in found.document["message"]
