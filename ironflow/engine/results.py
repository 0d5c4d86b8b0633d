"""Runs as an engine shows them, now or when they have ended."""

import math
from dataclasses import replace
from typing import Any, Final, final

from ironflow import ids
from ironflow.engine.handles import Run, run_of
from ironflow.engine.runtime import Runtime
from ironflow.errors import EngineClosed, RunNotFound
from ironflow.journal.base import RunSummary
from ironflow.policy.duration import Duration, parse_duration
from ironflow.records import RULES, Entry, ErrorInfo

_PLAIN_SECONDS: Final = range(1, 86_400)
_UNTIL: Final = frozenset({"completed", "failed", "cancelled", "continued", "paused"})


@final
class Results:
    """What an engine knows of runs."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def deadline(self, timeout: Duration | None) -> int | None:
        """Return until when somebody waits, in microseconds; None: for ever."""
        if timeout is None or timeout == math.inf:
            return None
        now = self._runtime.clock.now()
        if type(timeout) is int and timeout in _PLAIN_SECONDS:  # as mostly
            return now + timeout * 1_000_000
        return now + parse_duration(timeout, option="timeout")

    async def summary(self, run_id: str) -> RunSummary:
        """Return what the journal says of a run.

        Raises:
            RunNotFound: there is none with this id.
        """
        summary = await self._runtime.journal.run(ids.check_run_id(run_id))
        if summary is None:
            raise RunNotFound(
                f"there is no run {run_id} in environment"
                f" {self._runtime.journal.environment!r} of this journal"
            )
        return summary

    async def show(self, summary: RunSummary) -> Run:
        """Return a run as its users get it."""
        last: Entry | None = None
        if summary.row.ended_at:
            [last] = await self._runtime.journal.history(
                summary.row.run_id, after=summary.length - 1, limit=1
            )
        program = self._runtime.programs.get(summary.row.function_id)
        output_type = Any if program is None else program.output
        run = run_of(summary, last, output_type=output_type, follow=self.follow)
        if program is None and run.ended_at is None and run.error is None:
            return replace(run, error=await self._nobody(run.function_id))
        return run

    async def follow(self, run_id: str, timeout: Duration | None = None) -> Run:
        """Return a run when it has ended or is paused; see `Engine.result`."""
        self.check_open()
        return await self.result(run_id, self.deadline(timeout))

    async def result(
        self, run_id: str, deadline: int | None, *, fresh: bool = False
    ) -> Run:
        """Return a run when it has ended or is paused, or at the deadline.

        Follows continue_as_new. `fresh`: it cannot have ended before this call, which
        spares a look.
        """
        while True:
            summary = await self._ended(run_id, deadline, fresh=fresh)
            fresh = False
            if summary.status != "continued":
                return await self.show(summary)
            run_id = summary.row.continued_to

    def check_open(self) -> None:
        """Refuse a call to an engine that is closed or closing.

        Raises:
            EngineClosed: it is.
        """
        if self._runtime.closing:
            raise EngineClosed(
                "the engine is closed or closing; open it again with"
                " ironflow.open_engine(app, url)"
            )

    async def _ended(
        self, run_id: str, deadline: int | None, *, fresh: bool
    ) -> RunSummary:
        runtime = self._runtime
        while True:
            waiter = runtime.waiter(run_id)
            alarm = (
                None if deadline is None else runtime.alarms.set(deadline, waiter.set)
            )
            try:
                if not fresh and (summary := await self._over(run_id, deadline)):
                    return summary
                fresh = False
                await waiter.wait()
            finally:
                runtime.forget(run_id, waiter)
                if alarm is not None:
                    alarm.cancel()
            self.check_open()
            if summary := await self._over(run_id, deadline):  # as mostly by then
                return summary

    async def _over(self, run_id: str, deadline: int | None) -> RunSummary | None:
        """Return the run if nobody has to wait for it any more."""
        summary = await self.summary(run_id)
        if summary.status in _UNTIL:
            return summary
        late = deadline is not None and deadline <= self._runtime.clock.now()
        return summary if late else None

    async def _nobody(self, function_id: str) -> ErrorInfo | None:
        """Say why a run of a function that this engine lacks does not go on.

        What a worker or an endpoint carries out does go on, elsewhere.
        """
        for row in await self._runtime.journal.functions():
            if row.id == function_id and (row.host != "local" or row.rules != RULES):
                return None
        known = ", ".join(sorted(self._runtime.programs)) or "none"
        return ErrorInfo(
            type="FunctionNotFound",
            message=(
                f"no function {function_id!r} is in the app of this engine, so the run"
                f" waits for one; it has: {known}"
            ),
            code="FUNCTION_NOT_FOUND",
        )
