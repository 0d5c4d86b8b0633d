"""How many runs may be carried on at once: lanes, and whether one has room.

A *lane* is the runs of one function whose events have the same value at the
function's key path. What a lane counts are runs that somebody holds: whose code is
in memory and whose steps run. A run that sleeps, waits for an event or a child, or
backs off for long is parked and takes no room; it takes its turn again when it wakes.
"""

from typing import Final

from ironflow.policy.envelope import envelope_of
from ironflow.policy.match import match_key, parse_path, value_at
from ironflow.records import EventData

ONLY_LANE: Final = b""


def lane_of(event: EventData, *, limit: int, key: str) -> bytes:
    """Return the lane of a run that this event starts: 16 bytes, or `ONLY_LANE`.

    `key` is a path into the event. Events without a value there (null is none) share
    the lane that a function without a key has.
    """
    if not limit or not key:
        return ONLY_LANE
    value = value_at(envelope_of(event), parse_path(key, option="concurrency_key"))
    return match_key(value) or ONLY_LANE


def has_room(running: int, *, limit: int) -> bool:
    """Say whether one more run of a lane may be held; a limit of 0 is none."""
    return not limit or running < limit
