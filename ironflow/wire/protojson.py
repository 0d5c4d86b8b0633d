"""Messages to JSON and back.

What is written is canonical proto3 JSON: lowerCamelCase names, 64-bit numbers as text,
enums by name, times as RFC 3339. Scalars are written also when they have their defaults:
published clients ask for some of them, and none minds.

What is read is what published clients send: names in either case, unknown fields, numbers
for 64-bit fields, enums by number, by name or by its last part in any case, and JSON itself
where a field holds bytes. Anything else is a `ConnectError` that names the path.
"""

import base64
import binascii
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from functools import cache
from typing import Any, Final, TypeVar, cast

import msgspec

from ironflow import limits
from ironflow.wire.errors import malformed
from ironflow.wire.message import Empty, Field, Kind, Message, Slot, camel, layout

_M = TypeVar("_M", bound=Message)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SECOND_US: Final = 1_000_000
_RANGES: Final = {
    Kind.INT32: range(-(2**31), 2**31),
    Kind.ENUM: range(-(2**31), 2**31),
    Kind.UINT32: range(2**32),
    Kind.INT64: range(-(2**63), 2**63),
    Kind.UINT64: range(2**64),
}
_LONG: Final = frozenset({Kind.INT64, Kind.UINT64})
_NUMBER_CHARS_MAX: Final = 32
_SECOND_DIGITS: Final = range(1, 13)
_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


# --- writing -------------------------------------------------------------------------------


def encode(message: Message) -> bytes:
    """Return a message as JSON."""
    return msgspec.json.encode(to_plain(message))


def to_plain(message: Message) -> dict[str, Any]:
    """Return a message as the plain data that its JSON stands for."""
    if isinstance(message, Empty):
        return {}
    plain: dict[str, Any] = {}
    for slot in layout(type(message)).slots:
        value = getattr(message, slot.name)
        field = slot.field
        if field.keyed:
            plain[slot.json_name] = {key: _plain(field, value[key]) for key in value}
        elif field.many:
            plain[slot.json_name] = [_plain(field, each) for each in value]
        elif not slot.has_presence or value is not slot.default:
            plain[slot.json_name] = _plain(field, value)
    return plain


