"""Clean up: delete runs and events that are past their retention, little by little.

A *sweep* looks at all runs, newest first, a page at a time. It asks the journal to
delete what has had its time; whether that is so is decided there. It keeps nothing: a
sweep that is cut off at any point begins again after the next start. The registry says how
long runs are kept, also those that others carry on.
"""

from dataclasses import replace
from typing import Final, final

import trio

from ironflow import limits
from ironflow.engine.runtime import Runtime
from ironflow.journal.base import (
    CLOSED,
    DeleteEvents,
    DeleteRuns,
    Done,
    RunQuery,
    RunSummary,
)
from ironflow.policy.retention import KEPT_FOR_EVER, is_past, retention_of


@final
class Retention:
    """The sweeps of one engine.

    `kept_us` is the retention of events, and of runs whose function has none; 0 for ever.
    """

    def __init__(self, runtime: Runtime, *, kept_us: int) -> None:
        self._runtime: Final = runtime
        self._kept_us: Final = kept_us
        self._retentions: dict[str, int] = {}  # of the functions, as of this sweep

    async def sweep(self) -> bool:
        """Delete what is past its retention now; say whether anything has one."""
        rows = await self._runtime.journal.functions()
        self._retentions = {
            row.id: retention_of(row.retention_us, default_us=self._kept_us)
            for row in rows
        }
        if not (self._kept_us or any(self._retentions.values())):
            return False
        await self._sweep()
        return True

    async def _sweep(self) -> None:
        now = self._runtime.clock.now()
        before = now - self._kept_us if self._kept_us else 0
        last_old = await self._last_event(before) if before else 0
        through = await self._sweep_runs(now, last_old)
        if through:
            await self._repeat(DeleteEvents(through, before))

    async def _last_event(self, before: int) -> int:
        """Return the position of the last of the events from before a time, 0 if none."""
        last = 0
        while not self._runtime.closing:
            page = await self._runtime.journal.events(
                after=last, limit=limits.PAGE_EVENTS_MAX
            )
            for stored in page:
                if stored.event.timestamp >= before:
                    return last
                last = stored.position
            if not page:
                break
            await trio.lowlevel.checkpoint()
        return last

    async def _sweep_runs(self, now: int, through: int) -> int:
        """Delete runs; return up to where nobody can look back at events any more.

        It is `through` at most, where the log ended or went on before: a run that begins
        meanwhile looks back at later events only.
        """
        delete = DeleteRuns((), now, default_us=self._kept_us)
        await self._repeat(delete)
        limit, cursor = limits.RETENTION_RUNS_PER_COMMIT_MAX, ""
        while not self._runtime.closing:
            query = RunQuery(cursor=cursor, limit=limit)
            page = await self._runtime.journal.find(query)
            old: list[str] = []
            for summary in page:
                if summary.row.status not in CLOSED:
                    through = min(through, summary.row.trigger_position)
                elif self._may_be_past(summary, now):
                    old.append(summary.row.run_id)
            if old:
                await self._repeat(replace(delete, run_ids=tuple(old)))
            if len(page) < limit:
                return through
            cursor = page[-1].row.run_id
            await trio.lowlevel.checkpoint()
        return 0

    async def _repeat(self, command: DeleteRuns | DeleteEvents) -> None:
        """Commit a command until nothing is left of it."""
        while not self._runtime.closing:
            answer = await self._runtime.commit_one(command)
            assert isinstance(answer, Done)
            if not answer.changed:
                break
            if isinstance(command, DeleteRuns):
                command = replace(command, run_ids=())
            await trio.lowlevel.checkpoint()

    def _may_be_past(self, summary: RunSummary, now: int) -> bool:
        """Leave out what is not; of a function that comes meanwhile the journal knows."""
        row = summary.row
        retention_us = self._retentions.get(row.function_id, KEPT_FOR_EVER)
        return is_past(row.ended_at, retention_us=retention_us, now=now)
