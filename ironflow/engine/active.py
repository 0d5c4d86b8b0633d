"""One run, carried on: absorb what happened, commit, perform, and again.

A run in memory has no task. Whatever happens to it *pumps*: the run absorbs its news,
hands the move over to be committed (`work.py`), and goes on when it is durable: it hands
over the attempts that the move asks for, and pumps again if there are news by then.
"""

from collections.abc import Coroutine
from functools import partial
from typing import Any, Final, final

from ironflow import limits
from ironflow.engine.attempting import outcome_of
from ironflow.engine.bugs import sentence
from ironflow.engine.guard import OutsideTrio
from ironflow.engine.loading import load
from ironflow.engine.log import log
from ironflow.engine.runtime import Runtime
from ironflow.engine.steps import Attempt
from ironflow.engine.told import tell
from ironflow.engine.under_way import UnderWay
from ironflow.engine.work import Work
from ironflow.errors import Conflict, JournalError, LeaseLost
from ironflow.interpreter import outcomes
from ironflow.interpreter.player import Move
from ironflow.interpreter.program import Program
from ironflow.interpreter.session import player_of
from ironflow.interpreter.turn import PerformStep, StopChild, StopStep
from ironflow.journal.base import (
    Answer,
    Appended,
    AppendRecords,
    Claim,
    Done,
    InboxRow,
    JournalCommand,
    Pause,
    PauseRun,
    Refused,
    RequestCancel,
)
from ironflow.records import Draft, StepFailed, ends_run

_NO_MOVE: Final = Move("waiting", 0)


