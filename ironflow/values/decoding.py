"""Bytes to values: a decoder for each annotation, and the path in its errors."""

import functools
import re
from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec
from msgspec import inspect as shapes

from ironflow.errors import ConfigurationError, ValueRejected
from ironflow.values.models import is_model, rebuild_model

Data = bytes | msgspec.Raw
Decoder = msgspec.msgpack.Decoder[object]

INSTEAD: Final = (
    "use plain data (dict, list, str, int, float, bool, None, bytes), or with an"
    " annotation a msgspec.Struct, dataclass, datetime, Decimal, UUID or Enum"
)
_DECODERS_CACHED_MAX: Final = 1_024
_ANNOTATION_ERRORS: Final = (AttributeError, NameError, TypeError, ValueError)
_ERROR_PATH: Final = re.compile(r" - at `(?:key` in `)?(\$[^`]*)`\Z")


def decode(data: Data, annotation: object = Any) -> object:
    """Return the value that the bytes stand for, as the annotation says.

    Raises:
        ValueRejected: the bytes are no value, or do not fit; it names the path.
        ConfigurationError: as for `check_annotation`.
    """
    decoder = _PLAIN_DECODER if annotation is Any else decoder_for(annotation)
    try:
        return decoder.decode(data)
    except (ValueError, RecursionError) as error:
        text = str(error)
        found = _ERROR_PATH.search(text)
        path, reason = (found[1], text[: found.start()]) if found else ("$", text)
        raise ValueRejected(f"{path} cannot be read: {reason}", path=path) from error


def decoder_for(annotation: object) -> Decoder:
    """Return the decoder for an annotation, made once.

    Raises:
        ConfigurationError: as for `check_annotation`.
    """
    try:
        return _cached_decoder(annotation)
    except TypeError:  # an annotation may hold what cannot be hashed
        return _new_decoder(annotation)


def check_annotation(annotation: object, *, where: str) -> None:
    """Refuse an annotation by which no value can be read back.

    Raises:
        ConfigurationError: it names a type that is neither data nor a model; the
            message begins with `where`.
    """
    try:
        decoder_for(annotation)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def annotation_name(annotation: object) -> str:
    """Return an annotation as it is written."""
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)


def _new_decoder(annotation: object) -> Decoder:
    try:
        foreign = _foreign_class(shapes.type_info(annotation))
        decoder: Decoder = msgspec.msgpack.Decoder(
            cast("type[object]", annotation),
            dec_hook=_decode_foreign,
            ext_hook=_refuse_extension,
        )
    except _ANNOTATION_ERRORS as error:
        raise ConfigurationError(
            f"nothing can be read back as {annotation_name(annotation)}: {error}"
        ) from error
    if foreign is not None:
        raise ConfigurationError(
            f"nothing can be read back as {annotation_name(annotation)}, because"
            f" {annotation_name(foreign)} is not data; {INSTEAD}"
        )
    return decoder


def _foreign_class(shape: shapes.Type) -> type | None:
    """The first class in an annotation that neither msgspec nor a model can read."""
    seen: set[int] = set()
    waiting: list[shapes.Type | shapes.Field] = [shape]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # a class may have members of its own kind
            continue
        seen.add(id(node))
        if isinstance(node, shapes.CustomType) and not _can_rebuild(node.cls):
            return node.cls
        waiting.extend(_nested(node))
    return None


def _nested(
    node: shapes.Type | shapes.Field,
) -> Iterator[shapes.Type | shapes.Field]:
    for name in node.__struct_fields__:
        part: object = getattr(node, name)
        parts = cast("tuple[object, ...]", part) if isinstance(part, tuple) else (part,)
        for each in parts:
            if isinstance(each, shapes.Type | shapes.Field):
                yield each


def _can_rebuild(kind: type) -> bool:
    return kind is object or is_model(kind)


def _decode_foreign(kind: type, stored: object) -> object:
    return stored if kind is object else rebuild_model(kind, stored)


def _refuse_extension(code: int, _data: memoryview) -> object:
    raise ValueError(f"MessagePack extension {code} is not in use")


# Made once: they hold options, and never a value.
_PLAIN_DECODER: Final[Decoder] = msgspec.msgpack.Decoder(ext_hook=_refuse_extension)
_cached_decoder = functools.lru_cache(maxsize=_DECODERS_CACHED_MAX)(_new_decoder)
