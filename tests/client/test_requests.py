"""What goes to the server with each call, and nothing besides."""

import httpx
import pytest

import ironflow
from ironflow import limits
from ironflow.client import calls, requests
from ironflow.client.requests import Requests
from tests.client.conftest import answer, scripted

RUN = "run_" + "0" * 32
STOOD = {"id": RUN, "function_id": "f", "status": "completed"}
HEADERS = [("accept", "application/json"), ("authorization", "Bearer key")]


def test_a_request_has_the_headers_of_all_and_those_of_its_body() -> None:
    made = Requests("http://server/base", HEADERS)

    get = made.request(calls.get_run(RUN), timeout=7)
    post = made.request(calls.emit("a", {"x": 1}), timeout=7)

    assert get.method == "GET"
    assert str(get.url) == f"http://server/base/api/v1/runs/{RUN}"
    assert get.headers["authorization"] == "Bearer key"
    assert get.headers["host"] == "server"
    assert "content-type" not in get.headers
    assert get.content == b""
    assert post.headers["content-type"] == "application/json"
    assert post.headers["content-length"] == str(len(post.content))
    assert get.extensions["timeout"] == {
        "connect": 7,
        "read": 7,
        "write": 7,
        "pool": 7,
    }


def test_a_query_is_encoded() -> None:
    made = Requests("http://server", HEADERS)

    call = calls.list_runs(function_id="a&b=ü", statuses=["failed", "paused"])
    found = made.request(call, timeout=1)

    assert dict(found.url.params) == {
        "status": "failed,paused",
        "function_id": "a&b=ü",
        "limit": "50",
    }
    assert found.url.path == "/api/v1/runs"


def test_addresses_are_remembered_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    url = httpx.URL

    def counted(text: str) -> httpx.URL:
        read.append(text)
        return url(text)

    monkeypatch.setattr(requests, "parsed_url", counted)
    made = Requests("http://server", HEADERS)
    for _ in range(3):
        made.request(calls.health(), timeout=1)
    once = len(read)
    for number in range(limits.CLIENT_URLS_KNOWN_MAX):
        made.request(calls.get_run(f"run_{number:032x}"), timeout=1)
    found = made.request(calls.health(), timeout=1)

    assert once == 1
    assert len(read) == limits.CLIENT_URLS_KNOWN_MAX + 2
    assert str(found.url) == "http://server/health"


async def test_what_httpx_adds_to_every_request_is_there() -> None:
    client, transport = scripted(answer(STOOD))

    await client.get_run(RUN)

    [sent] = transport.requests
    assert sent.headers["accept"] == "application/json"
    assert sent.headers["user-agent"] == f"ironflow-python/{ironflow.__version__}"
    assert "gzip" in sent.headers["accept-encoding"]
    assert sent.headers["connection"] == "keep-alive"


async def test_cookies_are_not_kept() -> None:
    """A proxy may set some: a server knows its clients by their keys."""
    cookie = [("set-cookie", "seen=1; Path=/")]
    first = httpx.Response(200, headers=cookie, json=STOOD)
    client, transport = scripted(first, answer(STOOD))

    await client.get_run(RUN)
    await client.get_run(RUN)

    assert ["cookie" in each.headers for each in transport.requests] == [False, False]
