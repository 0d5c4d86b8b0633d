"""A run and its journal without an engine: drafts in, moves out, laws checked.

What an engine would do is done by hand here: the tests say what came of a step, a
sleep or a child. After every move the history is replayed in a second session, which
must ask for nothing new and leave the same work to do (invariant 2).
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

import msgspec

from ironflow import codec
from ironflow.interpreter.player import Move
from ironflow.interpreter.program import Program, RunView
from ironflow.interpreter.session import Session
from ironflow.interpreter.turn import PerformStep, StopChild, StopStep
from ironflow.records import (
    CancelRequested,
    ChildEnded,
    Draft,
    Entry,
    EventData,
    Record,
    RunStarted,
    StepCompleted,
    StepFailed,
    StepInDoubt,
)
from tests.interpreter.language import SECOND, Step
from tests.interpreter.printing import perform_line

RUN_ID: Final = "run_" + "0123456789abcdef" * 2
EVENT_ID: Final = "evt_" + "0123456789abcdef" * 2
ENVIRONMENT: Final = "default"
SETTLES: Final = (StepCompleted, StepFailed, StepInDoubt, ChildEnded)

Workflow = Callable[[Step], Coroutine[Any, Any, Any]]


def program_of(workflow: Workflow, **options: Any) -> Program:
    """Make a program of a test's workflow."""

    def start(view: RunView) -> Coroutine[Any, Any, Any]:
        return workflow(Step(view))

    options.setdefault("id", "shop.order")
    return Program(start=start, **options)


def event_payload(data: object, *, name: str = "order.placed") -> bytes:
    """Return a stored event with this data."""
    event = EventData(
        id=EVENT_ID, name=name, data=msgspec.Raw(msgspec.msgpack.encode(data))
    )
    return msgspec.msgpack.encode(event)


def sealed(drafts: Iterable[Draft], *, after: Iterable[Entry] = ()) -> list[Entry]:
    """Give drafts their places behind other entries, a second apart."""
    entries = list(after)
    for draft in drafts:
        last = entries[-1] if entries else None
        entry, _ = codec.seal(
            draft,
            sequence=len(entries) + 1,
            recorded_at=SECOND + (last.record.recorded_at if last else 0),
            previous=last.digest if last else codec.chain_start(ENVIRONMENT, RUN_ID),
        )
        entries.append(entry)
    return entries


class World:
    """One run, its history, and what is left to be done for it.

    `checked`: every move is checked against a replay.
    """

    def __init__(self, program: Program, *, checked: bool = True) -> None:
        self.program = program
        self.checked = checked
        self.history: list[Entry] = []
        self.now = 0
        self.outstanding: dict[str, PerformStep] = {}
        self.stopping: dict[str, StopStep | StopChild] = {}
        self.abandoned: set[str] = set()
        self.session: Session | None = None

    def start(self, data: object, **options: Any) -> Move:
        """Make the run as an event makes it, and begin."""
        record = RunStarted(
            function_id=self.program.id,
            event_id=EVENT_ID,
            version=options.pop("version", self.program.version),
            patches=options.pop("patches", tuple(sorted(self.program.patches))),
            **options,
        )
        self.append(Draft(record, event_payload(data)))
        return self.reload()

    def append(self, *drafts: Draft) -> None:
        """Put records into the history behind the session's back; reload after."""
        self.history = sealed(drafts, after=self.history)
        self.now = max(self.now, self.history[-1].record.recorded_at)

    def reload(self, program: Program | None = None) -> Move:
        """Forget everything but the history, as a crash does; begin again."""
        self.close()
        self.program = program or self.program
        self.session = Session(self.program, RUN_ID, ENVIRONMENT)
        self.session.load(self.history)
        self.outstanding, self.stopping, self.abandoned = {}, {}, set()
        return self.absorb()

    def absorb(self, *drafts: Draft) -> Move:
        """Let something happen, a second later."""
        assert self.session is not None, "the run was closed or is broken; reload it"
        self.now += SECOND
        move = self.session.absorb(drafts, self.now)
        self._keep(move)
        if move.state == "broken":
            self.close()
            self._reset()
        elif self.checked:
            self.check_replay(move)
        return move

    def end_broken(self, program: Program, request: Draft | None = None) -> Move:
        """Load the history with code that is broken, and end the run: cancel it."""
        session = Session(program, RUN_ID, ENVIRONMENT)
        session.load(self.history)
        broken = session.absorb((), self.now)
        assert broken.state == "broken"
        cancel = Draft(CancelRequested(actor="ops", reason="it is broken"))
        move = session.end_broken(request or cancel, broken.bug, self.now)
        session.close()
        self.history.extend(move.entries)
        return move

    def close(self) -> bool:
        """Drop the code; say whether it let itself be dropped."""
        closed = self.session is None or self.session.close()
        self.session = None
        return closed

    def check_replay(self, move: Move) -> None:
        """Invariant 2: a replay asks for nothing, and leaves the same to do."""
        replayed = Session(self.program, RUN_ID, ENVIRONMENT)
        replayed.load(self.history)
        again = replayed.absorb((), self.now)
        replayed.close()

        assert again.entries == ()
        assert (again.state, again.more) == (move.state, move.more)
        assert shown(again.perform) == shown(self.outstanding.values())
        assert {each.id: each for each in again.stops} == self.stopping
        assert set(again.abandoned) == self.abandoned

    def _keep(self, move: Move) -> None:
        self.history.extend(move.entries)
        for entry in move.entries:
            if settles(entry.record):
                self.outstanding.pop(entry.record.id, None)
                self.stopping.pop(entry.record.id, None)
        self.outstanding.update({each.id: each for each in move.perform})
        self.stopping.update({each.id: each for each in move.stops})
        self.abandoned.update(move.abandoned)
        if move.state == "ended":
            self._reset(abandoned=self.abandoned)

    def _reset(self, *, abandoned: Iterable[str] = ()) -> None:
        self.outstanding, self.stopping = {}, {}
        self.abandoned = set(abandoned)


def shown(performs: Iterable[PerformStep]) -> list[str]:
    """Return what may be compared: functions and outcomes know no equality."""
    return sorted(perform_line(each) for each in performs)


def settles(record: Record) -> bool:
    """Say whether a record ends an attempt or a child."""
    return isinstance(record, SETTLES)
