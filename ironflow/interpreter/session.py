"""An interpreter with its place in a journal: drafts in, sealed records out.

Every host carries a run on in the same way: it absorbs what has happened (step
outcomes, inbox rows), gets a *move*, appends the move's records, and only when they
are durable does what the move says.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final, final

import msgspec

from ironflow import codec, ids, limits, values
from ironflow.errors import RunTimedOut
from ironflow.interpreter import failures, outcomes
from ironflow.interpreter.effective import effective
from ironflow.interpreter.machine import Interpreter
from ironflow.interpreter.player import Move, Player
from ironflow.interpreter.program import Program
from ironflow.interpreter.turn import (
    LogLine,
    PerformStep,
    StopChild,
    StopStep,
    Turn,
)
from ironflow.records import (
    AMENDMENTS,
    CANCELLED,
    FAILED,
    MSGPACK_CODEC,
    CancelRequested,
    ChildStarted,
    CodeChanged,
    DeadlinePassed,
    Draft,
    Entry,
    ErrorInfo,
    Published,
    Record,
    RunContinued,
    RunEnded,
)


def player_of(program: Program, run_id: str, environment: str) -> Player:
    """Return what carries a run of this program on: nothing is loaded yet."""
    if program.player is not None:
        return program.player(program, run_id, environment)
    return Session(program, run_id, environment)


@final
class Session:
    """One run, held by one host. After a `broken` move it can only be closed."""

    def __init__(self, program: Program, run_id: str, environment: str) -> None:
        self.program = program
        self.run_id = run_id
        self.length = 0
        # Steps started at or before this were started by a host that is gone.
        self.loaded = 0
        self._digest = codec.chain_start(environment, run_id)
        self._time = 0
        self._machine = Interpreter(program, run_id)
        self._reusable: dict[tuple[str, bytes], Entry] = {}
        self._fresh = True  # the code has not run yet
        self._settled = False  # nothing is asked that a move was too full for
        self._last = Turn("waiting")
        self._silent = True
        # Steps that a host before this one may have begun.
        self._uncertain: set[str] = set()

    def load(self, entries: Sequence[Entry], *, more: bool = False) -> bool:
        """Take the durable history; call `absorb((), now)` next.

        A long one may come in pages, all but the last with `more`: the code runs over
        each, so that it is not held whole. Not so a history with amendments, which
        can only be folded when all of it is here: then nothing is taken, the answer is
        False, and a new session has to be given the whole.

        Its log lines have been shown before; only those of a run that has no record
        but its start may not have been, and are shown.
        """
        amended = not AMENDMENTS.isdisjoint(map(type, map(_record_of, entries)))
        if amended and (more or self.length):
            return False
        if entries:
            last = entries[-1]
            self.length = self.loaded = last.record.sequence
            self._digest = last.digest
            self._time = last.record.recorded_at
        self._silent = self.length > 1
        if amended:
            folded = effective(entries)
            self._reusable = folded.reusable
            entries = folded.entries
        self._machine.feed(entries)
        if more:
            self._machine.play()
        return True

    def absorb(self, drafts: Sequence[Draft], now: int) -> Move:
        """Seal what has happened, let the code see it, seal what it asks.

        Drafts that no longer name anything open are dropped. `now` is in
        microseconds; where the clock went backwards the last record's time holds.
        """
        machine = self._machine
        self._time = max(self._time, now)
        if self._settled and len(drafts) == 1 and self._last.state not in _OVER:
            draft = drafts[0]
            if machine.expects(draft.record):
                return self._absorb_one(draft)
        making = _Making(self.length)
        turn = self._last if self._settled else self._begin(making)
        for draft in drafts:
            if turn.state in _OVER or making.full:
                break
            making.taken += 1
            if machine.expects(draft.record):
                # An outcome that was kept may come before its step has begun again.
                making.perform.pop(draft.record.id, None)
                turn = machine.take(self._seal(draft, making))
                making.take(turn)
                if turn.asks:
                    turn = self._settle_asks(turn, making)
                if self._uncertain:
                    self._note_certain(draft.record)
        self._last = turn
        self._settled = not turn.asks
        return making.move(turn)

    def _absorb_one(self, draft: Draft) -> Move:
        """Absorb the one outcome that nearly every move begins with."""
        before = self.length
        entry, header = self._sealed(draft)
        turn = self._last = self._machine.take(entry)
        if self._uncertain:
            self._note_certain(entry.record)
        if not turn.asks and turn.is_plain:
            return Move(turn.state, before, (entry,), (header,), turn.perform, taken=1)
        making = _Making(before, [entry], [header], taken=1)
        making.take(turn)
        if turn.asks:
            turn = self._last = self._settle_asks(turn, making)
            self._settled = not turn.asks
        return making.move(turn)

    def end_broken(self, request: Draft, bug: Exception | None, now: int) -> Move:
        """End a run whose code is broken, and cannot see any more why it shall end.

        `request` is a cancel, or the deadline of the run. Nothing is undone, because
        only the code knows what; the error says so.
        """
        making = _Making(self.length)
        self._time = max(self._time, now)
        if isinstance(request.record, CancelRequested):
            status, info = CANCELLED, _cancelled_broken(bug)
        else:
            status, info = FAILED, self._late_and_broken(bug)
        ended = RunEnded(status=status, broken=True)
        self._seal(request, making)
        self._seal(Draft(ended, failures.encode(info)), making)
        turn = Turn("ended", stops=self._machine.attached_children())
        making.take(turn)
        return making.move(turn)

    def awaited(self) -> tuple[Record, ...]:
        """Return the sleeps and waits that were loaded and are still waited for.

        Other code may have abandoned some of them, which leaves no record: whoever
        loaded the run says with its first append which ones there are. Code that is
        broken waits for nothing.
        """
        if self._last.state in _OVER:
            return ()
        waited = self._machine.awaited()
        return tuple(each for each in waited if each.sequence <= self.loaded)

    @property
    def version(self) -> str:
        """Return the code version that the history names last."""
        return self._machine.version

    def _late_and_broken(self, bug: Exception | None) -> ErrorInfo:
        return failures.describe(
            RunTimedOut(
                f"run {self.run_id} of {self.program.id!r} did not end within its"
                f" run_timeout; its code was broken ({_named(bug)}), so nothing was undone"
            )
        )

    @property
    def is_rewound(self) -> bool:
        """Say whether results that a rewind has set free may be used again."""
        return bool(self._reusable)

    def reusable(self, perform: PerformStep) -> Draft | None:
        """Return the outcome that a rewound history holds for this very step."""
        if not self._reusable:
            return None
        digest = values.input_digest(perform.args)
        entry = self._reusable.get((perform.id, digest))
        if entry is None:
            return None
        draft = outcomes.completed(perform, bytes(entry.payload))
        record = msgspec.structs.replace(draft.record, reused=entry.record.sequence)
        return Draft(record, entry.payload)

    def may_have_begun(self, step: str) -> bool:
        """Say whether a host before this one may have begun a step that is open."""
        return step in self._uncertain

    def close(self) -> bool:
        """Drop the run's code; say whether it let itself be closed."""
        return self._machine.close()

    def _note_certain(self, record: Record) -> None:
        """Another attempt of a step is this host's own; a late start proves all are."""
        if isinstance(record, DeadlinePassed) and record.timer == "start":
            self._uncertain.clear()
        self._uncertain.discard(record.id)

    def _begin(self, making: "_Making") -> Turn:
        """Run the code over what was loaded, or go on with a move that was cut.

        Newer code takes an open run over: by replaying the history it has proved that
        it can go on with it. From its CodeChanged record on the run goes by the patches of the new code.
        """
        if not self._fresh:
            return self._advance(making)
        self._fresh = False
        program = self.program
        turn = self._machine.advance()
        making.take(turn)
        self._uncertain = {
            step.id for step in turn.perform if step.started or not step.at_most_once
        }
        if self._silent:
            making.logs.clear()
        if turn.state in {"ended", "broken"} or program.version == self.version:
            return self._settle_asks(turn, making)
        changed = CodeChanged(
            version=program.version, patches=tuple(sorted(program.patches))
        )
        self._machine.feed((self._seal(Draft(changed), making),))
        return self._advance(making)

    def _advance(self, making: "_Making") -> Turn:
        """Advance until nothing more is asked, or the move is full."""
        turn = self._machine.advance()
        making.take(turn)
        return self._settle_asks(turn, making)

    def _settle_asks(self, turn: Turn, making: "_Making") -> Turn:
        while turn.asks and turn.state != "broken" and not making.full:
            room = limits.ASKS_PER_TURN_MAX - len(making.entries)
            asked = [self._seal(draft, making) for draft in turn.asks[:room]]
            self._machine.feed(asked)
            turn = self._machine.advance()
            making.take(turn)
        return turn

    def _seal(self, draft: Draft, making: "_Making") -> Entry:
        entry, header = self._sealed(draft)
        making.entries.append(entry)
        making.headers.append(header)
        return entry

    def _sealed(self, draft: Draft) -> tuple[Entry, bytes]:
        self.length += 1
        record, payload = draft.record, draft.payload
        if type(record) in _PLACED:
            record = self._placed(record)
        if payload:
            record = msgspec.structs.replace(
                record,
                sequence=self.length,
                recorded_at=self._time,
                payload_digest=codec.digest_of(payload),
                codec=MSGPACK_CODEC,
            )
        else:
            record = msgspec.structs.replace(
                record, sequence=self.length, recorded_at=self._time
            )
        sealed = codec.chain(record, payload, previous=self._digest)
        self._digest = sealed[0].digest
        return sealed

    def _placed(self, record: Record) -> Record:
        """Give the ids that depend on a record's place."""
        place = {"sequence": self.length, "asked_at": self._time}
        match record:
            case ChildStarted():
                child = ids.child_run_id(self.run_id, **place)
                return msgspec.structs.replace(record, child_run=child)
            case RunContinued():
                new_run = ids.child_run_id(self.run_id, **place)
                return msgspec.structs.replace(record, new_run=new_run)
            case _:
                assert isinstance(record, Published)
                event = ids.published_event_id(self.run_id, **place)
                return msgspec.structs.replace(record, event_id=event)


