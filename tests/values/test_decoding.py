"""Bytes to values: annotations, errors with paths, and any bytes at all."""

import enum
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow import values
from ironflow.errors import ConfigurationError, ValueRejected


class Tree(msgspec.Struct):
    """A class that has members of its own kind."""

    name: str
    branches: "list[Tree]" = []


@dataclass
class Parcel:
    """A user's dataclass."""

    weight: int


@attrs.define
class Crate:
    """A user's class of attrs."""

    weight: int


class Row(TypedDict):
    """A user's typed dict."""

    amount: Decimal


class Colour(enum.StrEnum):
    """A user's enum."""

    RED = "red"


class Model:
    """What a model of pydantic looks like from outside."""

    def __init__(self, total: int) -> None:
        self.total = total

    def model_dump(self, **_options: object) -> dict[str, object]:
        return {"total": self.total}

    @classmethod
    def model_validate(cls, stored: object) -> "Model":
        match stored:
            case {"total": int(total)}:
                return cls(total)
            case _:
                raise ValueError("total must be an int")


class Connection:
    """What is not data."""


class Lost(msgspec.Struct):
    """Its annotation names what does not exist."""

    part: "Nowhere"  # type: ignore[name-defined]  # noqa: F821  # on purpose


SUPPORTED: list[object] = [
    Any,
    None,
    int,
    list[int],
    dict[str, object],
    tuple[int, str],
    set[str],
    int | None,
    Literal["a"],
    Annotated[int, msgspec.Meta(gt=0)],
    datetime,
    uuid.UUID,
    Tree,
    Parcel,
    Crate,
    Row,
    Colour,
    Model,
    dict[str, list[Model]] | None,
]


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        ([1, "a"], tuple[int, str], (1, "a")),
        (["a"], set[str], {"a"}),
        ({"weight": 1}, Parcel, Parcel(1)),
        ({"weight": 1}, Crate, Crate(1)),
        ({"amount": "1.50"}, Row, {"amount": Decimal("1.50")}),
        ("red", Colour, Colour.RED),
        ({"a": [1, None]}, dict[str, object], {"a": [1, None]}),
        (
            {"name": "a", "branches": [{"name": "b"}]},
            Tree,
            Tree("a", [Tree("b")]),
        ),
    ],
)
def test_an_annotation_says_what_is_read(
    value: object, annotation: object, expected: object
) -> None:
    """The same bytes are read as what was declared."""
    assert values.decode(values.encode(value), annotation) == expected


def test_a_model_is_rebuilt_by_its_own_validation() -> None:
    """Also inside containers."""
    read = values.decode(values.encode([{"total": 5}]), list[Model])

    assert isinstance(read, list)
    assert isinstance(read[0], Model)
    assert read[0].total == 5


def test_raw_bytes_are_read_like_bytes() -> None:
    """Records keep payloads as Raw."""
    assert values.decode(msgspec.Raw(values.encode([1]))) == [1]


@pytest.mark.parametrize(
    ("value", "annotation", "path", "reason"),
    [
        ("5", int, "$", "Expected `int`, got `str`"),
        ({"weight": "5"}, Parcel, "$.weight", "Expected `int`, got `str`"),
        ([{"weight": 1}, {}], list[Parcel], "$[1]", "missing required field `weight`"),
        ({"name": "a", "branches": [{"name": 1}]}, Tree, "$.branches[0].name", "str"),
        ([{"total": "x"}], list[Model], "$[0]", "total must be an int"),
        (0, Annotated[int, msgspec.Meta(gt=0)], "$", "Expected `int` >= 1"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_path(
    value: object, annotation: object, path: str, reason: str
) -> None:
    """The message begins with the place."""
    with pytest.raises(ValueRejected) as caught:
        values.decode(values.encode(value), annotation)

    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path} cannot be read: ")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x01\x01",
        b"\xa1\xff",
        b"\xd4\x05\x00",
        b"\x81\x80\x01",
        b"\xd7\xff" + b"\xff" * 8,
        b"\x91" * 100_000,
    ],
)
def test_bytes_that_are_no_value_are_refused(data: bytes) -> None:
    """Cut off, left over, not UTF-8, foreign, out of range, or too deep."""
    with pytest.raises(ValueRejected, match="cannot be read"):
        values.decode(data)


@given(st.binary(), st.sampled_from(SUPPORTED))
def test_any_bytes_decode_or_are_refused(data: bytes, annotation: object) -> None:
    """No other error leaves, whatever the bytes."""
    try:
        values.decode(data, annotation)
        path = "$"
    except ValueRejected as error:
        path = error.path

    assert path.startswith("$")


@pytest.mark.parametrize("annotation", SUPPORTED)
def test_an_annotation_of_data_passes(annotation: object) -> None:
    """Checked before the step's function runs."""
    values.check_annotation(annotation, where="'charge'")


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (Connection, "Connection is not data; use plain data"),
        (list[Connection], "Connection is not data"),
        (dict[str, tuple[Connection, int]], "Connection is not data"),
        (Iterator[int], "Iterator is not data"),
        (int | Connection, "Type unions"),
        (Lost, "name 'Nowhere' is not defined"),
        ("Tree", "is not supported"),
        (5, "is not supported"),
    ],
)
def test_an_annotation_that_nothing_can_be_read_as_is_refused(
    annotation: object, reason: str
) -> None:
    """The message says where it stands and what to use instead."""
    with pytest.raises(ConfigurationError) as caught:
        values.check_annotation(annotation, where="the result of step 'charge'")

    assert str(caught.value).startswith(
        "the result of step 'charge': nothing can be read back as "
    )
    assert reason in str(caught.value)


def test_decoding_by_a_wrong_annotation_is_a_mistake_in_the_code() -> None:
    """It is not the value's fault."""
    with pytest.raises(ConfigurationError, match="Connection is not data"):
        values.decode(values.encode(1), Connection)


def test_a_decoder_is_made_once() -> None:
    """The second use of an annotation costs a look-up."""
    assert values.decoder_for(list[Tree]) is values.decoder_for(list[Tree])


def test_an_annotation_that_cannot_be_hashed_works() -> None:
    """Annotated may hold anything, and then the decoder is made each time."""
    annotation = Annotated[int, ["a note"]]

    assert values.decode(values.encode(5), annotation) == 5


def test_times_are_read_in_utc() -> None:
    """A point in time is kept, its zone is not."""
    moment = datetime(2030, 1, 1, tzinfo=UTC)

    assert values.decode(values.encode(moment), datetime) == moment
