"""The REST surface described as OpenAPI 3.1, from its table of endpoints."""

import re
from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec

import ironflow
from ironflow.transport.handlers.endpoint import Endpoint, Nothing
from ironflow.wire.answers import FailureDocument

_REFERENCE: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")

Schema = dict[str, Any]


def encoded(endpoints: Sequence[Endpoint[Any, Any]]) -> bytes:
    """Return the description as JSON."""
    return msgspec.json.encode(described(endpoints))


def described(endpoints: Sequence[Endpoint[Any, Any]]) -> Schema:
    """Return the description of a REST surface."""
    schemas, components = _schemas(endpoints)
    paths: dict[str, dict[str, Schema]] = {}
    for endpoint in endpoints:
        operations = paths.setdefault(endpoint.path, {})
        operations[endpoint.method.lower()] = _operation(endpoint, schemas, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ironflow",
            "version": ironflow.__version__,
            "description": (
                "Names may be camelCase, unknown fields are passed over, null is the"
                " same as absent. Times are RFC 3339 in UTC."
            ),
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


def _schemas(
    endpoints: Sequence[Endpoint[Any, Any]],
) -> tuple[dict[type, Schema], dict[str, Schema]]:
    kinds: dict[type, None] = {FailureDocument: None}
    for endpoint in endpoints:
        for kind in (
            endpoint.returns,
            endpoint.query,
            _body_of(endpoint),
            *endpoint.other_answers.values(),
        ):
            if kind is not None and kind is not Nothing:
                kinds[kind] = None
    found, components = msgspec.json.schema_components(
        list(kinds), ref_template=_REFERENCE
    )
    schemas = dict(zip(kinds, found, strict=True))
    return schemas, cast("dict[str, Schema]", components)


def _operation(
    endpoint: Endpoint[Any, Any],
    schemas: dict[type, Schema],
    components: dict[str, Schema],
) -> Schema:
    answers: dict[str, Schema] = {
        str(endpoint.status): {"description": "It is done."}
        if endpoint.returns is None
        else _answer("What was asked for.", schemas[endpoint.returns]),
        **{
            str(status): _answer("See its document.", schemas[kind])
            for status, kind in endpoint.other_answers.items()
        },
        "default": _answer("Why it was not done.", schemas[FailureDocument]),
    }
    operation: Schema = {
        "summary": endpoint.summary,
        "operationId": getattr(endpoint.answer, "__name__", endpoint.path),
        "tags": [endpoint.path.strip("/").removeprefix("api/v1/").partition("/")[0]],
        "parameters": _parameters(endpoint, components),
        "responses": answers,
    }
    body = _body_of(endpoint)
    if body is not Nothing:
        schema = schemas[body]
        required = components[body.__name__].get("required", [])
        operation["requestBody"] = {
            "required": bool(required),
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _body_of(endpoint: Endpoint[Any, Any]) -> type:
    return endpoint.described_body or endpoint.body


def _parameters(
    endpoint: Endpoint[Any, Any], components: dict[str, Schema]
) -> list[Schema]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(endpoint.path)
    ]
    if endpoint.query is not Nothing:
        properties = components[endpoint.query.__name__]["properties"]
        found.extend(
            {"name": name, "in": "query", "required": False, "schema": schema}
            for name, schema in properties.items()
        )
    return found


def _answer(description: str, schema: Schema) -> Schema:
    return {
        "description": description,
        "content": {"application/json": {"schema": schema}},
    }
