"""A server without keys answers its own machine, and no page of another."""

import pytest

from tests.transport.conftest import open_server


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "127.0.0.1:9123"}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "[::1]:9123"}, 200),
        ({"host": "shop.localhost:9123"}, 200),
        ({"host": "LOCALHOST:9123", "origin": "http://localhost:5173"}, 200),
        ({"host": "localhost", "origin": "https://example.com"}, 403),
        ({"host": "localhost", "origin": "null"}, 403),
        ({"host": "localhost", "origin": ""}, 403),
        ({"host": "localhost", "origin": "http://localhost.example.com"}, 403),
        ({"host": "rebound.example.com:9123"}, 403),
        ({"host": "[::1"}, 403),
    ],
)
async def test_pages_of_others_are_refused(
    headers: dict[str, str], status: int
) -> None:
    async with open_server(is_dev=True) as server:
        found = await server.request("GET", "/api/v1/runs", headers=headers)

        assert found.status == status
        if status == 403:
            assert found.document["code"] == "permission_denied"


async def test_a_server_with_keys_may_be_asked_from_anywhere() -> None:
    """A page of another machine has no key."""
    async with open_server() as server:
        found = await server.request(
            "GET", "/health", headers={"host": "api.example.com"}
        )

        assert found.status == 200
