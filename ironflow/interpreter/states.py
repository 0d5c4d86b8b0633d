r"""The states of a run and of its operations, as tables: the only place for states.

A table says which record may come in which state, and what the state is after it.
It speaks of the *effective* history (`effective.effective`), so what a rewind drops and
patched results are no arrows. An arrow that is not here cannot happen: a history that has
it is not what was written. `paused` is not in a history; the journal keeps it.

A run:

    absent --RunStarted--> running --RunEnded--> completed | failed | cancelled
                             |   \--RunContinued--> continued
                             | UndoStarted of the run
                             v
                          undoing --RunEnded--> failed | cancelled

An operation (undos are steps; a plain step has no record of its start):

    absent --StepStarted--> started
      |                      |  ^
      |                      v  | StepStarted (only once="at_most")
      +--StepFailed---> backing_off | held
      |                      |
      +----------------------+--> completed | failed | in_doubt
      +--SleepStarted--> sleeping --SleepFired--> fired
      +--WaitStarted---> waiting --> received | timed_out
      +--ChildStarted--> running --> completed | failed | cancelled
      |                     \--DeadlinePassed--> stopping -->  the same
      +--Published-----> published

What is open when the run ends, nobody waits for any more: it is `abandoned`.
"""

from typing import Final

from ironflow.errors import JournalDamaged
from ironflow.records import (
    CANCELLED,
    COMPLETED,
    CONTINUED,
    FAILED,
    AttributesSet,
    CancelRequested,
    ChildEnded,
    ChildStarted,
    CodeChanged,
    DeadlinePassed,
    EventReceived,
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
    StepStarted,
    UndoStarted,
    WaitStarted,
    WaitTimedOut,
)

ABSENT: Final = "absent"

# States of a run, besides COMPLETED, FAILED, CANCELLED and CONTINUED.
RUNNING: Final = "running"
UNDOING: Final = "undoing"

# States of an operation, besides RUNNING, COMPLETED, FAILED and CANCELLED.
STARTED: Final = "started"
BACKING_OFF: Final = "backing_off"
HELD: Final = "held"  # the attempts are used up, and the policy wants a person to look
IN_DOUBT: Final = "in_doubt"
SLEEPING: Final = "sleeping"
FIRED: Final = "fired"
WAITING: Final = "waiting"
RECEIVED: Final = "received"
TIMED_OUT: Final = "timed_out"
STOPPING: Final = "stopping"
PUBLISHED: Final = "published"
SET: Final = "set"
ABANDONED: Final = "abandoned"

# What tells two records of one class apart.
FINAL: Final = "final"
RETRY: Final = "retry"
HOLD: Final = "hold"
OF_RUN: Final = "run"
OF_SAGA: Final = "saga"
OF_CHILD: Final = "child"

Fact = tuple[type[Record], str]
Table = dict[tuple[str, Fact], str]


def fact(record: Record) -> Fact:
    """Return the class of a record, and what tells it apart within its class."""
    match record:
        case StepFailed():
            follows = RETRY if record.retry_at else HOLD
            detail = FINAL if record.final else follows
        case RunEnded() | ChildEnded():
            detail = record.status
        case UndoStarted():
            detail = OF_SAGA if record.id else OF_RUN
        case DeadlinePassed():
            detail = OF_CHILD if record.id else OF_RUN
        case _:
            detail = ""
    return type(record), detail


_ATTEMPTS: Final[tuple[Fact, ...]] = (
    (StepCompleted, ""),
    (StepFailed, FINAL),
    (StepFailed, RETRY),
    (StepFailed, HOLD),
    (StepInDoubt, ""),
)
_CHILD_ENDS: Final[tuple[Fact, ...]] = (
    (ChildEnded, COMPLETED),
    (ChildEnded, FAILED),
    (ChildEnded, CANCELLED),
)
# What happens in a run whose function still has something to do.
_IN_RUNNING: Final[tuple[Fact, ...]] = (
    *_ATTEMPTS,
    *_CHILD_ENDS,
    (StepStarted, ""),
    (SleepStarted, ""),
    (SleepFired, ""),
    (WaitStarted, ""),
    (EventReceived, ""),
    (WaitTimedOut, ""),
    (ChildStarted, ""),
    (DeadlinePassed, OF_CHILD),
    (DeadlinePassed, OF_RUN),
    (Published, ""),
    (AttributesSet, ""),
    (UndoStarted, OF_SAGA),
    (CancelRequested, ""),
    (CodeChanged, ""),
    (RunRetried, ""),
    (Rewound, ""),
)
# The function has ended: only undos are performed, and children may still end.
_IN_UNDOING: Final[tuple[Fact, ...]] = (
    *_ATTEMPTS,
    *_CHILD_ENDS,
    (DeadlinePassed, OF_CHILD),
    (DeadlinePassed, OF_RUN),  # it only ends a run whose code is broken
    (CancelRequested, ""),
    (CodeChanged, ""),
)

