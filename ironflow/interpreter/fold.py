"""What can be seen of a run after any number of records, without its code.

The states come from the tables in `states`; this file keeps what a reader wants to
know besides: when, how often, with which value or error. Payloads stay as they were
stored, so nothing is decoded that nobody looks at. The states are Structs: a frozen
dataclass costs ten times as much to copy, at every record.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from ironflow import codec, ids
from ironflow.errors import JournalDamaged
from ironflow.interpreter import failures, states
from ironflow.interpreter.effective import effective
from ironflow.records import (
    COMPLETED,
    NO_PAYLOAD,
    AttributesSet,
    CancelRequested,
    ChildEnded,
    ChildStarted,
    CodeChanged,
    DeadlinePassed,
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
    SleepStarted,
    StepCompleted,
    StepFailed,
    StepInDoubt,
    StepStarted,
    UndoStarted,
    WaitStarted,
)

OperationKind = Literal[
    "step", "sleep", "wait", "invoke", "publish", "undo", "attributes"
]

_decode_event = msgspec.msgpack.Decoder(EventData).decode
_KINDS: Final[dict[type[Record], OperationKind]] = {
    SleepStarted: "sleep",
    WaitStarted: "wait",
    ChildStarted: "invoke",
    Published: "publish",
    AttributesSet: "attributes",
}
_OF_RUN: Final = (
    RunStarted,
    CodeChanged,
    RunRetried,
    Rewound,
    CancelRequested,
    DeadlinePassed,
    UndoStarted,
    RunEnded,
    RunContinued,
)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a step. `ended_at` is 0 while it is open.

    `started_at` is when its start was recorded; for a plain step, when it was
    asked, and later when it was due again: it cannot have begun earlier.
    """

    number: int
    started_at: int
    ended_at: int = 0
    error: ErrorInfo | None = None
    in_doubt: bool = False


