"""Amendments: records from outside that change how a history is read.

Nothing is edited or deleted. A run is amended while nobody holds it: whoever carries it
on next reads the history anew (`interpreter/effective.py`). What makes no sense is
refused, with the reason.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from ironflow.errors import IronflowError, LeaseLost, MisusedOperation
from ironflow.interpreter import rewinds
from ironflow.interpreter.effective import correctable, effective, retryable
from ironflow.journal import apply_runs as runs
from ironflow.journal.apply_rewinds import changes_of, rewind, taken, wait_names
from ironflow.journal.base import CLOSED, Hold, RunRow
from ironflow.journal.view import View
from ironflow.records import (
    FAILED,
    Entry,
    Payload,
    Record,
    Rewound,
    RunRetried,
    StepPatched,
)

AMENDMENTS: Final = (Rewound, StepPatched, RunRetried)


# --- what is refused ----------------------------------------------------------------


def refusal(
    view: View, row: RunRow, hold: Hold, entries: Sequence[Entry]
) -> IronflowError | None:
    """Return why these records, one of which is an amendment, cannot be appended."""
    if hold.epoch:
        return LeaseLost(
            f"run {row.run_id} is being carried on; amend it while it waits or is paused"
        )
    if row.redacted_at:
        return _misused(
            row,
            "has payloads that were redacted, so its code cannot go on; start another",
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
    folded = effective(history)
    kept = [each.record for each in folded.entries]
    record = entry.record
    match record:
        case RunRetried():
            return _to_retry(row, kept, is_corrected=folded.is_corrected)
        case StepPatched():
            return _to_change(kept, record.id)
        case Rewound():
            return _to_rewind(kept, record, entry.payload)
        case _:
            return "cannot be amended and carried on in one append"


def _to_retry(row: RunRow, kept: Sequence[Record], *, is_corrected: bool) -> str | None:
    if row.status != FAILED:
        return f"is {row.status}, not failed; only a failed run is retried"
    if not retryable(kept, is_corrected=is_corrected):
        return (
            "cannot go on where it failed, because it was undone, cancelled or out of"
            " time, left something open, or failed by no step; start a new run"
        )
    return None


def _to_change(kept: Iterable[Record], step: str) -> str | None:
    if correctable(kept, step):
        return None
    return (
        f"has no result of step {step!r} that could be replaced, and that step is not the"
        " last that failed; resume it from there with its output"
    )


def _to_rewind(kept: Sequence[Record], record: Rewound, payload: Payload) -> str | None:
    try:
        results = changes_of(payload) if payload else {}
    except msgspec.DecodeError as error:
        return f"cannot be rewound with changes that are no map from steps ({error})"
    return rewinds.objection(kept, record, results)


# --- what an amendment comes to -------------------------------------------------------


def carry_out(view: View, row: RunRow, entry: Entry) -> RunRow:
    """Let the run go on by its amended history; return its row.

    Sleeps and waits that are open by it get their rows from whoever loads the run
    (`AppendRecords.awaited`).
    """
    record = entry.record
    match record:
        case RunRetried():
            row = replace(row, attempt=record.attempt)
        case Rewound():
            row = rewind(view, row, entry)
        case _:
            runs.make_ready(view, row)
            return row
    return _reopened(view, row, record)


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
    if told:
        _remember(view, opened, record)
    return opened


def _remember(view: View, row: RunRow, record: Record) -> None:
    """A run that had ended has a deadline again, and takes no event a second time."""
    function = view.functions().get(row.function_id)
    if function is not None:  # an imported run may be of one that is not here
        runs.set_run_deadline(view, row, function, now=record.recorded_at)
    history = view.history(row.run_id)[: record.sequence]
    kept = effective(history).entries
    for position in taken(view, row, wait_names(kept), kept):
        view.consume(row.run_id, position)
