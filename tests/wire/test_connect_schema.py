"""The messages are those of the .proto files, and their bytes are protobuf's."""

import random
from contextlib import suppress
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from google.protobuf import json_format, struct_pb2
from google.protobuf.message import DecodeError
from hypothesis import given

from ironflow.wire import protobuf_decode, protobuf_encode, protojson
from ironflow.wire.errors import ConnectError
from ironflow.wire.message import (
    LENGTH_DELIMITED,
    Empty,
    Field,
    Kind,
    Message,
    Slot,
    layout,
)
from ironflow.wire.proto.types import RunStatus
from tests.wire.schema import (
    FILES,
    SCRIPT,
    foreign_class,
    our_classes,
    our_services,
)

CLASSES = our_classes()
NAMES = sorted(CLASSES)
TEXT = st.text(max_size=8)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(-1e9, 1e9)
    | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
    ),
    max_leaves=6,
)
SCALARS: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.STRING: TEXT,
    Kind.BYTES: PLAIN.map(msgspec.json.encode),  # that is what the published ones hold
    Kind.BOOL: st.booleans(),
    Kind.INT32: st.integers(-(2**31), 2**31 - 1),
    Kind.INT64: st.integers(-(2**63), 2**63 - 1),
    Kind.UINT32: st.integers(0, 2**32 - 1),
    Kind.UINT64: st.integers(0, 2**64 - 1),
    Kind.DOUBLE: st.floats(),
    Kind.STRUCT: st.dictionaries(TEXT, PLAIN, max_size=3),
    Kind.VALUE: PLAIN,
    Kind.TIMESTAMP: st.integers(-62_135_596_800 * 10**6, 253_402_300_799 * 10**6),
    Kind.DURATION: st.integers(-(10**15), 10**15),
    Kind.FIELD_MASK: st.just(("a", "long_name")),
}


def one_of(field: Field) -> st.SearchStrategy[Any]:
    if field.kind is Kind.MESSAGE:
        assert field.of is not None
        return messages_of(field.of)
    if field.kind is Kind.ENUM:
        assert field.of is not None
        return st.sampled_from([int(each) for each in field.of])
    return SCALARS[field.kind]


def values_of(slot: Slot) -> st.SearchStrategy[Any]:
    field = slot.field
    if field.keyed:
        return st.dictionaries(TEXT, one_of(field), max_size=2)
    if field.many:
        return st.lists(one_of(field), max_size=3).map(tuple)
    return st.just(slot.default) | one_of(field)


@st.composite
def messages_of(draw: st.DrawFn, message: type[Message]) -> Message:
    if message is Empty:
        return Empty()
    fields = layout(message)
    left_out = {
        name
        for members in fields.oneofs.values()
        for name in set(members) - {draw(st.sampled_from(members))}
    }
    slots = [slot for slot in fields.slots if slot.name not in left_out]
    return message(**{slot.name: draw(values_of(slot)) for slot in slots})


MESSAGES = st.sampled_from(NAMES).flatmap(lambda name: messages_of(CLASSES[name]))


def test_the_schema_is_the_published_one() -> None:
    """The counts are those of the tables that the files were written from."""
    fields = sum(len(layout(each).slots) for each in CLASSES.values())
    values = sum(len(v) for file in FILES for v in file.enums.values())
    methods = sum(len(each) for each in our_services().values())

    assert (len(CLASSES), fields, values, methods) == (287, 1205, 69, 115)


def test_the_modules_are_made_from_the_files() -> None:
    there = {p.name: p.read_text() for p in SCRIPT.TARGET.glob("*.py")}

    assert there == SCRIPT.made()


@pytest.mark.parametrize("name", NAMES)
def test_a_layout_is_what_protobuf_makes_of_the_file(name: str) -> None:
    foreign = foreign_class(name).DESCRIPTOR.fields
    ours = layout(CLASSES[name]).slots

    assert [(s.name, s.json_name, s.field.number) for s in ours] == [
        (f.name, f.json_name, f.number) for f in foreign
    ]
    assert [s.has_presence for s in ours] == [f.has_presence for f in foreign]


@given(MESSAGES)
def test_bytes_are_read_by_protobuf_and_back(message: Message) -> None:
    raw = protobuf_encode.encode(message)
    foreign = foreign_class(type(message).__name__).FromString(raw)

    assert protobuf_decode.decode(type(message), raw) == message or _has_nan(message)
    again = protobuf_decode.decode(type(message), foreign.SerializeToString())
    assert again == message or _has_nan(message)


