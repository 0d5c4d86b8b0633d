"""Open an engine on a journal, run its tasks, and end it in order."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, NamedTuple, cast

import trio

from ironflow import limits
from ironflow.authoring.app import App
from ironflow.authoring.arguments import positive_duration
from ironflow.engine.active import ActiveRun
from ironflow.engine.asyncio_loop import AsyncioLoop
from ironflow.engine.clock import Clock, SystemClock
from ironflow.engine.engine import Engine
from ironflow.engine.hooks import Hooks
from ironflow.engine.housekeeping import Housekeeping
from ironflow.engine.log import log
from ironflow.engine.retention import Retention
from ironflow.engine.runtime import Runtime
from ironflow.engine.watchdog import Watchdog
from ironflow.engine.work import Work
from ironflow.errors import ConfigurationError, IronflowError, JournalError
from ironflow.journal.base import (
    Claim,
    CountClaims,
    Counted,
    DeliverEvents,
    Done,
    FireTimer,
    ForgiveClaims,
    FunctionRow,
    Journal,
    RegisterFunctions,
)
from ironflow.journal.url import open_journal
from ironflow.policy.duration import Duration, parse_duration
from ironflow.policy.retention import retention_of

_SHUTDOWN: Final = limits.SHUTDOWN_US_DEFAULT / 1_000_000


@asynccontextmanager
async def open_engine(
    app: App,
    url: str,
    *,
    environment: str = "default",
    clock: Clock | None = None,
    shutdown: Duration = _SHUTDOWN,
    asyncio_loop: AsyncioLoop | None = None,
    only: Callable[[Claim], bool] | None = None,
    retention: Duration | None = None,
    pack_after: Duration | None = None,
    tracing: bool = False,
) -> AsyncGenerator[Engine]:
    """Run an app's functions on a journal for as long as the block is open.

    Every run that a crash has interrupted goes on at once. On leaving, steps that run
    get up to `shutdown` (a duration) to end; what they have not recorded by then is
    done again at the next start. `only` chooses which runs are carried on. `retention`
    (a duration) is how long events are kept, and runs after their end whose function says
    nothing else; None: for ever. `pack_after` (a duration) is how long after the
    end of a run its history is packed: with LMDB into a compressed file beside the
    store, with PostgreSQL into few rows; None: never. It is read from there as before. With `tracing`, runs and
    steps are told to the tracer provider of OpenTelemetry (extra `otel`).

    Raises:
        JournalOwned: another process owns the data directory.
        JournalForeign, JournalNewer, JournalDamaged: see the message.
        JournalFailed: the disk failed while the block was open; the engine stopped.
        ConfigurationError: the URL or an option is wrong.
    """
    async with (
        open_journal(url, environment=environment) as journal,
        run_engine(
            app,
            journal,
            clock=clock,
            shutdown=shutdown,
            asyncio_loop=asyncio_loop,
            only=only,
            retention=retention,
            pack_after=pack_after,
            hooks=tracing_of(journal) if tracing else None,
        ) as engine,
    ):
        yield engine


def tracing_of(journal: Journal) -> Hooks:
    """Return what tells an engine's runs to OpenTelemetry's tracer provider.

    Raises:
        ConfigurationError: the extra `otel` is not installed.
    """
    try:
        from ironflow.engine.tracing import Tracing, provider  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ConfigurationError(
            f"tracing needs OpenTelemetry ({error}): pip install 'ironflow-engine[otel]'"
        ) from error
    return Tracing(journal, provider())


@asynccontextmanager
async def run_engine(
    app: App,
    journal: Journal,
    *,
    clock: Clock | None = None,
    shutdown: Duration = _SHUTDOWN,
    asyncio_loop: AsyncioLoop | None = None,
    only: Callable[[Claim], bool] | None = None,
    retention: Duration | None = None,
    pack_after: Duration | None = None,
    hooks: Hooks | None = None,
    cached: int = limits.RUNS_CACHED_MAX,
    apart: bool = False,
    keeps_house: bool = True,
) -> AsyncGenerator[Engine]:
    """Do what `open_engine` does on a journal that is open and stays so.

    `hooks` stand between the engine and the step functions, for tests and traces. `cached`
    is how many parked runs keep their code in memory. `apart`: each run commits by
    itself, for a journal whose answers to one run say nothing of the others. Without
    `keeps_house` nothing is deleted or packed: somebody else does it.
    """
    patience = parse_duration(shutdown, option="shutdown") / 1_000_000
    loop = asyncio_loop or AsyncioLoop()
    runtime: Runtime | None = None
    error: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            runtime = Runtime(
                journal,
                clock or SystemClock(),
                dict(app.programs),
                nursery=nursery,
                asyncio_loop=loop,
                hooks=hooks,
                cached=cached,
            )
            runtime.apart = apart
            ages = _ages(retention, pack_after)
            await _begin(runtime, app, only, ages)
            if keeps_house:
                sweeps = Retention(runtime, kept_us=ages.kept_us)
                keeping = Housekeeping(
                    runtime, sweeps, pack_after_us=ages.pack_after_us
                )
                runtime.start(keeping.run)
            async with _ending(runtime, patience):
                yield Engine(runtime)
    except BaseExceptionGroup as group:
        error = _only_error(group, runtime and runtime.block_error)
        if error is None:
            raise
    finally:
        if asyncio_loop is None:
            loop.close()
    if error is not None:  # raised here, it keeps the cause that it has
        raise error


class _Ages(NamedTuple):
    """After how long something is deleted and packed, in microseconds; 0: never."""

    kept_us: int
    pack_after_us: int


def _ages(retention: Duration | None, pack_after: Duration | None) -> _Ages:
    return _Ages(
        _age(retention, option="retention"), _age(pack_after, option="pack_after")
    )


def _age(value: Duration | None, *, option: str) -> int:
    return 0 if value is None else positive_duration(value, option=option)


async def _begin(
    runtime: Runtime, app: App, only: Callable[[Claim], bool] | None, ages: _Ages
) -> None:
    await _register(runtime, app, kept_us=ages.kept_us)
    runtime.stop_watching = runtime.journal.watch(runtime.hint)
    runtime.start(runtime.alarms.run)
    runtime.start(_claim_runs, runtime, only)
    runtime.start(_fire_timers, runtime)
    runtime.start(_deliver, runtime)
    runtime.start(Watchdog(runtime).run)
    runtime.look.set()
    runtime.timers_due.set()
    runtime.undelivered.set()


async def _register(runtime: Runtime, app: App, *, kept_us: int) -> None:
    """Make the app's functions known."""
    rows = tuple(
        FunctionRow(
            id=program.id,
            version=program.version,
            triggers=app.triggers[program.id],
            patches=tuple(sorted(program.patches)),
            run_timeout_us=program.run_timeout_us,
            start_timeout_us=program.start_timeout_us,
            concurrency=program.concurrency,
            concurrency_key=program.concurrency_key,
            retention_us=retention_of(program.retention_us, default_us=kept_us),
            attributes=program.attributes,
        )
        for program in app.programs.values()
    )
    await runtime.commit_one(RegisterFunctions(rows, runtime.clock.now()))


