"""Amendments: records from outside that change how a history is read.

Nothing is edited or deleted. A run is amended while nobody holds it: whoever carries it
on next reads the history anew (`interpreter/effective.py`). What makes no sense is
refused, with the reason.
"""

from collections.abc import Iterable, Sequence
from typing import Final, assert_never

import msgspec
from msgspec.structs import replace

from ironflow import limits
from ironflow.errors import IronflowError, LeaseLost, MisusedOperation
from ironflow.interpreter.effective import effective, retryable
from ironflow.journal import apply_runs as runs
from ironflow.journal.base import CLOSED, Hold, RunRow, TimerKind
from ironflow.journal.view import View
from ironflow.records import (
    FAILED,
    ChildEnded,
    ChildStarted,
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
    StepPatched,
    UndoStarted,
    WaitStarted,
    WaitTimedOut,
)

AMENDMENTS: Final = (Rewound, StepPatched, RunRetried)

_OPENS: Final = (SleepStarted, WaitStarted, ChildStarted)
_SETTLES: Final = (SleepFired, EventReceived, WaitTimedOut, ChildEnded)
_KINDS: Final[tuple[TimerKind, ...]] = ("sleep", "wait", "retry")

_changes: Final = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode


# --- what is refused ----------------------------------------------------------------


def refusal(
    view: View, row: RunRow, hold: Hold, entries: Sequence[Entry]
) -> IronflowError | None:
    """Return why these records, one of which is an amendment, cannot be appended."""
    if hold.epoch:
        return LeaseLost(
            f"run {row.run_id} is being carried on; amend it while it waits or is paused"
        )
    if row.status in CLOSED and row.status != FAILED:
        return _misused(row, f"is {row.status}; what has ended well is not amended")
    history = list(view.history(row.run_id))
    reason = None
    for entry in entries:
        reason = reason or _objection(row, history, entry)
        history.append(entry)
    return _misused(row, reason) if reason else None


def _misused(row: RunRow, reason: str) -> MisusedOperation:
    return MisusedOperation(f"run {row.run_id} {reason}; nothing was changed")


def _objection(row: RunRow, history: Sequence[Entry], entry: Entry) -> str | None:
    kept = [each.record for each in effective(history).entries]
    record = entry.record
    match record:
        case RunRetried():
            return _to_retry(row, kept)
        case StepPatched():
            return _to_change(kept, (record.id,))
        case Rewound():
            return _to_rewind(kept, record, entry.payload)
        case _:
            return "cannot be amended and carried on in one append"


def _to_retry(row: RunRow, kept: Sequence[Record]) -> str | None:
    if row.status != FAILED:
        return f"is {row.status}, not failed; only a failed run is retried"
    if not retryable(kept):
        return (
            "cannot go on where it failed, because it was undone, cancelled or out of"
            " time, left something open, or failed by no step; start a new run"
        )
    return None


def _to_change(kept: Iterable[Record], steps: Iterable[str]) -> str | None:
    known = {record.id for record in kept if isinstance(record, StepCompleted)}
    for step in steps:
        if step not in known:
            return f"has no result of step {step!r} that could be replaced"
    return None


def _to_rewind(kept: Sequence[Record], record: Rewound, payload: Payload) -> str | None:
    if record.to not in {each.sequence for each in kept}:
        return f"has no record {record.to} in force to which it could be rewound"
    left = [each for each in kept if each.sequence <= record.to]
    dropped = kept[len(left) :]
    if isinstance(left[-1], RunEnded):
        return f"ends with record {record.to}; rewind it to one before"
    if any(isinstance(each, UndoStarted) for each in kept):
        return "has begun to undo what it did; start a new run"
    if any(isinstance(each, ChildStarted | ChildEnded) for each in dropped):
        return (
            f"has started or heard of a child after record {record.to}, which would not"
            " answer again; rewind it to a record behind that"
        )
    return _to_change_all(left, payload)


def _to_change_all(left: Sequence[Record], payload: Payload) -> str | None:
    try:
        changes = _changes(payload) if payload else {}
    except msgspec.DecodeError as error:
        return f"cannot be rewound with changes that are no map from steps ({error})"
    return _to_change(left, changes)


# --- what an amendment comes to -------------------------------------------------------


def carry_out(
    view: View, row: RunRow, record: RunRetried | StepPatched | Rewound
) -> RunRow:
    """Let the run go on by its amended history; return its row.

    Sleeps and waits that are open by it get their rows from whoever loads the run
    (`AppendRecords.awaited`).
    """
    match record:
        case RunRetried():
            return _reopened(view, replace(row, attempt=record.attempt), record)
        case StepPatched():
            runs.make_ready(view, row)
            return row
        case Rewound():
            _rewind(view, row, record)
            return _reopened(view, row, record)
        case _:
            assert_never(record)


def _reopened(view: View, row: RunRow, record: Record) -> RunRow:
    """Open a run again. Its parent has had its answer and gets no second one."""
    told = row.status in CLOSED
    opened = replace(
        row,
        status="open",
        pause=None,
        asked=None,
        ended_at=0,
        claims=0,
        parent_step="" if told else row.parent_step,
    )
    view.put_run(opened)
    runs.make_ready(view, opened)
    function = view.functions().get(row.function_id)
    if told and function is not None:  # an imported run may be of one that is not here
        runs.set_run_deadline(view, opened, function, now=record.recorded_at)
    return opened


def _rewind(view: View, row: RunRow, record: Rewound) -> None:
    history = view.history(row.run_id)[: record.sequence - 1]
    kept = [entry.record for entry in effective(history).entries]
    left = [each for each in kept if each.sequence <= record.to]
    _drop(view, row, left, kept[len(left) :])


def _drop(
    view: View, row: RunRow, left: Sequence[Record], dropped: Sequence[Record]
) -> None:
    run_id, opened = row.run_id, _open(left)
    inbox = [each for each in view.inbox(run_id) if each.draft.record.id]
    unwanted = [each for each in inbox if each.draft.record.id not in opened]
    view.drop_inbox(run_id, [each.number for each in unwanted])
    for each in unwanted:
        if each.position:
            view.drop_consumed(run_id, each.position)
    waits = [each for each in (*left, *dropped) if isinstance(each, WaitStarted)]
    names = {wait.id: wait.event for wait in waits}
    for record in dropped:
        if isinstance(record, EventReceived):
            _give_up(view, row, names[record.id], record.event_id)
        if record.id not in opened:
            view.drop_wait(run_id, record.id)
            for kind in _KINDS:
                view.drop_timer(run_id, record.id, kind)


def _open(records: Iterable[Record]) -> set[str]:
    history = list(records)
    opened = {each.id for each in history if isinstance(each, _OPENS)}
    return opened.difference(each.id for each in history if isinstance(each, _SETTLES))


def _give_up(view: View, row: RunRow, name: str, event_id: str) -> None:
    """The run has not taken this event: a record has its id, the log its position.

    A run that had failed may have kept the event no longer than its retention.
    """
    after, position = row.trigger_position, 0
    while not position:
        page = view.events(name, after=after, limit=limits.PAGE_EVENTS_MAX)
        if not page:
            return
        found = [each.position for each in page if each.event.id == event_id]
        after, position = page[-1].position, sum(found)
    view.drop_consumed(row.run_id, position)
