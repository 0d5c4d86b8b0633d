"""One run, carried on: absorb what happened, commit, perform, and again.

A run in memory has no task of its own. Whoever brings news (a task that made an
attempt, one that was told of inbox rows) *pumps*: it commits move after move while
there is news, goes on itself with one of the steps that a move asks for, and starts
tasks for the others. So a run of steps one after the other is one task throughout.
"""

from typing import Final, final

import trio

from ironflow import limits
from ironflow.engine.bugs import sentence
from ironflow.engine.guard import OutsideTrio
from ironflow.engine.loading import load
from ironflow.engine.runtime import Runtime, log
from ironflow.engine.steps import Attempt
from ironflow.engine.told import tell
from ironflow.errors import Conflict, LeaseLost
from ironflow.interpreter import outcomes
from ironflow.interpreter.program import Program
from ironflow.interpreter.session import Move, Session
from ironflow.interpreter.turn import PerformStep, StopChild, StopStep
from ironflow.journal.base import (
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

_PAGE: Final = limits.PAGE_RECORDS_MAX
# Steps and commits that never block let nobody else run: then others get a turn.
_MOVES_IN_A_ROW_MAX: Final = 64


@final
class ActiveRun:
    """A run that this engine holds, or has parked and keeps in memory."""

    def __init__(self, runtime: Runtime, program: Program, claim: Claim) -> None:
        self._runtime = runtime
        self._program = program
        self.run_id = claim.run_id
        self._session = Session(program, claim.run_id, runtime.journal.environment)
        self._hold = claim
        self._claim: Claim | None = None  # one that came before we knew we had parked
        self._outcomes: list[Draft] = []
        self._inbox: tuple[InboxRow, ...] = ()
        self._inbox_through = 0
        self._attempts: dict[str, Attempt] = {}
        self._later: dict[str, PerformStep] = {}  # backing off for long: not in memory
        self._exhausted: dict[str, str] = {}  # steps whose policy holds the run
        self._fresh = True  # the code may have something to say without news
        self._armed = True  # what the loaded history waits for has its rows
        self._peek = False  # somebody wrote inbox rows
        self._awake = False  # it is claimed and its history is loaded
        self._pumping = False
        self._closed = False
        self._moves = 0

    # --- what the engine calls --------------------------------------------------------

    def claimed(self, claim: Claim) -> None:
        """Carry on a run that was just claimed, until it parks or ends.

        It is told at once, not in a task: what parks it now must know of the claim.
        """
        if self._pumping:
            self._claim = claim
        else:
            self._runtime.start(self._begin, claim)

    async def _begin(self, claim: Claim) -> None:
        self._take(claim)
        if claim.length == 1 and self._program.start_timeout_us:
            self._peek = True  # a first append takes the start's deadline away
        if self._session.length != claim.length:
            if self._session.length:  # others have carried the run on meanwhile
                self._start_over()
            if not await load(self._runtime, self._session):
                self._leave()
                return
            self._armed = False
        self._awake = True
        await self.work(None)

    def _start_over(self) -> None:
        with OutsideTrio():
            self._session.close()
        environment = self._runtime.journal.environment
        self._session = Session(self._program, self.run_id, environment)
        self._later = {}

    def new_inbox(self) -> None:
        """Look for inbox rows that somebody else has written."""
        if not self._closed:
            self._peek = True
            if self._awake and not self._pumping:
                self._runtime.start(self.work, None)

    def drop(self) -> None:
        """Close the code of the run; what it did is in the journal."""
        if self._closed:
            return
        self._closed = True
        for attempt in self._attempts.values():
            if attempt.scope is not None:
                attempt.scope.cancel()
        with OutsideTrio():
            quiet = self._session.close()
        if not quiet:
            log.error(
                "run %s of %s: its code goes on awaiting operations in 'finally' while"
                " it is closed; it was abandoned there",
                self.run_id,
                self._program.id,
            )

    async def work(self, attempt: Attempt | None) -> None:
        """Make attempts and pump, until no step of this run is left for this task."""
        if attempt is None:
            attempt = await self._pump()
        while attempt is not None:
            attempt = await self._work_in_scope(attempt)

    async def _work_in_scope(self, attempt: Attempt) -> Attempt | None:
        """Make attempts one after the other until one is cut short; return the next.

        One cancel scope serves them all: making one costs as much as a whole step.
        """
        outcome: Draft | None = None
        following: Attempt | None = attempt
        with trio.CancelScope() as scope:
            while following is not None:
                attempt, outcome = following, None
                attempt.scope = scope
                if attempt.is_simple and not self._session.is_rewound:
                    outcome = await attempt.make()
                else:
                    outcome = await self._outcome(attempt)
                if attempt.is_cut or self._closed:
                    break
                noted = self._note(attempt, outcome)
                following = await self._pump() if noted else None
        if following is None:
            return None
        # The scope is spent. Was the attempt cut short, and is that to be recorded?
        if outcome is None:
            outcome = attempt.cut_short()
        if outcome is None or self._closed:
            return None
        return await self._pump() if self._note(attempt, outcome) else None

    # --- steps ----------------------------------------------------------------------------

    async def _outcome(self, attempt: Attempt) -> Draft:
        """Return what comes of an attempt, made or not."""
        perform = attempt.perform
        if 0 < perform.started <= self._session.loaded:
            return outcomes.in_doubt(
                perform, "the process that performed it ended before it was recorded"
            )
        if perform.not_before or attempt.stopped or self._runtime.threads_left:
            foreign = self._session.may_have_begun(perform.id)
            settled = await attempt.wait_for_turn(is_ours=not foreign)
            if settled is not None:
                return settled
        reused = self._session.reusable(perform)
        if reused is not None:
            return reused
        if self._runtime.closing and not perform.started:
            await trio.sleep_forever()  # its turn comes at the next start
        if perform.at_most_once and not perform.started:
            return outcomes.started(perform)
        return await attempt.make()

    def _note(self, attempt: Attempt, outcome: Draft) -> bool:
        """Note what came of an attempt; False if it does not matter any more."""
        attempt.scope = None
        if self._attempts.pop(attempt.perform.id, None) is None:
            return False
        record = outcome.record
        if isinstance(record, StepFailed) and not record.final and not record.retry_at:
            self._exhausted[attempt.perform.id] = attempt.perform.name
        self._outcomes.append(outcome)
        return True

    # --- the pump ---------------------------------------------------------------------------

    async def _pump(self) -> Attempt | None:
        """Commit while there is news; return an attempt for the calling task."""
        if self._pumping:
            return None
        self._pumping = True
        started: list[Attempt] = []
        try:
            while (
                (self._fresh or self._peek or self._outcomes or self._inbox)
                and self._awake
                and not self._closed
            ):
                started += await self._move()
                self._moves += 1
                if self._moves % _MOVES_IN_A_ROW_MAX == 0:
                    await trio.lowlevel.cancel_shielded_checkpoint()
        finally:
            self._pumping = False
        if self._runtime.closing:  # what is on record as started is not in doubt yet
            started = [attempt for attempt in started if attempt.perform.started]
        if self._closed or not started:
            return None
        *others, mine = started
        for other in others:
            self._runtime.start(self.work, other)
        return mine

    async def _move(self) -> list[Attempt]:
        move, end = self._absorb()
        if move.state == "broken":
            await self._break(move, end)
            return []
        fresh = self._attempts_of(move)
        park = self._may_park(move, fresh)
        if not await self._append(move, park=park):
            return []
        if move.logs:
            tell(self._program.id, self.run_id, move.logs)
        if move.stops:
            self._stop_steps(move)
        if move.state == "ended":
            self._leave()
            return []
        if self._exhausted:
            return await self._stand_still(fresh)
        return [] if park else fresh

    async def _stand_still(self, fresh: list[Attempt]) -> list[Attempt]:
        """Begin no step any more; pause when those that run have ended.

        What a cancel stops meanwhile is given up: such a run does not stand still. What
        is on record as started would be in doubt, so it is made.
        """
        started = [attempt for attempt in fresh if attempt.perform.started]
        for attempt in fresh:
            perform = attempt.perform
            if perform.started:
                continue
            del self._attempts[perform.id]
            if attempt.stopped:
                self._exhausted.pop(perform.id, None)
                self._outcomes.append(outcomes.given_up(perform))
            else:
                self._later[perform.id] = perform
        if not (self._attempts or self._outcomes or self._inbox):
            names = ", ".join(map(repr, self._exhausted.values()))
            await self._pause("step", f"step {names} used up its attempts")
        return started

    def _absorb(self) -> tuple[Move, Draft | None]:
        """Let the code see the news; return the move, and what ends it unseen."""
        rows, self._inbox = self._inbox, ()
        drafts, self._outcomes = self._outcomes, []
        known = len(drafts)
        if rows:
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

    async def _append(self, move: Move, *, park: bool) -> bool:
        """Make a move durable; False if this engine does not hold the run any more.

        Children that it stops are asked in the same commit: a crash after it would
        find the run parked, with nobody to ask them.
        """
        needed = move.entries or move.abandoned or move.stops or park
        if not (needed or self._inbox_through or self._peek):
            return True
        self._peek = False
        command = AppendRecords(
            self.run_id,
            self._hold.epoch,
            move.length_before,
            move.entries,
            move.headers,
            inbox_through=self._inbox_through,
            park=park,
            abandoned=move.abandoned,
            awaited=() if self._armed else self._session.awaited(),
        )
        commands: list[JournalCommand] = [command]
        if move.stops:
            now = self._runtime.clock.now()
            commands += _child_cancels(self.run_id, move, now)
        answer, *_ = await self._runtime.commit_all_surely(commands)
        if isinstance(answer, Refused):
            await self._lost(answer)
            return False
        assert isinstance(answer, Appended)
        self._armed = True
        seen, self._inbox_through = self._inbox_through, 0
        if answer.inbox and not self._inbox:
            self._inbox = tuple(row for row in answer.inbox if row.number > seen)
        if answer.parked and move.state != "ended":
            self._parked()
        return True

    def _parked(self) -> None:
        """Rest, unless somebody woke it and the engine has claimed it again already.

        News that came with the parking commit come again, with the next claim.
        """
        if self._claim is not None:
            self._take(self._claim)
            return
        self._awake = self._peek = False
        self._runtime.keep(self)

    def _take(self, claim: Claim) -> None:
        self._claim = None
        self._hold = claim
        self._inbox = claim.inbox
        self._fresh = True

    def _stop_steps(self, move: Move) -> None:
        for stop in move.stops:
            attempt = self._attempts.get(stop.id)
            if isinstance(stop, StopStep) and attempt is not None:
                attempt.stop(interrupt=stop.interrupt)

    # --- the ways to stop carrying it on ------------------------------------------------------

    async def _break(self, move: Move, end: Draft | None) -> None:
        """Record what has happened, then pause, or end what is cancelled or too late."""
        if (move.entries or self._peek) and not await self._append(move, park=False):
            return
        tell(self._program.id, self.run_id, move.logs)
        if end is None and any(ends_run(row.draft.record) for row in self._inbox):
            return  # it has come meanwhile; the next move ends the run
        hooks = self._runtime.hooks
        if hooks is not None and move.bug is not None:
            hooks.broke(self.run_id, move.bug)
        if end is None:
            await self._pause("code", sentence(move.bug))
            return
        with OutsideTrio():
            now = self._runtime.clock.now()
            last = self._session.end_broken(end, move.bug, now)
        if await self._append(last, park=False):
            self._leave()

    async def _pause(self, reason: str, message: str) -> None:
        runtime = self._runtime
        now = runtime.clock.now()
        pause = Pause(reason, message, self._program.version, now)
        answer = await runtime.commit_surely(
            PauseRun(self.run_id, self._hold.epoch, pause, self._inbox_through)
        )
        if isinstance(answer, Refused):
            await self._lost(answer)
        elif isinstance(answer, Done) and not answer.changed:
            self._peek = True  # what ends the run came before the pause
        else:
            log.warning(
                "run %s of %s is paused: %s", self.run_id, self._program.id, message
            )
            self._leave()
            runtime.wake(self.run_id)

    def _leave(self) -> None:
        self._runtime.let_go(self.run_id)
        self.drop()

    async def _lost(self, refused: Refused) -> None:
        """Nothing of ours was stored: give the run up, to whoever reads it afresh."""
        assert isinstance(refused.error, LeaseLost | Conflict)
        log.warning("run %s was given up here: %s", self.run_id, refused.error)
        self._leave()
        await self._runtime.give_back(self._claim or self._hold)


def _child_cancels(run_id: str, move: Move, now: int) -> list[RequestCancel]:
    return [
        RequestCancel(stop.child_run, f"run {run_id}", stop.reason, now)
        for stop in move.stops
        if isinstance(stop, StopChild)
    ]
