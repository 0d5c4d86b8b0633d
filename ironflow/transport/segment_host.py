"""Lets an engine carry on the runs of published SDKs, whoever executes their segments.

Each function of the registry that goes by these rules becomes a program of the engine,
whose player is a `SegmentSession`. The one step of such a run asks a worker through the
book of jobs, or calls the function's endpoint.

A function is carried only while somebody can execute it: runs that nobody can take stay
ready in the journal, where they cost nothing.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, final
from weakref import WeakValueDictionary

from ironflow import limits
from ironflow.engine.alarms import Alarms
from ironflow.engine.current import ATTEMPTING
from ironflow.engine.hosting import Hosting
from ironflow.engine.log import log
from ironflow.errors import (
    CodeError,
    ConfigurationError,
    NonRetryableError,
    RetryAfterError,
)
from ironflow.interpreter.program import Body, Program, RunView
from ironflow.interpreter.segments import SegmentSession
from ironflow.interpreter.segments_fold import RULES
from ironflow.journal.base import FunctionRow
from ironflow.transport.segment_book import Book
from ironflow.transport.segment_jobs import Receipt
from ironflow.transport.segment_moves import Moves
from ironflow.transport.segment_push import PushCaller
from ironflow.transport.segment_workers import PublishedWorkers
from ironflow.transport.workers import Workers
from ironflow.wire.functions import FunctionConfig, from_bytes
from ironflow.wire.segments import Report


class SegmentFailed(Exception):
    """A worker reports that a segment failed, and that it may be tried again."""


@final
@dataclass(frozen=True, slots=True)
class _Hosted:
    """A function as it was registered last."""

    row: FunctionRow
    config: FunctionConfig
    program: Program


@final
class SegmentHost:
    """The functions of published SDKs that one engine carries on."""

    def __init__(
        self, hosting: Hosting, alarms: Alarms, table: Workers, push: PushCaller
    ) -> None:
        self._hosting = hosting
        self._alarms = alarms
        self._push = push
        push.changed = self._stand
        self.moves: Final = Moves(hosting)
        self.book: Final = Book(hosting.clock, alarms, self.moves)
        self.workers: Final = PublishedWorkers(
            hosting.clock, alarms, self.book, table, changed=self._stand
        )
        self._hosted: dict[str, _Hosted] = {}
        self._carried: dict[str, Program] = {}
        hosting.bound(self._capacity)
        self._players: WeakValueDictionary[str, SegmentSession] = WeakValueDictionary()

    def now(self) -> int:
        """Return the time in microseconds."""
        return self._hosting.now()

    async def wait_until(self, time_us: int) -> None:
        """Return at this time."""
        await self._hosting.clock.wait_until(time_us)

    async def look(self) -> None:
        """Take on what the registry has: other nodes register, too."""
        for row in await self._hosting.journal.functions():
            self.adopt(row)

    def adopt(self, row: FunctionRow) -> None:
        """Take on a function, if it is one of these rules."""
        if row.rules != RULES:
            return
        known = self._hosted.get(row.id)
        if known is not None and known.row == row:
            return
        try:
            config = from_bytes(row.config)
        except ConfigurationError as error:
            log.error("function %s stays where it is: %s", row.id, error)
            return
        self._hosted[row.id] = _Hosted(row, config, self._program(row, config))
        self._push.know(config)
        if config.inactive:
            log.warning(
                "function %s asks for %s, which this server keeps but does not act upon",
                row.id,
                ", ".join(config.inactive),
            )
        self._stand(row.id)

    def close(self) -> None:
        """Take all jobs back: their runs go on at the next start, from what is durable."""
        for run_id in self.book.close():
            self._hosting.abandon(run_id)

    async def durable(self, receipt: Receipt) -> bool:
        """Return whether a report is durable; after a while the answer is no."""
        alarm = self._alarms.set(
            self.now() + limits.SEGMENT_ANSWER_US_MAX,
            lambda: receipt.settle(durable=False),
        )
        try:
            return await receipt.wait()
        finally:
            alarm.cancel()

    # --- programs -----------------------------------------------------------------------

    def _program(self, row: FunctionRow, config: FunctionConfig) -> Program:
        call = self._caller(row.id, config)

        def player(program: Program, run_id: str, environment: str) -> SegmentSession:
            made = SegmentSession(program, run_id, environment, call=call)
            self._players[run_id] = made
            return made

        return Program(
            id=row.id,
            start=_no_code,
            version=row.version,
            retry=config.retry.policy,
            concurrency=row.concurrency,
            concurrency_key=row.concurrency_key,
            retention_us=row.retention_us,
            player=player,
            durable=self._durable,
        )

    def _caller(
        self, function_id: str, config: FunctionConfig
    ) -> Callable[[str], Awaitable[None]]:
        """Return the function of the step `segment`: one for all runs of a function."""

        async def call(run_id: str) -> None:
            # A segment takes as long as it takes; a clock of a test need not wait for it.
            attempting = ATTEMPTING.get()
            attempting.activity.end()
            try:
                await self._execute(function_id, config, run_id)
            finally:
                attempting.activity.begin()

        return call

    async def _execute(
        self, function_id: str, config: FunctionConfig, run_id: str
    ) -> None:
        player = self._players[run_id]
        if config.mode == "push":
            report = await self._push.execute(player.segment(), config)
        else:
            report = await self.book.next_report(
                player, function_id, timeout_us=config.timeout_ms * 1_000
            )
        player.offer(report.news)
        if report.news.error is not None:
            raise _failure(report)

    def _durable(self, run_id: str) -> None:
        player = self._players.get(run_id)
        if player is None:
            return
        self.book.durable(player)
        if player.is_over:
            self.book.forget(player)

    def _capacity(self) -> int:
        """Return how many runs may be held: those that have a place, and some ahead."""
        return self.workers.slots + limits.SEGMENT_RUNS_AHEAD_MAX

    # --- what is carried ----------------------------------------------------------------

    def _stand(self, function_id: str) -> None:
        """Carry a function if somebody can execute it now."""
        hosted = self._hosted.get(function_id)
        if hosted is None:
            return
        if hosted.config.mode == "push":
            able = not self._push.is_closed_to(function_id)
        else:
            able = self.workers.serve(function_id)
        if not able:
            self._carried.pop(function_id, None)
            self._hosting.drop(function_id)
        elif self._carried.get(function_id) is hosted.program:
            self._hosting.look()  # there is more room
        else:
            self._carried[function_id] = hosted.program
            self._hosting.carry(hosted.program)


def _no_code(view: RunView) -> Body:
    raise CodeError(f"the code of {view.function_id!r} is not in this process")


def _failure(report: Report) -> Exception:
    error = report.news.error
    assert error is not None
    if not report.retryable:
        return NonRetryableError(error.message)
    if report.retry_after is not None:
        return RetryAfterError(error.message, after=report.retry_after)
    return SegmentFailed(error.message)
