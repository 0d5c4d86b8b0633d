"""Records in the words of the reference model."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ironflow.records import (
    ChildEnded,
    ChildStarted,
    ErrorInfo,
    EventData,
    EventReceived,
    Payload,
    Published,
    Record,
    RunEnded,
    SleepStarted,
    StepCompleted,
    StepFailed,
    StepInDoubt,
    StepStarted,
    WaitStarted,
)
from tests.model.model import Fact

_decode = msgspec.msgpack.decode
_decode_error: Final = msgspec.msgpack.Decoder(ErrorInfo).decode
_decode_event: Final = msgspec.msgpack.Decoder(EventData).decode


def fact_of(record: Record, payload: Payload) -> Fact:
    """Return what the model says of the same thing."""
    kind = type(record)
    details = DETAILS[kind](record, payload) if kind in DETAILS else ()
    return kind.__name__, record.id, *details


def _end(status: str, payload: Payload) -> str:
    if status == "completed":
        output: str = _decode(payload)
        return output
    if status == "cancelled":
        return "Cancelled"
    return _decode_error(payload).type.rpartition(".")[2]


DETAILS: Final[dict[type[Record], Callable[[Any, Payload], tuple[Any, ...]]]] = {
    StepStarted: lambda record, _: (record.attempt,),
    StepCompleted: lambda record, payload: (record.attempt, _decode(payload)),
    StepFailed: lambda record, payload: (
        record.attempt,
        record.final,
        record.in_doubt,
        _decode_error(payload).code == "NEVER_BEGUN",
    ),
    StepInDoubt: lambda record, _: (record.attempt,),
    SleepStarted: lambda record, _: (record.until > 0,),
    WaitStarted: lambda record, _: (record.timeout_at > 0,),
    ChildStarted: lambda record, payload: (
        record.timeout_at > 0,
        record.function_id,
        record.awaited,
        _decode(payload),
    ),
    Published: lambda _, payload: (_decode(payload),),
    EventReceived: lambda _, payload: (_decode(_decode_event(payload).data),),
    ChildEnded: lambda record, payload: (record.status, _end(record.status, payload)),
    RunEnded: lambda record, payload: (record.status, _end(record.status, payload)),
}
