"""Attributes of runs: what they may be, how they are kept, how lists ask for them.

An attribute is a name and a value. Attributes are kept together, as a MessagePack map in
the order of the names. For comparison a value becomes *key bytes*, whose order is the
order of the values of its type, so every store compares them alike.
"""

import json
import math
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, cast

import msgspec

from ironflow import limits
from ironflow.errors import ConfigurationError, JournalDamaged, ValueRejected
from ironflow.policy.envelope import envelope_of
from ironflow.policy.match import parse_path, value_at
from ironflow.records import AttributesSet, Entry, EventData, RunStarted

AttributeValue = str | int | float | bool | datetime
Attributes = Mapping[str, AttributeValue | None]
"""Attributes as users give them; None is no value."""
NO_ATTRIBUTES: Final = b""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_FILTER: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(>=|<=|=|>|<)(.*)", re.DOTALL)
_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
# Types, as key bytes begin with them; those of the next one end what one has.
_BOOL, _NUMERIC, _TEXT, _TIME = b"b", b"n", b"s", b"t"
_END_OF_TEXT: Final = b"\0"
_FLOAT: Final = struct.Struct(">d")
_ORDERED: Final = struct.Struct(">QH")
_SIGN: Final = 1 << 63
_REST_MIDDLE: Final = (
    1 << 15
)  # what a float cannot say of an integer of 64 bits is less
_INTEGERS: Final = range(-(1 << 63), 1 << 64)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_encode: Final = msgspec.msgpack.Encoder(order="sorted").encode
_decode: Final = msgspec.msgpack.Decoder(dict[str, object]).decode
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


# --- names and values ---------------------------------------------------------------


def check_name(name: object, *, option: str) -> str:
    """Return the name of an attribute: letters, digits and "_", no digit first.

    Raises:
        ConfigurationError: it is none; the message names `option`.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f'{option}={name!r} is no name of an attribute: write letters, digits and "_",'
            ' and no digit first, such as "customer_id"'
        )
    if len(name) > limits.ATTRIBUTE_NAME_CHARS_MAX:
        raise ConfigurationError(
            f"{option}={name[:20]!r}... has {len(name)} characters; the name of an"
            f" attribute has at most {limits.ATTRIBUTE_NAME_CHARS_MAX}"
        )
    return name


def reason_against(value: object) -> str:
    """Say why a value cannot be an attribute's; empty if it can."""
    reason = ""
    match value:
        case bool():
            pass
        case str():
            reason = _reason_against_text(value)
        case int():
            reason = "" if value in _INTEGERS else "it has more than 64 bits"
        case float():
            reason = "" if math.isfinite(value) else "it is not a finite number"
        case datetime():
            reason = _reason_against_time(value)
        case _:
            kind = type(value).__qualname__
            reason = f"it is {kind}, not str, int, float, bool or datetime"
    return reason


def _reason_against_text(value: str) -> str:
    try:
        length = len(value.encode())
    except UnicodeEncodeError:
        return "it cannot be written as UTF-8"
    if "\0" in value:
        return "it has a NUL character"
    if length > limits.ATTRIBUTE_TEXT_BYTES_MAX:
        return (
            f"it has {length} bytes; at most {limits.ATTRIBUTE_TEXT_BYTES_MAX} are kept"
        )
    return ""


def _reason_against_time(value: datetime) -> str:
    if value.utcoffset() is None:
        return "it has no time zone"
    try:
        value.astimezone(UTC)
    except OverflowError:
        return "it is out of bounds"
    return ""


def check_values(values: Mapping[str, object], *, option: str) -> None:
    """Refuse names and values that cannot be attributes; None removes one.

    Raises:
        ConfigurationError: a name is none, or there are too many.
        ValueRejected: a value cannot be kept; the message names the attribute.
    """
    if not isinstance(values, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"{option} must be a mapping of names to values")
    _check_each(values, option=option)
    check_count(len(values))


def _check_each(values: Mapping[str, object], *, option: str) -> None:
    for name, value in values.items():
        check_name(name, option=option)
        reason = "" if value is None else reason_against(value)
        if reason:
            raise ValueRejected(f"attribute {name!r} cannot be kept: {reason}")


def check_count(count: int) -> None:
    """Refuse more attributes than a run may have.

    Raises:
        ConfigurationError: they are too many.
    """
    if count > limits.RUN_ATTRIBUTES_MAX:
        raise ConfigurationError(
            f"{count} attributes; a run has at most {limits.RUN_ATTRIBUTES_MAX}: set one"
            " to None to remove it"
        )


# --- how they are kept --------------------------------------------------------------


