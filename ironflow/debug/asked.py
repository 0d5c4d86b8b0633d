"""What an asked command and the recorded one, which agree, still differ in.

The interpreter compares what decides the meaning of a history. A duration, an
input, an output may differ and the run goes on with what is recorded; but somebody
who has changed the code wants to know.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ironflow import values
from ironflow.debug.difference import Difference, differences
from ironflow.errors import ValueRejected
from ironflow.interpreter import failures, mismatch
from ironflow.records import (
    COMPLETED,
    AttributesSet,
    ChildStarted,
    Draft,
    Entry,
    Payload,
    Published,
    Record,
    RunContinued,
    RunEnded,
    SleepStarted,
    WaitStarted,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Note:
    """A parameter of a command that today's code asks for in another way.

    The run would go on with what is recorded. `what` names the command with its
    source line, `part` the parameter; the values are as JSON shows them.
    """

    sequence: int
    what: str
    part: str
    recorded: object
    today: object


def notes(asked: Draft, recorded: Entry) -> Iterator[Note]:
    """Yield parameters that differ in two commands that agree."""
    record = recorded.record
    old, new = _parameters(record), _parameters(asked.record)
    for part, value in old.items():
        if new[part] != value:
            yield Note(record.sequence, mismatch.shown(record), part, value, new[part])
    name = _PAYLOADS.get(type(record))
    if name is None or asked.payload == recorded.payload:
        return
    for found in differences(shown(recorded.payload), shown(asked.payload)):
        place = name + found.path.removeprefix("$")
        what = mismatch.shown(record)
        yield Note(record.sequence, what, place, found.recorded, found.today)


def outcome(asked: Draft, recorded: Entry) -> tuple[Difference, ...]:
    """Return what the run's outcome differs in; of errors, what programs look at."""
    record = recorded.record
    if asked.payload == recorded.payload:
        return ()
    if isinstance(record, RunEnded) and record.status != COMPLETED:
        return differences(_error(recorded.payload), _error(asked.payload))
    return differences(shown(recorded.payload), shown(asked.payload))


def is_outcome(record: Record) -> bool:
    """Say whether the record has the run's outcome as its payload."""
    return isinstance(record, RunEnded | RunContinued)


def shown(payload: Payload) -> object:
    """Return a payload as JSON shows it; one that cannot be shown as a text."""
    try:
        return values.to_json(payload) if payload else None
    except ValueRejected as error:
        return f"<{error}>"


_PAYLOADS: Final[dict[type[Record], str]] = {
    ChildStarted: "input",
    Published: "data",
    AttributesSet: "changes",
}


def _parameters(record: Record) -> dict[str, object]:
    match record:
        case SleepStarted():
            return {"until": _time(record.until)}
        case WaitStarted():
            return {
                "match": record.path,
                "value to match": record.match_key.hex(),
                "timeout at": _time(record.timeout_at),
                "looks back": record.look_back,
            }
        case ChildStarted():
            return {
                "attached": record.attached,
                "awaited": record.awaited,
                "timeout at": _time(record.timeout_at),
            }
        case _:
            return {}


def _time(time_us: int) -> str | None:
    if not time_us:
        return None
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat()


def _error(payload: Payload) -> object:
    """The traceback has line numbers, which any change moves."""
    info = failures.decode(payload)
    return {"type": info.type, "code": info.code, "message": info.message}
