"""Attributes: what they may be, how they are kept, and in which order lists see them."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow import limits
from ironflow.errors import ConfigurationError, JournalDamaged, ValueRejected
from ironflow.policy import attributes
from ironflow.policy.attributes import (
    AttributeFilter,
    AttributeValue,
    changed,
    check_name,
    check_paths,
    check_values,
    decode,
    decode_changes,
    encode,
    filter_texts,
    key_of,
    parse_filter,
    parse_filters,
    shown_all,
)
from ironflow.records import EventData

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXTS = st.text(max_size=20).filter(lambda text: not attributes.reason_against(text))
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(
    allow_nan=False, allow_infinity=False
)
TIMES = st.datetimes(
    min_value=datetime(2, 1, 1),  # noqa: DTZ001 - hypothesis takes these without a zone
    max_value=datetime(9998, 1, 1),  # noqa: DTZ001 - see above
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5))]),
)
VALUES = TEXTS | NUMBERS | TIMES | st.booleans()


def event(data: object) -> EventData:
    return EventData(
        id="evt_1", name="go", data=msgspec.Raw(msgspec.msgpack.encode(data))
    )


def finds(text: str, value: AttributeValue) -> bool:
    return parse_filter(text).takes(encode({"a": value}))


# --- names and values -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "_", "customer_id", "Total2", "x" * 64])
def test_a_name_is_an_identifier(name: str) -> None:
    assert check_name(name, option="name") == name


@pytest.mark.parametrize(
    "name", ["", "2a", "a-b", "a.b", "ä", "a b", "x" * 65, 1, None]
)
def test_what_is_no_name_is_refused(name: object) -> None:
    with pytest.raises(ConfigurationError, match="option="):
        check_name(name, option="option")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x" * 257, "257 bytes"),
        ("ä" * 129, "258 bytes"),
        ("a\0b", "NUL"),
        ("\ud800", "UTF-8"),
        (2**64, "64 bits"),
        (-(2**63) - 1, "64 bits"),
        (float("nan"), "finite"),
        (float("inf"), "finite"),
        (NOON.replace(tzinfo=None), "time zone"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), "out of bounds"),
        ([1], "list"),
        (b"x", "bytes"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(value: object, reason: str) -> None:
    with pytest.raises(ValueRejected, match=f"'stage'.*{reason}"):
        check_values({"ok": 1, "stage": value}, option="attributes")


def test_the_largest_values_are_kept() -> None:
    largest = {
        "a": "ä" * 128,
        "b": 2**64 - 1,
        "c": -(2**63),
        "d": 1.7e308,
        "e": None,
        "f": True,
        "g": NOON,
    }

    check_values(largest, option="attributes")

    assert decode_changes(encode(largest)) == largest


def test_a_run_has_at_most_so_many() -> None:
    names = {f"a{number}": 1 for number in range(limits.RUN_ATTRIBUTES_MAX + 1)}

    with pytest.raises(ConfigurationError, match="33 attributes"):
        check_values(names, option="attributes")
    with pytest.raises(ConfigurationError, match="33 attributes"):
        check_paths(dict.fromkeys(names, "data.id"), option="attributes")


def test_what_is_no_mapping_is_refused() -> None:
    wrong: Any = ["customer"]
    with pytest.raises(ConfigurationError, match="attributes must be a mapping"):
        check_values(wrong, option="attributes")
    with pytest.raises(ConfigurationError, match="attributes must be a mapping"):
        check_paths(wrong, option="attributes")


def test_paths_are_checked_and_ordered() -> None:
    assert check_paths({"b": "data.x", "a": "id"}, option="attributes") == (
        ("a", "id"),
        ("b", "data.x"),
    )
    with pytest.raises(ConfigurationError, match=r"attributes\['a'\]"):
        check_paths({"a": "..."}, option="attributes")
    with pytest.raises(ConfigurationError, match="no name of an attribute"):
        check_paths({"a-b": "data.x"}, option="attributes")


# --- how they are kept ----------------------------------------------------------------


@given(st.dictionaries(st.sampled_from("abc"), VALUES))
def test_what_is_kept_is_read(values: dict[str, AttributeValue]) -> None:
    kept = encode(values)

    assert decode(kept) == values
    assert encode(decode(kept)) == kept


def test_no_attributes_are_no_bytes() -> None:
    assert encode({}) == b""
    assert decode(b"") == {}


def test_a_moment_has_one_form() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=-3)))

    assert encode({"at": elsewhere}) == encode({"at": NOON})
    assert shown_all(encode({"at": elsewhere, "n": 1})) == {
        "at": "2026-03-01T12:00:00Z",
        "n": 1,
    }


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        b"\x01",
        b"\x81\xa1a\x91\x01",
        b"\x81\xa2a-\x01",
        b"\x81\xa1a\xa2\xff\xff",
    ],
)
def test_bytes_that_are_no_attributes_are_damage(data: bytes) -> None:
    with pytest.raises(JournalDamaged, match="no attributes"):
        decode(data)


def test_kept_attributes_have_values() -> None:
    with pytest.raises(JournalDamaged, match="no value"):
        decode(encode({"a": None}))


def test_changes_put_and_remove() -> None:
    kept = encode({"a": 1, "b": 2})

    assert decode(changed(kept, encode({"a": None, "b": 3, "c": 4}))) == {
        "b": 3,
        "c": 4,
    }
    assert changed(encode({"a": 1}), encode({"a": None})) == b""


# --- with which a run starts ----------------------------------------------------------


def test_what_is_given_comes_before_the_event_and_that_before_what_was() -> None:
    found = attributes.at_start(
        event({"a": 2, "b": 2}),
        (("a", "data.a"), ("b", "data.b")),
        given=encode({"a": 1}),
        carried=encode({"a": 3, "b": 3, "c": 3}),
    )

    assert decode(found) == {"a": 1, "b": 2, "c": 3}


def test_what_is_in_the_event_and_no_attribute_is_left_out() -> None:
    data = {"list": [1], "null": None, "long": "x" * 300, "ok": "yes"}
    paths = tuple((name, f"data.{name}") for name in (*data, "missing"))

    assert decode(attributes.at_start(event(data), paths)) == {"ok": "yes"}


def test_without_paths_nothing_is_read_of_the_event() -> None:
    broken = EventData(id="e", name="go", data=msgspec.Raw(b"\xc1"))
    kept = encode({"a": 1})

    assert attributes.at_start(broken, ()) == b""
    assert attributes.at_start(broken, (), given=kept) == kept
    assert attributes.at_start(broken, (), carried=kept) == kept
    assert decode(
        attributes.at_start(broken, (), given=kept, carried=encode({"b": 2}))
    ) == {"a": 1, "b": 2}


def test_a_run_starts_with_no_more_than_it_may_have() -> None:
    given_ = encode({f"g{number:02}": 1 for number in range(32)})

    found = attributes.at_start(event({"a": 1}), (("a", "data.a"),), given=given_)

    assert found == given_


# --- order ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TEXTS, NUMBERS, TIMES, st.booleans()])
def test_key_bytes_are_in_the_order_of_the_values(kind: st.SearchStrategy[Any]) -> None:
    @given(kind, kind)
    def check(one: Any, other: Any) -> None:
        if isinstance(one, str):
            assert (one.encode() < other.encode()) == (key_of(one) < key_of(other))
        else:
            assert (one < other) == (key_of(one) < key_of(other))
            assert (one == other) == (key_of(one) == key_of(other))

    check()


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (2**53, 2**53 + 1),
        (2**63 - 1, 2**63),
        (2**64 - 2, 2**64 - 1),
        (-(2**63), -(2**63) + 1),
        (float(2**53), 2**53 + 1),
        (-5e-324, 0),
        (0, 5e-324),
        (-1.5, -1),
    ],
)
def test_neighbours_are_told_apart(less: float, more: float) -> None:
    assert key_of(less) < key_of(more)


def test_no_key_begins_another() -> None:
    assert not key_of("ab").startswith(key_of("a"))
    assert not key_of("a").startswith(key_of(""))


# --- filters --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=c1", "c1"),
        ("a=", ""),
        ("a=x=y", "x=y"),
        ("a=100", 100),
        ("a=100", "100"),
        ("a=100", 100.0),
        ("a=1e2", 100),
        ("a=-0.5", -0.5),
        ("a=true", True),
        ("a=false", "false"),
        ('a="100"', "100"),
        ('a="\\u00e4\\n"', "ä\n"),
        ("a=2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("a=2026-03-01T13:00:00+01:00", NOON),
        ("a>1", 1.5),
        ("a>=1", 1),
        ("a<1", 0.999),
        ("a<=1", -(2**63)),
        ("a>b", "ba"),
        ("a<b", ""),
        ("a>false", True),
        ("a<2026-03-02", NOON),
        ("a=1e999", "1e999"),
    ],
)
def test_a_filter_finds(text: str, value: AttributeValue) -> None:
    assert finds(text, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=c1", "c10"),
        ("a=100", 100.5),
        ("a=true", 1),
        ('a="100"', 100),
        ("a>1", 1),
        ("a>=1", "0"),
        ("a<1", 1),
        ("a<1", True),
        ("a>b", "b"),
        ("a>100", NOON),
        ("a>2026-03-02", NOON),
        ("b=c1", "c1"),
    ],
)
def test_a_filter_passes_over(text: str, value: AttributeValue) -> None:
    assert not finds(text, value)


@pytest.mark.parametrize(
    "text", ["", "a", "=1", "a!=1", "a b=1", "2=1", 'a="x', 'a="x"y', "a=\ud800"]
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="option="):
        parse_filter(text, option="option")


def test_a_filter_by_what_no_run_can_have_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="finds nothing: it has 300 bytes"):
        parse_filter("a=" + 300 * "x")


def test_a_filter_says_whether_it_is_of_one_value() -> None:
    assert parse_filter("a=100").is_equality
    assert parse_filter('a="\\u00ff"').is_equality
    assert not parse_filter("a>=100").is_equality
    assert not parse_filter("a<100").is_equality


def test_a_list_takes_at_most_so_many_filters() -> None:
    assert parse_filters(["a=1"]) == (parse_filter("a=1"),)
    with pytest.raises(ConfigurationError, match="11 filters"):
        parse_filters(["a=1"] * (limits.ATTRIBUTE_FILTERS_MAX + 1))


@given(VALUES)
def test_values_become_filters_that_find_them(value: AttributeValue) -> None:
    [text] = filter_texts({"a": value, "b": None})

    assert finds(text, value)


def test_texts_stay_filters() -> None:
    assert filter_texts("a=1") == ("a=1",)
    assert filter_texts(["a=1", "b>2"]) == ("a=1", "b>2")
    assert filter_texts(()) == ()


def test_no_filter_takes_a_run_without_attributes() -> None:
    assert not AttributeFilter("a", ((b"", b"\xff"),)).takes(b"")
