"""Which questions a command will ask: a guess that saves round trips, never more.

What is not foreseen is asked when `apply` wants it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, assert_never

from ironflow import ids, limits
from ironflow.errors import RunNotFound
from ironflow.journal.base import (
    AppendRecords,
    CountClaims,
    DeleteDocument,
    DeleteEvents,
    DeleteRuns,
    DeliverEvents,
    EmitEvents,
    FireTimer,
    ForgiveClaims,
    FunctionRow,
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
    RegisterFunctions,
    RequestCancel,
    RequestPause,
    ResumeRun,
)
from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres.questions import (
    DocumentOf,
    EventAt,
    EventByKey,
    GoingOf,
    InboxOf,
    MatchPathsOf,
    OldestEvents,
    PathsOf,
    PausedOf,
    Question,
    RecordOf,
    RecordsGone,
    RunOf,
    Seeking,
    TimerOf,
    WaitOf,
    WaitsFor,
)
from ironflow.journal.postgres.tables import sought
from ironflow.policy.match import pattern_matches
from ironflow.records import Entry, EventData, Published, StepCompleted, WaitStarted

_TOPIC: Final = "topic:"
_NO_STEP: Final = pg.digest("")


Paths = Mapping[str, Mapping[str, bytes]]
"""Where waits looked of late, by the name of the event; see `questions.PathsOf`."""


def foreseen(
    command: JournalCommand,
    functions: Mapping[str, FunctionRow],
    paths: Paths,
) -> Iterator[Question]:
    """Yield what a command is likely to ask before anything is known."""
    try:
        yield from _foreseen(command, functions, paths)
    except RunNotFound:
        return  # its answer will be that there is no such run


def _foreseen(
    command: JournalCommand,
    functions: Mapping[str, FunctionRow],
    paths: Paths,
) -> Iterator[Question]:
    match command:
        case AppendRecords():
            yield from of_append(command)
        case EmitEvents():
            yield from _of_emit(command, functions, paths)
        case FireTimer():
            yield from _of_timer(command)
        case ImportRun() | ImportEvents():
            yield from _of_import(command)
        case RequestCancel() | RequestPause() | PauseRun() | ResumeRun():
            yield RunOf(pg.run(command.run_id))
            yield InboxOf(pg.run(command.run_id))
        case RedactRecords() | RedactEvent():
            yield from _of_redaction(command)
        case PutDocument() | DeleteDocument() | ImportDocuments():
            yield from _of_documents(command)
        case _:
            yield from _of_engine(command)


def _of_documents(
    command: PutDocument | DeleteDocument | ImportDocuments,
) -> Iterator[Question]:
    if isinstance(command, ImportDocuments):
        yield from (DocumentOf(row.kind, row.id) for row in command.documents)
        return
    yield DocumentOf(command.kind, command.id)
    yield DocumentOf(command.kind, "")


def _of_engine(
    command: RegisterFunctions
    | CountClaims
    | ForgiveClaims
    | NoteLost
    | NoteWorker
    | DeliverEvents
    | DeleteRuns
    | DeleteEvents,
) -> Iterator[Question]:
    match command:
        case RegisterFunctions():
            yield from (PausedOf(function.id) for function in command.functions)
        case CountClaims() | ForgiveClaims() | NoteLost() | NoteWorker():
            yield from (RunOf(pg.run(run_id)) for run_id, _ in command.claims)
        case DeliverEvents():
            yield Seeking(pg.NO_RUN, 0)
        case DeleteRuns():
            yield from (RunOf(pg.run(run_id)) for run_id in command.run_ids)
            yield RecordsGone(limits.RETENTION_RECORDS_PER_COMMIT_MAX)
        case DeleteEvents():
            yield OldestEvents(limits.RETENTION_EVENTS_PER_COMMIT_MAX)
        case _:
            assert_never(command)


def _of_redaction(command: RedactRecords | RedactEvent) -> Iterator[Question]:
    if isinstance(command, RedactEvent):
        yield EventAt(command.position)
        return
    run = pg.run(command.run_id)
    yield RunOf(run)
    yield from (RecordOf(run, each.sequence) for each in command.replacements)


def _of_import(command: ImportRun | ImportEvents) -> Iterator[Question]:
    if isinstance(command, ImportRun):
        yield RunOf(pg.run(command.row.run_id))
        yield GoingOf(pg.run(command.row.run_id))
        return
    for stored in command.events:
        yield PathsOf(stored.event.name)
        yield MatchPathsOf(stored.event.name)


def of_append(command: AppendRecords) -> Iterator[Question]:
    """Yield what an append is likely to ask."""
    run = pg.run(command.run_id)
    yield RunOf(run)
    yield InboxOf(run)
    if command.expected_length == 1:
        yield TimerOf(run, _NO_STEP, "start")
    for step in command.abandoned:
        key = pg.digest(step)
        yield WaitOf(run, key)
        yield TimerOf(run, key, "sleep")
        yield TimerOf(run, key, "wait")
    for entry in command.entries:
        if type(entry.record) is not StepCompleted or entry.record.attempt > 1:
            yield from _of_entry(run, entry)


def _of_entry(run: bytes, entry: Entry) -> Iterator[Question]:
    record = entry.record
    if isinstance(record, Published):
        yield PathsOf(_TOPIC + record.topic)
        yield MatchPathsOf(_TOPIC + record.topic)
    elif isinstance(record, WaitStarted):
        yield MatchPathsOf(record.event)
    elif record.attempt > 1:
        yield TimerOf(run, pg.digest(record.id), "retry")


def _of_emit(
    command: EmitEvents, functions: Mapping[str, FunctionRow], paths: Paths
) -> Iterator[Question]:
    yield from _of_events(command.events, functions, paths)
    if command.only:
        started = (
            ids.triggered_run_id(event.id, command.only) for event in command.events
        )
        yield from (RunOf(pg.run(run_id)) for run_id in started)


def _of_events(
    events: Sequence[EventData], functions: Mapping[str, FunctionRow], paths: Paths
) -> Iterator[Question]:
    for event in events:
        yield PathsOf(event.name)
        yield MatchPathsOf(event.name)
        for path, key in sought(event, paths.get(event.name, {})):
            yield WaitsFor(event.name, path, key, pg.NO_RUN, 0)
        if event.idempotency_key:
            yield EventByKey(pg.digest(event.name, event.idempotency_key))
        yield from _of_starts(event, functions)


def _of_starts(
    event: EventData, functions: Mapping[str, FunctionRow]
) -> Iterator[Question]:
    for row in functions.values():
        if any(pattern_matches(pattern, event.name) for pattern in row.triggers):
            yield RunOf(pg.run(ids.triggered_run_id(event.id, row.id)))


def _of_timer(command: FireTimer) -> Iterator[Question]:
    timer = command.timer
    run, key = pg.run(timer.run_id), pg.digest(timer.step)
    yield RunOf(run)
    yield TimerOf(run, key, timer.kind)
    if timer.kind == "wait":
        yield WaitOf(run, key)
