"""Run, event and step ids: made from given time and entropy, parsed, shown.

A run or event id is a UUIDv7 (RFC 9562): 48 bits of milliseconds, then
entropy. Ids made close in time are neighbours in a store. Inside the journal
they are 16 bytes; outside `run_` or `evt_` and 32 hexadecimal digits.
"""

import hashlib
import re
from typing import Final

from ironflow.errors import ConfigurationError, EventNotFound, RunNotFound

ENTROPY_BYTES: Final = 10
_PREFIXED = re.compile(r"(run|evt)_[0-9a-f]{32}\Z")


def uuid7(time_us: int, entropy: bytes) -> bytes:
    """Return the 16 bytes of a UUIDv7 of this time; 10 bytes of entropy."""
    assert len(entropy) >= ENTROPY_BYTES
    value = bytearray((time_us // 1000).to_bytes(6, "big") + entropy[:ENTROPY_BYTES])
    value[6] = 0x70 | (value[6] & 0x0F)
    value[8] = 0x80 | (value[8] & 0x3F)
    return bytes(value)


def derived(time_us: int, *parts: str) -> bytes:
    """Return an id that is the same whenever time and parts are the same."""
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=ENTROPY_BYTES)
    return uuid7(time_us, digest.digest())


def earliest(time_us: int) -> bytes:
    """Return the lowest id of this time: made at or after it are those from here on."""
    milliseconds = min(max(-(-time_us // 1000), 0), (1 << 48) - 1)
    return milliseconds.to_bytes(6, "big") + bytes(ENTROPY_BYTES)


def time_us(identifier: str) -> int:
    """Return the time at which a run or event id was made, to a millisecond."""
    return int(identifier[4:16], 16) * 1000


def run_id(value: bytes) -> str:
    """Show the 16 bytes of a run id."""
    return "run_" + value.hex()


def event_id(value: bytes) -> str:
    """Show the 16 bytes of an event id."""
    return "evt_" + value.hex()


def is_run_id(text: str) -> bool:
    """Say whether a text is a run id."""
    return text.startswith("run_") and _PREFIXED.match(text) is not None


def check_run_id(text: str) -> str:
    """Return `text` if it is a run id; the messages show what one looks like.

    Raises:
        ConfigurationError: it is empty.
        RunNotFound: it is something else, so no run has it.
    """
    if is_run_id(text):
        return text
    said = (
        f"{text[:80]!r} is not a run id: one looks like 'run_' and 32 hexadecimal"
        " digits; 'ironflow runs list' shows them"
    )
    raise RunNotFound(said) if text else ConfigurationError(said)


def is_event_id(text: str) -> bool:
    """Say whether a text is an event id."""
    return text.startswith("evt_") and _PREFIXED.match(text) is not None


def check_event_id(text: str) -> str:
    """Return `text` if it is an event id; the messages show what one looks like.

    Raises:
        ConfigurationError: it is empty.
        EventNotFound: it is something else, so no event has it.
    """
    if is_event_id(text):
        return text
    said = (
        f"{text[:80]!r} is not an event id: one looks like 'evt_' and 32 hexadecimal"
        " digits"
    )
    raise EventNotFound(said) if text else ConfigurationError(said)


def triggered_run_id(event: str, function_id: str) -> str:
    """Return the id of the run that this event starts of this function."""
    return run_id(derived(time_us(event), "trigger", event, function_id))


def child_run_id(parent: str, *, sequence: int, asked_at: int) -> str:
    """Return the id of the child that the parent's record `sequence` starts."""
    return run_id(derived(asked_at, "child", parent, str(sequence)))


def published_event_id(run: str, *, sequence: int, asked_at: int) -> str:
    """Return the id of the message that the run's record `sequence` publishes."""
    return event_id(derived(asked_at, "publish", run, str(sequence)))


def idempotency_key(run: str, step: str) -> str:
    """Return the key of a step: stable over attempts, restarts and machines."""
    digest = hashlib.blake2b(f"{run}\0{step}".encode(), digest_size=16)
    return digest.hexdigest()


def escaped(name: str) -> str:
    r"""Return a step name as a segment of an id: `\` and `:` are escaped."""
    if "\\" not in name and ":" not in name:
        return name
    return name.replace("\\", "\\\\").replace(":", "\\:")


def scope_segment(name: str, use: int) -> str:
    r"""Return the segment of a parallel or map: `name`, later uses `name\#n`."""
    return escaped(name) if use == 0 else f"{escaped(name)}\\#{use}"


def name_of(step: str) -> str:
    r"""Return the name in a step id: `fan:1:w\:x:0` -> `w:x`."""
    segments = _segments(step)
    return _unescaped(segments[-2]) if len(segments) > 1 else step


def is_undo(step: str) -> bool:
    r"""Say whether a step id is that of an undo: `fan:1:compensate:charge:0`.

    A parallel of that name has an index after it, and a step no more than a counter.
    """
    return "compensate:" in step and _segments(step)[-3:-2] == ["compensate"]


def _segments(step: str) -> list[str]:
    segments: list[str] = []
    current, at = "", 0
    while at < len(step):
        if step[at] == "\\":
            current += step[at : at + 2]
            at += 2
        elif step[at] == ":":
            segments.append(current)
            current = ""
            at += 1
        else:
            current += step[at]
            at += 1
    segments.append(current)
    return segments


def _unescaped(segment: str) -> str:
    return re.sub(r"\\(.)", r"\1", segment)
