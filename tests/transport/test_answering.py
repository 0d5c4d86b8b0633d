"""Every request gets an answer, and every error the same shape."""

import logging

import pytest

from ironflow.errors import JournalFull
from ironflow.transport.answering import answering
from ironflow.transport.http.messages import Answer, HttpError, Request, Response
from tests.transport.conftest import Server


async def test_an_unknown_path_is_not_found(server: Server) -> None:
    found = await server.request("GET", "/api/v1/nothing")

    assert found.status == 404
    assert found.document["code"] == "not_found"
    assert found.document["error"] == "there is nothing at /api/v1/nothing"


async def test_an_unknown_method_is_told_which_there_are(server: Server) -> None:
    found = await server.request("DELETE", "/api/v1/events")

    assert found.status == 405
    assert "POST" in (found.headers.get("allow") or "")
    assert found.document["code"] == "unimplemented"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Ironflow-Environment": "default"}, 200),
        ({"X-Ironflow-Environment-ID": "default"}, 200),
        ({"X-Ironflow-Environment": ""}, 200),
        ({"X-Ironflow-Environment": "production"}, 404),
        ({"X-Ironflow-Environment-ID": "env_1"}, 404),
    ],
)
async def test_another_environment_is_not_here(
    server: Server, headers: dict[str, str], status: int
) -> None:
    found = await server.request("GET", "/api/v1/runs", headers=headers)

    assert found.status == status


async def test_health_does_not_depend_on_the_environment(server: Server) -> None:
    found = await server.request(
        "GET", "/health", headers={"X-Ironflow-Environment": "production"}
    )

    assert found.status == 200


async def test_a_bug_is_logged_and_the_client_told_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def buggy(request: Request) -> Answer:
        raise KeyError("secret")

    found = await answering(buggy, environment="default")(Request("GET", "/x"))

    assert isinstance(found, Response)
    assert found.status == 500
    assert b"secret" not in bytes(found.body)  # type: ignore[arg-type]  # it is bytes
    assert "KeyError: 'secret'" in caplog.text


async def test_what_is_the_server_s_fault_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def full(request: Request) -> Answer:
        raise JournalFull("no space for this commit")

    found = await answering(full, environment="default")(Request("POST", "/x"))

    assert isinstance(found, Response)
    assert found.status == 503
    assert b'"retryable":true' in bytes(found.body)  # type: ignore[arg-type]  # bytes
    assert ("retry-after", "1") in found.headers
    assert "POST /x: no space for this commit" in caplog.text


async def test_headers_of_an_error_are_sent() -> None:
    async def limited(request: Request) -> Answer:
        raise HttpError(
            429, "resource_exhausted", "wait", headers=[("retry-after", "1")]
        )

    found = await answering(limited, environment="default")(Request("GET", "/x"))

    assert isinstance(found, Response)
    assert ("retry-after", "1") in found.headers


async def test_a_request_is_logged_for_debugging_only(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="ironflow.http"):
        await server.get("/health")
    quiet = len(caplog.records)
    with caplog.at_level(logging.INFO, logger="ironflow.http"):
        await server.get("/health")

    assert caplog.records[0].getMessage().startswith("GET /health 200 in")
    assert len(caplog.records) == quiet == 1
