"""Values to bytes: what is accepted, and where a refusal points."""

import enum
import math
import socket
import subprocess
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import attrs
import msgpack  # type: ignore[import-untyped]  # it has no types
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow import limits, values
from ironflow.errors import ValueRejected

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


class Order(msgspec.Struct):
    """A user's Struct."""

    item: object


@dataclass
class Parcel:
    """A user's dataclass."""

    content: object


@attrs.define
class Crate:
    """A user's class of attrs."""

    content: object


class Model:
    """What a model of pydantic looks like from outside."""

    def __init__(self, **fields: object) -> None:
        vars(self).update(fields)

    def model_dump(self, **options: object) -> dict[str, object]:
        assert options == {"mode": "json", "by_alias": True, "round_trip": True}
        return dict(vars(self))

    @classmethod
    def model_validate(cls, stored: dict[str, object]) -> "Model":
        return cls(**stored)


class Colour(enum.IntEnum):
    """A user's enum."""

    RED = 1


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def cyclic_list() -> object:
    value: list[object] = [1]
    value.append(value)
    return value


def cyclic_dict() -> object:
    value: dict[str, object] = {}
    value["self"] = [value, value]
    return value


@given(PLAIN)
def test_plain_values_decode_to_themselves(value: object) -> None:
    """Encode then decode is the same, and any other reader agrees."""
    data = values.encode(value)

    assert values.decode(data) == value
    assert msgpack.unpackb(data, strict_map_key=False) == value


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinity_is_a_value(value: float) -> None:
    """MessagePack has it; JSON is shown a stand-in."""
    assert values.decode(values.encode(value)) == value


def test_nan_is_a_value() -> None:
    """It reads back as itself, though it does not equal itself."""
    read = values.decode(values.encode(math.nan))

    assert isinstance(read, float)
    assert math.isnan(read)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Order({"a": 1}), {"item": {"a": 1}}),
        (Parcel([1]), {"content": [1]}),
        (Crate("a"), {"content": "a"}),
        ([Model(a=1)], [{"a": 1}]),
        ((1, 2), [1, 2]),
        (Colour.RED, 1),
        (Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)),
        ({uuid.UUID(int=0): 1}, {"00000000-0000-0000-0000-000000000000": 1}),
        (msgspec.Raw(b"\x93\x01\x02\x03"), [1, 2, 3]),
    ],
)
def test_declared_types_become_plain_data(value: object, expected: object) -> None:
    """Structs, dataclasses, attrs, models, and the types msgspec knows."""
    assert values.decode(values.encode(value)) == expected


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        (object(), "$", "a <class 'object'>; use plain data"),
        ({"order": {"to": socket}}, "$.order.to", "a <class 'module'>; use plain"),
        ({"a": [1, {2}, {3j}]}, "$.a[2][0]", "a <class 'complex'>"),
        ({"not a name": 1j}, '$["not a name"]', "a <class 'complex'>"),
        (Order(Parcel(Crate(1j))), "$.item.content.content", "a <class 'complex'>"),
        (Model(a=Model(b=1j)), "$.a.b", "a <class 'complex'>"),
        ([2**64], "$[0]", "more than 64 bits; store it as a str"),
        ({"a": -(2**63) - 1}, "$.a", "more than 64 bits"),
        ({"a": "x\ud800"}, "$.a", "half a surrogate pair"),
        ({"a": {"\ud800": 1}}, "$.a", r"a dict with the key '\ud800'; make its keys"),
        ({"a": {1: 2}}, "$.a", "a dict with the key 1; make its keys valid str"),
        ({"a": {None: 2}}, "$.a", "the key None"),
        ({"a": {(1, 2): 2}}, "$.a", "the key (1, 2)"),
        ({object: 2}, "$", "the key <class 'object'>"),
        ({10**5_000: 2}, "$", "the key a int"),
        (({Colour.RED: 2},), "$[0]", "the key 1"),
        (cyclic_list(), "$", "contains itself, or is nested deeper than 200"),
        (cyclic_dict(), "$", "contains itself, or is nested deeper than 200"),
        (nested(limits.VALUE_DEPTH_MAX + 1), "$", "nested deeper than 200"),
        ((nested(limits.VALUE_DEPTH_MAX),), "$", "nested deeper than 200"),
        (nested(100_000), "$", "nested deeper than 200"),
    ],
)
def test_a_refusal_names_the_place_and_the_reason(
    value: object, path: str, reason: str
) -> None:
    """The deepest member that cannot be stored is the one to change."""
    with pytest.raises(ValueRejected) as caught:
        values.encode(value)

    assert caught.value.path == path
    assert str(caught.value).startswith(f"the value cannot be stored: {path} is ")
    assert reason in str(caught.value)


def test_a_value_may_be_as_deep_as_the_limit() -> None:
    """The limit itself is inside."""
    deepest = nested(limits.VALUE_DEPTH_MAX)

    assert values.decode(values.encode(deepest)) == deepest


def test_a_value_over_the_limit_is_refused_with_both_sizes() -> None:
    """The message says what to do with large things."""
    largest = b"x" * (limits.VALUE_BYTES_MAX - 5)

    assert len(values.encode(largest)) == limits.VALUE_BYTES_MAX
    with pytest.raises(
        ValueRejected, match=r"16777217 bytes long and the limit is 16777216; .*store"
    ):
        values.encode(largest + b"x")


@pytest.mark.parametrize(
    "value", [msgspec.Raw(b"\xc1"), msgspec.Raw(b""), msgspec.msgpack.Ext(5, b"x")]
)
def test_bytes_that_nobody_can_read_back_are_not_stored(value: object) -> None:
    """Raw bytes and foreign extensions are read before they are kept."""
    with pytest.raises(ValueRejected, match="cannot be read"):
        values.encode(value)


def test_sets_have_the_same_bytes_in_every_process() -> None:
    """The order of a set of texts changes from one process to the next."""
    program = (
        "from ironflow import values\n"
        "tags = {str(n) for n in range(50)}\n"
        "print(values.encode({'tags': tags, 'b': frozenset(tags)}).hex(),"
        " values.input_digest((tags, {'z': 1, 'a': 2})).hex())"
    )

    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(seen) == 1


def test_the_order_of_a_dict_is_kept() -> None:
    """Only beside a set it is not."""
    read = values.decode(values.encode({"b": 1, "a": (2, 3)}))

    assert isinstance(read, dict)
    assert list(read) == ["b", "a"]


def test_a_digest_is_sixteen_bytes_of_the_data() -> None:
    """Raw and bytes are the same data."""
    data = values.encode({"a": 1})

    assert len(values.digest(data)) == values.DIGEST_BYTES
    assert values.digest(msgspec.Raw(data)) == values.digest(data)
    assert values.digest(data) != values.digest(data + b"\x00")


def test_equal_inputs_have_equal_digests() -> None:
    """The order of keys does not matter; everything else does."""
    one = values.input_digest(({"a": 1, "b": 2}, "x"))

    assert values.input_digest(({"b": 2, "a": 1}, "x")) == one
    assert values.input_digest(({"b": 2, "a": 1}, "y")) != one


@pytest.mark.parametrize("argument", [object(), 2**64, "\ud800", cyclic_list()])
def test_inputs_that_cannot_be_encoded_have_no_digest(argument: object) -> None:
    """A step may take what cannot be stored; only its result must be."""
    assert values.input_digest((argument,)) == b""
