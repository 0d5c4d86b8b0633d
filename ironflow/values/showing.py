"""Stored values as JSON can show them."""

import base64
import math
from datetime import datetime
from typing import cast

from ironflow import limits
from ironflow.errors import ValueRejected
from ironflow.values.decoding import Data, decode


def to_json(data: Data) -> object:
    """Return a stored value as JSON can show it.

    Bytes become {"$bytes": base64}, times ISO 8601, and the floats that JSON
    lacks {"$float": "nan"}.

    Raises:
        ValueRejected: the bytes are no value, or too deep to be shown.
    """
    return _jsonable(decode(data), limits.VALUE_DEPTH_MAX)


def _jsonable(value: object, depth: int) -> object:
    """`depth` levels of lists and objects may still follow."""
    if depth < 0:
        raise ValueRejected(
            f"$ cannot be shown: it is nested deeper than {limits.VALUE_DEPTH_MAX}"
            " levels"
        )
    match value:
        case dict():
            items = cast("dict[object, object]", value).items()
            return {str(key): _jsonable(member, depth - 1) for key, member in items}
        case list():
            members = cast("list[object]", value)
            return [_jsonable(member, depth - 1) for member in members]
        case _:
            return _jsonable_leaf(value)


def _jsonable_leaf(value: object) -> object:
    match value:
        case bytes():
            return {"$bytes": base64.b64encode(value).decode()}
        case datetime():
            return value.isoformat()
        case float() if not math.isfinite(value):
            return {"$float": str(value)}
        case _:
            return value
