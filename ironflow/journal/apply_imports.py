"""What another journal has recorded is taken in: runs with their histories, events.

A foreign history is stored as it is; only its digests start elsewhere. Nothing that it
asks for is carried out again. What a run that has not ended waits for comes back when
somebody lets it go on: whoever loads it says which sleeps and waits are open.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from msgspec.structs import replace

from ironflow import codec, ids, limits
from ironflow.errors import (
    Conflict,
    EventConflict,
    IronflowError,
    JournalDamaged,
    RunExists,
)
from ironflow.interpreter.effective import effective
from ironflow.journal import apply_events as events
from ironflow.journal import apply_runs as runs
from ironflow.journal.base import (
    CLOSED,
    Done,
    ImportEvents,
    ImportRun,
    Pause,
    Refused,
    RunRow,
    RunStatus,
)
from ironflow.journal.view import View
from ironflow.policy import attributes
from ironflow.records import (
    CONTINUED,
    ChildEnded,
    ChildStarted,
    Entry,
    Rewound,
    RunContinued,
    RunEnded,
    RunRetried,
    RunStarted,
)

IMPORTED: Final = "import"  # the reason of a pause
_ENDS: Final = (RunEnded, RunContinued)
_PUT_BACK: Final = frozenset({"sleep", "wait"})  # by whoever loads the run


def is_kept(row: RunRow) -> bool:
    """Say whether a run waits for somebody to say that it may go on here."""
    return row.pause is not None and row.pause.reason == IMPORTED


def take(
    view: View, command: ImportRun | ImportEvents, *, environment: str
) -> Done | Refused:
    """Take in what another journal has recorded."""
    if isinstance(command, ImportEvents):
        return _take_events(view, command)
    return _take_run(view, command, environment=environment)


# --- runs -----------------------------------------------------------------------


def _take_run(view: View, command: ImportRun, *, environment: str) -> Done | Refused:
    """Store a run with its history, and let it stand still unless it shall go on."""
    error = _unfit(command)
    if error is not None:
        return Refused(error)
    run_id = command.row.run_id
    if view.run(run_id) is not None or view.is_going(run_id):
        return Refused(
            RunExists(
                f"run {run_id} is in this journal already; its history was left as it is"
            )
        )
    row = _row(view, command)
    view.put_run(row)
    start = codec.chain_start(environment, run_id)
    view.append(run_id, _rechained(command, start), command.headers)
    if row.status in CLOSED:
        _tell_parent(view, row, command.entries)
    else:
        _put_rows(view, command, row)
        _tell_of_children(view, command, row)
    return Done()


def _unfit(command: ImportRun) -> IronflowError | None:
    """What does not fit together: nothing of a bundle may stop an engine later."""
    row, entries = command.row, command.entries
    named = [row.run_id, row.parent_run, row.continued_from, row.continued_to]
    named += [row.first_run, *(timer.run_id for timer in command.timers)]
    first = entries[0].record if entries else None
    if not all(ids.is_run_id(each) for each in named[:1] + list(filter(None, named))):
        what = "its row names a run by something that is no run id"
    elif not isinstance(first, RunStarted) or first.function_id != row.function_id:
        what = "its first record is not the start of a run of its function"
    elif _attributes(entries) is None:
        what = "its attributes cannot be read"
    elif not _follow(entries) or len(command.headers) != len(entries):
        what = "a record is missing or out of place"
    elif _end(entries) != (row.status if row.status in CLOSED else ""):
        what = f"its row says that it is {row.status}, and its records do not"
    elif row.status not in CLOSED and _redacted_at(entries):
        what = "it has not ended, and its records were redacted"
    else:
        return None
    return JournalDamaged(
        f"run {row.run_id!r} cannot be imported: {what}; export it again, or take"
        " another copy of the bundle"
    )


def _attributes(entries: Sequence[Entry]) -> bytes | None:
    """What the records make of the run's attributes; None if they cannot be read."""
    kept = attributes.NO_ATTRIBUTES
    try:
        for entry in entries:
            kept = attributes.after(kept, entry)
    except JournalDamaged:
        return None
    return kept


def _follow(entries: Sequence[Entry]) -> bool:
    sequences = [entry.record.sequence for entry in entries]
    return sequences[0] == 1 and all(b - a == 1 for a, b in pairwise(sequences))


def _end(entries: Sequence[Entry]) -> str:
    """How the records say that the run has ended; empty if it has not."""
    ended = _ending(entries)
    record = None if ended is None else ended.record
    if isinstance(record, RunEnded):
        return record.status
    return CONTINUED if isinstance(record, RunContinued) else ""


def _ending(entries: Sequence[Entry]) -> Entry | None:
    for entry in reversed(entries):
        if isinstance(entry.record, RunEnded | RunContinued | RunRetried | Rewound):
            return entry
    return None


