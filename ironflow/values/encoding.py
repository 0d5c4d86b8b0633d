"""Values to bytes, and the place and reason where that cannot be."""

import hashlib
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final, cast

import msgspec

from ironflow import limits
from ironflow.errors import ValueRejected
from ironflow.values.decoding import INSTEAD, Data, decode
from ironflow.values.models import dump_model, is_model
from ironflow.values.parts import members, path_step, shown

DIGEST_BYTES: Final = 16

# What reads back as it is without an annotation; subclasses do not.
_SCALARS: Final[frozenset[type]] = frozenset(
    {
        bool,
        bytes,
        float,
        int,
        str,
        type(None),
    }
)
_READ_SCALARS: Final[frozenset[type]] = _SCALARS | {datetime}
_KEYS: Final[frozenset[type]] = frozenset({str})
_ENCODE_ERRORS: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


def encode(value: object) -> bytes:
    """Return the bytes of a value.

    The same value has the same bytes in every process; for that, sets are sorted,
    and then so are the dicts beside them.

    Raises:
        ValueRejected: it has no bytes, or too many; the message names the place,
            the type, and what to do.
    """
    data, plain = encoded(value, step=None)
    if plain or not _holds_set(value):
        return data
    return _ORDERED_ENCODER.encode(value)


def digest(data: Data) -> bytes:
    """Return the 16 bytes by which a stored value is known."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def input_digest(args: tuple[object, ...]) -> bytes:
    """Return a digest of a step's arguments, b"" if they cannot be encoded.

    Equal arguments have equal digests in every process, whatever the order of
    their sets and dicts.
    """
    try:
        return digest(_ORDERED_ENCODER.encode(args))
    except _ENCODE_ERRORS:
        return b""


def encoded(value: object, *, step: str | None) -> tuple[bytes, bool]:
    """Return the bytes, and whether the value is plain.

    Raises:
        ValueRejected: as for `encode`; the message names the step, if there is one.
    """
    try:
        data = _ENCODER.encode(value)
    except _ENCODE_ERRORS as error:
        path, leaf = _deepest(value, _cannot_encode)
        raise _refused(path, _reason(leaf), step=step) from error
    if len(data) > limits.VALUE_BYTES_MAX:
        raise _refused(
            "$",
            f"{len(data)} bytes long and the limit is {limits.VALUE_BYTES_MAX}; put it"
            " into a file or an object store and return its address",
            step=step,
        )
    if is_plain(value):
        return data, True
    # A class may be fine if its bytes are: they must be what plain data has.
    stored = decode(data)
    if _is_not_readable(stored):
        path, leaf = _deepest(stored, _is_not_readable)
        raise _refused(path, _reason(leaf), step=step)
    return data, False


def encodes_to(value: object, data: bytes) -> bool:
    """Say whether a value that can be encoded has these bytes."""
    return _ENCODER.encode(value) == data


def is_plain(value: object, scalars: frozenset[type] = _SCALARS) -> bool:
    """Say whether a value is built only of what reads back as it is.

    The value must not contain itself.
    """
    if type(value) in scalars:
        return True
    inside = _plain_members(value)
    if inside is None:
        return False
    # Most are a flat list or dict.
    return scalars.issuperset(map(type, inside)) or _is_plain(inside, scalars)


def _is_plain(inside: Collection[object], scalars: frozenset[type]) -> bool:
    """Go down by levels; the last that is allowed has no lists or dicts."""
    level = inside
    for _ in range(limits.VALUE_DEPTH_MAX):
        below: list[object] = []
        for each in level:
            if type(each) in scalars:
                continue
            members = _plain_members(each)
            if members is None:
                return False
            below += members
        if not below:
            return True
        level = below
    return False


def _plain_members(container: object) -> Collection[object] | None:
    if type(container) is list:
        return cast("list[object]", container)
    if type(container) is dict:
        items = cast("dict[object, object]", container)
        return items.values() if _KEYS.issuperset(map(type, items)) else None
    return None


def _holds_set(value: object) -> bool:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, set | frozenset):
            return True
        waiting += [member for _, member in members(value) or ()]
    return False


def _is_not_readable(stored: object) -> bool:
    return not is_plain(stored, _READ_SCALARS)


def _cannot_encode(value: object) -> bool:
    try:
        _ENCODER.encode(value)
    except _ENCODE_ERRORS:
        return True
    return False


def _deepest(value: object, wrong: Callable[[object], bool]) -> tuple[str, object]:
    """Go down to the member that is wrong while all of its own are right."""
    path, leaf = "$", value
    for _ in range(limits.VALUE_DEPTH_MAX):
        found = [each for each in members(leaf) or () if wrong(each[1])][:1]
        if not found:
            return path, leaf
        label, leaf = found[0]
        path += path_step(label)
    return "$", value  # too deep, perhaps because it contains itself


def _reason(leaf: object) -> str:
    """Why this value, whose members can all be stored, cannot."""
    kind = type(leaf)
    if kind is int:
        return "an integer of more than 64 bits; store it as a str"
    if kind is str:
        return "text with half a surrogate pair; remove it before you store the text"
    if not isinstance(leaf, dict | list | tuple):
        return f"a {kind}; {INSTEAD}"
    for key in cast("dict[object, object]", leaf) if isinstance(leaf, dict) else ():
        if type(key) is not str or _cannot_encode(key):
            return f"a dict with the key {shown(key)}; make its keys valid str"
    return (
        f"a {kind.__name__} that contains itself, or is nested deeper than"
        f" {limits.VALUE_DEPTH_MAX} levels; store a flatter value"
    )


def _refused(path: str, reason: str, *, step: str | None) -> ValueRejected:
    subject = "the value" if step is None else f"the result of {step!r}"
    return ValueRejected(f"{subject} cannot be stored: {path} is {reason}", path=path)


def _encode_foreign(value: object) -> object:
    if not is_model(type(value)):
        raise TypeError(f"{type(value)} is not data")
    return dump_model(value)


# Made once: they hold options, and never a value.
_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_encode_foreign)
_ORDERED_ENCODER: Final = msgspec.msgpack.Encoder(
    enc_hook=_encode_foreign, order="deterministic"
)
