"""The description of the REST surface says what there is."""

import json
import re
from typing import Any

import pytest

from ironflow.transport import openapi
from ironflow.transport.handlers.endpoint import Endpoint
from ironflow.transport.rest import ENDPOINTS
from tests.transport.conftest import Server

DESCRIPTION = openapi.described(ENDPOINTS)


def test_every_endpoint_is_described_once() -> None:
    described = [
        (method.upper(), path)
        for path, operations in DESCRIPTION["paths"].items()
        for method in operations
    ]

    assert sorted(described) == sorted((each.method, each.path) for each in ENDPOINTS)


def test_names_of_operations_are_unique() -> None:
    names = [
        operation["operationId"]
        for operations in DESCRIPTION["paths"].values()
        for operation in operations.values()
    ]

    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DESCRIPTION)

    named = set(re.findall(r'"#/components/schemas/([^"]+)"', text))

    assert named <= DESCRIPTION["components"]["schemas"].keys()


def test_an_endpoint_says_what_it_takes() -> None:
    emit = DESCRIPTION["paths"]["/api/v1/events"]["post"]
    steps = DESCRIPTION["paths"]["/api/v1/runs/{id}/steps"]["get"]

    assert emit["requestBody"]["required"] is True
    assert [each["name"] for each in emit["parameters"]] == ["wait"]
    assert steps["parameters"] == [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    ]
    assert "requestBody" not in steps


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: each.answer.__name__)
def test_every_endpoint_says_what_it_is_for(endpoint: Endpoint[Any, Any]) -> None:
    assert endpoint.summary.endswith(".")
    assert endpoint.answer.__doc__


async def test_the_server_gives_its_description(server: Server) -> None:
    found = await server.get("/api/v1/openapi.json")

    assert found == json.loads(json.dumps(DESCRIPTION))
