"""The bytes of protobuf (proto3) to messages, by their layouts.

What is read is bounded: in size by whoever received it, in depth and in the number of
parts here. Any bytes are a message or a `ConnectError`.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar, final

from ironflow import limits
from ironflow.wire.errors import ConnectError, malformed
from ironflow.wire.message import (
    LENGTH_DELIMITED,
    Empty,
    Field,
    Kind,
    Layout,
    Message,
    Slot,
    layout,
)

VARINT: Final = 0
FIXED64: Final = 1
DELIMITED: Final = 2
FIXED32: Final = 5

_M = TypeVar("_M", bound=Message)
_Raw = int | bytes  # of a field: a number, or what its length says

_VARINT_BYTES_MAX: Final = 10
_MORE: Final = 0x80  # the bit of a byte that says that more follow
_WORD: Final = 2**64 - 1
_FIELDS_MIN: Final = 1 << 3  # field number and wire type, as one number
_FIELDS_END: Final = 1 << 32
_SIZES: Final = {FIXED64: 8, FIXED32: 4}
_KEY, _VALUE = 1, 2  # the fields of an entry of a map
_unpack_double: Final = struct.Struct("<d").unpack
_EXACT: Final = 2**53  # up to here every whole number is a double
_SECOND_US: Final = 1_000_000
# 0001-01-01 to 9999-12-31, which is what a Timestamp may be.
_SECONDS: Final = range(-62_135_596_800, 253_402_300_800)
_DURATION_SECONDS: Final = range(-315_576_000_000, 315_576_000_001)
_NANOS: Final = range(-999_999_999, 1_000_000_000)


def decode(message: type[_M], data: bytes) -> _M:
    """Return the message that the bytes are; fields that it does not know are skipped.

    Raises:
        ConnectError: they are none, or exceed a limit.
    """
    return _message(message, data, _Reader(), limits.WIRE_DEPTH_MAX)


@final
class _Reader:
    """Divides bytes into parts, and counts those of the whole message."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = limits.PROTOBUF_PARTS_MAX

    def count(self) -> None:
        """Take note of one more part."""
        self._left -= 1
        if self._left < 0:
            raise ConnectError(
                "resource_exhausted",
                f"the message has more than {limits.PROTOBUF_PARTS_MAX} parts;"
                " send it as JSON",
            )

    def parts(self, data: bytes) -> Iterator[tuple[int, int, _Raw]]:
        """Yield field number, wire type and raw value of each part, in order."""
        at, end = 0, len(data)
        while at < end:
            self.count()
            key = data[at]
            if key < _MORE:  # as mostly, and a call less
                at += 1
            else:
                key, at = _varint(data, at)
            if not _FIELDS_MIN <= key < _FIELDS_END:
                raise malformed(f"a field has the number {key >> 3}")
            raw, at = _raw(data, at, key & 7)
            yield key >> 3, key & 7, raw


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at `at`, and where it ends."""
    value = shift = 0
    for place in range(at, min(at + _VARINT_BYTES_MAX, len(data))):
        byte = data[place]
        value |= (byte & ~_MORE) << shift
        if byte < _MORE:
            return value & _WORD, place + 1  # what is beyond 64 bits is cut off
        shift += 7
    raise malformed("a number is cut off, or longer than ten bytes")


def _raw(data: bytes, at: int, wire: int) -> tuple[_Raw, int]:
    if wire == VARINT:
        return _varint(data, at)
    if wire == DELIMITED:
        size = data[at] if at < len(data) else _MORE
        if size < _MORE:  # as mostly
            at += 1
        else:
            size, at = _varint(data, at)
    elif wire in _SIZES:
        size = _SIZES[wire]
    else:
        raise malformed(f"a field has the wire type {wire}")
    end = at + size
    if end > len(data):
        raise malformed("the message is cut off")
    return data[at:end], end


# --- messages ------------------------------------------------------------------------------


@final
class _Found:
    """What has been read of one message, by field name."""

    __slots__ = ("nested", "repeated", "single")

    def __init__(self) -> None:
        self.single: dict[str, Any] = {}
        self.repeated: dict[str, list[Any]] = {}
        self.nested: dict[str, list[bytes]] = {}  # parts of one message are merged


def _message(message: type[_M], data: bytes, reader: _Reader, depth: int) -> _M:
    if depth < 0:
        raise malformed(
            f"messages are nested deeper than {limits.WIRE_DEPTH_MAX} levels"
        )
    if message is Empty:
        return message()
    fields = layout(message)
    found = _Found()
    for number, wire, raw in reader.parts(data):
        slot = fields.by_number.get(number)
        if slot is None:
            continue
        if slot.field.keyed or slot.field.many:
            many = found.repeated.setdefault(slot.name, [])
            _add(many, slot.field, (wire, raw), (reader, depth))
        elif wire == wire_type(slot.field):
            _set(found, slot, raw, fields)
    return message(**_values(found, fields, reader, depth))


def _values(
    found: _Found, fields: Layout, reader: _Reader, depth: int
) -> dict[str, Any]:
    values = found.single
    for name, chunks in found.nested.items():
        field = fields.by_name[name].field
        values[name] = _held(field, b"".join(chunks), reader, depth)
    for name, many in found.repeated.items():
        is_map = fields.by_name[name].field.keyed
        values[name] = dict(many) if is_map else tuple(many)
    return values


def _set(found: _Found, slot: Slot, raw: _Raw, fields: Layout) -> None:
    """Take a part of a field that is there once."""
    if (
        isinstance(raw, int)
        or not slot.has_presence
        or slot.field.kind not in LENGTH_DELIMITED
    ):
        found.single[slot.name] = _scalar(slot.field, raw)
    else:
        for other in fields.oneofs.get(slot.field.oneof, ()):
            if other != slot.name:
                found.nested.pop(other, None)  # the last member of a oneof holds
        found.nested.setdefault(slot.name, []).append(raw)


def _add(
    values: list[Any], field: Field, part: tuple[int, _Raw], at: tuple[_Reader, int]
) -> None:
    """Add a part of a repeated field, or an entry of a map."""
    (wire, raw), (reader, depth) = part, at
    if wire == DELIMITED and isinstance(raw, bytes):
        if field.keyed:
            key, value = _entry(raw, reader, merges=field.kind is not Kind.STRING)
            values.append((key, _held(field, value, reader, depth)))
        elif field.kind in LENGTH_DELIMITED:
            values.append(_held(field, raw, reader, depth))
        else:
            values.extend(_packed(field, raw, reader))
    elif wire == wire_type(field) and not field.keyed:
        values.append(_scalar(field, raw))


def _entry(raw: bytes, reader: _Reader, *, merges: bool) -> tuple[str, bytes]:
    """Read an entry of a map: its key, and what its value is read from."""
    key = ""
    chunks: list[bytes] = []
    for number, wire, part in reader.parts(raw):
        if wire != DELIMITED or not isinstance(part, bytes):
            continue
        if number == _KEY:
            key = _text(part)
        elif number == _VALUE:
            if not merges:
                chunks.clear()
            chunks.append(part)
    return key, b"".join(chunks)


def _packed(field: Field, raw: bytes, reader: _Reader) -> Iterator[Any]:
    at = 0
    wire = wire_type(field)
    while at < len(raw):
        reader.count()
        part, at = _raw(raw, at, wire)
        yield _scalar(field, part)


def wire_type(field: Field) -> int:
    """Return how a single value of a field stands in the bytes."""
    if field.kind in LENGTH_DELIMITED:
        return DELIMITED
    return FIXED64 if field.kind is Kind.DOUBLE else VARINT


# --- fields --------------------------------------------------------------------------------


def _scalar(field: Field, raw: Any) -> Any:
    return _SCALARS[field.kind](raw)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise malformed("a text is not UTF-8") from error


def _bytes(raw: bytes) -> bytes:
    return raw


def _double(raw: bytes) -> float:
    value: float = _unpack_double(raw)[0]
    return value


def _int32(raw: int) -> int:
    return ((raw & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


def _int64(raw: int) -> int:
    return raw - (1 << 64) if raw >> 63 else raw


def _uint32(raw: int) -> int:
    return raw & 0xFFFFFFFF


_SCALARS: Final[dict[Kind, Callable[[Any], Any]]] = {
    Kind.STRING: _text,
    Kind.BYTES: _bytes,
    Kind.DOUBLE: _double,
    Kind.BOOL: bool,
    Kind.INT32: _int32,
    Kind.ENUM: _int32,
    Kind.INT64: _int64,
    Kind.UINT32: _uint32,
    Kind.UINT64: int,
}


def _held(field: Field, raw: bytes, reader: _Reader, depth: int) -> Any:
    """Read what has a length before it."""
    if field.kind is Kind.MESSAGE:
        assert field.of is not None
        return _message(field.of, raw, reader, depth - 1)
    read = _HELD.get(field.kind)
    return _scalar(field, raw) if read is None else read(raw, reader, depth - 1)


def _timestamp(raw: bytes, reader: _Reader, _: int) -> int:
    return _time(raw, reader, _SECONDS)


def _duration(raw: bytes, reader: _Reader, _: int) -> int:
    return _time(raw, reader, _DURATION_SECONDS)


def _time(raw: bytes, reader: _Reader, seconds: range) -> int:
    """Read seconds and nanoseconds; what is finer than a microsecond is cut off."""
    found = {1: 0, 2: 0}
    for number, _, part in reader.parts(raw):
        if number in found and isinstance(part, int):
            found[number] = part
    whole, nanos = _int64(found[1]), _int32(found[2])
    if whole not in seconds or nanos not in _NANOS:
        raise malformed("a time is out of range")
    return whole * _SECOND_US + int(nanos / 1000)


def _field_mask(raw: bytes, reader: _Reader, _: int) -> tuple[str, ...]:
    return tuple(_text(part) for part in _repeated(raw, reader))


def _repeated(raw: bytes, reader: _Reader) -> Iterator[bytes]:
    """Yield the members of a message that has one repeated field, its first."""
    for number, wire, part in reader.parts(raw):
        if number == 1 and wire == DELIMITED and isinstance(part, bytes):
            yield part


# --- values --------------------------------------------------------------------------------


def _struct(raw: bytes, reader: _Reader, depth: int) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for entry in _repeated(raw, reader):
        key, value = _entry(entry, reader, merges=True)
        members[key] = _value(value, reader, depth - 1)
    return members


def _list(raw: bytes, reader: _Reader, depth: int) -> list[Any]:
    return [_value(part, reader, depth - 1) for part in _repeated(raw, reader)]


def _null(_raw: _Raw, _reader: _Reader, _depth: int) -> None:
    return None


def _boolean(raw: Any, _reader: _Reader, _depth: int) -> bool:
    return bool(raw)


def _number(raw: Any, _reader: _Reader, _depth: int) -> float | int:
    """Read a double. JSON's 3 and 3.0 are one number here, and users mean 3."""
    value = _double(raw)
    if value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    return value


