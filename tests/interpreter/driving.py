"""Random lives of random programs: what may happen to a run, chosen number by number."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ironflow.errors import NonRetryableError
from ironflow.interpreter import failures, outcomes, states
from ironflow.interpreter.fold import OperationState, fold
from ironflow.interpreter.player import Move
from ironflow.interpreter.program import Program
from ironflow.interpreter.turn import PerformStep
from ironflow.records import (
    CANCELLED,
    COMPLETED,
    FAILED,
    CancelRequested,
    ChildEnded,
    DeadlinePassed,
    Draft,
    Entry,
    ErrorInfo,
    EventReceived,
    SleepFired,
    StepCompleted,
    WaitTimedOut,
)
from tests.interpreter.world import EVENT_ID, World, event_payload

_NIL: Final = msgspec.msgpack.encode(None)
_ERROR: Final = failures.encode(ErrorInfo(type="ValueError", message="no"))
_RARE: Final = 16  # every so many choices something happens to the run as a whole


@dataclass
class Life:
    """What happened: the drafts given, when, and the history that came of it."""

    history: list[Entry] = field(default_factory=list)
    given: list[tuple[Draft, int]] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)  # of the history, after each move
    state: str = ""


def live(program: Program, choices: Sequence[int], *, checked: bool = False) -> Life:
    """Let a run of the program live as long as there are choices.

    Invariant 3 is held on the way: what has a recorded result is not performed.
    """
    world, life = World(program, checked=checked), Life()
    move = world.start({"id": 1})
    life.lengths.append(len(world.history))
    for choice in choices:
        if move.state in {"ended", "broken"}:
            break
        draft = chosen(world, choice)
        now = world.now + 1_000_000
        before = len(world.history)
        move = world.absorb(draft)
        _check(world, move, before)
        life.given.append((draft, now))
        life.lengths.append(len(world.history))
    world.close()
    life.history, life.state = world.history, move.state
    return life


def _check(world: World, move: Move, before: int) -> None:
    completed = {
        entry.record.id
        for entry in world.history
        if isinstance(entry.record, StepCompleted)
    }
    assert not completed.intersection(each.id for each in move.perform)
    assert move.length_before == before


def chosen(world: World, choice: int) -> Draft:
    """Return something that may happen next."""
    if choice % _RARE == _RARE - 1:
        return (
            Draft(CancelRequested(reason="chosen")),
            Draft(DeadlinePassed()),
            Draft(SleepFired(id="nobody")),
        )[choice // _RARE % 3]
    open_: list[PerformStep | OperationState] = [
        *world.outstanding.values(),
        *(
            operation
            for operation in fold(world.history).operations
            if operation.id not in world.abandoned and operation.state in _OF_STATE
        ),
    ]
    if not open_:
        return Draft(WaitTimedOut(id="nobody"))
    what, choice = open_[choice % len(open_)], choice // len(open_)
    if isinstance(what, PerformStep):
        return _attempt(world, what, choice)
    return _settled(what, choice)


def _attempt(world: World, perform: PerformStep, choice: int) -> Draft:
    stopped = perform.id in world.stopping
    if stopped and perform.last_error:
        return outcomes.given_up(perform)
    error: Exception = ValueError("no")
    match choice % 10:
        case 6:
            error = NonRetryableError("never")
        case 7:
            return outcomes.in_doubt(perform, "its process died")
        case 8 | 9:
            pass
        case _:
            return outcomes.completed(perform, _NIL)
    in_doubt = choice % 20 == 9
    return outcomes.failed(
        perform, error, now=world.now, draw=0.5, stopped=stopped, in_doubt=in_doubt
    )


_OF_STATE: Final = {states.SLEEPING, states.WAITING, states.RUNNING, states.STOPPING}


def _settled(operation: OperationState, choice: int) -> Draft:
    match operation.state:
        case states.SLEEPING:
            return Draft(SleepFired(id=operation.id))
        case states.WAITING if choice % 3 == 1:
            return Draft(WaitTimedOut(id=operation.id))
        case states.WAITING:
            record = EventReceived(id=operation.id, event_id=EVENT_ID)
            return Draft(record, event_payload({"n": choice % 5}))
        case states.RUNNING if choice % 5 == 4:
            return Draft(DeadlinePassed(id=operation.id))
        case _:
            return _child_ended(operation, choice)


def _child_ended(operation: OperationState, choice: int) -> Draft:
    status = (COMPLETED, COMPLETED, FAILED, CANCELLED)[choice % 4]
    record = ChildEnded(id=operation.id, child_run=operation.child_run, status=status)
    return Draft(record, _NIL if status == COMPLETED else _ERROR)
