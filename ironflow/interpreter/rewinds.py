"""Where a run goes on that is resumed from a step, and what forbids it.

A rewind cuts a run's effective history in two. What is behind the cut is dropped, in the
order of the records, whichever branch it belongs to: nobody can tell what of it would
have happened without the step.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ironflow import ids
from ironflow.errors import MisusedOperation
from ironflow.records import (
    CancelRequested,
    ChildEnded,
    ChildStarted,
    DeadlinePassed,
    EventReceived,
    Record,
    Rewound,
    RunEnded,
    SleepFired,
    SleepStarted,
    StepCompleted,
    StepFailed,
    StepInDoubt,
    StepStarted,
    UndoStarted,
    WaitStarted,
    WaitTimedOut,
)

OPENS: Final = (SleepStarted, WaitStarted, ChildStarted)
SETTLES: Final = (SleepFired, EventReceived, WaitTimedOut, ChildEnded)
ATTEMPTED: Final = (StepCompleted, StepFailed, StepInDoubt)
_OF_STEP: Final = (*ATTEMPTED, StepStarted)
_NAMED_MAX: Final = 5  # steps in a message


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run goes on: after record `to`; `step` is the id that was meant."""

    step: str
    to: int


def place_of(
    run_id: str, kept: Sequence[Record], named: str, *, is_given: bool
) -> Place:
    """Return where a run goes on that is resumed from a step or another operation.

    `kept` is its effective history. `named` is the step's id, also with the run's before
    it, or its name if only one has it. `is_given`: its result is given instead of
    performing it.

    Raises:
        MisusedOperation: there is none, or there are several; the message names them.
    """
    step = _step(run_id, kept, named)
    own = [record for record in kept if record.id == step]
    if is_given:
        if not any(isinstance(record, _OF_STEP) for record in own):
            raise MisusedOperation(
                f"run {run_id}: {step!r} is no step, so it has no result that could be"
                " given; resume from it without one"
            )
        if isinstance(own[-1], StepCompleted):
            return Place(step, own[-1].sequence)
    before = [each for each in kept if each.sequence < own[0].sequence]
    return Place(step, before[-1].sequence)


def _step(run_id: str, kept: Sequence[Record], named: str) -> str:
    known = {record.id: None for record in kept if isinstance(record, _KNOWN)}
    for text in (named, named.removeprefix(f"{run_id}:")):
        if text in known:
            return text
    steps = [step for step in known if not ids.is_undo(step)]
    found = [step for step in steps if ids.name_of(step) == named]
    if len(found) == 1:
        return found[0]
    if found:
        raise MisusedOperation(
            f"run {run_id} has {len(found)} steps {named!r}: {_listed(found)}; give the"
            " id of one of them"
        )
    has = f"it has {_listed(steps)}" if steps else "it has recorded none"
    raise MisusedOperation(f"run {run_id} has no step {named[:200]!r}; {has}")


_KNOWN: Final = (*_OF_STEP, *OPENS)


def _listed(steps: Sequence[str]) -> str:
    shown = ", ".join(map(repr, steps[:_NAMED_MAX]))
    rest = len(steps) - _NAMED_MAX
    return f"{shown} and {rest} more" if rest > 0 else shown


# --- what forbids a rewind -------------------------------------------------------------


def objection(
    kept: Sequence[Record], record: Rewound, results: Collection[str]
) -> str | None:
    """Return why a run cannot be rewound like this, to be read after its id.

    `results` are the steps whose results the rewind brings.
    """
    if record.to not in {each.sequence for each in kept}:
        return f"has no record {record.to} in force to which it could be rewound"
    left = [each for each in kept if each.sequence <= record.to]
    dropped = kept[len(left) :]
    if isinstance(left[-1], RunEnded):
        return f"ends with record {record.to}; rewind it to one before"
    steps = {each.id for each in kept if isinstance(each, _OF_STEP)}
    for step in results:
        if step not in steps:
            return f"has no result of step {step!r} that could be replaced"
    return (
        _undone(kept, dropped)
        or _stopped(kept, left)
        or _repeated(dropped, record, results)
    )


def _undone(kept: Iterable[Record], dropped: Iterable[Record]) -> str | None:
    if any(isinstance(each, UndoStarted) and not each.id for each in kept):
        return "has begun to undo what it did; start a new run"
    if any(isinstance(each, UndoStarted) or ids.is_undo(each.id) for each in dropped):
        return (
            "has undone something behind this, which cannot be taken back; rewind it to"
            " a record behind that, or start a new run"
        )
    return None


def _stopped(kept: Iterable[Record], left: Iterable[Record]) -> str | None:
    if any(isinstance(each, CancelRequested) for each in kept):
        return "was asked to cancel; start a new run"
    if any(isinstance(each, DeadlinePassed) and not each.id for each in left):
        return "was out of time before this; rewind it to before that"
    return None


def _repeated(
    dropped: Iterable[Record], record: Rewound, results: Collection[str]
) -> str | None:
    if record.forced:
        return None
    for each in dropped:
        if isinstance(each, StepStarted) and each.id not in results:
            return (
                f"would call step {each.id!r} again, which is to be called at most once;"
                " force it if that does no harm, or give its result"
            )
    return None


# --- what is open at a cut -------------------------------------------------------------


def open_at(left: Iterable[Record]) -> dict[str, Record]:
    """Return, by id, the sleeps, waits and children that are open after these records."""
    opened: dict[str, Record] = {}
    for record in left:
        if isinstance(record, OPENS):
            opened[record.id] = record
        elif isinstance(record, SETTLES):
            opened.pop(record.id, None)
    return opened


def begun_at(left: Iterable[Record]) -> set[str]:
    """Return the steps that were begun at most once, and are under way."""
    begun: set[str] = set()
    for record in left:
        if isinstance(record, StepStarted):
            begun.add(record.id)
        elif isinstance(record, ATTEMPTED):
            begun.discard(record.id)
    return begun


def backing_off_at(left: Iterable[Record]) -> dict[str, int]:
    """Return when the steps are due that wait for another attempt, by id."""
    due: dict[str, int] = {}
    for record in left:
        if isinstance(record, StepFailed) and not record.final and record.retry_at:
            due[record.id] = record.retry_at
        elif isinstance(record, _OF_STEP):
            due.pop(record.id, None)
    return due