@asynccontextmanager
async def _ending(runtime: Runtime, patience: float) -> AsyncGenerator[None]:
    """Let steps that run come to their end, then stop every task of the engine."""
    try:
        yield
    except BaseException as error:
        runtime.block_error = error
        raise
    finally:
        runtime.closing = True
        runtime.wake_all()
        await _drain(runtime, patience)
        runtime.stop_watching()
        runtime.nursery.cancel_scope.cancel()
        for carried in [*runtime.active.values(), *runtime.parked.values()]:
            carried.drop()


async def _drain(runtime: Runtime, patience: float) -> None:
    with trio.CancelScope(shield=True):
        with trio.move_on_after(patience):
            await _quiet(runtime)
        if runtime.attempts:  # out of patience
            for carried in list(runtime.active.values()):
                carried.drop()
        # What has just ended is recorded before the tasks are cancelled.
        await _quiet(runtime)
        await _forgive(runtime)


async def _quiet(runtime: Runtime) -> None:
    """Return when no step and no commit is under way: one may follow the other."""
    while runtime.attempts or runtime.activity.count:
        if runtime.attempts:
            runtime.quiet = trio.Event()
            await runtime.quiet.wait()
        await runtime.activity.wait_idle()


async def _claim_runs(runtime: Runtime, only: Callable[[Claim], bool] | None) -> None:
    """Claim what is ready, as long as there is room."""
    work = Work(runtime)
    while True:
        await runtime.look.wait()
        # Who waits for an answer of the commit that says so goes first.
        await trio.lowlevel.checkpoint()
        runtime.look = trio.Event()
        room = limits.RUNS_ACTIVE_MAX - len(runtime.active)
        if room <= 0 or runtime.closing:
            continue
        claims = await _claim(runtime, room)
        wanted = [claim for claim in claims if only is None or only(claim)]
        for claim in wanted:
            if not claim.is_recovered:
                _carry_on(runtime, work, claim)
        recovered = [claim for claim in wanted if claim.is_recovered]
        if recovered:
            await _recover(runtime, work, recovered)


