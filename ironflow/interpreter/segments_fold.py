"""What a segment must know of its run: the history folded to rows and one open wait.

Records go in one at a time, live and when a run is loaded; so what is asked of the run
next is decided by its records alone.
"""

from dataclasses import dataclass, field
from typing import Final, assert_never, cast

import msgspec

from ironflow.errors import CodeError, RunTimedOut
from ironflow.errors import WaitTimedOut as NoEventInTime
from ironflow.interpreter import failures
from ironflow.interpreter.segments_news import Row
from ironflow.records import (
    CANCELLED,
    COMPLETED,
    FAILED,
    NO_PAYLOAD,
    CancelRequested,
    ChildEnded,
    ChildStarted,
    CodeChanged,
    DeadlinePassed,
    Entry,
    ErrorInfo,
    EventData,
    EventReceived,
    Payload,
    Record,
    RunEnded,
    RunStarted,
    SleepFired,
    SleepStarted,
    StepCompleted,
    StepFailed,
    StepInDoubt,
    WaitStarted,
    WaitTimedOut,
)

RULES: Final = "segments-1"
# The id of the one step that executes the function. No id of the wire is without ":".
SEGMENT: Final = "segment"
INVOKE_TIMEOUT: Final = ErrorInfo(
    type="TimeoutError",
    message="it did not end within its timeout and was cancelled",
    code="TIMEOUT",
    retryable=False,
)

# What answers a sleep or a wait.
_ANSWERS: Final[dict[type[Record], type[Record]]] = {
    SleepFired: SleepStarted,
    EventReceived: WaitStarted,
    WaitTimedOut: WaitStarted,
}
_decode_event: Final = msgspec.msgpack.Decoder(EventData).decode
_encode: Final = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class End:
    """How the run is to end: its status and the error, as payload."""

    status: str
    payload: Payload