RUN: Final[Table] = {
    (ABSENT, (RunStarted, "")): RUNNING,
    **{(RUNNING, each): RUNNING for each in _IN_RUNNING},
    (RUNNING, (UndoStarted, OF_RUN)): UNDOING,
    (RUNNING, (RunEnded, COMPLETED)): COMPLETED,
    (RUNNING, (RunEnded, FAILED)): FAILED,
    (RUNNING, (RunEnded, CANCELLED)): CANCELLED,
    (RUNNING, (RunContinued, "")): CONTINUED,
    **{(UNDOING, each): UNDOING for each in _IN_UNDOING},
    (UNDOING, (RunEnded, FAILED)): FAILED,
    (UNDOING, (RunEnded, CANCELLED)): CANCELLED,
}

_AFTER_ATTEMPT: Final[dict[Fact, str]] = {
    (StepCompleted, ""): COMPLETED,
    (StepFailed, FINAL): FAILED,
    (StepFailed, RETRY): BACKING_OFF,
    (StepFailed, HOLD): HELD,
    (StepInDoubt, ""): IN_DOUBT,
}
_ENDS_RUN: Final[tuple[Fact, ...]] = (
    (RunEnded, COMPLETED),
    (RunEnded, FAILED),
    (RunEnded, CANCELLED),
    (RunContinued, ""),
)

OPERATION: Final[Table] = {
    (ABSENT, (StepStarted, "")): STARTED,
    (BACKING_OFF, (StepStarted, "")): STARTED,
    (HELD, (StepStarted, "")): STARTED,
    **{
        (state, each): after
        for state in (ABSENT, STARTED, BACKING_OFF, HELD)
        for each, after in _AFTER_ATTEMPT.items()
    },
    (ABSENT, (SleepStarted, "")): SLEEPING,
    (SLEEPING, (SleepFired, "")): FIRED,
    (ABSENT, (WaitStarted, "")): WAITING,
    (WAITING, (EventReceived, "")): RECEIVED,
    (WAITING, (WaitTimedOut, "")): TIMED_OUT,
    (ABSENT, (ChildStarted, "")): RUNNING,
    (RUNNING, (DeadlinePassed, OF_CHILD)): STOPPING,
    **{
        (state, (ChildEnded, status)): status
        for state in (RUNNING, STOPPING)
        for status in (COMPLETED, FAILED, CANCELLED)
    },
    (ABSENT, (Published, "")): PUBLISHED,
    (ABSENT, (AttributesSet, "")): SET,
    **{
        (state, each): ABANDONED
        for state in (SLEEPING, WAITING, RUNNING, STOPPING)
        for each in _ENDS_RUN
    },
    # A run whose code is broken ends with its steps in hand.
    **{
        (state, (RunEnded, status)): ABANDONED
        for state in (STARTED, BACKING_OFF, HELD)
        for status in (CANCELLED, FAILED)
    },
}


def after(table: Table, state: str, record: Record) -> str:
    """Return the state after a record.

    Raises:
        JournalDamaged: the record cannot come in this state.
    """
    found = table.get((state, fact(record)))
    if found is None:
        what = f" of {record.id!r}" if record.id else ""
        raise JournalDamaged(
            f"record {record.sequence} of the run, {type(record).__name__}{what},"
            f" cannot come where the state is {state!r}: the history is not one that"
            " a run can write; 'ironflow verify' shows what else is damaged"
        )
    return found
