"""What stands in the place of a payload that was redacted; pure.

A reader that knows nothing of redactions still gets what it expects: an event is an
event, an error an error, with a marker where the value was. The marker has a digest of
what was there, so that whoever has the value can prove that it was this one. It also lets
somebody try values: a secret of which there are few can be found by it.
"""

import hashlib
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from ironflow.interpreter import failures
from ironflow.records import (
    COMPLETED,
    ChildEnded,
    Entry,
    ErrorInfo,
    EventData,
    EventReceived,
    Payload,
    Record,
    Rewound,
    RunEnded,
    RunStarted,
    StepFailed,
    StepInDoubt,
)

MARK: Final = "$redacted"
MESSAGE: Final = "redacted"
_US: Final = 1_000_000

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_event: Final = msgspec.msgpack.Decoder(EventData).decode
_decode_changes: Final = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode


def marker(data: Payload, *, at: int) -> dict[str, Any]:
    """Return what stands for a value, by its stored bytes; `at` is in microseconds."""
    shown = datetime.fromtimestamp(at // _US, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        MARK: True,
        "sha256": hashlib.sha256(bytes(data)).hexdigest(),
        "redactedAt": shown,
    }


def event_in_place_of(event: EventData, *, at: int) -> EventData:
    """Return an event without its data and metadata."""
    data = msgspec.Raw(_encode(marker(event.data, at=at)))
    return replace(event, data=data, metadata={})


def payload_in_place_of(entry: Entry, *, at: int) -> bytes:
    """Return what shall stand in the place of a record's payload, which is here."""
    try:
        return _encode(_in_place_of(entry.record, entry.payload, at=at))
    except msgspec.DecodeError:  # it was none of what its kind has: nobody reads it
        return _encode(marker(entry.payload, at=at))


def _in_place_of(record: Record, payload: Payload, *, at: int) -> object:
    if isinstance(record, RunStarted | EventReceived):
        return event_in_place_of(_decode_event(payload), at=at)
    if holds_error(record):
        return _error_in_place_of(payload, at=at)
    if isinstance(record, Rewound):
        changes = _decode_changes(payload)
        return {step: marker(value, at=at) for step, value in changes.items()}
    return marker(payload, at=at)


def holds_error(record: Record) -> bool:
    """Say whether a record's payload is an error."""
    if isinstance(record, RunEnded | ChildEnded):
        return record.status != COMPLETED
    return isinstance(record, StepFailed | StepInDoubt)


def _error_in_place_of(payload: Payload, *, at: int) -> ErrorInfo:
    """Return an error of the same class that says nothing else."""
    error = failures.decode(payload)
    mark = marker(payload, at=at)
    return ErrorInfo(
        type=error.type,
        message=MESSAGE,
        code=error.code,
        retryable=error.retryable,
        details={key: mark[key] for key in ("sha256", "redactedAt")},
    )