def encode(values: Mapping[str, object]) -> bytes:
    """Return the bytes of checked attributes, or of changes with None in them."""
    kept = {
        # One moment has one form, whatever zone it was written in.
        name: value.astimezone(UTC) if isinstance(value, datetime) else value
        for name, value in values.items()
    }
    return _encode(kept) if kept else NO_ATTRIBUTES


def decode(data: bytes | msgspec.Raw) -> dict[str, AttributeValue]:
    """Return the attributes in these bytes.

    Raises:
        JournalDamaged: they are not what `encode` makes.
    """
    found = decode_changes(data)
    if None in found.values():
        raise JournalDamaged("an attribute of a run has no value")
    return cast("dict[str, AttributeValue]", found)


def decode_changes(data: bytes | msgspec.Raw) -> dict[str, AttributeValue | None]:
    """Return changes of attributes; None removes one.

    Raises:
        JournalDamaged: they are not what `encode` makes.
    """
    if not data:
        return {}
    try:
        found = _decode(data)
        _check_each(found, option="name")
    except (*_UNREADABLE, ConfigurationError, ValueRejected) as error:
        raise JournalDamaged(
            f"{len(bytes(data))} bytes of the journal are no attributes ({error})"
        ) from error
    return cast("dict[str, AttributeValue | None]", found)


def changed(kept: bytes, changes: bytes | msgspec.Raw) -> bytes:
    """Return attributes after changes.

    Raises:
        JournalDamaged: one of them cannot be read.
    """
    values: dict[str, object] = {**decode(kept), **decode_changes(changes)}
    return encode({name: each for name, each in values.items() if each is not None})


def after(kept: bytes, entry: Entry) -> bytes:
    """Return a run's attributes after a record of it; a rewind takes none back.

    What was redacted changes nothing here: nobody knows it any more.

    Raises:
        JournalDamaged: they cannot be read.
    """
    match entry.record:
        case RunStarted():
            return entry.record.attributes
        case AttributesSet() if entry.redaction is None:
            return changed(kept, entry.payload)
        case _:
            return kept


def check_paths(
    paths: Mapping[str, str], *, option: str
) -> tuple[tuple[str, str], ...]:
    """Return from which paths of its event a run has attributes, by name.

    Raises:
        ConfigurationError: a name or path is none, or there are too many.
    """
    if not isinstance(paths, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"{option} must be a mapping of names to paths")
    for name, path in paths.items():
        check_name(name, option=option)
        parse_path(path, option=f"{option}[{name!r}]")
    check_count(len(paths))
    return tuple(sorted(paths.items()))


def at_start(
    event: EventData,
    paths: Sequence[tuple[str, str]],
    *,
    given: bytes = NO_ATTRIBUTES,
    carried: bytes = NO_ATTRIBUTES,
) -> bytes:
    """Return the attributes with which a run starts.

    `given` by whoever started it come before those at `paths` of its event, and these
    before those that a run that it continues had. What is at a path and cannot be an
    attribute is left out, and so is what is more than a run may have: an event comes from
    outside, and a run is not to fail because lists cannot find it.
    """
    if not paths and not (given and carried):
        return given or carried
    envelope: Mapping[str, object] = envelope_of(event) if paths else {}
    values: dict[str, object] = dict(decode(given))
    for name, path in paths:
        value = value_at(envelope, parse_path(path, option="attributes"))
        if not reason_against(value):
            values.setdefault(name, value)
    for name, value in decode(carried).items():
        values.setdefault(name, value)
    return encode(dict(list(values.items())[: limits.RUN_ATTRIBUTES_MAX]))


# --- key bytes ----------------------------------------------------------------------


def key_of(value: AttributeValue) -> bytes:
    """Return bytes in the order of the values of a type; 1 and 1.0 have the same.

    None are the beginning of others.
    """
    match value:
        case bool():
            return _BOOL + bytes([value])
        case str():
            return _TEXT + value.encode() + _END_OF_TEXT
        case datetime():
            microseconds = (value - _EPOCH) // _MICROSECOND
            return _TIME + (microseconds + _SIGN).to_bytes(8, "big")
        case _:
            return _NUMERIC + _number_key(value)


def _number_key(value: float) -> bytes:
    """The nearest float, and what it leaves of a large integer."""
    nearest = float(value) + 0.0  # of the two zeros only one
    rest = value - int(nearest) if isinstance(value, int) else 0
    (bits,) = struct.unpack(">Q", _FLOAT.pack(nearest))
    ordered = ~bits & (2 * _SIGN - 1) if bits & _SIGN else bits | _SIGN
    return _ORDERED.pack(ordered, rest + _REST_MIDDLE)


@lru_cache(maxsize=4096)
def keys_of(data: bytes) -> tuple[tuple[str, bytes], ...]:
    """Return name and key bytes of each of a run's attributes.

    Raises:
        JournalDamaged: they cannot be read.
    """
    return tuple((name, key_of(value)) for name, value in decode(data).items())