def _redacted_at(entries: Sequence[Entry]) -> int:
    """When a payload was first taken away; 0 for never."""
    facts = (each.redaction for each in entries)
    return min((fact.at for fact in facts if fact is not None), default=0)


def _row(view: View, command: ImportRun) -> RunRow:
    length = view.log().length
    position = length if command.position is None else min(command.position, length)
    row = replace(
        command.row,
        trigger_position=position,
        claims=0,
        claimed_at=0,
        lost=None,
        redacted_at=_redacted_at(command.entries),
        attributes=_attributes(command.entries) or attributes.NO_ATTRIBUTES,
    )
    if row.status in CLOSED:
        return row
    if command.resume:
        pause = None if is_kept(row) else row.pause or row.asked
    else:
        pause = row.pause if is_kept(row) else _pause(row, now=command.now)
    status: RunStatus = "open" if pause is None else "paused"
    return replace(row, status=status, pause=pause, asked=None)


def _pause(row: RunRow, *, now: int) -> Pause:
    before = ""
    if row.pause is not None:
        before = f"; it was paused there ({row.pause.reason}): {row.pause.message}"
    message = (
        "it came from another journal, where it may still go on; 'ironflow runs retry"
        f" {row.run_id}' lets it go on here{before}"
    )
    return Pause(IMPORTED, message, "", now)


def _rechained(command: ImportRun, digest: bytes) -> list[Entry]:
    """The entries with the digests that they have in this environment."""
    entries: list[Entry] = []
    for entry, header in zip(command.entries, command.headers, strict=True):
        digest = codec.chained(digest, header)
        entries.append(replace(entry, digest=digest))
    return entries


def _tell_parent(view: View, row: RunRow, entries: Sequence[Entry]) -> None:
    """A parent that came before may not know it: the run went on after its export."""
    ended = _ending(entries)
    if ended is not None and isinstance(ended.record, RunEnded):
        runs.tell_parent(view, row, status=ended.record.status, payload=ended.payload)


def _tell_of_children(view: View, command: ImportRun, row: RunRow) -> None:
    """Children that came before their parent have ended without telling it."""
    known = {waiting.draft.record.id for waiting in command.inbox}
    for asked in _open_children(command.entries):
        child = view.run(asked.child_run)
        if child is None or asked.id in known:
            continue
        last = runs.latest(view, child)
        if last.status in CLOSED and last.parent_run == row.run_id:
            _tell_end(view, last)


def _open_children(entries: Sequence[Entry]) -> list[ChildStarted]:
    """The children of whose end a history does not tell."""
    asked: dict[str, ChildStarted] = {}
    for entry in effective(entries).entries:
        match entry.record:
            case ChildStarted() as child:
                asked[child.id] = child
            case ChildEnded(id=step):
                asked.pop(step, None)
            case _:
                pass
    return list(asked.values())


def _tell_end(view: View, child: RunRow) -> None:
    """Tell the parent of a run that has ended, or has gone on in one that is not here."""
    length = view.hold(child.run_id).length
    records = (view.record(child.run_id, each) for each in range(length, 0, -1))
    end = next(each for each in records if isinstance(each.record, _ENDS))
    if isinstance(end.record, RunEnded):
        runs.tell_parent(view, child, status=end.record.status, payload=end.payload)


def _put_rows(view: View, command: ImportRun, row: RunRow) -> None:
    known = command.position is not None
    for timer in command.timers:
        if timer.kind not in _PUT_BACK:
            runs.put_timer(view, replace(timer, run_id=row.run_id))
    for position in command.consumed if known else ():
        view.consume(row.run_id, position)
    for waiting in command.inbox:
        position = waiting.position if known else 0
        view.put_inbox(row.run_id, waiting.draft, position=position)
    runs.make_ready(view, row)


# --- events ---------------------------------------------------------------------


def _take_events(view: View, command: ImportEvents) -> Done | Refused:
    """Store events in the places that they had, and offer them to waits."""
    log = view.log()
    first = log.length + 1
    if not log.length and command.events:
        first = max(first, command.events[0].position)
    for position, stored in enumerate(command.events, first):
        if stored.position != position:
            return Refused(
                Conflict(
                    f"the event log has {position - 1} events, so event"
                    f" {stored.position} of another journal cannot be taken over"
                )
            )
        event = stored.event
        key = event.idempotency_key
        if key and view.event_by_key(event.name, key) is not None:
            return Refused(
                EventConflict(
                    f"the idempotency key {key!r} of {event.name!r} was used before"
                )
            )
    budget = limits.DELIVERIES_PER_COMMIT_MAX
    for stored in command.events:
        budget -= events.store(view, stored, budget=budget)
    return Done(bool(command.events))
