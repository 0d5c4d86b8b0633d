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
    CancelRequested,
    ChildEnded,
    ChildStarted,
    DeadlinePassed,
    Entry,
    EventReceived,
    Payload,
    Record,
    Rewound,
    RunEnded,
    RunRetried,
    SleepFired,
    SleepStarted,
    StepCompleted,
    StepFailed,
    StepInDoubt,
    StepPatched,
    StepStarted,
    UndoStarted,
    WaitStarted,
    WaitTimedOut,
)

_decode_changes = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode
_FAILED_RUN_MIN: Final = 3  # its start, a step's failure, its end
_GIVEN_UP: Final = (StepFailed, StepInDoubt)
_SEGMENT: Final = "segment"  # the step of `segments`; every other id has a counter
_FORBIDS_RETRY: Final = (UndoStarted, CancelRequested)
_OPENS: Final = (SleepStarted, WaitStarted, ChildStarted)
_SETTLES: Final = (SleepFired, EventReceived, WaitTimedOut, ChildEnded)


@dataclass(frozen=True, slots=True)
class Effective:
    """What to feed, and the results that a rewind has set free.

    A step that is asked again with the same id and the same input digest takes its
    result from `reusable` instead of being performed. A rewind stands behind what it
    kept: what is asked from there on is asked at its time. `is_corrected`: a result was
    replaced since the run has ended.
    """

    entries: tuple[Entry, ...]
    reusable: dict[tuple[str, bytes], Entry]
    is_corrected: bool = False


def effective(entries: Iterable[Entry]) -> Effective:
    """Fold the amendments of a history; without any, it is the history itself."""
    kept: list[Entry] = []
    reusable: dict[tuple[str, bytes], Entry] = {}
    is_corrected = False
    for entry in entries:
        record = entry.record
        match record:
            case Rewound():
                kept = [*_rewind(kept, record, entry.payload, reusable), entry]
            case StepPatched():
                kept = _with_result(kept, record.id, entry.payload)
            case RunRetried():
                left = _without_failure(kept, is_corrected=is_corrected)
                kept = [*left, entry]
            case _:
                kept.append(entry)
        is_corrected = _is_ended(kept) and (
            is_corrected or isinstance(record, StepPatched)
        )
    return Effective(tuple(kept), reusable, is_corrected)


def _is_ended(kept: list[Entry]) -> bool:
    return bool(kept) and isinstance(kept[-1].record, RunEnded)


def _rewind(
    kept: list[Entry],
    rewound: Rewound,
    payload: Payload,
    reusable: dict[tuple[str, bytes], Entry],
) -> list[Entry]:
    left = [entry for entry in kept if entry.record.sequence <= rewound.to]
    if rewound.afresh:
        reusable.clear()
    else:
        _set_free(kept[len(left) :], reusable)
    for step, result in (_decode_changes(payload) if payload else {}).items():
        left = _with_result(left, step, result)
    return left


def _set_free(dropped: list[Entry], reusable: dict[tuple[str, bytes], Entry]) -> None:
    for entry in dropped:
        record = entry.record
        if isinstance(record, StepCompleted) and record.input_digest:
            reusable[record.id, record.input_digest] = entry


def _with_result(kept: list[Entry], step: str, payload: Payload) -> list[Entry]:
    """Replace the result of a step, or give one to a step that failed."""
    own = [entry for entry in kept if entry.record.id == step]
    corrected = [
        _result(entry, payload)
        for entry in own
        if isinstance(entry.record, StepCompleted)
    ]
    if not corrected:
        failures = [entry for entry in own if isinstance(entry.record, _GIVEN_UP)]
        corrected = [_result(entry, payload) for entry in failures[-1:]]
    by_sequence = {entry.record.sequence: entry for entry in corrected}
    return [by_sequence.get(entry.record.sequence, entry) for entry in kept]


def _result(entry: Entry, payload: Payload) -> Entry:
    record = entry.record
    if not isinstance(record, StepCompleted):
        record = StepCompleted(
            sequence=record.sequence,
            recorded_at=record.recorded_at,
            asked_at=record.asked_at,
            id=record.id,
            attempt=record.attempt,
            source=record.source,
        )
    return msgspec.structs.replace(entry, record=record, payload=payload)


def correctable(records: Iterable[Record], step: str) -> bool:
    """Say whether a step has a result that may be replaced, or failed and may get one.

    One that failed must be the last that has happened: code that has gone on after it
    would find another history.
    """
    history = list(records)
    own = [each for each in history if each.id == step]
    if any(isinstance(each, StepCompleted) for each in own):
        return True
    if not own or not isinstance(own[-1], _GIVEN_UP):
        return False
    later = [each for each in history if each.sequence > own[-1].sequence]
    return all(isinstance(each, RunEnded) or _is_of_segment(each) for each in later)


def _is_of_segment(record: Record) -> bool:
    """Say whether a worker of a published SDK failed: its code is asked anew."""
    return isinstance(record, StepFailed) and record.id == _SEGMENT


def _without_failure(kept: list[Entry], *, is_corrected: bool) -> list[Entry]:
    """Drop the end of a failed run and the attempts that brought it about.

    Where each attempt has its start on record, they stay, because what was recorded
    after them fits only behind them: then the last failure is followed by one more.
    Where a result was corrected, only the end may be what does not hold any more.
    """
    records = [entry.record for entry in kept]
    if not retryable(records, is_corrected=is_corrected):
        return kept
    *before, cause, _ = kept
    if not isinstance(cause.record, _GIVEN_UP):
        return kept[:-1]
    id_ = cause.record.id
    if any(isinstance(e.record, StepStarted) and e.record.id == id_ for e in before):
        return [*before, _followed_by_another(cause)]
    return [
        entry
        for entry in before
        if entry.record.id != id_ or not isinstance(entry.record, _GIVEN_UP)
    ]


def _followed_by_another(entry: Entry) -> Entry:
    record = entry.record
    failed = StepFailed(
        sequence=record.sequence,
        recorded_at=record.recorded_at,
        asked_at=record.asked_at,
        id=record.id,
        attempt=record.attempt,
        source=record.source,
        final=False,
        retry_at=record.recorded_at,
        in_doubt=isinstance(record, StepInDoubt),
    )
    return msgspec.structs.replace(entry, record=failed)


def retryable(records: Iterable[Record], *, is_corrected: bool = False) -> bool:
    """Say whether a run can go on in place: it failed by a step, and only by it.

    Or by its own code, and a result that the code has seen is corrected since then.
    One that was undone, cancelled or out of time can only be tried again as a new run;
    so can one that left a sleep, a wait or a child open, because what would wake it
    went with its end.
    """
    history = list(records)
    if len(history) < _FAILED_RUN_MIN or any(map(_forbids_retry, history)):
        return False
    end, cause = history[-1], history[-2]
    return (
        isinstance(end, RunEnded)
        and end.status == FAILED
        and (is_corrected or isinstance(cause, _GIVEN_UP))
        and not _left_open(history)
    )


def _forbids_retry(record: Record) -> bool:
    out_of_time = isinstance(record, DeadlinePassed) and not record.id
    return out_of_time or isinstance(record, _FORBIDS_RETRY)


def _left_open(history: list[Record]) -> set[str]:
    opened = {each.id for each in history if isinstance(each, _OPENS)}
    return opened.difference(each.id for each in history if isinstance(each, _SETTLES))
