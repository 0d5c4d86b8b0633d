"""Payloads are taken away for ever, of runs that have ended and of events.

What stands in their place is given, or made here; what is decided here is that it may:
code that goes on must not find that its history says something else.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from ironflow import codec
from ironflow.errors import Conflict, EventNotFound, IronflowError, MisusedOperation
from ironflow.journal import apply_runs as runs
from ironflow.journal import markers
from ironflow.journal.base import (
    CLOSED,
    Done,
    RedactEvent,
    RedactRecords,
    Refused,
    RunRow,
    StoredEvent,
)
from ironflow.journal.redactions import Replacement
from ironflow.journal.view import View
from ironflow.records import Entry, Redaction

_encode = msgspec.msgpack.Encoder().encode


def redact(view: View, command: RedactRecords | RedactEvent) -> Done | Refused:
    """Take payloads away."""
    if isinstance(command, RedactEvent):
        return _redact_event(view, command)
    return _redact_records(view, command)


# --- records ------------------------------------------------------------------------


def _redact_records(view: View, command: RedactRecords) -> Done | Refused:
    row = view.run(command.run_id)
    if row is None:
        return Refused(runs.not_found(command.run_id))
    if row.status not in CLOSED:
        return Refused(not_ended(row))
    length = view.hold(row.run_id).length
    wanted = {each.sequence: each for each in command.replacements}
    entries = view.records(
        row.run_id, sorted(each for each in wanted if 0 < each <= length)
    )
    error = _changed(row, command, length, entries)
    if error is not None:
        return Refused(error)
    redacted = _redacted(command, entries, wanted)
    if redacted:
        view.replace_records(row.run_id, redacted)
        if not row.redacted_at:
            view.put_run(replace(row, redacted_at=command.now))
    return Done(bool(redacted))


def _changed(
    row: RunRow, command: RedactRecords, length: int, entries: Sequence[Entry]
) -> IronflowError | None:
    """Say what is not as whoever asks has seen it: code went on since, then ended."""
    found = {each.record.sequence: each.record.payload_digest for each in entries}
    if length != command.length:
        what = f"has {length} records, not {command.length}"
    elif found != {each.sequence: each.was for each in command.replacements}:
        what = "has other payloads than those that are to go"
    else:
        return None
    return Conflict(f"run {row.run_id} {what}; look again, nothing was changed")


def _redacted(
    command: RedactRecords, entries: Sequence[Entry], wanted: dict[int, Replacement]
) -> list[Entry]:
    fact = Redaction(command.now, command.actor, command.reason)
    return [
        codec.redacted(entry, wanted[entry.record.sequence].payload, fact)
        for entry in entries
        if entry.redaction is None
    ]


def not_ended(row: RunRow, why: str = "") -> IronflowError:
    """Return the error for a run that goes on and has a payload that shall go."""
    return MisusedOperation(
        f"run {row.run_id}{why} is {row.status}: only what has ended is redacted; cancel"
        " it, or wait for its end, then do it again"
    )


# --- events -------------------------------------------------------------------------


def _redact_event(view: View, command: RedactEvent) -> Done | Refused:
    stored = view.event(command.position)
    if stored is None or stored.event.id != command.event_id:
        return Refused(
            EventNotFound(f"there is no event {command.event_id} in the log any more")
        )
    if stored.redaction is not None:
        return Done(changed=False)
    error = _in_use(view, stored)
    if error is not None:
        return Refused(error)
    event = markers.event_in_place_of(stored.event, at=command.now)
    fact = Redaction(command.now, command.actor, command.reason)
    body = _encode((event, stored.run_ids))
    proved = codec.redaction_of_event(stored.position, body, fact)
    view.replace_event(stored, replace(stored, event=event, redaction=proved))
    return Done()


def _in_use(view: View, stored: StoredEvent) -> IronflowError | None:
    delivery = view.log().delivery
    if delivery is not None and delivery.position <= stored.position:
        return MisusedOperation(
            f"event {stored.event.id} is still being offered to the runs that wait; do"
            " it again when that is over"
        )
    for run_id in stored.run_ids:
        row = view.run(run_id)
        if row is not None and row.status not in CLOSED:
            return not_ended(row, ", which this event started,")
    return None
