"""Commands by which payloads are taken away for ever; what they prove stays."""

from dataclasses import dataclass
from typing import NamedTuple


class Replacement(NamedTuple):
    """What shall stand in the place of a record's payload, whose digest is `was`."""

    sequence: int
    was: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class RedactRecords:
    """Put other payloads in the place of those of a run that has ended.

    Answer: `Done`; refused with `RunNotFound`, `MisusedOperation` (it has not ended) or
    `Conflict` (it has not `length` records, or a payload is another). What was redacted
    before stays as it is. On return nothing that reads the journal sees a payload that
    was replaced; the run does not go on any more.

    `replacements` are in the order of their sequences. Of a payload that a run has more
    than once, all are replaced in one command: so it can go where it lies.
    """

    run_id: str
    length: int
    replacements: tuple[Replacement, ...]
    now: int
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RedactEvent:
    """Put a marker in the place of an event's data in the log; its metadata goes.

    Answer: `Done`; refused with `EventNotFound`, or with `MisusedOperation` while a run
    that it started has not ended, or it has not been offered to all waits. Copies of it
    in histories are for `RedactRecords`. Id, name, time and idempotency key stay.
    """

    position: int
    event_id: str
    now: int
    actor: str = ""
    reason: str = ""