def _cancelled_broken(bug: Exception | None) -> ErrorInfo:
    return ErrorInfo(
        type="Cancelled",
        message=f"cancelled while its code was broken ({_named(bug)}); nothing was undone",
        code="RUN_CANCELLED",
    )


def _named(bug: Exception | None) -> str:
    return f"{type(bug).__name__}: {bug}"


_record_of: Final = attrgetter("record")
_OVER: Final = frozenset({"ended", "broken"})
# Records with an id that depends on their place.
_PLACED: Final = frozenset({ChildStarted, RunContinued, Published})


@final
class _Making(msgspec.Struct, eq=False):
    """A move in the making."""

    length_before: int
    entries: list[Entry] = []
    headers: list[bytes] = []
    perform: dict[str, PerformStep] = {}
    stops: dict[str, StopStep | StopChild] = {}
    abandoned: list[str] = []
    logs: list[LogLine] = []
    taken: int = 0

    @property
    def full(self) -> bool:
        """Say whether the move has as many records as one append may have."""
        return len(self.entries) >= limits.ASKS_PER_TURN_MAX

    def take(self, turn: Turn) -> None:
        """Add a turn."""
        for perform in turn.perform:
            self.perform[perform.id] = perform
        if turn.stops or turn.abandoned or turn.logs:
            for stop in turn.stops:
                self.stops[stop.id] = stop
            self.abandoned += turn.abandoned
            self.logs += turn.logs

    def move(self, turn: Turn) -> Move:
        """Return the move; what it asks beyond its bound is left for the next."""
        return Move(
            turn.state,
            self.length_before,
            tuple(self.entries),
            tuple(self.headers),
            tuple(self.perform.values()),
            tuple(self.stops.values()) if self.stops else (),
            tuple(self.abandoned) if turn.state != "broken" else (),
            tuple(self.logs) if self.logs else (),
            self.taken,
            bool(turn.asks),
            turn.bug,
        )
