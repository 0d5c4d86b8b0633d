"""Values are sent as they would be stored, or refused with their path."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ironflow import values
from ironflow.client.payload import encoded, json_value
from ironflow.errors import ValueRejected


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"a": [1, 2.5, True, "ü", None]},
        2**63,
        [],
        (1, 2),
        Decimal("1.10"),
    ],
)
def test_json_has_what_is_stored(value: Any) -> None:
    sent = json.loads(encoded(json_value(value)))

    assert sent == values.to_json(values.encode(value))


def test_a_time_is_a_text() -> None:
    sent = json.loads(encoded(json_value({"at": datetime(2030, 1, 1, tzinfo=UTC)})))

    assert sent == {"at": "2030-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"photo": b"123"}, "$.photo"),
        ([1, float("nan")], "$[1]"),
        ({"a": [{"b": float("-inf")}]}, "$.a[0].b"),
        ({"a": object()}, "$.a"),
    ],
)
def test_what_json_lacks_is_refused_with_its_path(value: Any, path: str) -> None:
    with pytest.raises(ValueRejected) as caught:
        json_value(value)

    assert caught.value.path == path
    assert path in str(caught.value)


def test_only_texts_are_keys() -> None:
    with pytest.raises(ValueRejected):
        json_value({1: "a"})
