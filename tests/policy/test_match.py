"""Paths into events, keys of values, and patterns of names."""

import json
import math
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow import limits
from ironflow.errors import ConfigurationError
from ironflow.policy.match import (
    MATCH_KEY_BYTES,
    MISSING,
    Path,
    match_key,
    parse_path,
    parse_pattern,
    pattern_matches,
    value_at,
)

JSON_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers(-(2**64), 2**64)
    | st.floats(allow_nan=False)
    | st.sampled_from([0.0, 1.0, 2.0, -0.0, 2.0**53])
    | st.text(max_size=3)
)
JSON_VALUES = st.recursive(
    JSON_LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)
SEGMENTS = st.sampled_from(["a", "b", "order", "x1"])
NAMES = st.lists(SEGMENTS, min_size=1, max_size=4).map(".".join)
PATTERNS = st.builds(
    lambda segments, rest: ".".join([*segments, *rest]),
    st.lists(SEGMENTS | st.just("*"), min_size=1, max_size=4),
    st.sampled_from([[], [">"]]),
) | st.just(">")


def equal_json(left: object, right: object) -> bool:
    """Equality as the rules state it, naively."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal_json, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            equal_json(left[key], right[key]) for key in left
        )
    return type(left) is type(right) and left == right


# --- paths -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data.order_id", ("data", "order_id")),
        ("order_id", ("data", "order_id")),
        ("$.data.order_id", ("data", "order_id")),
        ("$.order_id", ("data", "order_id")),
        ("data.items[0].id", ("data", "items", 0, "id")),
        ("data.items.0.id", ("data", "items", 0, "id")),
        ("rows[1][2]", ("data", "rows", 1, 2)),
        ("[0].id", ("data", 0, "id")),
        ("$[0]", ("data", 0)),
        ("data", ("data",)),
        ("id", ("id",)),
        ("data.id", ("data", "id")),
        ("metadata.trace", ("metadata", "trace")),
        ("007", ("data", "007")),
        ("order number", ("data", "order number")),
        ("$ref", ("data", "$ref")),
    ],
)
def test_a_path_starts_at_the_event_or_below_its_data(
    text: str, expected: Path
) -> None:
    """The fields of the event are known; any other name is the user's."""
    assert parse_path(text, option="match") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$",
        "$.",
        ".",
        "a.",
        ".a",
        "a..b",
        "a[",
        "a[x]",
        "a[-1]",
        "a]",
        "a\nb",
        "\ud800",
    ],
)
def test_what_is_not_a_path_is_refused(text: str) -> None:
    """The message names the option and shows a path."""
    with pytest.raises(ConfigurationError, match=r"^match=.* is not a path; .*items"):
        parse_path(text, option="match")


@pytest.mark.parametrize("value", ["a" * (limits.PATH_CHARS_MAX + 1), None, 5])
def test_a_path_is_a_text_of_limited_length(value: object) -> None:
    """The message says how long it may be."""
    with pytest.raises(
        ConfigurationError, match=r"^match must be a path of at most 500"
    ):
        parse_path(value, option="match")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("name", "order.paid"),
        ("items[1].id", "b"),
        ("items.1.id", "b"),
        ("codes.0", "zero"),
        ("nothing", None),
        ("items[2].id", MISSING),
        ("items.id", MISSING),
        ("other", MISSING),
        ("nothing.below", MISSING),
        ("text[0]", MISSING),
        ("source", MISSING),
    ],
)
def test_a_value_is_found_or_missing(path: str, expected: object) -> None:
    """Null is found; what has no members has nothing below it."""
    event = {
        "name": "order.paid",
        "data": {
            "items": [{"id": "a"}, {"id": "b"}],
            "codes": {"0": "zero"},
            "nothing": None,
            "text": "abc",
        },
    }

    assert value_at(event, parse_path(path, option="match")) == expected


@given(st.text() | st.from_regex(r"[a-c$.\[\]0-9]{1,12}", fullmatch=True))
def test_every_text_is_a_path_or_refused(text: str) -> None:
    """A path has at least the field of the event."""
    try:
        path = parse_path(text, option="match")
    except ConfigurationError:
        return
    assert isinstance(path[0], str)
    assert value_at({}, path) is MISSING


