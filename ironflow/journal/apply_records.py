"""Records are appended to a history, and what they mean is carried out.

Only the holder of a run comes here, and whoever amends one that nobody holds
(`apply_amendments.py`). A record that asks for something (a sleep,
a wait, a child) leaves the row that will answer it; a record that settles
something takes the rows away; an end leaves nothing behind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never, cast

import msgspec
from msgspec.structs import replace

from ironflow import ids, limits
from ironflow.errors import Conflict, IronflowError, LeaseLost
from ironflow.journal import apply_amendments as amendments
from ironflow.journal import apply_events as events
from ironflow.journal import apply_runs as runs
from ironflow.journal import apply_waits as waits
from ironflow.journal.base import (
    CLOSED,
    Appended,
    AppendRecords,
    InboxRow,
    Refused,
    RunRow,
    RunStatus,
    StoredEvent,
    TimerKind,
    TimerRow,
    WaitRow,
)
from ironflow.journal.view import View
from ironflow.policy.attributes import changed
from ironflow.records import (
    CONTINUED,
    FAILED,
    AttributesSet,
    CancelRequested,
    ChildEnded,
    ChildStarted,
    CodeChanged,
    DeadlinePassed,
    Draft,
    Entry,
    ErrorInfo,
    EventData,
    EventReceived,
    Payload,
    Published,
    Record,
    Rewound,
    RunContinued,
    RunEnded,
    RunRetried,
    RunStarted,
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

# The name of the event with which a child starts. It is not in the event log, so
# no trigger and no wait ever sees it.
INVOKE_EVENT: Final = "ironflow.invoke"

_NIL: Final = msgspec.Raw(b"\xc0")
_ABANDONED: Final[tuple[TimerKind, ...]] = ("sleep", "wait")


@dataclass(slots=True)
class _Append:
    """An append under way; `budget` is what its messages may still deliver.

    `row` is the run as the records so far have left it.
    """

    view: View
    row: RunRow
    environment: str
    abandoned: tuple[str, ...]
    budget: int


def append(
    view: View, command: AppendRecords, *, environment: str
) -> Appended | Refused:
    """Append sealed records to a run; carry out what they mean."""
    run_id = command.run_id
    row = view.run(run_id)
    if row is None:
        return Refused(runs.not_found(run_id))
    # A first attempt's result leaves nothing to do.
    meaning = [entry for entry in command.entries if not _is_result(entry.record)]
    error = _refusal(view, command, row, meaning)
    if error is not None:
        return Refused(error)
    view.append(run_id, command.entries, command.headers)
    if command.expected_length == 1:
        view.drop_timer(run_id, "", "start")
    if command.inbox_through or command.abandoned:
        _clear(view, command)
    if meaning or command.awaited:
        budget = limits.DELIVERIES_PER_COMMIT_MAX
        under_way = _Append(view, row, environment, command.abandoned, budget)
        if command.awaited:
            _put_back(under_way, command.awaited)
        for entry in meaning:
            _carry_out(under_way, entry)
        row = under_way.row
    return _appended(view, row, command)


def _is_result(record: Record) -> bool:
    return type(record) is StepCompleted and record.attempt == 1


def lease_lost(run_id: str, epoch: int) -> LeaseLost:
    """Return the error for a holder whose epoch has ended."""
    return LeaseLost(
        f"epoch {epoch} does not hold run {run_id}; forget what you have of the run"
        " and claim it again"
    )


def _refusal(
    view: View, command: AppendRecords, row: RunRow, meaning: Sequence[Entry]
) -> IronflowError | None:
    hold = view.hold(row.run_id)
    if any(type(entry.record) in amendments.AMENDMENTS for entry in meaning):
        error = amendments.refusal(view, row, hold, command.entries)
        if error is not None:
            return error
    elif hold.epoch == 0 or hold.epoch != command.epoch:
        return lease_lost(row.run_id, command.epoch)
    if command.expected_length != hold.length:
        return Conflict(
            f"run {row.run_id} has {hold.length} records, not"
            f" {command.expected_length}; reload it and try again"
        )
    return None


def _clear(view: View, command: AppendRecords) -> None:
    """Take away what is in the history now, and what is no longer wanted."""
    run_id = command.run_id
    inbox = view.inbox(run_id)
    unwanted = [row for row in inbox if row.draft.record.id in command.abandoned]
    numbers = [row.number for row in inbox if row.number <= command.inbox_through]
    numbers += [row.number for row in unwanted if row.number > command.inbox_through]
    view.drop_inbox(run_id, numbers)
    for step in command.abandoned:
        view.drop_wait(run_id, step)
        for kind in _ABANDONED:
            view.drop_timer(run_id, step, kind)
    for row in unwanted:
        if row.position:
            waits.give_back(view, run_id, row.position)


def _put_back(under_way: _Append, awaited: Sequence[Record]) -> None:
    """Give sleeps and waits the rows that they should have; most have them."""
    view, run_id = under_way.view, under_way.row.run_id
    answered = {row.draft.record.id for row in view.inbox(run_id)}
    for record in awaited:
        if record.id in answered:
            continue
        if isinstance(record, SleepStarted):
            view.drop_timer(run_id, record.id, "sleep")
            _set_timer(under_way, record.id, "sleep", due=record.until)
        else:
            assert isinstance(record, WaitStarted), (
                "only these have rows to be put back"
            )
            wait = view.drop_wait(run_id, record.id)
            if wait is None:
                _start_wait(under_way, record)
            else:
                view.put_wait(wait)


def _appended(view: View, row: RunRow, command: AppendRecords) -> Appended:
    length = command.expected_length + len(command.entries)
    if row.status in CLOSED:
        return Appended(length, (), parked=True)
    inbox: tuple[InboxRow, ...] = tuple(view.inbox(row.run_id))
    parked = command.park and not inbox
    if not parked:
        return Appended(length, inbox, parked, row.asked)
    if row.asked is None:
        runs.leave(view, row)
    else:
        runs.stand_still(view, row, row.asked)
    return Appended(length, inbox, parked)


# --- what a record means ------------------------------------------------------------


def _carry_out(under_way: _Append, entry: Entry) -> None:
    record = entry.record
    match record:
        case StepCompleted() | StepFailed() | StepInDoubt():
            _settle_attempt(under_way, record)
        case SleepStarted() | WaitStarted() | ChildStarted() | Published():
            _ask(under_way, record, entry.payload)
        case AttributesSet():
            _set_attributes(under_way, entry.payload)
        case RunEnded():
            _end(under_way, record, entry.payload)
        case RunContinued():
            _continue(under_way, record, entry.payload)
        case RunRetried() | StepPatched() | Rewound():
            under_way.row = amendments.carry_out(under_way.view, under_way.row, entry)
        case (
            (SleepFired() | EventReceived() | WaitTimedOut() | ChildEnded())
            | (RunStarted() | UndoStarted() | CodeChanged() | StepStarted())
            | (CancelRequested() | DeadlinePassed())
        ):
            pass  # its rows went when it came into the inbox, or it never had any
        case _:
            assert_never(record)


def _settle_attempt(
    under_way: _Append, record: StepCompleted | StepFailed | StepInDoubt
) -> None:
    """An attempt is over: an older retry is moot, the next one has its time."""
    view, run_id = under_way.view, under_way.row.run_id
    if record.attempt > 1:
        view.drop_timer(run_id, record.id, "retry")
    if isinstance(record, StepFailed) and not record.final:
        runs.put_timer(view, TimerRow(run_id, record.id, "retry", record.retry_at))


def _ask(
    under_way: _Append,
    record: SleepStarted | WaitStarted | ChildStarted | Published,
    payload: Payload,
) -> None:
    assert under_way.row.status not in CLOSED, "records after the end of a run"
    match record:
        case SleepStarted() | WaitStarted() if record.id in under_way.abandoned:
            pass  # asked and ended by a cancel in one append: nobody waits for it
        case SleepStarted():
            _set_timer(under_way, record.id, "sleep", due=record.until)
        case WaitStarted():
            _start_wait(under_way, record)
        case ChildStarted():
            _start_child(under_way, record, payload)
        case Published():
            _publish(under_way, record, payload)
        case _:
            assert_never(record)


def _set_timer(under_way: _Append, step: str, kind: TimerKind, *, due: int) -> None:
    runs.put_timer(under_way.view, TimerRow(under_way.row.run_id, step, kind, due))


def _start_wait(under_way: _Append, record: WaitStarted) -> None:
    view, row = under_way.view, under_way.row
    after = row.trigger_position if record.look_back else view.log().length
    wait = WaitRow(
        run_id=row.run_id,
        step=record.id,
        sequence=record.sequence,
        event=record.event,
        path=record.path,
        match_key=record.match_key,
        after=after,
    )
    if not waits.ask(view, row, wait) and record.timeout_at:
        _set_timer(under_way, record.id, "wait", due=record.timeout_at)


def _start_child(under_way: _Append, record: ChildStarted, payload: Payload) -> None:
    view, parent = under_way.view, under_way.row
    function = view.functions().get(record.function_id)
    if function is None:
        runs.wake(view, parent, _no_function(record))
        return
    event = EventData(
        id=_event_id(parent, record),
        name=INVOKE_EVENT,
        data=_raw(payload),
        timestamp=record.recorded_at,
    )
    row = RunRow(
        run_id=record.child_run,
        function_id=function.id,
        status="open",
        event_id=event.id,
        event_name=event.name,
        trigger_position=view.log().length,
        created_at=record.recorded_at,
        parent_run=parent.run_id,
        parent_step=record.id,
        attached=record.attached,
    )
    runs.start(view, row, function, event, environment=under_way.environment)
    if record.timeout_at:
        _set_timer(under_way, record.id, "invoke", due=record.timeout_at)


def _event_id(row: RunRow, record: ChildStarted | RunContinued) -> str:
    return ids.published_event_id(
        row.run_id, sequence=record.sequence, asked_at=record.asked_at
    )


def _raw(payload: Payload) -> msgspec.Raw:
    return msgspec.Raw(payload) if payload else _NIL


def _no_function(record: ChildStarted) -> Draft:
    error = ErrorInfo(
        type="ironflow.errors.InvokeError",
        message=(
            f"no function {record.function_id!r} is registered in this environment;"
            " register it, or correct the id in the invoke"
        ),
        code="FUNCTION_NOT_FOUND",
        retryable=False,
    )
    ended = ChildEnded(id=record.id, child_run=record.child_run, status=FAILED)
    return Draft(ended, runs.encode(error))


def _publish(under_way: _Append, record: Published, payload: Payload) -> None:
    view = under_way.view
    event = EventData(
        id=record.event_id,
        name=events.TOPIC + record.topic,
        data=_raw(payload),
        timestamp=record.recorded_at,
        source=under_way.row.run_id,
    )
    stored = StoredEvent(view.log().length + 1, event)
    under_way.budget -= events.store(view, stored, budget=under_way.budget)


def _set_attributes(under_way: _Append, changes: Payload) -> None:
    row = under_way.row
    row = replace(row, attributes=changed(row.attributes, changes))
    under_way.view.put_run(row)
    under_way.row = row


# --- ends and new beginnings --------------------------------------------------------


def _end(under_way: _Append, record: RunEnded, payload: Payload) -> None:
    view, row = under_way.view, under_way.row
    status = cast("RunStatus", record.status)
    runs.close(view, row, status=status, ended_at=record.recorded_at)
    runs.tell_parent(view, row, status=status, payload=payload)
    under_way.row = runs.existing(view, row.run_id)


def _continue(under_way: _Append, record: RunContinued, payload: Payload) -> None:
    """End this run and start its successor, which answers to the same parent.

    A cancel that nobody has read yet goes over to the successor, and so does a pause.
    """
    view, row = under_way.view, under_way.row
    cancels = [
        waiting.draft
        for waiting in view.inbox(row.run_id)
        if isinstance(waiting.draft.record, CancelRequested)
    ]
    runs.close(
        view,
        row,
        status=CONTINUED,
        ended_at=record.recorded_at,
        continued_to=record.new_run,
    )
    under_way.row = runs.existing(view, row.run_id)
    event = EventData(
        id=_event_id(row, record),
        name=row.event_name,
        data=_raw(payload),
        timestamp=record.recorded_at,
    )
    successor = RunRow(
        run_id=record.new_run,
        function_id=row.function_id,
        status="open",
        event_id=event.id,
        event_name=event.name,
        trigger_position=view.log().length,
        created_at=record.recorded_at,
        parent_run=row.parent_run,
        parent_step=row.parent_step,
        attached=row.attached,
        continued_from=row.run_id,
        first_run=row.first_run or row.run_id,
        attributes=row.attributes,
    )
    function = view.functions()[row.function_id]
    runs.start(view, successor, function, event, environment=under_way.environment)
    for draft in cancels:
        runs.wake(view, successor, draft)
    if row.asked is not None:
        successor = runs.existing(view, successor.run_id)
        runs.stand_still(view, successor, row.asked)