class OperationState(msgspec.Struct, frozen=True, kw_only=True):
    """An operation of a run; times are microseconds, 0 for none.

    `payload` is the result as it was stored: of a step or child its value, of a
    wait its event (`EventData`), of a message its data, of attributes the changes; `input` is what a child
    was given. A plain step appears with its first outcome. `event` is the name of
    the event or topic.
    """

    id: str
    kind: OperationKind
    name: str
    state: str
    sequence: int  # of its first record
    asked_at: int
    source: str
    settled_at: int = 0
    settled_by: int = 0  # the sequence of the record that settled it
    attempts: tuple[Attempt, ...] = ()
    payload: Payload = NO_PAYLOAD
    error: ErrorInfo | None = None
    retry_at: int = 0
    until: int = 0
    timeout_at: int = 0
    event: str = ""
    event_id: str = ""
    path: str = ""
    function_id: str = ""
    child_run: str = ""
    attached: bool = True
    awaited: bool = True
    input: Payload = NO_PAYLOAD
    reused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """Undo began: of the run (`id` empty) or of a saga."""

    id: str
    reason: str
    at: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Somebody asked to cancel the run."""

    actor: str
    reason: str
    at: int
    sequence: int


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """A run as far as its records go; times are microseconds, 0 for none.

    `status` is a state of `states.RUN`. `payload` is the output of a run that
    completed, or the data with which it continued as `continued_to`.
    `deadline_passed_at`: its run_timeout or start_timeout passed. `records` is the
    number of the last record.
    """

    status: str = states.ABSENT
    function_id: str = ""
    rules: str = ""
    version: str = ""
    patches: tuple[str, ...] = ()
    event_id: str = ""
    event: EventData | None = None
    actor: str = ""
    parent_run: str = ""
    parent_step: str = ""
    continued_from: str = ""
    continued_to: str = ""
    attempt: int = 1
    records: int = 0
    started_at: int = 0
    updated_at: int = 0
    ended_at: int = 0
    operations: tuple[OperationState, ...] = ()
    undo: tuple[Undo, ...] = ()
    cancel: Cancel | None = None
    deadline_passed_at: int = 0
    payload: Payload = NO_PAYLOAD
    error: ErrorInfo | None = None


@dataclass(slots=True)
class _Fold:
    run: RunState = field(default_factory=RunState)
    operations: dict[str, OperationState] = field(
        default_factory=dict[str, OperationState]
    )


def fold(entries: Iterable[Entry]) -> RunState:
    """Return the state of a run after these records; amendments are folded in.

    Raises:
        JournalDamaged: no run can write these records in this order, or one holds
            something else than its kind does.
    """
    history = tuple(entries)
    under_way = _Fold()
    for entry in effective(history).entries:
        try:
            _take(under_way, entry)
        except codec.UNREADABLE as error:
            raise _unreadable(entry.record, error) from error
    run = replace(under_way.run, operations=tuple(under_way.operations.values()))
    if not history:
        return run
    last = history[-1].record
    return replace(run, records=last.sequence, updated_at=last.recorded_at)


def _unreadable(record: Record, error: Exception) -> JournalDamaged:
    return JournalDamaged(
        f"what record {record.sequence} of the run, {type(record).__name__}, holds cannot"
        f" be read ({error}); 'ironflow verify' shows what else is damaged"
    )


def _take(under_way: _Fold, entry: Entry) -> None:
    record = entry.record
    status = states.after(states.RUN, under_way.run.status, record)
    if status != under_way.run.status:
        under_way.run = replace(under_way.run, status=status)
    if not isinstance(record, _OF_RUN) or (
        isinstance(record, DeadlinePassed) and record.id
    ):
        known = under_way.operations.get(record.id)
        under_way.operations[record.id] = _operation(known, entry)
        return
    under_way.run = _run(under_way.run, entry)
    if isinstance(record, RunEnded | RunContinued):
        _abandon(under_way, record)


# --- the run -------------------------------------------------------------------


def _run(run: RunState, entry: Entry) -> RunState:
    record, at = entry.record, entry.record.recorded_at
    match record:
        case RunStarted():
            run = _started(record, entry.payload, status=run.status)
        case CodeChanged():
            run = replace(run, version=record.version, patches=record.patches)
        case RunRetried():
            run = replace(run, attempt=record.attempt)
        case Rewound():
            pass  # what it dropped is not in the effective history
        case CancelRequested():
            run = replace(run, cancel=run.cancel or _cancel(record))
        case DeadlinePassed():
            run = replace(run, deadline_passed_at=run.deadline_passed_at or at)
        case UndoStarted():
            run = replace(run, undo=(*run.undo, _undo(record)))
        case _:
            run = _ended(run, entry)
    return run


def _started(record: RunStarted, payload: Payload, *, status: str) -> RunState:
    return RunState(
        status=status,
        function_id=record.function_id,
        rules=record.rules,
        version=record.version,
        patches=record.patches,
        event_id=record.event_id,
        event=_decode_event(payload) if payload else None,
        actor=record.actor,
        parent_run=record.parent_run,
        parent_step=record.parent_step,
        continued_from=record.continued_from,
        started_at=record.recorded_at,
    )


def _cancel(record: CancelRequested) -> Cancel:
    return Cancel(
        actor=record.actor,
        reason=record.reason,
        at=record.recorded_at,
        sequence=record.sequence,
    )


def _undo(record: UndoStarted) -> Undo:
    return Undo(
        id=record.id,
        reason=record.reason,
        at=record.recorded_at,
        sequence=record.sequence,
    )


def _ended(run: RunState, entry: Entry) -> RunState:
    record, payload = entry.record, entry.payload
    run = replace(run, ended_at=record.recorded_at)
    if isinstance(record, RunContinued):
        return replace(run, continued_to=record.new_run, payload=payload)
    assert isinstance(record, RunEnded)
    if record.status == COMPLETED:
        return replace(run, payload=payload)
    return replace(run, error=failures.decode(payload) if payload else None)


def _abandon(under_way: _Fold, record: Record) -> None:
    """Nobody waits any more for what is open at the end."""
    for id_, operation in under_way.operations.items():
        if (operation.state, states.fact(record)) in states.OPERATION:
            under_way.operations[id_] = replace(
                operation, state=states.after(states.OPERATION, operation.state, record)
            )


# --- operations ------------------------------------------------------------------


def _operation(known: OperationState | None, entry: Entry) -> OperationState:
    record = entry.record
    before = states.ABSENT if known is None else known.state
    state = states.after(states.OPERATION, before, record)
    operation = replace(known or _asked(record), state=state)
    match record:
        case SleepStarted():
            operation = replace(operation, until=record.until)
        case WaitStarted():
            operation = _wait(operation, record)
        case ChildStarted():
            operation = _child(operation, record, entry.payload)
        case StepStarted():
            operation = _attempt_started(operation, record)
        case StepFailed() | StepInDoubt():
            operation = _attempt_failed(operation, record, entry.payload)
        case DeadlinePassed():
            pass  # the child is asked to cancel; its end settles
        case _:
            operation = _settled(operation, entry)
    return operation


def _asked(record: Record) -> OperationState:
    kind = _KINDS.get(type(record), "undo" if ids.is_undo(record.id) else "step")
    return OperationState(
        id=record.id,
        kind=kind,
        name=ids.name_of(record.id),
        state=states.ABSENT,
        sequence=record.sequence,
        asked_at=record.asked_at or record.recorded_at,
        source=record.source,
    )


def _wait(operation: OperationState, record: WaitStarted) -> OperationState:
    return replace(
        operation,
        timeout_at=record.timeout_at,
        event=record.event,
        path=record.path,
    )


def _child(
    operation: OperationState, record: ChildStarted, payload: Payload
) -> OperationState:
    return replace(
        operation,
        timeout_at=record.timeout_at,
        function_id=record.function_id,
        child_run=record.child_run,
        attached=record.attached,
        awaited=record.awaited,
        input=payload,
    )


def _settled(operation: OperationState, entry: Entry) -> OperationState:
    """It has its result: a value, an event, a message sent, or only an end."""
    record, payload = entry.record, entry.payload
    settled = replace(
        operation, settled_at=record.recorded_at, settled_by=record.sequence, retry_at=0
    )
    match record:
        case StepCompleted():
            attempts = _with_attempt(operation, record, error=None, in_doubt=False)
            return replace(
                settled, attempts=attempts, payload=payload, reused=record.reused
            )
        case EventReceived():
            return replace(settled, payload=payload, event_id=record.event_id)
        case Published():
            return replace(
                settled, payload=payload, event=record.topic, event_id=record.event_id
            )
        case ChildEnded() if record.status != COMPLETED:
            return replace(settled, error=failures.decode(payload) if payload else None)
        case _:
            return replace(settled, payload=payload)


def _attempt_started(operation: OperationState, record: StepStarted) -> OperationState:
    attempt = Attempt(number=record.attempt, started_at=record.recorded_at)
    return replace(operation, attempts=(*operation.attempts, attempt), retry_at=0)


def _attempt_failed(
    operation: OperationState, record: StepFailed | StepInDoubt, payload: Payload
) -> OperationState:
    error = failures.decode(payload)
    in_doubt = isinstance(record, StepInDoubt) or record.in_doubt
    attempts = _with_attempt(operation, record, error=error, in_doubt=in_doubt)
    if isinstance(record, StepFailed) and not record.final:
        return replace(operation, attempts=attempts, retry_at=record.retry_at)
    return replace(
        operation,
        attempts=attempts,
        error=error,
        retry_at=0,
        settled_at=record.recorded_at,
        settled_by=record.sequence,
    )


def _with_attempt(
    operation: OperationState,
    record: Record,
    *,
    error: ErrorInfo | None,
    in_doubt: bool,
) -> tuple[Attempt, ...]:
    """Return the attempts with the one that this record ends.

    A step that is stopped while it waits to be tried again has made no attempt
    since the last.
    """
    attempts = operation.attempts
    if attempts and attempts[-1].ended_at == 0:
        started_at, attempts = attempts[-1].started_at, attempts[:-1]
    else:
        before = attempts[-1].ended_at if attempts else operation.asked_at
        started_at = operation.retry_at or before
        if started_at > record.recorded_at:
            return attempts
    attempt = Attempt(
        number=record.attempt,
        started_at=started_at,
        ended_at=record.recorded_at,
        error=error,
        in_doubt=in_doubt,
    )
    return (*attempts, attempt)
