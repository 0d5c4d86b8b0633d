"""Whether an event is the one that a wait seeks; every store asks here.

Pure: it reads the event's data and nothing else.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from ironflow.policy.match import MISSING, match_key, parse_path, value_at
from ironflow.records import EventData

_decode: Final = msgspec.msgpack.Decoder().decode


def fits(event: EventData, *, path: str, key: bytes) -> bool:
    """Say whether the event has the value that `key` stands for at `path`."""
    return not path or keys_at(event, (path,)).get(path) == key


def keys_at(event: EventData, paths: Iterable[str]) -> dict[str, bytes]:
    """Return the match key of the event's value at each path that has one."""
    data = {"data": _decode(event.data)}  # as nearly all paths begin
    keys: dict[str, bytes] = {}
    for path in paths:
        steps = parse_path(path, option="match")
        fields: Mapping[str, object] = (
            data if steps[0] == "data" else msgspec.structs.asdict(event)
        )
        value = value_at(fields, steps)
        key = None if value is MISSING else match_key(value)
        if key is not None:
            keys[path] = key
    return keys