async def _claim(runtime: Runtime, room: int) -> Sequence[Claim]:
    """Claim at most `room` runs; of functions that others execute, as many as they take."""
    outside = runtime.functions & runtime.outside.functions
    claims = await runtime.journal.claim(runtime.functions - outside, limit=room)
    if len(claims) == room:
        runtime.look.set()
    left = min(room - len(claims), runtime.outside.room) if outside else 0
    if left <= 0:
        return claims
    others = await runtime.journal.claim(outside, limit=left)
    if len(others) == left:
        runtime.look.set()
    return [*claims, *others]


async def _recover(runtime: Runtime, work: Work, claims: Sequence[Claim]) -> None:
    """Count claims of runs that may have ended a process, and carry them on."""
    holds = {claim.run_id: claim.epoch for claim in claims}
    runtime.recovering.update(holds)
    command = CountClaims(tuple(holds.items()), runtime.clock.now())
    answer = await runtime.commit_surely(command)
    assert isinstance(answer, Counted)
    runtime.recovered |= holds
    for run_id in answer.paused:
        log.error(
            "run %s is paused as poison: process after process ended while it was"
            " carried on; 'ironflow runs show %s' says more",
            run_id,
            run_id,
        )
    for claim in claims:
        if claim.run_id not in answer.paused:
            _carry_on(runtime, work, claim)
            if claim.run_id not in runtime.recovering:  # news came meanwhile
                runtime.active[claim.run_id].new_inbox()
    runtime.recovering.difference_update(holds)


async def _forgive(runtime: Runtime) -> None:
    """Say that the process ends in order: nobody's claim is to blame for it."""
    if runtime.recovered:
        with suppress(JournalError):
            claims = tuple(runtime.recovered.items())
            await runtime.journal.commit([ForgiveClaims(claims)])


def _carry_on(runtime: Runtime, work: Work, claim: Claim) -> None:
    carried = runtime.active.get(claim.run_id) or runtime.parked.pop(claim.run_id, None)
    if carried is None:
        if runtime.apart:
            work = Work(runtime)
        carried = ActiveRun(runtime, work, runtime.programs[claim.function_id], claim)
    runtime.active[claim.run_id] = carried
    if claim.function_id in runtime.outside.functions:
        runtime.outside.active.add(claim.run_id)
    carried.claimed(claim)


async def _fire_timers(runtime: Runtime) -> None:
    """Let the journal's timers act when they are due."""
    while True:
        await runtime.timers_due.wait()
        runtime.timers_due = trio.Event()
        now = runtime.clock.now()
        due, next_due = await runtime.journal.due(now, limit=limits.DUE_TIMERS_MAX)
        if due:
            await runtime.commit_all_surely([FireTimer(timer, now) for timer in due])
            runtime.timers_due.set()
        elif next_due:
            runtime.timer_at(next_due)


async def _deliver(runtime: Runtime) -> None:
    """Go on with events that more runs wait for than one commit can wake."""
    while True:
        await runtime.undelivered.wait()
        runtime.undelivered = trio.Event()
        answer = await runtime.commit_surely(DeliverEvents(runtime.clock.now()))
        if isinstance(answer, Done) and answer.changed:
            runtime.undelivered.set()


def _only_error(
    group: BaseExceptionGroup[BaseException], of_block: BaseException | None
) -> BaseException | None:
    """Return the one error that a group of tasks ended with: the user's own, or ours."""
    leaves = _leaves(group)
    own = [] if of_block is None else _leaves(of_block)
    if own and all(error in own for error in leaves):
        return of_block
    first = leaves[0] if leaves else None
    same = all(type(error) is type(first) for error in leaves)
    if first is None or not same:
        return None
    if len(leaves) > 1 and not isinstance(first, IronflowError):
        return None
    return first


def _leaves(error: BaseException) -> list[BaseException]:
    """Return the errors in a group, or the one itself; cancels do not count."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return [leaf for each in group.exceptions for leaf in _leaves(each)]
    return [] if isinstance(error, trio.Cancelled) else [error]
