"""A player of runs of the published SDKs: news of segments in, sealed records out.

Such a run has no code here. Somewhere a worker executes its function from the first line
and says what came of it; this turns what it says into the records that a run of ours
would have written. So its sleeps, waits, children, retries and cancels are the engine's
own, and a crash loses nothing that is on record.

The engine performs one step, `segment`, whose function asks a worker. That function
`offer`s the news before it returns or raises; what it returns has no meaning.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final

import msgspec

from ironflow import codec, ids, limits
from ironflow.errors import HistoryLimitExceeded, IronflowError, RunTimedOut
from ironflow.interpreter import failures
from ironflow.interpreter.effective import effective
from ironflow.interpreter.player import Move
from ironflow.interpreter.program import Program
from ironflow.interpreter.segments_asking import asked, executed
from ironflow.interpreter.segments_fold import SEGMENT, SegmentState
from ironflow.interpreter.segments_news import (
    News,
    Segment,
    StepDone,
)
from ironflow.interpreter.turn import (
    LogLine,
    PerformStep,
    StopChild,
    StopStep,
    TurnState,
)
from ironflow.records import (
    AMENDMENTS,
    CANCELLED,
    COMPLETED,
    FAILED,
    MSGPACK_CODEC,
    CancelRequested,
    ChildStarted,
    CodeChanged,
    DeadlinePassed,
    Draft,
    Entry,
    ErrorInfo,
    Record,
    RunEnded,
    SleepStarted,
    StepFailed,
    StepInDoubt,
    UndoStarted,
    WaitStarted,
)

Call = Callable[[str], Awaitable[None]]

_WARNING: Final = 30  # as in the logging module
_CONTRADICTION: Final = (
    "step %r was reported twice with different results, and the first one stays: two"
    " steps have one id, as in a parallel or map whose name is used twice"
)


@final
class SegmentSession:
    """One run of a published SDK, held by one host: a `Player`.

    `call` is the function of the step: it gets the run's id, asks `segment` what to
    send, and `offer`s what it learns. If it raises, the run's attempt has failed, and
    the engine decides by the program's policy whether another follows.
    """

    def __init__(
        self, program: Program, run_id: str, environment: str, *, call: Call
    ) -> None:
        self.program = program
        self.run_id = run_id
        self.length = 0
        self.loaded = 0
        self._call = call
        self._digest = codec.chain_start(environment, run_id)
        self._time = 0
        self._state = SegmentState(run_id)
        self._offer: News | None = None
        self._queue: deque[Draft] = deque()  # what a move was too full for
        self._performing = False
        self._asked_at = 0
        self._fresh = True

    # --- what a host asks of every player -----------------------------------------------

    def load(self, entries: Sequence[Entry], *, more: bool = False) -> bool:
        """Take the durable history; see `Player.load`."""
        amended = any(type(entry.record) in AMENDMENTS for entry in entries)
        if amended and (more or self.length):
            return False
        if entries:
            last = entries[-1]
            self.length = self.loaded = last.record.sequence
            self._digest = last.digest
            self._time = last.record.recorded_at
        for entry in effective(entries).entries if amended else entries:
            self._state.take(entry)
        return True

    def absorb(self, drafts: Sequence[Draft], now: int) -> Move:
        """Seal what has happened and what is asked because of it."""
        self._time = max(self._time, now)
        state, making = self._state, _Making(self.length)
        if state.bug is None:
            self._begin(making)
            self._drain(making)
        taken = 0
        for draft in drafts:
            if making.full or self._state.is_over:
                break
            taken += 1
            if state.expects(draft.record):
                self._queue.extend(self._expanded(draft, making))
                self._drain(making)
        return self._move(making, taken)

    def end_broken(self, request: Draft, bug: Exception | None, now: int) -> Move:
        """End a run that these rules cannot carry on, by a cancel or its deadline."""
        self._time = max(self._time, now)
        making = _Making(self.length)
        why = f"it could not be carried on ({type(bug).__name__}: {bug})"
        if isinstance(request.record, CancelRequested):
            status = CANCELLED
            info = ErrorInfo(
                type="Cancelled", message=f"cancelled while {why}", code="RUN_CANCELLED"
            )
        else:
            status = FAILED
            info = failures.describe(RunTimedOut(f"run {self.run_id} is late; {why}"))
        self._seal(request, making)
        ended = RunEnded(status=status, broken=True)
        self._seal(Draft(ended, failures.encode(info)), making)
        return Move(
            "ended",
            making.length_before,
            tuple(making.entries),
            tuple(making.headers),
            stops=tuple(self._child_stops("its parent was ended")),
        )

    def awaited(self) -> tuple[Record, ...]:
        """Return the sleep or wait that was loaded and is still waited for."""
        waiting = self._state.waiting
        if self._state.bug is not None or waiting is None:
            return ()
        is_row = isinstance(waiting, SleepStarted | WaitStarted)
        return (waiting,) if is_row and waiting.sequence <= self.loaded else ()

    @property
    def is_rewound(self) -> bool:
        """Say no: what is on record is sent as a row, and not asked for again."""
        return False

    def reusable(self, perform: PerformStep) -> Draft | None:
        """Return nothing; see `is_rewound`."""
        del perform
        return None

    def may_have_begun(self, step: str) -> bool:
        """Say no: a run that is stopped ends at once, whatever a worker still does."""
        del step
        return False

    def close(self) -> bool:
        """There is no code here."""
        return True

    # --- what the function of the step asks ---------------------------------------------

    def segment(self) -> Segment:
        """Return what a worker needs to execute the run now."""
        state, retry = self._state, self.program.retry
        assert state.event is not None
        return Segment(
            run_id=self.run_id,
            function_id=state.function_id,
            attempt=state.attempt,
            max_attempts=retry.max_attempts,
            on_exhausted=retry.on_exhausted,
            event=state.event,
            rows=tuple(state.rows.values()),
            stored=state.stored,
        )

    def offer(self, news: News) -> None:
        """Leave news to be absorbed with the outcome of the step; once for each call.

        Of a call that raises only the steps count.
        """
        assert self._offer is None, "one segment at a time tells news"
        self._offer = news

    @property
    def is_settled(self) -> bool:
        """Say whether all that was offered is sealed.

        When a move is durable and this is true, so is what was offered.
        """
        return self._offer is None and not self._queue

    @property
    def is_over(self) -> bool:
        """Say whether the run has ended, or cannot be carried on here."""
        return self._state.is_over

    # --- inside -------------------------------------------------------------------------

    def _begin(self, making: "_Making") -> None:
        """Say on record by which code the run goes on, if that has changed."""
        fresh, self._fresh = self._fresh, False
        state, version = self._state, self.program.version
        if fresh and not state.ended and version != state.version:
            self._seal(Draft(CodeChanged(version=version)), making)

    def _drain(self, making: "_Making") -> None:
        """Seal what is to be sealed, as far as there is room."""
        state = self._state
        while not (making.full or state.ended):
            if state.end is not None:
                self._queue.clear()
                end = state.end
                self._seal(Draft(RunEnded(status=end.status), end.payload), making)
            elif self._queue:
                self._seal(self._queue.popleft(), making)
            else:
                return
        if state.ended:
            self._queue.clear()

    def _expanded(self, draft: Draft, making: "_Making") -> list[Draft]:
        """Return the records of what has happened; of a segment, those of its news."""
        record = draft.record
        if record.id != SEGMENT:
            return [draft]
        self._performing = False
        news, self._offer = self._offer or News(), None
        failed = isinstance(record, StepFailed | StepInDoubt)
        retry_at = record.retry_at if isinstance(record, StepFailed) else 0
        drafts = self._steps(news.steps, making, retry_at=retry_at)
        error = self._limit(len(drafts))
        if error is None and not failed and news.then is not None:
            try:
                return drafts + asked(self._state, news.then, now=self._time)
            except IronflowError as wrong:
                error = wrong
        if error is not None:
            return drafts + self._failing(self._given_up(error), drafts)
        if failed:
            if news.error is not None:
                draft = Draft(record, failures.encode(news.error))
            return drafts + self._failing(draft, drafts)
        return drafts

    def _steps(
        self, steps: Sequence[StepDone], making: "_Making", *, retry_at: int
    ) -> list[Draft]:
        """Return the records of steps that are new; say where one contradicts another."""
        found = executed(
            self._state, steps, since=self._asked_at, now=self._time, retry_at=retry_at
        )
        making.logs += [
            LogLine(self.length, _WARNING, _CONTRADICTION, (id_,), None)
            for id_ in found.contradicted
        ]
        return found.drafts

    def _limit(self, count: int) -> IronflowError | None:
        limit = self.program.history_limit
        if self.length + count < limit:
            return None
        return HistoryLimitExceeded(
            f"the run has {self.length} records, and its history_limit is {limit}"
        )

    def _given_up(self, error: IronflowError) -> Draft:
        record = StepFailed(
            id=SEGMENT,
            attempt=self._state.attempt,
            asked_at=self._asked_at,
            final=True,
        )
        info = failures.describe(error, with_traceback=False)
        return Draft(record, failures.encode(info))

    def _failing(self, draft: Draft, steps: Sequence[Draft]) -> list[Draft]:
        """Return the failure of a segment; a run that is undone says so before it ends."""
        record = draft.record
        undone = self._state.undone or any(
            ids.is_undo(each.record.id) for each in steps
        )
        ends = not isinstance(record, StepFailed) or record.final
        if not (undone and ends):
            return [draft]
        return [Draft(UndoStarted(reason="the run failed")), draft]

    def _seal(self, draft: Draft, making: "_Making") -> None:
        self.length += 1
        record, payload = draft.record, draft.payload
        if isinstance(record, ChildStarted):
            child = ids.child_run_id(
                self.run_id, sequence=self.length, asked_at=self._time
            )
            record = msgspec.structs.replace(record, child_run=child)
        record = msgspec.structs.replace(
            record,
            sequence=self.length,
            recorded_at=self._time,
            asked_at=record.asked_at or self._time,
            payload_digest=codec.digest_of(payload) if payload else b"",
            codec=MSGPACK_CODEC if payload else 0,
        )
        entry, header = codec.chain(record, payload, previous=self._digest)
        self._digest = entry.digest
        making.entries.append(entry)
        making.headers.append(header)
        self._note_stop(record, making)
        self._state.take(entry)

    def _note_stop(self, record: Record, making: "_Making") -> None:
        """A child out of time is asked to cancel; so is all that a run waits for."""
        if isinstance(record, DeadlinePassed) and record.id:
            making.stops += self._child_stops("its timeout passed", record.id)
        elif isinstance(record, RunEnded) and record.status != COMPLETED:
            making.stops += self._child_stops("its parent did not complete")
            if self._performing:
                making.stops.append(StopStep(SEGMENT, interrupt=True))

    def _child_stops(self, reason: str, id_: str = "") -> list[StopStep | StopChild]:
        children = self._state.children.values()
        return [
            StopChild(child.id, child.child_run, reason)
            for child in children
            if child.attached and id_ in {"", child.id}
        ]

    def _move(self, making: "_Making", taken: int) -> Move:
        state = self._state
        more = making.full and not self._state.is_over
        perform: tuple[PerformStep, ...] = ()
        if state.is_idle and not more and not self._performing:
            perform = (self._perform(),)
        if state.bug is not None:
            turn_state: TurnState = "broken"
        elif state.ended:
            turn_state = "ended"
        else:
            turn_state = "working" if self._performing else "waiting"
        return Move(
            turn_state,
            making.length_before,
            tuple(making.entries),
            tuple(making.headers),
            perform,
            tuple(making.stops),
            (),
            tuple(making.logs),
            taken,
            more,
            state.bug,
        )

    def _perform(self) -> PerformStep:
        state, program = self._state, self.program
        self._performing = True
        self._asked_at = self._time
        return PerformStep(
            id=SEGMENT,
            name=SEGMENT,
            fn=self._call,
            args=(self.run_id,),
            attempt=state.attempt,
            retry=program.retry,
            timeout_us=0,
            not_before=state.not_before,
            asked_at=self._time,
            source="",
            last_error=state.last_error,
        )


class _Making:
    """A move in the making."""

    def __init__(self, length_before: int) -> None:
        self.length_before = length_before
        self.entries: list[Entry] = []
        self.headers: list[bytes] = []
        self.stops: list[StopStep | StopChild] = []
        self.logs: list[LogLine] = []

    @property
    def full(self) -> bool:
        """Say whether the move has as many records as one append may have."""
        return len(self.entries) >= limits.ASKS_PER_TURN_MAX
