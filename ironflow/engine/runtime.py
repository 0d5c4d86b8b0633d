"""What the parts of one engine share: journal, clock, programs, tasks, counters."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, final

import trio

from ironflow import limits
from ironflow.engine.activity import Activity
from ironflow.engine.alarms import Alarms
from ironflow.engine.asyncio_loop import AsyncioLoop
from ironflow.engine.callee import Callees
from ironflow.engine.clock import Clock
from ironflow.engine.hooks import Hooks
from ironflow.engine.left_behind import LeftBehind
from ironflow.engine.log import log
from ironflow.errors import JournalFailed, JournalFull
from ironflow.interpreter.program import Program
from ironflow.journal.base import (
    Answer,
    Claim,
    Hint,
    Journal,
    JournalCommand,
    Refused,
)

_FULL_RETRY_US: Final = 1_000_000  # how long to wait before a full disk is tried again


class Carried(Protocol):
    """A run in memory, as the rest of the engine knows it."""

    run_id: str
    function_id: str
    hold: Claim  # under which it is carried on

    def new_inbox(self) -> None:
        """Say that inbox rows may wait."""
        ...

    def claimed(self, claim: Claim) -> None:
        """Carry the run on under this claim."""
        ...

    def drop(self) -> None:
        """Close the run's code; it is in the journal."""
        ...


@final
class Outside:
    """The functions that others execute, and how many of their runs may be held.

    Their runs wait for those others while they are held, so they must not take the place
    of runs that have none to wait for. `capacity` says how many may be held now.
    """

    def __init__(self) -> None:
        self.functions: frozenset[str] = frozenset()
        self.active: set[str] = set()  # the ids of those runs
        self.capacity: Callable[[], int] = lambda: limits.RUNS_ACTIVE_MAX

    @property
    def room(self) -> int:
        """Return how many more may be held."""
        return self.capacity() - len(self.active)


