"""A bench for engines: a clock moved by hand, a journal that can be made to fail."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from ironflow import App, Engine
from ironflow.authoring.definition import Function
from ironflow.engine.activity import Activity
from ironflow.engine.open import run_engine
from ironflow.errors import IronflowError
from ironflow.interpreter import failures
from ironflow.journal.base import (
    Answer,
    AppendRecords,
    Claim,
    FunctionRow,
    Hint,
    JournalCommand,
    Refused,
    RunQuery,
    RunSummary,
    Standing,
    StoredEvent,
    TimerRow,
)
from ironflow.journal.memory import MemoryJournal
from ironflow.policy.duration import Duration
from ironflow.records import Entry, ErrorInfo, Record

SECOND = 1_000_000
PATIENCE = 5  # a test that hangs says so; no test takes a tenth of it
Commands = Sequence[JournalCommand]


class HandClock:
    """A clock that a test moves; what is in flight does not hold it."""

    def __init__(self) -> None:
        self.time = 1_700_000_000 * SECOND
        self._sleepers: dict[trio.Event, int] = {}

    def now(self) -> int:
        return self.time

    async def wait_until(self, time_us: int) -> None:
        if time_us <= self.time:
            await trio.lowlevel.checkpoint()
            return
        reached = trio.Event()
        self._sleepers[reached] = time_us
        try:
            await reached.wait()
        finally:
            self._sleepers.pop(reached, None)

    def attach(self, activity: Activity) -> None:
        """Pay no attention."""

    async def advance(self, seconds: float) -> None:
        """Let time pass; whatever is due on the way happens at its time."""
        target = self.time + int(seconds * SECOND)
        await wait_all_tasks_blocked()
        while due := [time for time in self._sleepers.values() if time <= target]:
            await self._reach(min(due))
        await self._reach(target)

    async def _reach(self, time_us: int) -> None:
        self.time = max(self.time, time_us)
        for sleeper, due in list(self._sleepers.items()):
            if due <= self.time:
                sleeper.set()
        await wait_all_tasks_blocked()


@dataclass
class Hold:
    """A commit that is done, whose caller does not know it yet."""

    reached: trio.Event = field(default_factory=trio.Event)
    released: trio.Event = field(default_factory=trio.Event)

    async def wait(self) -> None:
        self.reached.set()
        with trio.CancelScope(shield=True):
            await self.released.wait()


class TestJournal:
    """A journal in memory that takes its time, and fails when it is told to.

    `refuse` is asked about each commit: it raises, or returns an error with which
    the commit is refused. Where `yields`, other tasks may run before and after each
    commit and read, as they may with a store on a disk.
    """

    __test__ = False

    def __init__(self, store: MemoryJournal, *, yields: bool) -> None:
        self.store = store
        self.yields = yields
        self.environment = store.environment
        self.refuse: Callable[[Commands], IronflowError | None] | None = None
        self._holds: list[tuple[Callable[[Commands], bool], Hold]] = []

    def hold_after(self, chosen: Callable[[Commands], bool]) -> Hold:
        """Hold the answer to the next commit that is `chosen`."""
        hold = Hold()
        self._holds.append((chosen, hold))
        return hold

    def after_a_crash(self) -> "TestJournal":
        """Return what a crash at this moment would leave."""
        restored = MemoryJournal.restored(self.store.snapshot())
        return TestJournal(restored, yields=self.yields)

    async def commit(self, commands: Commands) -> Sequence[Answer]:
        await self._pass()
        error = None if self.refuse is None else self.refuse(commands)
        if error is not None:
            return [Refused(error) for _ in commands]
        answers = self.store.commit_now(commands)
        for chosen, hold in self._holds:
            if not hold.reached.is_set() and chosen(commands):
                await hold.wait()
        await self._pass()
        return answers

    async def history(
        self, run_id: str, *, after: int = 0, limit: int = 10_000
    ) -> Sequence[Entry]:
        await self._pass()
        found = self.store.history_now(run_id, after=after, limit=limit)
        await self._pass()
        return found

    async def find(self, query: RunQuery) -> Sequence[RunSummary]:
        await self._pass()
        return self.store.find_now(query)

    async def run(self, run_id: str) -> RunSummary | None:
        await self._pass()
        return self.store.run_now(run_id)

    async def events(
        self, pattern: str = ">", *, after: int = 0, limit: int = 100
    ) -> Sequence[StoredEvent]:
        await self._pass()
        return self.store.events_now(pattern, after=after, limit=limit)

    async def claim(self, functions: frozenset[str], *, limit: int) -> Sequence[Claim]:
        await self._pass()
        return self.store.claim_now(functions, limit=limit)

    async def release(self, claims: Sequence[Claim]) -> None:
        await self._pass()
        self.store.release_now(claims)

    async def due(self, now: int, *, limit: int) -> tuple[Sequence[TimerRow], int]:
        await self._pass()
        return self.store.due_now(now, limit=limit)

    async def standing(self, run_id: str) -> Standing | None:
        await self._pass()
        return self.store.standing_now(run_id)

    async def functions(self) -> Sequence[FunctionRow]:
        await self._pass()
        return await self.store.functions()

    async def timers(self, run_id: str) -> Sequence[TimerRow]:
        await self._pass()
        return self.store.timers_now(run_id)

    def watch(self, callback: Callable[[Hint], None]) -> Callable[[], None]:
        return self.store.watch(callback)

    async def close(self) -> None:
        await self.store.close()

    async def _pass(self) -> None:
        # A commit cannot be taken back, so a cancel does not reach it.
        if self.yields:
            await trio.lowlevel.cancel_shielded_checkpoint()


def parks(commands: Commands) -> bool:
    """Choose the commit by which a run parks."""
    return any(
        isinstance(command, AppendRecords) and command.park for command in commands
    )


class Bench:
    """One journal and clock, and the engines that come and go on them."""

    def __init__(self, *, yields: bool = False) -> None:
        self.clock = HandClock()
        self.journal = TestJournal(MemoryJournal(), yields=yields)

    @asynccontextmanager
    async def engine(
        self,
        *functions: Function[Any, Any],
        shutdown: Duration = 10,
        on: TestJournal | None = None,
        **options: Any,
    ) -> AsyncGenerator[Engine]:
        """Run an engine for a block, and close it in order."""
        app, journal = App(functions=functions), on or self.journal
        with trio.fail_after(PATIENCE):
            async with run_engine(
                app, journal, clock=self.clock, shutdown=shutdown, **options
            ) as engine:
                yield engine

    @asynccontextmanager
    async def crashing(
        self, *functions: Function[Any, Any], **options: Any
    ) -> AsyncGenerator[Engine]:
        """Run an engine that dies at the end of the block, as by kill -9."""
        with trio.CancelScope() as power:
            async with self.engine(*functions, shutdown=0, **options) as engine:
                yield engine
                self.crash()
                power.cancel()

    def crash(self) -> None:
        """Lose what the engine does from now on; the next one opens what is there."""
        self.journal = self.journal.after_a_crash()

    def records(self, run_id: str) -> list[Record]:
        """Return the records of a run."""
        return [entry.record for entry in self.journal.store.history_now(run_id)]

    def kinds(self, run_id: str) -> list[str]:
        """Return the names of the records of a run."""
        return [type(record).__name__ for record in self.records(run_id)]

    def errors(self, run_id: str) -> list[ErrorInfo]:
        """Return the errors in the records of a run."""
        return [
            failures.decode(entry.payload)
            for entry in self.journal.store.history_now(run_id)
            if type(entry.record).__name__ in {"StepFailed", "StepInDoubt"}
        ]


async def only_run(engine: Engine) -> str:
    """Return the id of the only run there is."""
    [run] = await engine.list_runs()
    return run.id


async def settle() -> None:
    """Wait until nothing happens any more without time or a thread."""
    await wait_all_tasks_blocked()
