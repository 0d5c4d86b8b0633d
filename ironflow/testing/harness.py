"""An engine in memory and in virtual time, for the tests of users' functions."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, cast, final

import trio

from ironflow.authoring.app import App
from ironflow.authoring.definition import Function
from ironflow.engine.engine import Engine
from ironflow.engine.handles import Receipt, moment
from ironflow.engine.hooks import Call, Hooks
from ironflow.engine.open import run_engine
from ironflow.errors import ConfigurationError
from ironflow.interpreter.turn import PerformStep
from ironflow.journal.base import RunQuery, StoredEvent
from ironflow.journal.memory import MemoryJournal
from ironflow.limits import PAGE_RUNS_MAX
from ironflow.policy.duration import Duration
from ironflow.testing.harness_runs import HarnessRun, nothing_started
from ironflow.testing.virtual_clock import START, VirtualClock

_OURS: Final = __file__.rpartition("testing")[0]


@final
class _Life(Hooks):
    """One engine of a harness, from its start to a crash: the hooks of that engine."""

    def __init__(self, harness: "Harness") -> None:
        self._harness = harness
        self.over = trio.Event()

    async def make(self, run_id: str, perform: PerformStep, call: Call) -> Any:
        """Make an attempt; after the crash nothing begins or ends any more."""
        del run_id
        if self.over.is_set():
            await trio.sleep_forever()
        value = await call(self._harness.function_of(perform))
        if self.over.is_set() or not self._harness.survives(perform):
            await trio.sleep_forever()
        return value

    def broke(self, run_id: str, bug: Exception) -> None:
        """Pass a bug on."""
        self._harness.bugs.append((run_id, bug))


@final
class Harness:
    """Runs an app's functions in memory and in virtual time; see `open_harness`.

    Every method that waits *settles*: it returns when nothing more can happen without
    an event or a later time. If function code has a bug (the run is then paused), it
    raises that bug at once.
    """

    def __init__(self, app: App, *, start: datetime = START) -> None:
        self.app = app
        self.clock = VirtualClock(start)
        self.journal = MemoryJournal()
        self._engine: Engine | None = None
        self._life = _Life(self)
        self._stand_ins: dict[str, Callable[..., Any]] = {}
        self._crash_in: set[str] = set()
        self.bugs: list[tuple[str, Exception]] = []  # not raised yet

    @property
    def engine(self) -> Engine:
        """The engine, for what the harness has no method for; then `settle()`."""
        assert self._engine is not None, "open a harness with open_harness(app)"
        return self._engine

    # --- what happens ---------------------------------------------------------------------

    async def emit(
        self, name: str, data: Any = None, *, idempotency_key: str = "", **more: Any
    ) -> HarnessRun:
        """Emit an event, settle, and return the run that it started.

        The event may be one that starts nothing but wakes a wait, or that nobody waits
        for yet; only if you then use the run, NoRunCreated says so. Where an event
        starts several runs, use `emit_all`.

        Raises:
            Exception: the bug that has paused a run.
        """
        receipt = await self._emit(name, data, idempotency_key, more)
        return HarnessRun(self, receipt.run_ids, nothing_started(self.app, name))

    async def emit_all(
        self, name: str, data: Any = None, *, idempotency_key: str = "", **more: Any
    ) -> list[HarnessRun]:
        """Emit an event, settle, and return the runs it started, by function id.

        Raises:
            Exception: the bug that has paused a run.
        """
        receipt = await self._emit(name, data, idempotency_key, more)
        return [self.run(run_id) for run_id in receipt.run_ids]

    async def advance(self, duration: Duration) -> None:
        """Let time pass ("1d", "1h30m", seconds); everything due happens in order.

        Raises:
            Exception: the bug that has paused a run.
        """
        await self.clock.advance(duration)
        self._raise_bugs()

    async def settle(self) -> None:
        """Wait until nothing more can happen without an event or a later time.

        Raises:
            Exception: the bug that has paused a run.
        """
        await self.clock.settle()
        self._raise_bugs()

    async def crash(self) -> None:
        """Lose everything but the journal, as by kill -9; start again and settle.

        Raises:
            Exception: the bug that has paused a run.
        """
        self._cut_power()
        await self.settle()

    # --- steps ----------------------------------------------------------------------------

    def replace_step(self, name: str, fn: Callable[..., Any]) -> None:
        """Call `fn` where a step of this name would call its own function.

        It gets the same arguments; what it returns must fit the return annotation of
        the real one, and what it raises is treated as if that had raised it. The undo
        of a step is named "compensate:<step>". Give the real function to end it.

        Raises:
            ConfigurationError: `fn` cannot be called.
        """
        if not callable(fn):
            raise ConfigurationError(
                f"replace_step({name!r}, {fn!r}): give a function; for a fixed result"
                " `lambda *args: result`"
            )
        self._stand_ins[name] = fn

    def crash_in_step(self, name: str) -> None:
        """Crash once when the next step of this name has returned, before its record.

        It is the worst moment: its effect has happened and nobody remembers. The step
        runs again, in the engine that starts after the crash.
        """
        self._crash_in.add(name)

    async def sleep(self, duration: Duration) -> None:
        """Sleep in virtual time: for the stand-in of a slow step.

        A real sleep would hold the clock, which never passes a step that works.
        """
        await self.clock.sleep(duration)

    # --- what can be seen -----------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The time of the clock, in UTC."""
        return moment(self.clock.now())

    def run(self, run_id: str) -> HarnessRun:
        """Return a run by its id, such as a child's."""
        return HarnessRun(self, (run_id,), "")

    def runs(self, function: str = "") -> list[HarnessRun]:
        """Return all runs, or those of one function, oldest first; children too."""
        query = RunQuery(function_id=function, limit=PAGE_RUNS_MAX)
        found = self.journal.find_now(query)
        return [self.run(each.row.run_id) for each in reversed(found)]

    def events(self, pattern: str = ">") -> Sequence[StoredEvent]:
        """Return the events that were stored, in order, also published messages."""
        return self.journal.events_now(pattern, limit=len(self.journal.events_now()))

    # --- inside: the engine and its end ---------------------------------------------------

    async def _emit(
        self, name: str, data: Any, idempotency_key: str, more: dict[str, Any]
    ) -> Receipt:
        receipt = await self.engine.emit(
            name, data, idempotency_key=idempotency_key, **more
        )
        await self.settle()
        return receipt

    async def run_engines(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run an engine, and after each crash the next: the harness's own task."""
        while True:
            life = self._life = _Life(self)
            with trio.CancelScope() as power:
                async with run_engine(
                    self.app, self.journal, clock=self.clock, shutdown=0, hooks=life
                ) as self._engine:
                    task_status.started()
                    task_status = trio.TASK_STATUS_IGNORED
                    await life.over.wait()
                    power.cancel()
                    await trio.lowlevel.checkpoint()

    def _cut_power(self) -> None:
        """What this engine does from now on is lost."""
        self.journal = MemoryJournal.restored(self.journal.snapshot())
        self._life.over.set()

    # --- inside: attempts of steps --------------------------------------------------------

    def function_of(self, perform: PerformStep) -> Callable[..., Any]:
        """Return what is called for a step."""
        return self._stand_ins.get(perform.name, perform.fn)

    def survives(self, perform: PerformStep) -> bool:
        """Crash if that was asked for this step; say whether it was not."""
        if perform.name not in self._crash_in:
            return True
        self._crash_in.discard(perform.name)
        self._cut_power()
        return False

    def _raise_bugs(self) -> None:
        bugs, self.bugs = self.bugs, []
        if not bugs:
            return
        for run_id, bug in bugs:
            bug.add_note(f"run {run_id} is paused by this bug in its code")
            bug.__traceback__ = _from_their_code(bug)
        first = bugs[0][1]
        if len(bugs) == 1:
            raise first
        raise ExceptionGroup(
            "several runs are paused by bugs", [bug for _, bug in bugs]
        )


@asynccontextmanager
async def open_harness(
    *functions: App | Function[Any, Any] | Sequence[Function[Any, Any]],
    start: datetime = START,
) -> AsyncGenerator[Harness]:
    """Run an app, or functions, in memory and in virtual time.

    With pytest there is the fixture `harness`. Works under Trio only::

        async with open_harness(process_order) as harness:
            run = await harness.emit("order.placed", {"id": "o1"})
            await harness.advance("1d")
            assert run.status == "completed"

    Raises:
        ConfigurationError: what was given is neither an app nor functions.
    """
    harness = Harness(as_app(functions), start=start)
    error: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(harness.run_engines)
            yield harness
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        error, *others = group.exceptions
        if others:
            raise
    if error is not None:  # raised here, it keeps the cause that it has
        raise error


def as_app(functions: Sequence[object]) -> App:
    """Return the one app, or an app of functions.

    Raises:
        ConfigurationError: they are something else.
    """
    if len(functions) == 1:
        only: Any = functions[0]
        if isinstance(only, App):
            return only
        if isinstance(only, list | tuple):
            functions = cast("Sequence[object]", only)
    if not functions:
        raise ConfigurationError("open_harness() needs an app or functions to run")
    return App(functions=cast("Any", list(functions)))


def _from_their_code(bug: Exception) -> Any:
    """Return a traceback from where it enters the code of others, if it does."""
    found = bug.__traceback__
    while found is not None:
        if not found.tb_frame.f_code.co_filename.startswith(_OURS):
            return found
        found = found.tb_next
    return bug.__traceback__
