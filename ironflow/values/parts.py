"""The parts of a value, the path to each, and a short form to show."""

import dataclasses
import json
import re
import reprlib
from collections.abc import Collection, Iterable, Mapping
from typing import Final, Protocol, cast

import msgspec

from ironflow.values.models import is_model, model_fields

_SHOWN_CHARS: Final = 80
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][\w-]*")


class _Field(Protocol):
    """A field of a dataclass or of a class of attrs."""

    name: str


def members(value: object) -> list[tuple[object, object]] | None:
    """Return the parts with their keys, indexes or names; None for a leaf."""
    match value:
        case dict():
            return list(cast("dict[object, object]", value).items())
        case list() | tuple() | set() | frozenset():
            return list(enumerate(cast("Collection[object]", value)))
        case _:
            fields = _fields(value)
            return None if fields is None else list(fields.items())


def path_step(label: object) -> str:
    """Return how a path goes on to the part with this key, index or name."""
    if not isinstance(label, str):
        return f"[{label!r}]"
    if _PLAIN_NAME.fullmatch(label):
        return f".{label}"
    return f"[{json.dumps(label)}]"


def shown(value: object) -> str:
    """Return a value in one short line."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = _SHOWN_CHARS
    try:
        return short.repr(value)
    except ValueError:  # an integer of thousands of digits
        return f"a {type(value).__name__}"


def _fields(value: object) -> Mapping[str, object] | None:
    kind = type(value)
    if isinstance(value, msgspec.Struct):
        names = list(value.__struct_fields__)
    elif dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
    elif (declared := getattr(kind, "__attrs_attrs__", None)) is not None:
        names = [field.name for field in cast("Iterable[_Field]", declared)]
    else:
        return model_fields(value) if is_model(kind) else None
    return {name: getattr(value, name, None) for name in names}
