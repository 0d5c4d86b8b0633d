"""Messages to the bytes of protobuf (proto3), by their layouts."""

import math
import struct
from collections.abc import Callable
from typing import Any, Final

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
from ironflow.wire.protobuf_decode import DELIMITED, wire_type

_MORE: Final = 0x80  # the bit of a byte that says that more follow
_WORD: Final = 2**64 - 1
_SECOND_US: Final = 1_000_000


def encode(message: Message) -> bytes:
    """Return the bytes of a message; fields that hold their defaults are left out.

    Raises:
        ConnectError: a payload in it is no data of JSON.
    """
    if isinstance(message, Empty):
        return b""
    return b"".join(
        _field(slot, getattr(message, slot.name))
        for slot in layout(type(message)).slots
    )


def _field(slot: Slot, value: Any) -> bytes:
    field = slot.field
    if field.keyed:
        return b"".join(
            _tagged(
                field.number, _tagged(1, key.encode()) + _tagged(2, _held(field, each))
            )
            for key, each in value.items()
        )
    if field.many:
        return _many(field, value) if value else b""
    if not _is_present(slot, value):
        return b""
    if field.kind in LENGTH_DELIMITED:
        return _tagged(field.number, _held(field, value))
    return _varint(field.number << 3 | wire_type(field)) + _number(field.kind, value)


def _is_present(slot: Slot, value: Any) -> bool:
    if slot.has_presence:
        return value is not slot.default
    # Minus zero is not the default, though it is equal to it.
    return bool(value) or (isinstance(value, float) and math.copysign(1, value) < 0)


def _many(field: Field, values: tuple[Any, ...]) -> bytes:
    if field.kind in LENGTH_DELIMITED:
        return b"".join(_tagged(field.number, _held(field, each)) for each in values)
    return _tagged(field.number, b"".join(_number(field.kind, each) for each in values))


def _tagged(number: int, raw: bytes) -> bytes:
    return _varint(number << 3 | DELIMITED) + _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    if value < _MORE:
        return value.to_bytes()
    out = bytearray()
    while value >= _MORE:
        out.append(value & ~_MORE & 0xFF | _MORE)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(kind: Kind, value: Any) -> bytes:
    if kind is Kind.DOUBLE:
        return struct.pack("<d", value)
    return _varint(int(value) & _WORD)


def _held(field: Field, value: Any) -> bytes:
    """Return what follows the length of a field."""
    return _HELD[field.kind](value)


def _text(value: str) -> bytes:
    return value.encode()


def _timestamp(time_us: int) -> bytes:
    seconds, micros = divmod(time_us, _SECOND_US)
    return _seconds_nanos(seconds, micros * 1000)


def _duration(duration_us: int) -> bytes:
    """Both parts have the sign of the whole."""
    sign = -1 if duration_us < 0 else 1
    seconds, micros = divmod(abs(duration_us), _SECOND_US)
    return _seconds_nanos(sign * seconds, sign * micros * 1000)


def _seconds_nanos(seconds: int, nanos: int) -> bytes:
    first = b"\x08" + _varint(seconds & _WORD) if seconds else b""
    return first + (b"\x10" + _varint(nanos & _WORD) if nanos else b"")


def _field_mask(paths: tuple[str, ...]) -> bytes:
    return b"".join(_tagged(1, path.encode()) for path in paths)


def _struct(members: dict[str, Any]) -> bytes:
    return b"".join(
        _tagged(1, _tagged(1, key.encode()) + _tagged(2, _value(value)))
        for key, value in members.items()
    )


def _list(members: list[Any]) -> bytes:
    return b"".join(_tagged(1, _value(each)) for each in members)


def _value(value: object) -> bytes:
    kind: type[object] = type(value)
    write = _VALUES.get(kind)
    if write is None:
        raise ConnectError("internal", f"a {kind.__name__} is no data of JSON")
    return write(value)


def _null(_: object) -> bytes:
    return b"\x08\x00"


def _boolean(value: object) -> bytes:
    return b"\x20\x01" if value else b"\x20\x00"


def _double(value: float) -> bytes:
    try:
        return b"\x11" + struct.pack("<d", value)
    except (OverflowError, struct.error) as error:
        raise ConnectError("internal", "a number is larger than a double") from error


_VALUES: Final[dict[type, Callable[[Any], bytes]]] = {
    type(None): _null,
    bool: _boolean,
    int: _double,
    float: _double,
    str: lambda value: _tagged(3, value.encode()),
    dict: lambda value: _tagged(5, _struct(value)),
    list: lambda value: _tagged(6, _list(value)),
    tuple: lambda value: _tagged(6, _list(value)),
}
_HELD: Final[dict[Kind, Callable[[Any], bytes]]] = {
    Kind.STRING: _text,
    Kind.BYTES: bytes,
    Kind.MESSAGE: encode,
    Kind.STRUCT: _struct,
    Kind.VALUE: _value,
    Kind.TIMESTAMP: _timestamp,
    Kind.DURATION: _duration,
    Kind.FIELD_MASK: _field_mask,
}
