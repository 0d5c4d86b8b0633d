"""User values as the JSON of a request: exactly as an engine would store them, or not at all."""

import base64
import math
from typing import Any, Final, cast

import msgspec

from ironflow import values
from ironflow.errors import ValueRejected

_encode_json: Final = msgspec.json.Encoder().encode


def json_value(value: Any) -> object:
    """Return what an engine would store of a value, with times as texts.

    Raises:
        ValueRejected: it cannot be stored, or JSON lacks it; the message names the path.
    """
    stored: object = values.decode(values.encode(value))
    _check(stored, "$")
    return stored


def encoded(body: object) -> bytes:
    """Return a body whose user values are `json_value`s."""
    return _encode_json(body)


def _check(value: object, path: str) -> None:
    match value:
        case dict():
            for key, member in cast("dict[object, object]", value).items():
                if not isinstance(key, str):
                    raise ValueRejected(
                        f"{path} has the key {key!r}, and JSON has only texts as keys",
                        path=path,
                    )
                _check(member, f"{path}.{key}")
        case list():
            for index, member in enumerate(cast("list[object]", value)):
                _check(member, f"{path}[{index}]")
        case bytes():
            shown = base64.b64encode(value[:9]).decode()
            raise ValueRejected(
                f"{path} is bytes, which JSON lacks; send them as base64 text"
                f" ({shown!r}...), or their address",
                path=path,
            )
        case float() if not math.isfinite(value):
            raise ValueRejected(
                f"{path} is {value}, which JSON lacks; send a text or null", path=path
            )
        case _:
            pass
