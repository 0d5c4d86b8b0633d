"""A result reads back as what was returned, or the step fails."""

import collections
import enum
import math
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow import values
from ironflow.errors import ConfigurationError, ValueRejected


class Point(NamedTuple):
    """A user's named tuple."""

    x: int
    y: int


class Empty(msgspec.Struct, eq=False):
    """It has no fields and no equality, and still one is like another."""


class Order(msgspec.Struct):
    """A user's Struct with members of several kinds."""

    id: uuid.UUID
    total: Decimal
    tags: frozenset[str]
    at: datetime
    place: Point | None = None


@dataclass(slots=True)
class Parcel:
    """A user's dataclass."""

    weight: float


@attrs.define
class Crate:
    """A user's class of attrs."""

    parcels: list[Parcel]


class Row(TypedDict, total=False):
    """A user's typed dict."""

    b: int
    a: int


class Level(enum.IntEnum):
    """An enum that is a number."""

    LOW = 1


class Colour(enum.StrEnum):
    """An enum that is a text."""

    RED = "red"


class Model:
    """What a model of pydantic looks like from outside."""

    __slots__ = ("__dict__", "__pydantic_extra__")

    def __init__(self, fields: dict[str, object], extra: object = None) -> None:
        vars(self).update(fields)
        self.__pydantic_extra__ = extra

    def model_dump(self, **_options: object) -> dict[str, object]:
        return dict(vars(self))

    @classmethod
    def model_validate(cls, stored: dict[str, object]) -> "Model":
        return cls(stored)


class Text(str):
    """A subclass that nothing can tell from its base once stored."""

    __slots__ = ()


ROME = timezone(timedelta(hours=1), "Rome")
ORDER = Order(
    uuid.UUID(int=7),
    Decimal("1.50"),
    frozenset({"a"}),
    datetime(2030, 1, 1, tzinfo=UTC),
    Point(1, 2),
)
SAME_AND_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)
MAYBE_TUPLES = st.recursive(
    st.integers(-2, 2) | st.booleans() | st.floats(-2, 2) | st.sampled_from(["", "a"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.tuples(inner)
        | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=5,
)


def has_tuple(value: object) -> bool:
    match value:
        case tuple():
            return True
        case list():
            return any(map(has_tuple, value))
        case dict():
            return any(map(has_tuple, value.values()))
        case _:
            return False


@given(SAME_AND_PLAIN, st.sampled_from([Any, object]))
def test_plain_values_need_no_annotation(value: object, annotation: object) -> None:
    """Whatever JSON has reads back as it was, NaN included."""
    assert values.round_trip(value, annotation, step="load") == values.encode(value)


@given(MAYBE_TUPLES)
def test_a_tuple_at_any_depth_needs_an_annotation(value: object) -> None:
    """A list comes back, and code that ran before the crash saw a tuple."""
    try:
        values.round_trip(value, Any, step="load")
        refused = False
    except ValueRejected:
        refused = True

    assert refused == has_tuple(value)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (None, None),
        (5, int),
        ({"a": 1, "b": [2.0]}, dict[str, object]),
        ((1, "a"), tuple[int, str]),
        ([(1,), (2, 3)], list[tuple[int, ...]]),
        ({1, 2}, set[int]),
        ({(1, "a")}, set[tuple[int, str]]),
        (Point(1, 2), Point),
        (ORDER, Order),
        ({"a": ORDER}, dict[str, Order]),
        (Empty(), Empty),
        (Parcel(1.0), Parcel),
        (Parcel(math.nan), Parcel),
        (Crate([Parcel(2.5)]), Crate),
        (Model({"a": [1]}), Model),
        (Row(b=1, a=2), Row),
        (Level.LOW, Level),
        (Colour.RED, Colour),
        ({Colour.RED: 1}, dict[Colour, int]),
        (uuid.UUID(int=1), uuid.UUID),
        (Decimal("1.00"), Decimal),
        (Decimal("NaN"), Decimal),
        (datetime(2030, 1, 1, tzinfo=UTC), Any),
        (datetime(2030, 1, 1), datetime),  # noqa: DTZ001  # naive reads back naive
        (date(2030, 1, 1), date),
        (time(12, tzinfo=ROME), time),
        (timedelta(seconds=1.5), timedelta),
        (b"\x00", bytes),
        (bytearray(b"\x00"), bytearray),
    ],
)
def test_a_declared_value_reads_back(value: object, annotation: object) -> None:
    """With the annotation it has the same type at every depth."""
    assert values.round_trip(value, annotation, step="load") == values.encode(value)