@final
class ActiveRun:
    """A run that this engine holds, or has parked and keeps in memory."""

    def __init__(
        self, runtime: Runtime, work: Work, program: Program, claim: Claim
    ) -> None:
        self._runtime = runtime
        self._work = work
        self._program = program
        self.run_id, self.function_id = claim.run_id, program.id
        self.is_closed = False
        environment = runtime.journal.environment
        self._afresh = partial(player_of, program, claim.run_id, environment)
        self._session = self._afresh()
        self.hold = claim
        self._claim: Claim | None = None  # one that came before we knew we had parked
        self._outcomes: list[Draft] = []
        self._inbox: tuple[InboxRow, ...] = ()
        self._inbox_through = 0
        self._attempts: dict[str, Attempt] = {}
        self._under_way = UnderWay(self._attempts)
        self._later: dict[str, PerformStep] = {}  # backing off for long: not in memory
        self._exhausted: dict[str, str] = {}  # steps whose policy holds the run
        self._asked_pause: Pause | None = None  # somebody wants it to stand still
        self._fresh = True  # the code may have something to say without news
        self._armed = True  # what the loaded history waits for has its rows
        self._peek = False  # somebody wrote inbox rows
        self._awake = False  # it is claimed and its history is loaded
        self._moving = False  # a move is being committed
        self._move, self._parking = _NO_MOVE, False  # that one
        self._asked: list[Attempt] = []  # what it asks for
        self._due: list[Attempt] = []  # what may begin when there are no news

    # --- what the engine calls --------------------------------------------------------

    def claimed(self, claim: Claim) -> None:
        """Carry on a run that was just claimed, until it parks or ends.

        It is told at once, not in a task: what parks it now must know of the claim.
        """
        if self._moving:
            self._claim = claim
            return
        self._take(claim)
        session = self._session
        if claim.length == 1 and self._program.start_timeout_us:
            self._peek = True  # a first append takes the start's deadline away
        if session.length != claim.length:
            if session.length:  # others have carried the run on meanwhile
                _leave_behind(self._attempts)
                self._due, self._outcomes = [], []
                self._later, self._exhausted = {}, {}
                with OutsideTrio():
                    session.close()
                self._session = session = self._afresh()
            if not claim.entries:
                self._runtime.start(self._load)
                return
            session.load(claim.entries)
            self._armed = claim.length == 1
        self._awake = True
        self._work.wake(self)

    async def _load(self) -> None:
        try:
            journal = self._runtime.journal
            self._session = await load(journal, self._session, self._afresh)
        except JournalError as error:
            log.error("run %s stays where it is: %s", self.run_id, error)
            self._leave()
            return
        self._armed = False
        self._awake = True
        self._work.wake(self)

    def new_inbox(self) -> None:
        """Look for inbox rows that somebody else has written."""
        self._peek = True
        self._under_way.changed()
        self._work.wake(self)

    def drop(self) -> None:
        """Close the code of the run; what it did is in the journal."""
        if self.is_closed:
            return
        self.is_closed = True
        self._under_way.changed()
        _leave_behind(self._attempts)
        with OutsideTrio():
            quiet = self._session.close()
        if not quiet:
            log.error(
                "run %s of %s: its code goes on awaiting operations in 'finally' while"
                " it is closed; it was abandoned there",
                self.run_id,
                self._program.id,
            )

    # --- steps ----------------------------------------------------------------------------

    def outcome(self, attempt: Attempt) -> Coroutine[Any, Any, Draft]:
        """Return, to be awaited, what comes of an attempt, made or not."""
        if attempt.is_simple and not self._session.is_rewound:  # as nearly all are
            return attempt.make()
        return outcome_of(attempt, self._session, self._runtime)

    def noted(self, attempt: Attempt, outcome: Draft) -> None:
        """Go on with what came of an attempt, unless it does not matter any more."""
        if attempt.is_left or self._attempts.pop(attempt.perform.id, None) is None:
            return
        record = outcome.record
        if isinstance(record, StepFailed) and not record.final and not record.retry_at:
            self._exhausted[attempt.perform.id] = attempt.perform.name
        self._outcomes.append(outcome)
        self._under_way.changed()
        self.pump()

    # --- the pump ---------------------------------------------------------------------------

    def pump(self) -> None:
        """Absorb the news, if there are any, and let the move be committed.

        While one is committed, news wait for the next.
        """
        if self._moving or self.is_closed or not self._awake:
            return
        if not (self._outcomes or self._inbox or self._fresh or self._peek):
            return
        self._moving = True
        move, end = self._absorb()
        if move.state == "broken":
            self._runtime.start(self._break, move, end)
            return
        asked = self._attempts_of(move)
        park = self._may_park(move, asked)
        self._move, self._asked, self._parking = move, asked, park
        commands = self._commands(move, park=park)
        if commands:
            self._work.commit(self, commands)
        else:
            self._moved()

    def committed(self, answer: Answer) -> None:
        """Do what the move says, which is durable now."""
        if type(answer) is Refused:
            self._lose(answer)
            return
        self._appended(answer, self._move)
        self._moved()

    def _moved(self) -> None:
        move, asked, self._asked = self._move, self._asked, []
        self._move, self._moving = _NO_MOVE, False
        if move.logs or move.stops:
            tell(self._program.id, self.run_id, move.logs)
            _stop_steps(move, self._attempts)
        if self._program.durable is not None:
            self._program.durable(self.run_id)
        if move.state == "ended":
            self._leave()
            _tell_end(self._runtime, self.run_id)
            return
        if self._exhausted or self._asked_pause is not None:
            asked = self._stand_still(asked)
        if asked and not self._parking:
            self._due += asked
        if self._outcomes or self._inbox or self._fresh or self._peek:
            self.pump()
        elif self._due:
            self._make()

    def _make(self) -> None:
        """Hand attempts over; while closing, only those on record as started.

        That is when there are no news: a cancel among them comes before they begin.
        """
        due, self._due = self._due, []
        closing = self._runtime.closing
        for attempt in due:
            if not closing or attempt.perform.started:  # it is not in doubt yet
                self._work.make(self, attempt)

    def _stand_still(self, fresh: list[Attempt]) -> list[Attempt]:
        """Begin no step any more; pause when those that run have ended.

        What a cancel stops meanwhile is given up: such a run does not stand still. What
        is on record as started would be in doubt, so it is made.
        """
        fresh, self._due = [*self._due, *fresh], []
        for attempt in fresh:
            perform = attempt.perform
            if perform.started:
                continue
            self._attempts.pop(perform.id, None)  # it may have been put away to park
            if attempt.stopped:
                self._exhausted.pop(perform.id, None)
                self._outcomes.append(outcomes.given_up(perform))
            else:
                self._later[perform.id] = perform
        if not (self._attempts or self._outcomes or self._inbox):
            pause = self._asked_pause
            if self._exhausted or pause is None:
                names = ", ".join(map(repr, self._exhausted.values()))
                message = f"step {names} used up its attempts"
                pause = _why(self._runtime, self._program, "step", message)
            self._moving = True
            self._runtime.start(self._pause, pause)
        return [attempt for attempt in fresh if attempt.perform.started]

    def _absorb(self) -> tuple[Move, Draft | None]:
        """Let the code see the news; return the move, and what ends it unseen."""
        drafts, self._outcomes = self._outcomes, []
        rows = self._inbox
        known = len(drafts)
        if rows:
            self._inbox = ()
            drafts = drafts + [row.draft for row in rows]
        now = self._runtime.clock.now()
        with OutsideTrio():
            move = self._session.absorb(drafts, now)
        self._fresh = move.more
        if rows and move.taken > known:
            self._inbox_through = rows[move.taken - known - 1].number
        if move.taken == len(drafts):
            return move, None
        self._outcomes = drafts[move.taken : known]
        self._inbox = rows[max(0, move.taken - known) :]
        ends = [row for row in self._inbox if ends_run(row.draft.record)]
        if move.state != "broken" or not ends:
            return move, None
        self._inbox_through = ends[0].number
        return move, ends[0].draft

    def _attempts_of(self, move: Move) -> list[Attempt]:
        performs = move.perform
        if not performs and not self._later:
            return []
        if self._later:
            asked = {perform.id: perform for perform in performs}
            performs = tuple({**self._later, **asked}.values())
            self._later = {}
        fresh = [Attempt(self._runtime, self.run_id, each) for each in performs]
        for attempt in fresh:
            self._attempts[attempt.perform.id] = attempt
        return fresh

    def _may_park(self, move: Move, fresh: list[Attempt]) -> bool:
        """Say whether only the journal's timers and inbox can bring news."""
        if move.state == "ended" or move.more or self._outcomes or self._inbox:
            return False
        if len(self._attempts) > len(fresh) or self._exhausted:
            return False
        if move.stops and fresh:
            return False
        return not fresh or self._park_later(fresh)

    def _park_later(self, fresh: list[Attempt]) -> bool:
        """Put attempts away that the journal's timers bring back, if all are such."""
        if not fresh[0].perform.not_before:  # as nearly always
            return False
        soon = self._runtime.clock.now() + limits.RETRY_IN_MEMORY_US_MAX
        if any(attempt.perform.not_before <= soon for attempt in fresh):
            return False
        for attempt in fresh:
            self._later[attempt.perform.id] = attempt.perform
            del self._attempts[attempt.perform.id]
        return True

    def _commands(self, move: Move, *, park: bool) -> list[JournalCommand]:
        """What makes a move durable; empty if nothing has to be.

        Children that it stops are asked in the same commit: a crash after it would
        find the run parked, with nobody to ask them.
        """
        needed = move.entries or move.abandoned or move.stops or park
        if not (needed or self._inbox_through or self._peek):
            return []
        self._peek = False
        command = AppendRecords(
            self.run_id,
            self.hold.epoch,
            move.length_before,
            move.entries,
            move.headers,
            self._inbox_through,
            park,
            move.abandoned,
            () if self._armed else self._session.awaited(),
        )
        if not move.stops:
            return [command]
        now = self._runtime.clock.now()
        return [command, *_child_cancels(self.run_id, move, now)]

    def _appended(self, answer: Answer, move: Move) -> None:
        assert isinstance(answer, Appended)
        self._armed = True
        self._asked_pause = answer.asked
        seen, self._inbox_through = self._inbox_through, 0
        if answer.inbox and not self._inbox:
            self._inbox = tuple(row for row in answer.inbox if row.number > seen)
        if not answer.parked or move.state == "ended":
            return
        if self._claim is not None:
            # Somebody woke it, and the engine has claimed it again already.
            self._take(self._claim)
            return
        # News that came with the parking commit come again, with the next claim.
        self._awake = self._peek = False
        self._runtime.keep(self)

    async def _append(self, move: Move) -> bool:
        """Make a move durable; False if this engine does not hold the run any more."""
        commands = self._commands(move, park=False)
        if commands:
            answer, *_ = await self._runtime.commit_all_surely(commands)
            if isinstance(answer, Refused):
                self._lose(answer)
                return False
            self._appended(answer, move)
        return True

    def _take(self, claim: Claim) -> None:
        self._claim = None
        self.hold = claim
        self._inbox = claim.inbox
        self._asked_pause = claim.asked
        self._fresh = True

    # --- the ways to stop carrying it on ------------------------------------------------------

    async def _break(self, move: Move, end: Draft | None) -> None:
        """Record what has happened, then pause, or end what is cancelled or too late."""
        if not await self._append(move):
            return
        tell(self._program.id, self.run_id, move.logs)
        if end is None and any(ends_run(row.draft.record) for row in self._inbox):
            self._moving = False
            self.pump()  # it has come meanwhile; the next move ends the run
            return
        hooks = self._runtime.hooks
        if hooks is not None and move.bug is not None:
            hooks.broke(self.run_id, move.bug)
        if end is None:
            await self._pause_when_quiet(sentence(move.bug))
            return
        with OutsideTrio():
            now = self._runtime.clock.now()
            last = self._session.end_broken(end, move.bug, now)
        if await self._append(last):
            self._leave()
            _tell_end(self._runtime, self.run_id)

    async def _pause_when_quiet(self, message: str) -> None:
        """Pause a broken run when its attempts under way have ended.

        What came of them is kept in its inbox: the code that would see it is broken,
        and no step whose outcome is known is to be called again. A cancel ends the
        run at once.
        """
        if not self._under_way.is_over:
            names = (
                "run %s of %s is broken, and is paused when its steps have ended: %s"
            )
            log.warning(names, self.run_id, self._program.id, message)
        while not (self._under_way.is_over or self.is_closed):
            await self._under_way.change()
            if self._peek:
                if not await self._append(Move("broken", self._session.length)):
                    return
                if any(ends_run(row.draft.record) for row in self._inbox):
                    self._moving = False
                    self.pump()
                    return
        if not self.is_closed:
            pause = _why(self._runtime, self._program, "code", message)
            await self._pause(pause, kept=tuple(self._outcomes))

    async def _pause(self, pause: Pause, *, kept: tuple[Draft, ...] = ()) -> None:
        runtime = self._runtime
        answer = await runtime.commit_surely(
            PauseRun(self.run_id, self.hold.epoch, pause, self._inbox_through, kept)
        )
        if isinstance(answer, Refused):
            self._lose(answer)
        elif isinstance(answer, Done) and not answer.changed:
            # What ends the run came before the pause.
            self._peek, self._moving = True, False
            self.pump()
        else:
            log.warning(
                "run %s of %s is paused: %s",
                self.run_id,
                self._program.id,
                pause.message,
            )
            self._leave()
            runtime.wake(self.run_id)

    def _leave(self) -> None:
        self._runtime.let_go(self.run_id)
        self.drop()

    def _lose(self, refused: Refused) -> None:
        """Nothing of ours was stored: give the run up, to whoever reads it afresh."""
        assert isinstance(refused.error, LeaseLost | Conflict)
        log.warning("run %s was given up here: %s", self.run_id, refused.error)
        self._leave()
        self._runtime.start(self._runtime.give_back, self._claim or self.hold)


def _why(runtime: Runtime, program: Program, reason: str, message: str) -> Pause:
    return Pause(reason, message, program.version, runtime.clock.now())


def _tell_end(runtime: Runtime, run_id: str) -> None:
    if runtime.hooks is not None:
        runtime.start(runtime.hooks.ended, run_id)


def _stop_steps(move: Move, attempts: dict[str, Attempt]) -> None:
    for stop in move.stops:
        attempt = attempts.get(stop.id)
        if isinstance(stop, StopStep) and attempt is not None:
            attempt.stop(interrupt=stop.interrupt)


def _leave_behind(attempts: dict[str, Attempt]) -> None:
    for attempt in attempts.values():
        attempt.leave()
    attempts.clear()


def _child_cancels(run_id: str, move: Move, now: int) -> list[RequestCancel]:
    return [
        RequestCancel(stop.child_run, f"run {run_id}", stop.reason, now)
        for stop in move.stops
        if isinstance(stop, StopChild)
    ]
