"""The message when code and history disagree: what was asked, what was recorded.

Both sides are named with their source lines, then the operation that the record
was most likely meant for, then what to do.
"""

import difflib
from collections.abc import Callable
from operator import attrgetter

from ironflow import ids
from ironflow.errors import NondeterminismError
from ironflow.interpreter.core import Core, Kind, Pending, place
from ironflow.records import (
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

_WORDS: dict[type[Record], str] = {
    RunStarted: "the start of the run",
    SleepStarted: "sleep",
    SleepFired: "sleep",
    WaitStarted: "wait_for_event",
    EventReceived: "wait_for_event",
    WaitTimedOut: "wait_for_event",
    ChildStarted: "invoke",
    ChildEnded: "invoke",
    DeadlinePassed: "deadline",
    Published: "publish",
    AttributesSet: "set_attributes",
    UndoStarted: "the beginning of undo",
    RunContinued: "continue_as_new",
    RunEnded: "the end of the run",
    StepStarted: "the start of step",
    StepCompleted: "step",
    StepFailed: "step",
    StepInDoubt: "step",
    CancelRequested: "a cancel",
    CodeChanged: "a change of code",
    RunRetried: "a retry of the run",
    Rewound: "a rewind",
}
_KINDS = {
    Kind.STEP: "step",
    Kind.UNDO: "step",
    Kind.SLEEP: "sleep",
    Kind.WAIT: "wait_for_event",
    Kind.CHILD: "invoke",
    Kind.MARK: "publish",
}
# What decides the meaning of a command; looked up, as every replay asks for it.
_MEANINGS: dict[type[Record], Callable[[Record], str]] = {
    WaitStarted: attrgetter("event"),
    ChildStarted: attrgetter("function_id"),
    Published: attrgetter("topic"),
    RunEnded: attrgetter("status"),
}
_SHOWN_MAX = 3  # open operations in a message
_ADVICE = (
    "Was the function changed while this run was open? Bring the recorded order back,"
    " or put the new code behind a patch: @ironflow.function(patches=['id']) and"
    " 'if ctx.patched(\"id\"):'. If it was not changed, look for what differs between"
    " two executions: the clock, random numbers, set order, global state."
)


def agrees(asked: Record, recorded: Record) -> bool:
    """Say whether a recorded command is the one that the code asks for now.

    Kind, id and what decides the meaning (event, function, topic, status) must be
    equal. A duration, an input or a payload may differ: what is recorded holds.
    """
    if type(asked) is not type(recorded) or asked.id != recorded.id:
        return False
    return _meaning(asked) == _meaning(recorded)


def _meaning(record: Record) -> str:
    meaning = _MEANINGS.get(type(record))
    return "" if meaning is None else meaning(record)


def differs(core: Core, asked: Record, recorded: Record) -> NondeterminismError:
    """The code asks for one thing where the history holds another."""
    return _error(core, shown(asked), recorded)


def not_asked_yet(core: Core, recorded: Record) -> NondeterminismError:
    """The history goes on without something that the code asks for here."""
    return _error(core, shown(core.asks[0].draft.record), recorded)


def unexpected(core: Core, recorded: Record) -> NondeterminismError:
    """The history holds something that the code does not ask for."""
    waiting = sorted(core.open.values(), key=lambda pending: pending.id)
    if waiting:
        asked = " and ".join(_open(pending) for pending in waiting[:_SHOWN_MAX])
        if len(waiting) > _SHOWN_MAX:
            asked += f" and {len(waiting) - _SHOWN_MAX} more"
    elif core.finishing or core.ended:
        asked = "nothing more: the function has ended"
    else:
        asked = "nothing"
    return _error(core, asked, recorded)


def _error(core: Core, asked: str, recorded: Record) -> NondeterminismError:
    found = shown(recorded)
    message = (
        f"run {core.run_id} of {core.program.id!r} does not replay: at record"
        f" {recorded.sequence} the history holds {found}, but the code asks for"
        f" {asked}.{_nearest(core, recorded)} {_ADVICE}"
    )
    return NondeterminismError(
        message, asked=asked, recorded=found, sequence=recorded.sequence
    )


def shown(record: Record) -> str:
    """Return a record as a reader knows it: `step 'charge' (shop.py:12)`."""
    text = _WORDS.get(type(record), type(record).__name__)
    if record.id:
        text += f" {record.id!r}"
    meaning = _meaning(record)
    if meaning:
        text += f" [{meaning}]"
    return text + (f" ({record.source})" if record.source else "")


def _open(pending: Pending) -> str:
    where = place(pending.operation)
    return f"{_KINDS[pending.kind]} {pending.id!r}" + (f" ({where})" if where else "")


def _nearest(core: Core, recorded: Record) -> str:
    """Say what becomes of the record's id in the code, or which id is most like it."""
    candidates = {ask.draft.record.id: shown(ask.draft.record) for ask in core.asks}
    candidates |= {pending.id: _open(pending) for pending in core.open.values()}
    candidates.pop("", None)
    if not recorded.id or not candidates:
        return ""
    first = core.asks[0].draft.record.id if core.asks else recorded.id
    if recorded.id == first and first in candidates:
        return " Its id is the same: its kind, or what it is for, was changed."
    if recorded.id in candidates:
        return f" The code does ask for {candidates[recorded.id]}, but not before that."
    kind = f"{_WORDS[type(recorded)]} "
    same_kind = [id_ for id_, text in candidates.items() if text.startswith(kind)]
    for among in (same_kind, candidates):
        for wanted in (recorded.id, ids.name_of(recorded.id)):
            near = difflib.get_close_matches(wanted, among, n=1)
            if near:
                return (
                    f" The nearest that the code asks for is {candidates[near[0]]}:"
                    " was it renamed?"
                )
    return ""
