"""Amendments folded away: the history as the interpreter is fed it.

Nothing is ever edited or deleted in a journal. A rewind, a patched result or a retry
is a record like any other, and changes how those before it are read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from ironflow.records import (
    FAILED,
    Entry,
    Payload,
    Record,
    Rewound,
    RunEnded,
    RunRetried,
    StepCompleted,
    StepFailed,
    StepInDoubt,
    StepPatched,
    StepStarted,
    UndoStarted,
)

_decode_changes = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode
_FAILED_RUN_MIN: Final = 3  # its start, a step's failure, its end
_GIVEN_UP: Final = (StepFailed, StepInDoubt)
_ATTEMPT: Final = (StepStarted, *_GIVEN_UP)


@dataclass(frozen=True, slots=True)
class Effective:
    """What to feed, and the results that a rewind has set free.

    A step that is asked again with the same id and the same input digest takes its
    result from `reusable` instead of being performed.
    """

    entries: tuple[Entry, ...]
    reusable: dict[tuple[str, bytes], Entry]


def effective(entries: Iterable[Entry]) -> Effective:
    """Fold the amendments of a history; without any, it is the history itself."""
    kept: list[Entry] = []
    reusable: dict[tuple[str, bytes], Entry] = {}
    for entry in entries:
        record = entry.record
        match record:
            case Rewound():
                kept = _rewind(kept, record, entry.payload, reusable)
            case StepPatched():
                kept = _with_result(kept, record.id, entry.payload)
            case RunRetried():
                kept = [*_without_failure(kept), entry]
            case _:
                kept.append(entry)
    return Effective(tuple(kept), reusable)


def _rewind(
    kept: list[Entry],
    rewound: Rewound,
    payload: Payload,
    reusable: dict[tuple[str, bytes], Entry],
) -> list[Entry]:
    left = [entry for entry in kept if entry.record.sequence <= rewound.to]
    for entry in kept[len(left) :]:
        record = entry.record
        if isinstance(record, StepCompleted) and record.input_digest:
            reusable[record.id, record.input_digest] = entry
    for step, result in (_decode_changes(payload) if payload else {}).items():
        left = _with_result(left, step, result)
    return left


def _with_result(kept: list[Entry], step: str, payload: Payload) -> list[Entry]:
    return [
        msgspec.structs.replace(entry, payload=payload)
        if isinstance(entry.record, StepCompleted) and entry.record.id == step
        else entry
        for entry in kept
    ]


def _without_failure(kept: list[Entry]) -> list[Entry]:
    """Drop the end of a failed run and the attempts that brought it about."""
    if not retryable(entry.record for entry in kept):
        return kept
    cause = kept[-2].record
    return [
        entry
        for entry in kept[:-1]
        if entry.record.id != cause.id or not isinstance(entry.record, _ATTEMPT)
    ]


def retryable(records: Iterable[Record]) -> bool:
    """Say whether a run can go on in place: it failed by a step, before any undo.

    One whose undo has begun can only be tried again as a new run.
    """
    history = list(records)
    if len(history) < _FAILED_RUN_MIN or any(
        isinstance(each, UndoStarted) for each in history
    ):
        return False
    end, cause = history[-1], history[-2]
    return (
        isinstance(end, RunEnded)
        and end.status == FAILED
        and isinstance(cause, _GIVEN_UP)
    )
