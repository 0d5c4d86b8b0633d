"""Stored values as JSON can show them."""

import json
import math
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow import limits, values
from ironflow.errors import ValueRejected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, "b", None, True, 2.5]}, {"a": [1, "b", None, True, 2.5]}),
        (b"\x00\xff", {"$bytes": "AP8="}),
        ([datetime(2030, 1, 31, 9, tzinfo=UTC)], ["2030-01-31T09:00:00+00:00"]),
        (math.nan, {"$float": "nan"}),
        ([-math.inf], [{"$float": "-inf"}]),
    ],
)
def test_a_stored_value_is_shown(value: object, expected: object) -> None:
    """What JSON lacks has a stand-in that says what it was."""
    assert values.to_json(values.encode(value)) == expected


def test_keys_that_others_wrote_are_shown_as_text() -> None:
    """A bundle from elsewhere may have numbers for keys."""
    data = msgspec.Raw(msgspec.msgpack.encode({1: "a"}))

    assert values.to_json(data) == {"1": "a"}


def test_a_value_too_deep_to_show_is_refused() -> None:
    """It was not made by us; whoever looks at it must not crash."""
    deepest = b"\x91" * limits.VALUE_DEPTH_MAX + b"\xc0"

    assert values.to_json(deepest) == values.decode(deepest)
    with pytest.raises(ValueRejected, match="nested deeper than 200 levels"):
        values.to_json(b"\x91" + deepest)


@given(st.binary())
def test_any_bytes_are_shown_or_refused(data: bytes) -> None:
    """What is shown is JSON to the letter."""
    try:
        shown = values.to_json(data)
    except ValueRejected:
        return
    json.dumps(shown, allow_nan=False)