def _plain(field: Field, value: Any) -> Any:
    if field.kind is Kind.MESSAGE:
        return to_plain(value)
    if field.kind is Kind.ENUM:
        return _names(_enum_of(field)).get(value, value)
    write = _WRITERS.get(field.kind)
    return value if write is None else write(value)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _number_or_name(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return next(name for name, each in _NOT_FINITE.items() if str(each) == str(value))


def _mask_text(paths: tuple[str, ...]) -> str:
    return ",".join(camel(path) for path in paths)


def _time_text(time_us: int) -> str:
    """Write a time with as many digits as it needs."""
    time = _EPOCH + time_us * _MICROSECOND
    text = time.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return text + _fraction(time_us % _SECOND_US) + "Z"


def _seconds_text(duration_us: int) -> str:
    sign = "-" if duration_us < 0 else ""
    seconds, micros = divmod(abs(duration_us), _SECOND_US)
    return f"{sign}{seconds}{_fraction(micros)}s"


def _fraction(micros: int) -> str:
    if not micros:
        return ""
    return f".{micros // 1000:03}" if micros % 1000 == 0 else f".{micros:06}"


_WRITERS: Final[dict[Kind, Callable[[Any], Any]]] = {
    Kind.INT64: str,
    Kind.UINT64: str,
    Kind.BYTES: _base64,
    Kind.DOUBLE: _number_or_name,
    Kind.TIMESTAMP: _time_text,
    Kind.DURATION: _seconds_text,
    Kind.FIELD_MASK: _mask_text,
}


# --- reading -------------------------------------------------------------------------------


def decode(message: type[_M], data: bytes) -> _M:
    """Return the message that a JSON object stands for; no bytes are an empty one.

    Raises:
        ConnectError: it is no JSON, or does not fit; the message names the path.
    """
    return from_plain(message, parse(data) if data.strip() else {})


def parse(data: bytes) -> Any:
    """Return what JSON text stands for.

    Raises:
        ConnectError: it is no JSON, or nested too deeply.
    """
    try:
        return msgspec.json.decode(data)
    except RecursionError as error:
        raise malformed("the JSON is nested too deeply") from error
    except ValueError as error:
        raise malformed(f"this is no JSON: {error}") from error


def from_plain(message: type[_M], plain: Any, path: str = "$") -> _M:
    """Return the message that plain data stands for.

    Raises:
        ConnectError: it does not fit; the message names the path.
    """
    if not isinstance(plain, dict):
        raise malformed(f"{path} is no object")
    if path.count(".") > limits.WIRE_DEPTH_MAX:
        raise malformed(f"{path} is nested too deeply")
    if message is Empty:
        return message()
    fields = layout(message)
    found: dict[str, Any] = {}
    for name, value in cast("dict[str, Any]", plain).items():
        slot = fields.by_name.get(name)
        if slot is not None and (value is not None or slot.field.kind is Kind.VALUE):
            _read_field(found, slot, value, f"{path}.{name}")
    for names in fields.oneofs.values():
        if len(found.keys() & names) > 1:
            raise malformed(f"{path} has more than one of {', '.join(names)}")
    return message(**found)


def _read_field(found: dict[str, Any], slot: Slot, value: Any, path: str) -> None:
    field = slot.field
    if field.many:
        if not isinstance(value, list):
            raise malformed(f"{path} is no list")
        members = enumerate(cast("list[object]", value))
        found[slot.name] = tuple(_read(field, v, f"{path}[{n}]") for n, v in members)
    elif field.keyed:
        if not isinstance(value, dict):
            raise malformed(f"{path} is no object")
        entries = cast("dict[str, Any]", value).items()
        found[slot.name] = {
            key: _read(field, each, f"{path}[{key!r}]")
            for key, each in entries
            if each is not None
        }
    elif field.kind is Kind.STRUCT and slot.sibling and not isinstance(value, dict):
        found.setdefault(slot.sibling, value)
    else:
        found[slot.name] = _read(field, value, path)


def _read(field: Field, value: Any, path: str) -> Any:
    if field.kind is Kind.VALUE:
        return value
    if field.kind is Kind.MESSAGE:
        assert field.of is not None
        return from_plain(field.of, value, path)
    return _READERS[field.kind](field, value, path)


def _text(_: Field, value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise malformed(f"{path} is no text")
    return value


def _bool(_: Field, value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise malformed(f"{path} is neither true nor false")
    return value


def _struct(_: Field, value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise malformed(f"{path} is no object")
    return cast("dict[str, Any]", value)


def _whole(field: Field, value: Any, path: str) -> int:
    number: Any = value
    if isinstance(value, str) and len(value) <= _NUMBER_CHARS_MAX:
        try:
            number = msgspec.json.decode(value)
        except ValueError:
            number = None
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if type(number) is not int or number not in _RANGES[field.kind]:
        raise malformed(f"{path} is no whole number of {field.kind.name.lower()}")
    return number


def _double(_: Field, value: Any, path: str) -> float:
    number: Any = value
    if isinstance(value, str) and len(value) <= _NUMBER_CHARS_MAX:
        try:
            number = _NOT_FINITE.get(value) or msgspec.json.decode(value)
        except ValueError:
            number = None
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise malformed(f"{path} is no number")
    try:
        return float(number)
    except OverflowError as error:
        raise malformed(f"{path} is out of range") from error


def _enum_of(field: Field) -> type[IntEnum]:
    assert field.of is not None
    return field.of


@cache
def _names(numbers: type[IntEnum]) -> dict[int, str]:
    return {int(each): each.name for each in numbers}


@cache
def _numbers(numbers: type[IntEnum]) -> dict[str, int]:
    """Return the numbers of an enum by name and by what follows the common prefix."""
    names = list(_names(numbers).values())
    [zero] = [name for name in names if name.endswith("_UNSPECIFIED")]
    prefix = zero.removesuffix("UNSPECIFIED")
    short = {name.removeprefix(prefix): int(numbers[name]) for name in names}
    return {name: int(numbers[name]) for name in names} | short | {"": 0}


def _enum(field: Field, value: Any, path: str) -> int:
    if not isinstance(value, str):
        return _whole(field, value, path)
    numbers = _numbers(_enum_of(field))
    number = numbers.get(value.upper().replace("-", "_"))
    if number is not None:
        return number
    if value.lstrip("-").isdecimal():
        return _whole(field, value, path)
    known = ", ".join(_names(_enum_of(field)).values())
    raise malformed(f"{path} is {value!r}, not one of {known}")


def _bytes(_: Field, value: Any, path: str) -> bytes:
    """Read base64, or what a published client sends instead: the JSON that the bytes are.

    No base64 of JSON text is itself JSON text: it begins with a capital letter or one of
    b, d, e, and no JSON does that.
    """
    if not isinstance(value, str):
        return msgspec.json.encode(value)
    raw = value.encode()
    try:
        msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        padded = raw.rstrip(b"=").translate(_PLAIN_ALPHABET)
        try:
            return base64.b64decode(padded + b"=" * (-len(padded) % 4), validate=True)
        except binascii.Error as error:
            raise malformed(f"{path} is neither base64 nor JSON") from error
    return raw


_PLAIN_ALPHABET: Final = bytes.maketrans(b"-_", b"+/")


def _time(_: Field, value: Any, path: str) -> int:
    try:
        time = msgspec.convert(value, datetime)
    except ValueError as error:
        raise malformed(f"{path} is no time such as 2026-01-31T12:00:00Z") from error
    if not isinstance(value, str) or time.tzinfo is None:
        raise malformed(f"{path} is no time such as 2026-01-31T12:00:00Z")
    return (time - _EPOCH) // _MICROSECOND


def _duration(_: Field, value: Any, path: str) -> int:
    seconds = value[:-1] if isinstance(value, str) and value.endswith("s") else None
    whole, _point, fraction = (seconds or "").removeprefix("-").partition(".")
    digits = whole + fraction
    if not (digits.isascii() and digits.isdecimal() and len(whole) in _SECOND_DIGITS):
        raise malformed(f"{path} is no duration such as 1.5s")
    micros = int(whole) * _SECOND_US + int(fraction[:6].ljust(6, "0"))
    return -micros if value.startswith("-") else micros


def _mask(_: Field, value: Any, path: str) -> tuple[str, ...]:
    if not isinstance(value, str):
        raise malformed(f"{path} is no text")
    return tuple(_snake(each) for each in value.split(",") if each)


def _snake(name: str) -> str:
    return "".join("_" + char.lower() if char.isupper() else char for char in name)


_Reader = Callable[[Field, Any, str], Any]
_READERS: Final[dict[Kind, _Reader]] = {
    Kind.STRING: _text,
    Kind.BYTES: _bytes,
    Kind.BOOL: _bool,
    Kind.INT32: _whole,
    Kind.INT64: _whole,
    Kind.UINT32: _whole,
    Kind.UINT64: _whole,
    Kind.DOUBLE: _double,
    Kind.ENUM: _enum,
    Kind.STRUCT: _struct,
    Kind.TIMESTAMP: _time,
    Kind.DURATION: _duration,
    Kind.FIELD_MASK: _mask,
}
