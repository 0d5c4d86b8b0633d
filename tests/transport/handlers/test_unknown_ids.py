"""What is asked by an id that nothing can have."""

import pytest

from tests.transport.conftest import Server

RUNS = "/api/v1/runs"
EVENTS = "/api/v1/events"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{RUNS}/run_1"),
        ("GET", f"{RUNS}/run_1/steps"),
        ("POST", f"{RUNS}/run_1/cancel"),
        ("POST", f"{RUNS}/run_1/pause"),
        ("POST", f"{RUNS}/run_1/resume"),
        ("POST", f"{RUNS}/run_1/redact"),
        ("DELETE", f"{RUNS}/x"),
        ("GET", f"{EVENTS}/evt_1"),
        ("POST", f"{EVENTS}/evt_1/redact"),
    ],
)
async def test_an_id_of_another_form_is_not_found_either(
    server: Server, method: str, path: str
) -> None:
    """Ids are opaque to clients: one that nothing can have is like one that nothing has."""
    found = await server.request(method, path)

    assert (found.status, found.document["code"]) == (404, "not_found")
    assert "looks like" in found.document["message"]
