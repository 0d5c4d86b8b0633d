"""What happens to a run as a whole: it starts, is woken, stands still, ends.

The lowest part of `apply`: pure over a `View`, called by the other parts.
"""

from typing import Final

import msgspec
from msgspec.structs import replace

from ironflow import codec, limits
from ironflow.errors import RunNotFound
from ironflow.journal.base import (
    CLOSED,
    FunctionRow,
    Pause,
    RunRow,
    RunStatus,
    TimerRow,
)
from ironflow.journal.view import View
from ironflow.policy.attributes import at_start
from ironflow.policy.concurrency import lane_of
from ironflow.records import (
    MSGPACK_CODEC,
    CancelRequested,
    ChildEnded,
    Draft,
    EventData,
    Payload,
    RunStarted,
)

encode: Final = msgspec.msgpack.Encoder().encode


def not_found(run_id: str) -> RunNotFound:
    """Return the error for a run id that this journal does not know."""
    return RunNotFound(
        f"there is no run {run_id} in this environment of the journal;"
        " 'ironflow runs list' shows the runs"
    )


def existing(view: View, run_id: str) -> RunRow:
    """Return the row of a run that other rows name: it must be there."""
    row = view.run(run_id)
    assert row is not None, f"rows of run {run_id}, but no run"
    return row


def latest(view: View, row: RunRow) -> RunRow:
    """Return the last run of a chain made by continue_as_new."""
    for _ in range(limits.CONTINUATIONS_FOLLOWED_MAX):
        following = view.run(row.continued_to) if row.continued_to else None
        if following is None:  # the last, or the last that was imported
            break
        row = following
    return row


def start(
    view: View,
    row: RunRow,
    function: FunctionRow,
    event: EventData,
    *,
    environment: str,
    attributes: bytes = b"",
) -> None:
    """Make a run: its row, its first record, its deadlines; let it be claimed.

    It has the attributes that it is given, those that `row` has of the run that it
    continues, and what its function takes from the event.
    """
    payload = encode(event)
    if attributes or row.attributes or function.attributes:
        kept = at_start(
            event, function.attributes, given=attributes, carried=row.attributes
        )
        row = replace(row, attributes=kept)
    started = RunStarted(
        sequence=1,
        recorded_at=row.created_at,
        asked_at=row.created_at,
        payload_digest=codec.digest_of(payload),
        codec=MSGPACK_CODEC,
        function_id=row.function_id,
        event_id=event.id,
        rules=function.rules,
        version=function.version,
        patches=function.patches,
        parent_run=row.parent_run,
        parent_step=row.parent_step,
        continued_from=row.continued_from,
        attributes=row.attributes,
    )
    start_of_chain = codec.chain_start(environment, row.run_id)
    entry, header = codec.chain(started, payload, previous=start_of_chain)
    lane = lane_of(event, limit=function.concurrency, key=function.concurrency_key)
    if lane:
        row = replace(row, lane=lane)
    view.put_run(row)
    view.append(row.run_id, (entry,), (header,))
    set_run_deadline(view, row, function, now=row.created_at)
    if function.start_timeout_us:
        due = row.created_at + function.start_timeout_us
        put_timer(view, TimerRow(row.run_id, "", "start", due))
    make_ready(view, row)


def set_run_deadline(
    view: View, row: RunRow, function: FunctionRow, *, now: int
) -> None:
    """Set the timer of `run_timeout`, if the function has one."""
    if function.run_timeout_us:
        due = now + function.run_timeout_us
        put_timer(view, TimerRow(row.run_id, "", "run", due))


def put_timer(view: View, timer: TimerRow) -> None:
    """Put a timer and tell those who wait for the earliest.

    A time before 1970 is due at once, like any that has passed; 0 means "none".
    """
    if timer.due < 1:
        timer = replace(timer, due=1)
    view.put_timer(timer)
    if not view.hint.due or timer.due < view.hint.due:
        view.hint.due = timer.due


def make_ready(view: View, row: RunRow) -> None:
    """Let a run be claimed, unless it is paused: then it waits for a resume."""
    if row.status == "open":
        view.put_ready(row)
        view.hint.ready.add(row.run_id)


def leave(view: View, row: RunRow) -> None:
    """The run is not ready any more, and makes room in its lane."""
    view.drop_ready(row.run_id)
    _make_room(view, row)


def stand_still(view: View, row: RunRow, pause: Pause) -> None:
    """Pause a run that is open, whether it was held, ready or parked."""
    view.put_run(replace(row, status="paused", pause=pause, asked=None))
    leave(view, row)
    view.hint.ended.add(row.run_id)


def _make_room(view: View, row: RunRow) -> None:
    function = view.functions().get(row.function_id)  # of an import there may be none
    if function is not None and function.concurrency:
        view.hint.room = True


def wake(view: View, row: RunRow, draft: Draft, *, position: int = 0) -> None:
    """Put a draft into the inbox of a run that is not closed."""
    assert row.status not in CLOSED, f"run {row.run_id} has ended"
    view.put_inbox(row.run_id, draft, position=position)
    view.hint.inbox.add(row.run_id)
    make_ready(view, row)


def resume(view: View, row: RunRow) -> RunRow:
    """Open a paused run again and let it be claimed; return its new row."""
    opened = replace(row, status="open", pause=None, claims=0, asked=None)
    view.put_run(opened)
    make_ready(view, opened)
    return opened


def before_end(view: View, row: RunRow) -> RunRow:
    """Let what ends a run find it going on: no pause, and none that is asked for."""
    if row.status == "paused":
        return resume(view, row)
    if row.asked is not None:
        row = replace(row, asked=None)
        view.put_run(row)
    return row


def cancel(view: View, row: RunRow, *, actor: str, reason: str, now: int) -> bool:
    """Ask a run to cancel; False if it has ended, or was asked and has not read it."""
    if row.status in CLOSED or _cancel_waits(view, row):
        return False
    row = before_end(view, row)
    wake(view, row, Draft(CancelRequested(asked_at=now, actor=actor, reason=reason)))
    return True


def _cancel_waits(view: View, row: RunRow) -> bool:
    return any(
        isinstance(waiting.draft.record, CancelRequested)
        for waiting in view.inbox(row.run_id)
    )


def close(
    view: View, row: RunRow, *, status: RunStatus, ended_at: int, continued_to: str = ""
) -> None:
    """End a run; nothing that waits for it or with it stays behind."""
    view.put_run(
        replace(
            row,
            status=status,
            pause=None,
            asked=None,
            ended_at=ended_at,
            continued_to=continued_to,
        )
    )
    view.drop_run_tables(row.run_id)
    _make_room(view, row)
    view.hint.ended.add(row.run_id)


def tell_parent(view: View, row: RunRow, *, status: str, payload: Payload) -> None:
    """Tell the run that invoked this one how it ended, if it is still there.

    The timer of the invoke goes in the same commit: a deadline never follows the
    end of the child into the inbox.
    """
    if not row.parent_step:
        return
    parent = view.run(row.parent_run)
    if parent is None or parent.status in CLOSED:
        return  # it has ended, or this run was imported without it
    view.drop_timer(parent.run_id, row.parent_step, "invoke")
    ended = ChildEnded(
        id=row.parent_step, child_run=row.first_run or row.run_id, status=status
    )
    wake(view, parent, Draft(ended, payload))
