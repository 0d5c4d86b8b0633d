"""What a generated message is: a frozen struct whose fields know their wire form.

The classes in `ironflow.wire.proto` are made from the .proto files by `scripts/protos`.
`protobuf.py` and `protojson.py` read the same layouts; neither is known here.

In a message a Struct is a dict, a Value is plain data (`UNSET` if it is absent, since null
is a value), a Timestamp and a Duration are microseconds, an enum is its number.
"""

import enum
import typing
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, final

import msgspec

ValueField = Any  # plain data, or msgspec.UNSET
StructField = dict[str, Any] | None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the published schema; every field has its default."""


@final
class Empty(Message, frozen=True):
    """google.protobuf.Empty."""


class Kind(enum.Enum):
    """How a field is written."""

    STRING = enum.auto()
    BYTES = enum.auto()
    BOOL = enum.auto()
    INT32 = enum.auto()
    INT64 = enum.auto()
    UINT32 = enum.auto()
    UINT64 = enum.auto()
    DOUBLE = enum.auto()
    ENUM = enum.auto()
    MESSAGE = enum.auto()
    STRUCT = enum.auto()
    VALUE = enum.auto()
    TIMESTAMP = enum.auto()
    DURATION = enum.auto()
    FIELD_MASK = enum.auto()


# Not in one varint, and not in 8 bytes: a length goes before them.
LENGTH_DELIMITED: Final = frozenset(Kind) - {
    Kind.BOOL,
    Kind.INT32,
    Kind.INT64,
    Kind.UINT32,
    Kind.UINT64,
    Kind.DOUBLE,
    Kind.ENUM,
}
# Absent is not the same as empty.
WITH_PRESENCE: Final = LENGTH_DELIMITED - {Kind.STRING, Kind.BYTES}


@final
@dataclass(frozen=True, slots=True)
class Field:
    """The wire form of a field; `of` is the class of a message or enum."""

    number: int
    kind: Kind
    of: type[Any] | None = None
    many: bool = False
    keyed: bool = False  # a map from text
    optional: bool = False  # has presence, though a scalar
    oneof: str = ""


@final
@dataclass(frozen=True, slots=True)
class Slot:
    """A field in its message. `sibling`: the Value beside this Struct, by name."""

    name: str
    json_name: str
    field: Field
    default: Any
    sibling: str

    @property
    def has_presence(self) -> bool:
        """Tell whether an absent field differs from one with its default."""
        field = self.field
        if field.many or field.keyed:
            return False
        return field.optional or field.kind in WITH_PRESENCE


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of a message, ready to be looked up."""

    slots: tuple[Slot, ...]
    by_number: dict[int, Slot]
    by_name: dict[str, Slot]  # in snake case and in camel case
    oneofs: dict[str, tuple[str, ...]]  # the names of those of each oneof


@final
@dataclass(frozen=True, slots=True)
class Method:
    """A method of a service."""

    name: str
    request: type[Message]
    response: type[Message]
    streams_requests: bool = False
    streams_responses: bool = False
    has_side_effects: bool = True


Service = dict[str, Method]


def camel(name: str) -> str:
    """Return the JSON name of a field: `next_cursor` -> `nextCursor`."""
    first, *others = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in others)


@cache
def layout(message: type[Message]) -> Layout:
    """Return the layout of a message, made once."""
    annotations = typing.get_type_hints(message, include_extras=True)
    names = message.__struct_fields__
    slots = tuple(
        _slot(name, annotations[name], default, names)
        for name, default in zip(names, message.__struct_defaults__, strict=True)
    )
    oneofs: dict[str, tuple[str, ...]] = {}
    for slot in slots:
        if slot.field.oneof:
            members = oneofs.get(slot.field.oneof, ())
            oneofs[slot.field.oneof] = (*members, slot.name)
    return Layout(
        slots,
        {slot.field.number: slot for slot in slots},
        {slot.json_name: slot for slot in slots} | {slot.name: slot for slot in slots},
        oneofs,
    )


def _slot(name: str, annotation: Any, default: Any, names: tuple[str, ...]) -> Slot:
    [field] = annotation.__metadata__
    assert isinstance(field, Field)
    if field.keyed:
        default = {}
    value = name + "_value"
    is_pair = field.kind is Kind.STRUCT and value in names
    return Slot(name, camel(name), field, default, value if is_pair else "")


def payload(message: Message, name: str) -> Any:
    """Return what a Struct field or the Value beside it holds; UNSET if neither does.

    A JSON object travels in `name`, everything else in `name_value`; the latter goes first.
    """
    value = getattr(message, name + "_value")
    if value is not msgspec.UNSET:
        return value
    struct = getattr(message, name)
    return msgspec.UNSET if struct is None else struct


def payload_fields(name: str, value: object) -> dict[str, Any]:
    """Return the keyword that carries a payload: `name`, or `name_value`."""
    return {name: value} if isinstance(value, dict) else {name + "_value": value}