@final
class Runtime:
    """The shared state of one engine. Only its loop touches it."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        programs: dict[str, Program],
        *,
        nursery: trio.Nursery,
        asyncio_loop: AsyncioLoop,
        hooks: Hooks | None = None,
        cached: int = limits.RUNS_CACHED_MAX,
    ) -> None:
        self.journal = journal
        self.clock = clock
        self.programs = programs
        self.functions = frozenset(programs)  # those whose runs are claimed
        self.outside = Outside()
        self.nursery = nursery
        self.asyncio_loop = asyncio_loop
        self.hooks = hooks
        self.activity = Activity()
        self.callees = Callees()
        self.alarms = Alarms(clock)
        self.threads = trio.CapacityLimiter(limits.STEP_THREADS_MAX)
        self.left_behind = LeftBehind()
        self.active: dict[str, Carried] = {}
        self.parked: OrderedDict[str, Carried] = OrderedDict()
        self._cached: Final = cached
        self.recovering: set[str] = set()  # claimed, not carried on yet, without news
        self.recovered: dict[str, int] = {}  # epochs of claims that were counted
        self.closing = False
        self.apart = False  # no run commits together with others
        self.block_error: BaseException | None = None  # with which the user left it
        self.stop_watching: Callable[[], None] = lambda: None
        self.look = trio.Event()  # runs may be ready to claim
        self.timers_due = trio.Event()
        self.undelivered = trio.Event()
        self.attempts = 0  # steps whose function runs now
        self.quiet = trio.Event()  # set while closing, when no step runs any more
        self._waiters: dict[str, set[trio.Event]] = {}
        self._timer_alarm: Any = None
        clock.attach(self.activity)

    # --- the journal ----------------------------------------------------------------

    async def commit(self, commands: Sequence[JournalCommand]) -> Sequence[Answer]:
        """Commit; the clock stands still meanwhile."""
        self.activity.begin()
        try:
            return await self.journal.commit(commands)
        except JournalFailed as error:
            # Whoever's commit it was: nothing more can be trusted, the engine stops.
            self.nursery.start_soon(_stop_by, error)
            raise
        finally:
            self.activity.end()

    async def commit_one(self, command: JournalCommand) -> Answer:
        """Commit one command of a caller.

        Raises:
            IronflowError: the command is refused.
        """
        [answer] = await self.commit((command,))
        if isinstance(answer, Refused):
            raise answer.error
        return answer

    async def commit_surely(self, command: JournalCommand) -> Answer:
        """Commit a command that must not be lost: a full disk is waited for."""
        [answer] = await self.commit_all_surely((command,))
        return answer

    async def commit_all_surely(
        self, commands: Sequence[JournalCommand]
    ) -> Sequence[Answer]:
        """Commit commands that must not be lost."""
        while True:
            self.activity.begin()
            try:
                return await self.journal.commit(commands)
            except JournalFull as error:
                log.error("%s; trying again in a second", error)
            finally:
                self.activity.end()
            await self.wait_until(self.clock.now() + _FULL_RETRY_US)

    def hint(self, hint: Hint) -> None:
        """React to a commit: called by the journal on this loop."""
        if hint.everything:
            self._look_at_everything()
        if hint.ready or hint.room:
            self.look.set()
        for run_id in hint.inbox:
            carried = self.active.get(run_id)
            if carried is not None:
                carried.new_inbox()
            self.recovering.discard(run_id)
        for run_id in hint.ended:
            self.wake(run_id)
        if hint.due:
            self.timer_at(hint.due)
        if hint.undelivered:
            self.undelivered.set()

    def _look_at_everything(self) -> None:
        self.look.set()
        self.timers_due.set()
        self.undelivered.set()
        for carried in tuple(self.active.values()):
            carried.new_inbox()
        self.wake_all()

    # --- waiting ------------------------------------------------------------------------

    def timer_at(self, due: int) -> None:
        """Look into the journal's timers at this time."""
        alarm = self._timer_alarm
        if alarm is not None and alarm.action is not None and alarm.due <= due:
            return
        if alarm is not None:
            alarm.cancel()
        self._timer_alarm = self.alarms.set(due, self._look_at_timers)

    def _look_at_timers(self) -> None:
        # The event of then, not that of when the alarm was set: it is a new one each time.
        self.timers_due.set()

    async def wait_until(self, time_us: int) -> None:
        """Return at this time of the engine's clock."""
        reached = trio.Event()
        alarm = self.alarms.set(time_us, reached.set)
        try:
            await reached.wait()
        finally:
            alarm.cancel()

    def waiter(self, run_id: str) -> trio.Event:
        """Return an event that is set when the run ends or pauses."""
        event = trio.Event()
        self._waiters.setdefault(run_id, set()).add(event)
        return event

    def forget(self, run_id: str, waiter: trio.Event) -> None:
        """Take a waiter back."""
        waiting = self._waiters.get(run_id, set())
        waiting.discard(waiter)
        if not waiting:
            self._waiters.pop(run_id, None)

    def wake(self, run_id: str) -> None:
        """Wake whoever waits for a run."""
        for event in self._waiters.pop(run_id, ()):
            event.set()

    def wake_all(self) -> None:
        """Wake whoever waits for any run."""
        for run_id in list(self._waiters):
            self.wake(run_id)

    # --- programs ----------------------------------------------------------------------------

    def carry(self, program: Program) -> None:
        """Carry out a program from now on, in the place of any of its id."""
        self.programs[program.id] = program
        self.functions = self.functions | {program.id}
        self.outside.functions |= {program.id}
        parked = [run for run in self.parked.values() if run.function_id == program.id]
        for carried in parked:  # it has the program that was
            del self.parked[carried.run_id]
            carried.drop()
        self.look.set()

    def drop(self, function_id: str) -> None:
        """Claim no more runs of a program."""
        self.functions = self.functions - {function_id}

    # --- runs in memory ---------------------------------------------------------------------

    def start(self, work: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Start a task of the engine."""
        self.nursery.start_soon(work, *args)

    def keep(self, carried: Carried) -> None:
        """Keep a parked run's code for a while: it is a cache."""
        self.active.pop(carried.run_id, None)
        if self.outside.active:
            self._leave_outside(carried.run_id)
        self.parked[carried.run_id] = carried
        while len(self.parked) > self._cached:
            _, oldest = self.parked.popitem(last=False)
            oldest.drop()
        self.room()

    def let_go(self, run_id: str) -> None:
        """Forget a run that is not carried on here any more."""
        if self.active.pop(run_id, None) is not None:
            if self.outside.active:
                self._leave_outside(run_id)
            self.room()

    def _leave_outside(self, run_id: str) -> None:
        if run_id in self.outside.active:
            self.outside.active.remove(run_id)
            self.look.set()

    async def give_back(self, claim: Claim) -> None:
        """Let a run be claimed afresh, if it is still held under this claim."""
        await self.journal.release((claim,))
        self.look.set()

    def room(self) -> None:
        """Say that one more run could be claimed."""
        if len(self.active) == limits.RUNS_ACTIVE_MAX - 1:
            self.look.set()

    def attempt_began(self) -> None:
        """Count a step whose function runs."""
        self.attempts += 1
        self.activity.count += 1

    def attempt_ended(self) -> None:
        """Count it off."""
        self.attempts -= 1
        self.activity.end()
        if self.closing and self.attempts == 0:
            self.quiet.set()


async def _stop_by(error: JournalFailed) -> None:
    raise error
