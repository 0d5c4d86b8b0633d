"""Whether an event is the one that a wait seeks; every store asks here.

Pure: it reads the event's data and nothing else.
"""

from collections.abc import Iterable, Mapping

import msgspec

from ironflow.policy.match import MISSING, match_key, parse_path, value_at
from ironflow.records import EventData


def fits(event: EventData, *, path: str, key: bytes) -> bool:
    """Say whether the event has the value that `key` stands for at `path`."""
    return not path or keys_at(event, (path,)).get(path) == key


def keys_at(event: EventData, paths: Iterable[str]) -> dict[str, bytes]:
    """Return the match key of the event's value at each path that has one."""
    fields: Mapping[str, object] = msgspec.structs.asdict(event) | {
        "data": msgspec.msgpack.decode(event.data)
    }
    keys: dict[str, bytes] = {}
    for path in paths:
        value = value_at(fields, parse_path(path, option="match"))
        key = None if value is MISSING else match_key(value)
        if key is not None:
            keys[path] = key
    return keys
