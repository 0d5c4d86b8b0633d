"""Which results of a run were replaced by hand: what they were, when, by whom and why."""

from collections.abc import Iterable
from dataclasses import dataclass

from ironflow.records import (
    NO_PAYLOAD,
    Entry,
    Payload,
    Rewound,
    StepCompleted,
    StepPatched,
)


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
                found[record.id] = Patch(
                    record.recorded_at,
                    record.actor,
                    record.reason,
                    returned.get(record.id, NO_PAYLOAD),
                    record.sequence,
                )
            case Rewound():
                found = {
                    id_: each
                    for id_, each in found.items()
                    if each.sequence <= record.to
                }
            case _:
                pass
    return found