# --- what lists ask for -------------------------------------------------------------

KeyRange = tuple[bytes, bytes]
"""Key bytes `first <= key < beyond`."""


@dataclass(frozen=True, slots=True)
class AttributeFilter:
    """An attribute whose key bytes are in one of these ranges."""

    name: str
    ranges: tuple[KeyRange, ...]

    @property
    def is_equality(self) -> bool:
        """Say whether each range is of one value."""
        return all(beyond == _after(first) for first, beyond in self.ranges)

    def takes(self, data: bytes) -> bool:
        """Say whether a run with these attributes is wanted."""
        return any(
            name == self.name and any(first <= key < end for first, end in self.ranges)
            for name, key in keys_of(data)
        )


def parse_filter(text: str, *, option: str = "attribute") -> AttributeFilter:
    """Return a filter from text: `customer=c1`, `total>=100`, `placed<2026-03-01`.

    What stands after the operator is read as every type that it can be: `100` is a number
    and a text, `true` a bool and a text, `2026-03-01` a time (in UTC) and a text. In double
    quotes, as JSON writes it, it is a text and nothing else.

    Raises:
        ConfigurationError: it is none, or its value cannot be an attribute's.
    """
    found = _FILTER.fullmatch(text)
    if found is None:
        raise ConfigurationError(
            f"{option}={text!r} is no filter: write name, operator (=, >, >=, <, <=) and"
            " value, such as 'customer=c1' or 'total>=100'"
        )
    name, operator, literal = found.groups()
    check_name(name, option=option)
    values = _readings(literal, option=f"{option}={text!r}")
    reason = reason_against(values[0])
    if reason:
        raise ConfigurationError(f"{option}={text!r} finds nothing: {reason}")
    fit = [each for each in values if not reason_against(each)]
    return AttributeFilter(name, tuple(_range(operator, each) for each in fit))


def parse_filters(
    texts: Iterable[str], *, option: str = "attribute"
) -> tuple[AttributeFilter, ...]:
    """Return the filters of a query, all of which a run must pass.

    Raises:
        ConfigurationError: one is none, or they are too many.
    """
    found = tuple(parse_filter(text, option=option) for text in texts)
    if len(found) > limits.ATTRIBUTE_FILTERS_MAX:
        raise ConfigurationError(
            f"{len(found)} filters by {option}; one list takes at most"
            f" {limits.ATTRIBUTE_FILTERS_MAX}"
        )
    return found


def filter_texts(attributes: Attributes | Iterable[str]) -> tuple[str, ...]:
    """Return filters as texts: those that are given, or one of equality for each name."""
    if isinstance(attributes, str):
        return (attributes,)
    if not isinstance(attributes, Mapping):
        return tuple(attributes)
    values = cast("Attributes", attributes)
    return tuple(
        f"{name}={_literal(value)}"
        for name, value in values.items()
        if value is not None
    )


def shown(value: AttributeValue) -> str | int | float | bool:
    """Return a value as JSON has it: a moment as text, in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value


def shown_all(data: bytes) -> dict[str, str | int | float | bool]:
    """Return the attributes of a run as JSON has them.

    Raises:
        JournalDamaged: they cannot be read.
    """
    return {name: shown(value) for name, value in decode(data).items()}


def _literal(value: AttributeValue) -> str:
    return json.dumps(value) if not isinstance(value, datetime) else str(shown(value))


def _readings(literal: str, *, option: str) -> list[AttributeValue]:
    """Everything that a literal can be."""
    if literal.startswith('"'):
        try:
            return [msgspec.json.decode(literal, type=str)]
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise ConfigurationError(
                f"{option}: a text in quotes is written as in JSON ({error})"
            ) from error
    found: list[AttributeValue] = [literal]
    if literal in {"true", "false"}:
        found.append(literal == "true")
    elif _NUMBER.fullmatch(literal):
        number = float(literal)
        found.append(int(literal) if literal.lstrip("-").isdigit() else number)
    else:
        found += _times(literal)
    return found


def _times(literal: str) -> list[datetime]:
    try:
        time = datetime.fromisoformat(literal)
    except ValueError:
        return []
    return [time if time.tzinfo is not None else time.replace(tzinfo=UTC)]


def _range(operator: str, value: AttributeValue) -> KeyRange:
    key = key_of(value)
    first, beyond = key[:1], bytes([key[0] + 1])  # of all values of the type
    match operator:
        case "=":
            return key, _after(key)
        case ">":
            return _after(key), beyond
        case ">=":
            return key, beyond
        case "<":
            return first, key
        case _:
            return first, _after(key)


def _after(key: bytes) -> bytes:
    """The first bytes beyond all that begin with a key."""
    stripped = key.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1])