# --- keys --------------------------------------------------------------------


@given(JSON_VALUES, JSON_VALUES)
def test_keys_are_equal_exactly_when_values_are(left: object, right: object) -> None:
    """The digest stands for the value; null stands for nothing."""
    if left is None or right is None:
        assert None in {match_key(left), match_key(right)}
    else:
        assert (match_key(left) == match_key(right)) == equal_json(left, right)


@given(JSON_VALUES)
def test_a_key_survives_json(value: object) -> None:
    """What a client sends as JSON matches what Python code held."""
    key = match_key(value)

    assert match_key(json.loads(json.dumps(value))) == key
    assert key is None or len(key) == MATCH_KEY_BYTES


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0),
        (0, -0.0),
        (2**53, 2.0**53),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ((1, 2), [1, 2]),
        (
            datetime(2030, 1, 1, tzinfo=UTC),
            datetime(2030, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        ),
    ],
)
def test_equal_values_have_one_key(left: object, right: object) -> None:
    """However they are written."""
    assert match_key(left) == match_key(right) is not None


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, True),
        (0, False),
        (1, "1"),
        (2**53 + 1, 2.0**53),
        (0.1, "0.1"),
        ("a", b"a"),
        ([], {}),
        ([], ""),
        ([[1], 2], [[1, 2]]),
        ({"a": None}, {}),
        (["a", "b"], ["ab"]),
    ],
)
def test_other_values_have_other_keys(left: object, right: object) -> None:
    """Type and shape count."""
    assert match_key(left) != match_key(right)


@pytest.mark.parametrize(
    "value",
    [
        None,
        MISSING,
        math.nan,
        [1, [math.nan]],
        {1: "a"},
        {"a": {2: 3}},
        {1, 2},
        datetime(2030, 1, 1),  # noqa: DTZ001  # the subject
        object(),
    ],
)
def test_what_equals_nothing_has_no_key(value: object) -> None:
    """Null, NaN and what is not JSON wake nobody."""
    assert match_key(value) is None


def test_a_value_of_any_depth_has_a_key() -> None:
    """Depth is the sender's choice, so it must not end the process."""
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]

    assert match_key(deep) is not None
    while isinstance(deep, list):  # taken apart here: freeing it would recurse
        deep = deep.pop()


# --- patterns ----------------------------------------------------------------


def as_regex(pattern: str) -> str:
    """A pattern as a regular expression."""
    forms = {"*": r"[^.]+", ">": r"[^.]+(\.[^.]+)*"}
    return r"\.".join(forms.get(part) or re.escape(part) for part in pattern.split("."))


@given(PATTERNS, NAMES)
def test_a_pattern_matches_what_its_regular_expression_does(
    pattern: str, name: str
) -> None:
    """Parsed before or not, the answer is the same."""
    expected = re.fullmatch(as_regex(pattern), name) is not None

    assert pattern_matches(pattern, name) is expected
    assert pattern_matches(parse_pattern(pattern, option="event"), name) is expected


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("topic:*", "topic:orders", True),
        ("topic:*", "topic:orders.eu", False),
        ("events:>", "events:order.created", True),
        ("entity:order.*.shipped", "entity:order.7.shipped", True),
        ("system.run.*.completed", "system.run.run_1.completed", True),
        ("*", "topic:orders", False),
        (">", "topic:orders", True),
        ("topic:orders", "events:orders", False),
    ],
)
def test_a_namespace_is_a_segment_of_its_own(
    pattern: str, name: str, *, expected: bool
) -> None:
    """A wildcard after it does not reach into it."""
    assert pattern_matches(pattern, name) is expected


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("", "is empty"),
        ("a..b", "write segments"),
        ("topic:", "write segments"),
        ("order*", "write segments"),
        ("a b.*", "write segments"),
        ("a.>.b", "goes on after"),
        (".".join("a" * 33), "has 33 segments; the limit is 32"),
        (None, "must be a str"),
    ],
)
def test_what_is_not_a_pattern_is_refused(pattern: object, reason: str) -> None:
    """The message names the option and says what is wrong."""
    with pytest.raises(ConfigurationError, match=rf"^triggers\b.*{reason}"):
        parse_pattern(pattern, option="triggers")