def _string(raw: Any, _reader: _Reader, _depth: int) -> str:
    return _text(raw)


# Of the oneof in a Value, by number: its wire type, and how it is read.
_VALUES: Final[dict[int, tuple[int, Callable[[Any, _Reader, int], Any]]]] = {
    1: (VARINT, _null),
    2: (FIXED64, _number),
    3: (DELIMITED, _string),
    4: (VARINT, _boolean),
    5: (DELIMITED, _struct),
    6: (DELIMITED, _list),
}
_NESTING: Final = frozenset({5, 6})


def _value(raw: bytes, reader: _Reader, depth: int) -> Any:
    """Read a Value; one that holds nothing is null."""
    if depth < 0:
        raise malformed(f"a value is nested deeper than {limits.WIRE_DEPTH_MAX} levels")
    kind = 1
    held: _Raw = 0
    chunks: list[bytes] = []  # of one Struct or list: they are merged
    for number, wire, part in reader.parts(raw):
        if number not in _VALUES or _VALUES[number][0] != wire:
            continue
        if number != kind:
            chunks.clear()
        if number in _NESTING and isinstance(part, bytes):
            chunks.append(part)
        kind, held = number, part
    _, read = _VALUES[kind]
    return read(b"".join(chunks) if kind in _NESTING else held, reader, depth)


_HELD: Final[dict[Kind, Callable[[bytes, _Reader, int], Any]]] = {
    Kind.STRUCT: _struct,
    Kind.VALUE: _value,
    Kind.TIMESTAMP: _timestamp,
    Kind.DURATION: _duration,
    Kind.FIELD_MASK: _field_mask,
}
