"""Paths into events, keys for the values found there, and patterns of names.

All of it is comparison of plain data: what is stored, and who is woken, is
decided elsewhere.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Final, Literal, cast

from ironflow import limits
from ironflow.errors import ConfigurationError
from ironflow.policy.names import check_segments, check_text

Path = tuple[str | int, ...]


class _Missing(Enum):
    """A class of its own, so that type checkers tell it from every value."""

    MISSING = "MISSING"


Missing = Literal[_Missing.MISSING]
MISSING: Final = _Missing.MISSING

EVENT_FIELDS: Final = frozenset(
    {
        "id",
        "name",
        "data",
        "version",
        "timestamp",
        "metadata",
        "source",
        "idempotency_key",
    }
)
MATCH_KEY_BYTES: Final = 16

# The names of a path may have spaces, but nothing that cannot be shown.
_NAME: Final = r"[^.\[\]\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+"
_PATH: Final = re.compile(
    rf"(?:\$\.|\$(?=\[))?((?:(?!\$\Z){_NAME}|\[[0-9]+\])(?:\.{_NAME}|\[[0-9]+\])*)"
)
_STEP: Final = re.compile(r"\[([0-9]+)\]|([^.\[\]]+)")
_INDEX: Final = re.compile(r"0|[1-9][0-9]*")
_CONSTANT_HEADS: Final = {None: b"n", True: b"t", False: b"f"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAMESPACE: Final = re.compile(r"(?:events|topic|entity):")


def parse_path(text: object, *, option: str) -> Path:
    """Return the steps of a path such as `data.items[0].id`, from the event down.

    A leading `$.` changes nothing. `items.0.id` is `items[0].id`. A path that
    does not begin with a field of the event (`data`, `name`, `metadata`, ...)
    begins below `data`; so `data.id` is the user's id and `id` is the event's.

    Raises:
        ConfigurationError: it is not a path; the message names `option`.
    """
    if not isinstance(text, str) or len(text) > limits.PATH_CHARS_MAX:
        raise ConfigurationError(
            f"{option} must be a path of at most {limits.PATH_CHARS_MAX} characters,"
            ' such as "data.order_id"'
        )
    steps = _parsed(text)
    if not steps:
        raise ConfigurationError(
            f"{option}={text!r} is not a path; write names joined by dots and indexes"
            ' in brackets, such as "data.items[0].id"'
        )
    return steps


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Path:
    """The steps of a path; none if it is not one."""
    found = _PATH.fullmatch(text)
    if found is None:
        return ()
    steps = tuple(_step(index or name) for index, name in _STEP.findall(found[1]))
    return steps if steps[0] in EVENT_FIELDS else ("data", *steps)


def value_at(event: Mapping[str, object], path: Path) -> object:
    """Return the value at `path`, or MISSING if nothing is there.

    A number in the path is an index of a list and a key of an object.
    """
    value: object = event
    for step in path:
        value = _member(value, step)
        if value is MISSING:
            break
    return value


def match_key(value: object) -> bytes | None:
    """Return 16 bytes that are the same for equal JSON values, and only for them.

    Equal means the same JSON type and value: 1 is 1.0, but neither "1" nor true;
    the order of an object's keys does not matter. None if the value matches
    nothing, not even itself: null, MISSING, NaN, and what is not JSON at all.
    """
    if value is None:
        return None
    if type(value) is str or type(value) is int:  # as nearly all are
        head = _scalar_head(value)
        assert head is not None
        return hashlib.blake2b(head, digest_size=MATCH_KEY_BYTES).digest()
    canonical = hashlib.blake2b(digest_size=MATCH_KEY_BYTES)
    waiting = [value]  # a stack: data may be nested deeper than Python calls
    while waiting:
        head = _canonical_head(waiting.pop(), waiting)
        if head is None:
            return None
        canonical.update(head)
    return canonical.digest()


def parse_pattern(text: object, *, option: str) -> tuple[str, ...]:
    """Return the segments of a pattern of names, or of a plain name.

    `*` stands for one segment, a last `>` for one or more. A namespace
    (`events:`, `topic:`, `entity:`) is a segment of its own, so `topic:*` is
    every topic of one segment and `*` is none of them.

    Raises:
        ConfigurationError: it is not a pattern; the message names `option`.
    """
    pattern = check_text(text, option=option)
    segments = _segments(pattern)
    if len(segments) > limits.PATTERN_SEGMENTS_MAX:
        raise ConfigurationError(
            f"{option}={pattern!r} has {len(segments)} segments; the limit is"
            f" {limits.PATTERN_SEGMENTS_MAX}"
        )
    if ">" in segments[:-1]:
        raise ConfigurationError(
            f'{option}={pattern!r} goes on after ">", which stands for all the rest;'
            ' write "*" for a single segment'
        )
    plain = [segment for segment in segments if segment not in {"*", ">"}]
    check_segments(plain, pattern, option=option)
    return segments


def pattern_matches(pattern: str | tuple[str, ...], name: str) -> bool:
    """Say whether a name fits a pattern, as text or as parsed before."""
    if isinstance(pattern, str):
        if "*" not in pattern and ">" not in pattern:  # as most have no wildcard
            return pattern == name
        wanted = _segments(pattern)
    else:
        wanted = pattern
    found = _segments(name)
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(found) <= len(wanted):
            return False
        found = found[: len(wanted)]
    return len(wanted) == len(found) and all(
        segment in {"*", other} for segment, other in zip(wanted, found, strict=True)
    )


def _step(text: str) -> str | int:
    # "007" is a name: only as a name can it be written back.
    return int(text) if _INDEX.fullmatch(text) else text


def _member(value: object, step: str | int) -> object:
    match value:
        case dict():
            return cast("dict[str, object]", value).get(str(step), MISSING)
        case list() if isinstance(step, int):
            members = cast("list[object]", value)
            return members[step] if step < len(members) else MISSING
        case _:
            return MISSING


def _canonical_head(value: object, waiting: list[object]) -> bytes | None:
    """The bytes of one value without its members, which are put on the stack.

    Every head says where it ends, so two values cannot run into each other.
    """
    match value:
        case dict():
            return _object_head(cast("dict[object, object]", value), waiting)
        case list() | tuple():
            members = cast("list[object]", value)
            waiting.extend(reversed(members))
            return b"[%d;" % len(members)
        case _:
            return _scalar_head(value)


def _object_head(value: dict[object, object], waiting: list[object]) -> bytes | None:
    if not all(isinstance(key, str) for key in value):
        return None
    for key in sorted(cast("dict[str, object]", value), reverse=True):
        waiting += (value[key], key)
    return b"{%d;" % len(value)


def _scalar_head(value: object) -> bytes | None:
    match value:
        case None | bool():
            return _CONSTANT_HEADS[value]
        case str():
            text = value.encode(errors="surrogatepass")
            return b'"%d;%b' % (len(text), text)
        case int():
            return f"#{value:x};".encode()
        case float():
            return _float_head(value)
        case _:
            return _other_head(value)


def _float_head(value: float) -> bytes | None:
    if math.isnan(value):
        return None
    if value.is_integer():
        return f"#{int(value):x};".encode()
    return f"~{value.hex()};".encode()


def _other_head(value: object) -> bytes | None:
    """Not JSON, but kept by the journal as it is: bytes and points in time."""
    match value:
        case bytes():
            return b"b%d;%b" % (len(value), value)
        case datetime() if value.utcoffset() is not None:
            return f"@{value - _EPOCH};".encode()
        case _:
            return None


def _segments(text: str) -> tuple[str, ...]:
    namespace = _NAMESPACE.match(text)
    if namespace is None:
        return tuple(text.split("."))
    return (namespace[0], *text[namespace.end() :].split("."))