@given(MESSAGES)
def test_json_is_read_by_protobuf_and_back(message: Message) -> None:
    text = protojson.encode(message)
    foreign = foreign_class(type(message).__name__)()
    json_format.Parse(text, foreign)

    ours = protobuf_decode.decode(type(message), foreign.SerializeToString())
    assert ours == message or _has_nan(message)
    theirs = json_format.MessageToJson(foreign, preserving_proto_field_name=True)
    assert protojson.decode(type(message), theirs.encode()) == message or _has_nan(
        message
    )


def _has_nan(message: Message) -> bool:
    return "nan" in repr(message)


@given(st.sampled_from(NAMES), st.binary(max_size=64))
def test_any_bytes_are_a_message_or_an_error(name: str, raw: bytes) -> None:
    with suppress(ConnectError):
        protobuf_decode.decode(CLASSES[name], raw)


PAIRS = st.sampled_from(NAMES).flatmap(
    lambda name: st.tuples(messages_of(CLASSES[name]), messages_of(CLASSES[name]))
)


@given(PAIRS)
def test_messages_behind_each_other_are_merged(pair: tuple[Message, Message]) -> None:
    first, second = pair
    raw = protobuf_encode.encode(first) + protobuf_encode.encode(second)
    merged = foreign_class(type(first).__name__).FromString(raw)

    ours = protobuf_decode.decode(type(first), raw)
    theirs = protobuf_decode.decode(type(first), merged.SerializeToString())
    assert ours == theirs or _has_nan(ours)


@given(MESSAGES, st.data())
def test_what_is_cut_off_is_refused_where_protobuf_refuses_it(
    message: Message, data: st.DataObject
) -> None:
    raw = protobuf_encode.encode(message)
    cut = raw[: data.draw(st.integers(0, len(raw)))]
    foreign = foreign_class(type(message).__name__)
    try:
        ours = protobuf_decode.decode(type(message), cut)
    except ConnectError:
        with pytest.raises(DecodeError):
            foreign.FromString(cut)
        return

    theirs = foreign.FromString(cut).SerializeToString()
    assert ours == protobuf_decode.decode(type(message), theirs) or _has_nan(ours)


@given(MESSAGES, st.randoms(use_true_random=False))
def test_damaged_bytes_are_a_message_or_an_error(
    message: Message, rng: random.Random
) -> None:
    raw = bytearray(protobuf_encode.encode(message) * 2)
    for _ in range(min(2, len(raw))):
        raw[rng.randrange(len(raw))] = rng.randrange(256)

    with suppress(ConnectError):
        protobuf_decode.decode(type(message), bytes(raw))


@given(st.sampled_from(NAMES), st.recursive(PLAIN, lambda x: st.dictionaries(TEXT, x)))
def test_any_json_is_a_message_or_an_error(name: str, plain: object) -> None:
    names = list(layout(CLASSES[name]).by_name) if CLASSES[name] is not Empty else []
    for each in [plain, dict.fromkeys(names, plain)]:
        with suppress(ConnectError):
            protojson.from_plain(CLASSES[name], each)


def test_every_kind_of_field_is_drawn_here() -> None:
    assert SCALARS.keys() | {Kind.MESSAGE, Kind.ENUM} == set(Kind)
    assert Kind.STRING in LENGTH_DELIMITED


def test_a_number_of_a_struct_that_is_whole_is_an_integer() -> None:
    foreign = struct_pb2.Struct()
    foreign.update({"n": 3, "x": 2.5, "large": 2.0**60})
    raw = (
        b"\x12"
        + len(foreign.SerializeToString()).to_bytes()
        + foreign.SerializeToString()
    )

    message = protobuf_decode.decode(CLASSES["TriggerRequest"], raw)

    [n, x, large] = [message.data[key] for key in ("n", "x", "large")]  # type: ignore[attr-defined]  # by name
    assert (n, type(n), x, type(large)) == (3, int, 2.5, float)


def test_a_status_that_is_not_known_is_kept_as_its_number() -> None:
    run = CLASSES["Run"](status=99)

    assert protobuf_decode.decode(CLASSES["Run"], protobuf_encode.encode(run)) == run
    assert b'"status":99' in protojson.encode(run)
    assert RunStatus.RUN_STATUS_RUNNING.name.encode() in protojson.encode(
        CLASSES["Run"](status=2)
    )
