"""Which results of a run were replaced by hand: what they were, when, by whom and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from ironflow.records import (
    NO_PAYLOAD,
    Entry,
    Payload,
    Rewound,
    StepCompleted,
    StepPatched,
)

_steps_of: Final = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Patch:
    """The last replacement of a result; `original` is what the step itself returned.

    `at` is in microseconds, `sequence` that of its record.
    """

    at: int
    actor: str
    reason: str
    original: Payload
    sequence: int


def patches_of(entries: Iterable[Entry]) -> dict[str, Patch]:
    """Return what was replaced in a history, by the ids of steps.

    A step that was done again after that has the result of its own.
    """
    returned: dict[str, Payload] = {}
    found: dict[str, Patch] = {}
    for entry in entries:
        record = entry.record
        match record:
            case StepCompleted():
                returned[record.id] = entry.payload
                found.pop(record.id, None)
            case StepPatched():
                found[record.id] = _patch(record, returned.get(record.id, NO_PAYLOAD))
            case Rewound():
                found = {
                    id_: each
                    for id_, each in found.items()
                    if each.sequence <= record.to
                }
                for step in _steps_of(entry.payload) if entry.payload else ():
                    found[step] = _patch(record, returned.get(step, NO_PAYLOAD))
            case _:
                pass
    return found


def _patch(record: StepPatched | Rewound, original: Payload) -> Patch:
    at, sequence = record.recorded_at, record.sequence
    return Patch(at, record.actor, record.reason, original, sequence)