@pytest.mark.parametrize(
    ("value", "annotation", "shown", "path"),
    [
        ((1, 2), Any, "(1, 2), which reads back as [1, 2]", "$"),
        ({"a": [(1,)]}, Any, "$.a[0] is (1,), which reads back as [1]", "$.a[0]"),
        ({1}, Any, "{1}, which reads back as [1]", "$"),
        (Parcel(1.0), Any, "which reads back as {'weight': 1.0}", "$"),
        (Text("a"), Any, "", "$"),
        (Level.LOW, Any, "which reads back as 1", "$"),
        ([Colour.RED], Any, "which reads back as 'red'", "$[0]"),
        ({Colour.RED: 1}, Any, "which reads back as {'red': 1}", "$"),
        (uuid.UUID(int=1), Any, "reads back as '00000000-", "$"),
        (Decimal(1), Any, "Decimal('1'), which reads back as '1'", "$"),
        (collections.OrderedDict(a=1), Any, "which reads back as {'a': 1}", "$"),
        (Point(1, 2), Any, "Point(x=1, y=2), which reads back as [1, 2]", "$"),
        (Point(1, 2), tuple[int, int], "which reads back as (1, 2)", "$"),
        (1, float, "1, which reads back as 1.0", "$"),
        ({"a": 1}, dict[str, float], "$.a is 1, which reads back as 1.0", "$.a"),
        ({1}, set[float], "{1}, which reads back as {1.0}", "$"),
        ({(1,)}, set[tuple[float]], "{(1,)}, which reads back as {(1.0,)}", "$"),
        ({"a": 1, "c": 2}, Row, "which reads back as {'a': 1}", "$"),
        ([Parcel(1)], list[Parcel], "$[0].weight is 1, which", "$[0].weight"),
        (bytearray(b"a"), Any, "bytearray(b'a'), which reads back as b'a'", "$"),
        (Model({"a": 1}, {"b": (1,)}), Model, "", "$"),
    ],
)
def test_a_changed_value_is_shown_as_it_was_and_as_it_would_be(
    value: object, annotation: object, shown: str, path: str
) -> None:
    """The place is the deepest one that both have."""
    with pytest.raises(ValueRejected) as caught:
        values.round_trip(value, annotation, step="load")

    assert caught.value.path == path
    assert "'load'" in str(caught.value)
    assert shown in str(caught.value)


def test_a_change_without_annotation_is_answered_with_one() -> None:
    """The message says what to write."""
    with pytest.raises(
        ValueRejected,
        match=r"^'load' returned \(1, 2\), which reads back as \[1, 2\]; annotate it",
    ):
        values.round_trip((1, 2), Any, step="load")


def test_a_change_by_the_annotation_names_it() -> None:
    """Value and annotation must agree; either may be wrong."""
    with pytest.raises(ValueRejected, match=r"the return annotation float agree$"):
        values.round_trip(1, float, step="load")


@pytest.mark.parametrize("annotation", [Any, datetime])
def test_a_time_elsewhere_must_be_returned_in_utc(annotation: object) -> None:
    """Noon in Rome reads back as eleven in UTC: equal, but not the same."""
    with pytest.raises(ValueRejected, match="return times in UTC"):
        values.round_trip(datetime(2030, 1, 1, tzinfo=ROME), annotation, step="load")


def test_a_value_that_does_not_fit_names_both() -> None:
    """The annotation says str and the function returned a number."""
    with pytest.raises(
        ValueRejected,
        match=r"^'load' returned \[5\], which does not fit its return annotation"
        r" list\[str\]: \$\[0\] cannot be read: .*; correct one of them$",
    ) as caught:
        values.round_trip([5], list[str], step="load")

    assert caught.value.path == "$[0]"


def test_a_result_that_cannot_be_stored_names_its_step() -> None:
    """Where several steps run, the message must say which."""
    with pytest.raises(ValueRejected, match=r"^the result of 'load' cannot be stored"):
        values.round_trip({"a": object()}, Any, step="load")


def test_an_annotation_that_is_not_data_is_a_mistake_in_the_code() -> None:
    """It is found even if this value happens to fit."""
    with pytest.raises(ConfigurationError, match="is not data"):
        values.round_trip(1, list[type], step="load")
