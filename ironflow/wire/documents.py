"""JSON documents of others, read leniently: what is not understood is not there.

The published SDKs write names in snake_case and in camelCase, also inside one document,
numbers as texts, and null for nothing. Here such a document becomes one with names in
snake_case; a field of the wrong kind is refused with its name.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final, cast

from ironflow.errors import ConfigurationError

Document = Mapping[str, object]

NOTHING: Final[Document] = {}

_HUMP: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}")
_WHOLE_MAX: Final = 2**63 - 1


def document(value: object, *, what: str) -> Document:
    """Return a JSON object with its own names in snake_case and without nulls.

    What stands inside its members is left as it is. Where a name comes in both
    spellings, the one in snake_case counts.

    Raises:
        ConfigurationError: it is not an object; the message names `what`.
    """
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{what} must be a JSON object, not {_kind(value)}")
    found: dict[str, object] = {}
    for name, member in cast("Mapping[str, object]", value).items():
        if member is None:
            continue
        snake = _HUMP.sub(r"_\1", name).lower()
        if snake == name or snake not in found:
            found[snake] = member
    return found


def inner(source: Document, name: str) -> Document:
    """Return an object inside a document; an empty one if it has none.

    Raises:
        ConfigurationError: it is something else.
    """
    value = source.get(name)
    return NOTHING if value is None else document(value, what=name)


def text(source: Document, name: str, default: str = "") -> str:
    """Return a text.

    Raises:
        ConfigurationError: it is something else, or holds half a surrogate pair.
    """
    value = source.get(name, default)
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be text, not {_kind(value)}")
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise ConfigurationError(f"{name} holds half of a surrogate pair")
    return value


def whole(source: Document, name: str, default: int = 0) -> int:
    """Return a whole number, which JSON may have as 3, 3.0 or "3".

    Raises:
        ConfigurationError: it is something else, or has more than 64 bits.
    """
    value = source.get(name, default)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigurationError(f"{name} must be a whole number, not {_shown(value)}")
    if abs(value) > _WHOLE_MAX:
        raise ConfigurationError(f"{name} has more than 64 bits")
    return value


def number(source: Document, name: str, default: float) -> float:
    """Return a finite number.

    Raises:
        ConfigurationError: it is something else.
    """
    value = source.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ConfigurationError(f"{name} must be a number, not {_kind(value)}")
    try:
        found = float(value)
    except OverflowError:  # a whole number that no float is near
        found = math.inf
    if not math.isfinite(found):
        raise ConfigurationError(f"{name} must be a finite number")
    return found


def flag(source: Document, name: str, *, default: bool = False) -> bool:
    """Return a truth value.

    Raises:
        ConfigurationError: it is something else.
    """
    value = source.get(name, default)
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be true or false, not {_kind(value)}")
    return value


def items(source: Document, name: str) -> Sequence[object]:
    """Return the members of a list; none if there is no list.

    Raises:
        ConfigurationError: it is something else.
    """
    value = source.get(name, [])
    if not isinstance(value, list | tuple):
        raise ConfigurationError(f"{name} must be a list, not {_kind(value)}")
    return cast("Sequence[object]", value)


def texts(source: Document, name: str) -> tuple[str, ...]:
    """Return a list of texts.

    Raises:
        ConfigurationError: it, or a member, is something else.
    """
    return tuple(text({name: each}, name) for each in items(source, name))


def _kind(value: object) -> str:
    return type(value).__name__


def _shown(value: object) -> str:
    return repr(value)[:60]
