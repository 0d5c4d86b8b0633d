"""What each command of a journal comes to: the only place where it is decided.

`apply` is pure over a `View` and runs inside a store's write transaction. Each
command checks everything before its first write, so `Refused` means that
nothing has changed. The parts: `apply_events.py`, `apply_waits.py`,
`apply_records.py`, `apply_claims.py`, `apply_retention.py`, `apply_runs.py`,
`apply_imports.py`, `apply_pauses.py`, `apply_documents.py`, `apply_redactions.py`.
"""

from typing import assert_never

from ironflow.journal import apply_claims as claims
from ironflow.journal import apply_documents as documents
from ironflow.journal import apply_events as events
from ironflow.journal import apply_imports as imports
from ironflow.journal import apply_pauses as pauses
from ironflow.journal import apply_records as records
from ironflow.journal import apply_redactions as redactions
from ironflow.journal import apply_retention as retention
from ironflow.journal import apply_runs as runs
from ironflow.journal.base import (
    Answer,
    AppendRecords,
    CountClaims,
    DeleteDocument,
    DeleteEvents,
    DeleteRuns,
    DeliverEvents,
    Done,
    EmitEvents,
    FireTimer,
    ForgiveClaims,
    ImportDocuments,
    ImportEvents,
    ImportRun,
    JournalCommand,
    NoteLost,
    NoteWorker,
    PauseRun,
    PutDocument,
    RedactEvent,
    RedactRecords,
    Refused,
    RegisterFunctions,
    RequestCancel,
    RequestPause,
    ResumeRun,
    RunRow,
    TimerRow,
)
from ironflow.journal.view import View
from ironflow.records import (
    DeadlinePassed,
    Draft,
    SleepFired,
    WaitTimedOut,
)


def apply(view: View, command: JournalCommand, *, environment: str) -> Answer:
    """Carry out one command on a view; return its answer."""
    match command:
        case AppendRecords():
            return records.append(view, command, environment=environment)
        case EmitEvents():
            return events.emit(view, command, environment=environment)
        case ImportRun() | ImportEvents():
            return imports.take(view, command, environment=environment)
        case RequestCancel() | RequestPause() | PauseRun() | ResumeRun():
            return _steer(view, command)
        case _:
            return _keep(view, command)


def _keep(
    view: View,
    command: RegisterFunctions
    | DeliverEvents
    | FireTimer
    | CountClaims
    | ForgiveClaims
    | NoteLost
    | NoteWorker
    | DeleteRuns
    | DeleteEvents
    | RedactRecords
    | RedactEvent
    | PutDocument
    | DeleteDocument
    | ImportDocuments,
) -> Answer:
    """Carry out a command about what is kept, or go on with what is there."""
    match command:
        case DeleteRuns() | DeleteEvents():
            return retention.delete(view, command)
        case RedactRecords() | RedactEvent():
            return redactions.redact(view, command)
        case PutDocument() | DeleteDocument() | ImportDocuments():
            return documents.change(view, command)
        case _:
            return _keep_going(view, command)


def _keep_going(
    view: View,
    command: RegisterFunctions
    | DeliverEvents
    | FireTimer
    | CountClaims
    | ForgiveClaims
    | NoteLost
    | NoteWorker,
) -> Answer:
    """Carry out a command that comes from the engine itself."""
    match command:
        case RegisterFunctions():
            return _register(view, command)
        case DeliverEvents():
            return Done(events.deliver(view))
        case FireTimer():
            return _fire(view, command)
        case CountClaims() | ForgiveClaims() | NoteLost() | NoteWorker():
            return claims.carry_out(view, command)
        case _:
            assert_never(command)


def _steer(
    view: View, command: RequestCancel | RequestPause | PauseRun | ResumeRun
) -> Answer:
    """Carry out a command about a run from outside its function code."""
    row = view.run(command.run_id)
    if row is None:
        return Refused(runs.not_found(command.run_id))
    if isinstance(command, RequestCancel | RequestPause):
        row = runs.latest(view, row)
    if isinstance(command, RequestCancel):
        actor, reason = command.actor, command.reason
        asked = runs.cancel(view, row, actor=actor, reason=reason, now=command.now)
        return Done(asked)
    return pauses.change(view, row, command)


def _register(view: View, command: RegisterFunctions) -> Done:
    changed = False
    known = view.functions()
    for function in command.functions:
        if known.get(function.id) != function:
            view.put_function(function)
            view.hint.room = changed = True
        for row in view.paused(function.id):
            if _is_worth_a_try(row, function.version):
                runs.resume(view, row)
                changed = True
    return Done(changed)


def _is_worth_a_try(row: RunRow, version: str) -> bool:
    """A bug in the code pauses a run until there is other code."""
    return (
        row.pause is not None
        and row.pause.reason == "code"
        and row.pause.version != version
    )


# --- timers ---------------------------------------------------------------------


def _fire(view: View, command: FireTimer) -> Done:
    timer = command.timer
    if command.now < timer.due:
        return Done(changed=False)
    delivered = timer.kind == "wait" and events.deliver(view)
    if delivered and view.log().delivery is not None:
        return Done()
    if not view.drop_timer(timer.run_id, timer.step, timer.kind, due=timer.due):
        return Done(delivered)
    row = runs.existing(view, timer.run_id)
    draft = _fired(view, timer)
    if timer.kind == "run" and not imports.is_kept(row):
        row = runs.before_end(view, row)  # it ends, as by a cancel
    if draft is None:
        runs.make_ready(view, row)
    else:
        runs.wake(view, row, draft)
    return Done()


def _fired(view: View, timer: TimerRow) -> Draft | None:
    """What a timer puts into the inbox; None: it only makes the run ready."""
    match timer.kind:
        case "sleep":
            return Draft(SleepFired(id=timer.step))
        case "wait":
            view.drop_wait(timer.run_id, timer.step)
            return Draft(WaitTimedOut(id=timer.step))
        case "invoke" | "run" | "start":
            return Draft(DeadlinePassed(id=timer.step, timer=timer.kind))
        case "retry":
            return None
        case _:
            assert_never(timer.kind)
