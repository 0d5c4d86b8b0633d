"""A run of a published SDK driven by hand: what its worker says, what is recorded.

After every move the history is loaded afresh, and must lead to the same segment; and it
is folded, so that every record fits the tables of states.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from ironflow import codec
from ironflow.interpreter import failures, outcomes
from ironflow.interpreter.fold import RunState, fold
from ironflow.interpreter.player import Move
from ironflow.interpreter.program import Body, Program, RunView
from ironflow.interpreter.segments import SegmentSession
from ironflow.interpreter.segments_fold import RULES
from ironflow.interpreter.segments_news import News, Segment, StepDone, Then
from ironflow.interpreter.turn import PerformStep
from ironflow.policy.retry import Retry
from ironflow.records import (
    Draft,
    Entry,
    ErrorInfo,
    EventData,
    Record,
    RunStarted,
    StepFailed,
)

RUN_ID = "run_0192f0c0000070008000000000000001"
ENVIRONMENT = "default"
SECOND = 1_000_000


def pack(value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


def done(id_: str, value: Any = None, **options: Any) -> StepDone:
    return StepDone(id=id_, payload=pack(value), **options)


def broke(id_: str, message: str = "it broke") -> StepDone:
    return StepDone(id=id_, error=ErrorInfo(type="StepError", message=message))


def a_program(**options: Any) -> Program:
    def start(view: RunView) -> Body:
        raise AssertionError("its code is not here")

    settings: dict[str, Any] = {
        "id": "hello",
        "version": "v1",
        "retry": Retry(max_attempts=3, jitter=0.0, on_exhausted="pause"),
    }
    return Program(start=start, **settings | options)


class SegmentWorld:
    """One run: its history, its player, and the time in seconds."""

    def __init__(self, data: Any = None, **options: Any) -> None:
        self.program = a_program(**options)
        self.now = SECOND
        self.history: list[Entry] = []
        self.moves: list[Move] = []
        self._previous = codec.chain_start(ENVIRONMENT, RUN_ID)
        self.start(data)
        self.player = self.loaded()

    def start(self, data: Any, *, rules: str = RULES, payload: bytes = b"") -> None:
        event = EventData(
            id="evt_1",
            name="order.created",
            data=msgspec.Raw(pack(data)),
            timestamp=self.now,
        )
        record = RunStarted(
            function_id="hello", event_id=event.id, rules=rules, version="v1"
        )
        entry, _ = codec.seal(
            Draft(record, payload or pack(event)),
            sequence=1,
            recorded_at=self.now,
            previous=self._previous,
        )
        self.history = [entry]

    def loaded(self) -> SegmentSession:
        async def call(run_id: str) -> None:
            raise AssertionError("nobody performs it")

        player = SegmentSession(self.program, RUN_ID, ENVIRONMENT, call=call)
        assert player.load(self.history)
        return player

    def absorb(self, *drafts: Draft) -> Move:
        self.now += SECOND
        move = self.player.absorb(drafts, self.now)
        assert move.length_before == len(self.history)
        self.history += move.entries
        self.moves.append(move)
        self._check()
        return move

    def begin(self) -> Move:
        return self.absorb()

    def tell(self, *steps: StepDone, then: Then | None = None) -> Move:
        """The worker answers, and the function of the step returns."""
        self.player.offer(News(steps, then))
        return self.absorb(outcomes.completed(self.performed, pack(None)))

    def fail(self, *steps: StepDone, final: bool = False, retry_at: int = 0) -> Move:
        """The worker answers with a failure, and the function of the step raises."""
        if steps:
            self.player.offer(News(steps))
        perform = self.performed
        record = StepFailed(
            id=perform.id, attempt=perform.attempt, final=final, retry_at=retry_at
        )
        info = ErrorInfo(type="StepError", message="no", code="STEP_FAILED")
        return self.absorb(Draft(record, failures.encode(info)))

    @property
    def performed(self) -> PerformStep:
        return next(each.perform[0] for each in reversed(self.moves) if each.perform)

    @property
    def records(self) -> list[Record]:
        return [entry.record for entry in self.history]

    @property
    def segment(self) -> Segment:
        return self.player.segment()

    @property
    def state(self) -> RunState:
        return fold(self.history)

    def error(self) -> ErrorInfo:
        """What the run ended with."""
        return failures.decode(self.history[-1].payload)

    def rows(self) -> dict[str, Any]:
        return {
            row.id: msgspec.msgpack.decode(row.payload) for row in self.segment.rows
        }

    def restart(self) -> Move:
        """The process ends, and another one goes on."""
        self.player = self.loaded()
        return self.absorb()

    def _check(self) -> None:
        fold(self.history)
        start = codec.chain_start(ENVIRONMENT, RUN_ID)
        stored = [(codec.encode(each), each) for each in self.history]
        assert len(list(codec.verify_chain(stored, start=start))) == len(stored)
        assert self.loaded().segment() == self.segment


def kinds(entries: Sequence[Entry]) -> list[str]:
    return [type(entry.record).__name__ for entry in entries]
