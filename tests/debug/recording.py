"""Histories for tests, made by the real session: steps are performed as they come.

Sleeps, waits and children stay open until a test settles them with `happen`.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec

import ironflow
from ironflow import codec, values
from ironflow.interpreter import outcomes
from ironflow.interpreter.player import Move
from ironflow.interpreter.program import Program
from ironflow.interpreter.session import Session
from ironflow.interpreter.turn import PerformStep
from ironflow.records import Draft, Entry, EventData, RunStarted

RUN = "run_" + "0" * 31 + "1"
SECOND = 1_000_000
DRAFTS_MAX = 100  # in one move; a session has a bound, too
BEGIN = 1_700_000_000 * SECOND
Function = ironflow.Function[Any, Any]


def program_of(function: Function) -> Program:
    return ironflow.App(functions=[function]).programs[function.id]


def event(data: object = None, *, name: str = "order.placed") -> EventData:
    return EventData(
        id="evt_" + "0" * 32,
        name=name,
        data=msgspec.Raw(values.encode(data)),
        timestamp=BEGIN,
    )


def performed(perform: PerformStep, *, now: int) -> Draft:
    """Make the attempt; a failure is recorded with the delay of its policy."""
    try:
        value = perform.fn(*perform.args)
    except Exception as error:  # noqa: BLE001  it is recorded
        return outcomes.failed(perform, error, now=now, draw=0.5)
    return outcomes.completed(perform, values.encode(value))


@dataclass
class Recording:
    """A run under way; every move comes a second after the one before."""

    function: Function
    data: object = None
    run_id: str = RUN
    entries: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        program = program_of(self.function)
        started = RunStarted(
            function_id=program.id,
            event_id="evt_" + "0" * 32,
            version=program.version,
            patches=tuple(sorted(program.patches)),
        )
        payload = msgspec.msgpack.encode(event(self.data))
        entry, _ = codec.seal(
            Draft(started, payload),
            sequence=1,
            recorded_at=BEGIN,
            previous=codec.chain_start("default", self.run_id),
        )
        self.entries.append(entry)
        self.now = BEGIN
        self._session = Session(program, self.run_id, "default")
        self._session.load(self.entries)
        self._go_on(())

    def end_broken(self, request: Draft) -> "Recording":
        """End the run, whose code is broken."""
        bug = self._session.absorb((), self.now).bug
        self.entries += self._session.end_broken(request, bug, self.now).entries
        return self

    def happen(self, *drafts: Draft) -> "Recording":
        """Let something happen, and the run go on as far as it can."""
        self._go_on(drafts)
        return self

    def _go_on(self, drafts: tuple[Draft, ...]) -> None:
        while True:
            self.now += SECOND
            some, rest = drafts[:DRAFTS_MAX], drafts[DRAFTS_MAX:]
            move: Move = self._session.absorb(some, self.now)
            self.entries.extend(move.entries)
            self.bug = move.bug
            drafts = rest + tuple(
                performed(perform, now=self.now)
                for perform in move.perform
                if perform.not_before <= self.now
            )
            if not drafts and not move.more:
                return