@dataclass(slots=True)
class SegmentState:
    """A run as far as its records go. Only `take` changes it.

    `rows` are in the order of their records. `failures` counts failed attempts by step.
    `waiting` is the open sleep, wait or child that the run waits for. `attempt` is the
    next execution's, not before `not_before`; `last_error` is why the last one failed.
    `end`: something has happened that the run ends by. `bug`: it cannot be carried on.
    """

    run_id: str
    event: EventData | None = None
    function_id: str = ""
    version: str = ""
    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    failures: dict[str, int] = field(default_factory=dict[str, int])
    children: dict[str, ChildStarted] = field(default_factory=dict[str, ChildStarted])
    stopping: set[str] = field(default_factory=set[str])  # children out of time
    waiting: Record | None = None
    attempt: int = 1
    not_before: int = 0
    last_error: Payload = NO_PAYLOAD
    end: End | None = None
    ended: bool = False
    undone: bool = False  # a step was compensated
    bug: Exception | None = None

    @property
    def is_over(self) -> bool:
        """Say whether nothing that happens changes it any more."""
        return self.ended or self.bug is not None

    @property
    def is_idle(self) -> bool:
        """Say whether a segment is to be executed now."""
        over = self.is_over or self.end is not None
        return not over and self.waiting is None and self.event is not None

    @property
    def stored(self) -> int:
        """Return how many operations are on record."""
        known = self.rows.keys() | self.failures.keys() | self.children.keys()
        if self.waiting is not None:
            known.add(self.waiting.id)
        return len(known)

    def expects(self, record: Record) -> bool:
        """Say whether what has happened still names something that is open."""
        match record:
            case CancelRequested() | DeadlinePassed(id=""):
                return not self.ended and self.end is None
            case StepCompleted() if record.id != SEGMENT:
                return self._is_given(record.id)
            case StepCompleted() | StepFailed() | StepInDoubt():
                return record.id == SEGMENT and self.is_idle
            case ChildEnded() | DeadlinePassed():
                return record.id in self.children
            case _:
                return self._is_awaited(record)

    def take(self, entry: Entry) -> None:
        """Take the next record of the effective history."""
        record = entry.record
        match record:
            case StepCompleted() | StepFailed() | StepInDoubt():
                self._take_attempt(record, entry.payload)
            case SleepStarted() | WaitStarted() | ChildStarted():
                self._take_asked(record)
            case SleepFired() | EventReceived() | WaitTimedOut() | ChildEnded():
                self._take_settled(record, entry.payload)
            case _:
                self._take_of_run(record, entry.payload)

    def _is_given(self, step: str) -> bool:
        """Say whether a result that a rewind brings is news: a worker tells its own."""
        return not self.is_over and self.end is None and step not in self.rows

    def _is_awaited(self, record: Record) -> bool:
        waiting, kind = self.waiting, _ANSWERS.get(type(record))
        if kind is None or not isinstance(waiting, kind):
            return False
        return waiting.id == record.id

    def _take_of_run(self, record: Record, payload: Payload) -> None:
        match record:
            case RunStarted():
                self._start(record, payload)
            case CodeChanged():
                self.version = record.version
            case DeadlinePassed() if record.id:
                self.stopping.add(record.id)
            case CancelRequested() | DeadlinePassed():
                self._end(*_stopped(self, record))
            case RunEnded():
                self.ended = True
            case _:
                pass  # it only says how the history came about

    def _start(self, record: RunStarted, payload: Payload) -> None:
        self.function_id, self.version = record.function_id, record.version
        if record.rules != RULES:
            self.bug = CodeError(
                f"run {self.run_id} began under the rules {record.rules!r}, and"
                f" {record.function_id!r} is now carried out under {RULES!r}, which"
                " cannot read it; register the function as it was, or cancel the run"
            )
            return
        try:
            self.event = _decode_event(payload)
        except msgspec.DecodeError as error:
            self.bug = error

    def _take_attempt(
        self, record: StepCompleted | StepFailed | StepInDoubt, payload: Payload
    ) -> None:
        if record.id == SEGMENT:
            self._take_segment(record, payload)
            return
        self.undone |= record.id.startswith("compensate:")
        if isinstance(record, StepCompleted):
            row = Row(id=record.id, kind="step", payload=payload)
            self.rows[record.id] = row
        else:
            self.failures[record.id] = self.failures.get(record.id, 0) + 1

    def _take_segment(
        self, record: StepCompleted | StepFailed | StepInDoubt, payload: Payload
    ) -> None:
        if isinstance(record, StepCompleted):
            return  # the end follows
        self.attempt = record.attempt + 1
        self.last_error = payload
        if isinstance(record, StepFailed) and not record.final:
            self.not_before = record.retry_at
        else:
            self._end(FAILED, payload)

    def _take_asked(self, record: SleepStarted | WaitStarted | ChildStarted) -> None:
        if not isinstance(record, ChildStarted):
            self.waiting = record
            return
        self.children[record.id] = record
        if record.awaited:
            self.waiting = record
            return
        self.rows[record.id] = Row(
            id=record.id,
            kind="invoke_async",
            payload=_encode({"run_id": record.child_run}),
            function_id=record.function_id,
            child_run=record.child_run,
        )

    def _take_settled(
        self,
        record: SleepFired | EventReceived | WaitTimedOut | ChildEnded,
        payload: Payload,
    ) -> None:
        waiting, id_ = self.waiting, record.id
        if waiting is not None and waiting.id == id_:
            self.waiting = None
        match record:
            case SleepFired():
                self.rows[id_] = Row(id=id_, kind="sleep")
            case EventReceived():
                self.rows[id_] = Row(id=id_, kind="wait", payload=payload)
            case WaitTimedOut():
                event = cast("WaitStarted", waiting).event
                self._end(FAILED, failures.encode(_timed_out(id_, event)))
            case ChildEnded():
                child = self.children.pop(id_)
                if child.awaited:
                    self.rows[id_] = self._child_row(child, record, payload)
            case _:
                assert_never(record)

    def _child_row(
        self, child: ChildStarted, ended: ChildEnded, payload: Payload
    ) -> Row:
        row = Row(
            id=child.id,
            kind="invoke",
            function_id=child.function_id,
            child_run=child.child_run,
        )
        if ended.status == COMPLETED:
            return msgspec.structs.replace(row, payload=payload)
        if child.id in self.stopping:
            info = INVOKE_TIMEOUT
        elif payload:
            info = failures.decode(payload)
        else:
            info = ErrorInfo(type="Cancelled", message="it was cancelled")
        return msgspec.structs.replace(row, error=info)

    def _end(self, status: str, payload: Payload) -> None:
        self.waiting, self.end = None, End(status, payload)


def _timed_out(step: str, event: str) -> ErrorInfo:
    error = NoEventInTime(
        f"step {step!r}: no event {event!r} came in time", step=step, event=event
    )
    return failures.describe(error)


def _stopped(
    state: SegmentState, record: CancelRequested | DeadlinePassed
) -> tuple[str, Payload]:
    if isinstance(record, DeadlinePassed):
        error = RunTimedOut(
            f"run {state.run_id} of {state.function_id!r} did not end within its"
            f" {record.timer}_timeout"
        )
        return FAILED, failures.encode(failures.describe(error))
    reason = record.reason or "no reason was given"
    info = ErrorInfo(
        type="Cancelled",
        message=f"the run was cancelled: {reason}",
        code="RUN_CANCELLED",
        retryable=False,
    )
    return CANCELLED, failures.encode(info)
