"""The jobs of workers of the published SDKs: who executes which run, and what is heard.

A run that needs a segment waits in `next_report`. Its job is queued, taken by a worker of
its function, and reported on, under a *lease*: whoever names another one than the job's
is refused, so a worker that was given up cannot write. What a worker reports is answered
when it is durable, by its `Receipt`. Nothing here knows how workers are reached.

A job that nobody reports on is queued again. That is no attempt: the run did not fail.
A job whose worker has lost its stream is *loose*: others may have it, but as long as
nobody has taken it the worker may come back to it under the lease that it has.
"""

from collections.abc import Iterator
from typing import final
from weakref import WeakKeyDictionary

import trio

from ironflow import limits
from ironflow.engine.alarms import Alarms
from ironflow.engine.clock import Clock
from ironflow.interpreter.segments import SegmentSession
from ironflow.interpreter.segments_news import News, StepDone
from ironflow.records import ErrorInfo
from ironflow.transport.segment_jobs import (
    Assignment,
    Job,
    Losses,
    Receipt,
    Taker,
)
from ironflow.transport.segment_leases import Leases
from ironflow.transport.segment_queues import JobQueues
from ironflow.wire.segments import Report
from ironflow.wire.segments_jobs import Lease


@final
class Book:
    """All jobs of one engine. Only its loop touches it.

    When it `is_closed` it gives out none any more.
    """

    def __init__(self, clock: Clock, alarms: Alarms, losses: Losses) -> None:
        self._clock = clock
        self._queues = JobQueues[Job](alarms)
        self._leases = Leases(clock, alarms, self._queues, losses)
        self._told: WeakKeyDictionary[SegmentSession, list[Receipt]] = (
            WeakKeyDictionary()
        )
        self.is_closed = False

    # --- the side of the runs -----------------------------------------------------------

    async def next_report(
        self, player: SegmentSession, function_id: str, *, timeout_us: int = 0
    ) -> Report:
        """Return the next news of a run; its job is queued if it has none.

        `timeout_us` bounds one execution, 0 for none. If this is cancelled, the job is
        taken back. What is returned is durable when `durable` is called after the
        player has settled it.
        """
        job = self._leases.job(player, function_id, timeout_us)
        job.is_awaited = True
        if not job.worker or job.is_loose:
            self._leases.offer(job)
        try:
            while not job.reports:
                job.heard = trio.Event()
                await job.heard.wait()
        except trio.Cancelled:
            self._leases.drop(job)
            raise
        finally:
            job.is_awaited = False
        found = list(job.reports)
        job.reports.clear()
        self._told.setdefault(player, []).extend(receipt for _, receipt in found)
        report = _merged([report for report, _ in found])
        if report.is_last:
            self._leases.drop(job)
        return report

    def durable(self, player: SegmentSession) -> None:
        """Tell workers that what they have reported is kept, if it is."""
        told = self._told.get(player)
        if told and player.is_settled:
            for receipt in told:
                receipt.settle(durable=True)
            told.clear()

    def forget(self, player: SegmentSession) -> None:
        """Take the job of a run back that has ended: its worker may write no more."""
        job = self._leases.find(player.run_id)
        if job is not None and job.player is player:
            self._leases.drop(job)

    def close(self) -> list[str]:
        """Hand out no job any more; return the runs that wait for news."""
        self.is_closed = True
        self._queues.wake_all()
        return self._leases.awaited()

    # --- the side of the workers --------------------------------------------------------

    def take(self, taker: Taker, *, limit: int) -> list[Assignment]:
        """Give a worker the jobs that have waited longest, at most `limit`."""
        found: list[Assignment] = []
        while len(found) < limit and not self.is_closed:
            job = self._queues.oldest(taker.functions)
            if job is None:
                break
            if not taker.takes_failures and _fails_by_child(job):
                continue
            found.append(self._leases.assign(job, taker))
        return found

    async def poll(self, taker: Taker, *, limit: int, wait_us: int) -> list[Assignment]:
        """Give a worker jobs, as `take` does, when there are any or `wait_us` is over."""
        over = self._clock.now() + wait_us
        while True:
            found = self.take(taker, limit=limit)
            if found or self._clock.now() >= over or limit < 1 or self.is_closed:
                return found
            await self._queues.wait(taker.functions, until=over)

    def acknowledge(self, run_id: str, sequence: int, token: str) -> None:
        """A worker has begun a job.

        Raises:
            Stale: it is not that worker's.
        """
        job = self._leases.leased(run_id, sequence, token)
        job.is_acked = True
        self._leases.extend(job, limits.SEGMENT_SILENCE_US_MAX)

    def renew(self, worker: str, run_id: str) -> Lease | None:
        """A worker says that it is at a job; return the lease, None if it has none."""
        job = self._leases.find(run_id)
        if job is None or job.lease is None or job.worker != worker:
            return None
        self._leases.keep(job)
        if job.is_acked:
            self._leases.extend(job, limits.SEGMENT_SILENCE_US_MAX)
        return job.lease

    def report(self, run_id: str, sequence: int, token: str, report: Report) -> Receipt:
        """A worker says what came of a job, as far as it has come.

        Raises:
            Stale: it is not that worker's, or it has ended.
        """
        job = self._leases.leased(run_id, sequence, token)
        receipt = Receipt()
        job.hear(report, receipt)
        if report.is_last:
            job.revoked = None
            self._leases.release(job)  # nothing more is taken from this worker
        else:
            job.is_acked = True
            self._leases.extend(job, limits.SEGMENT_SILENCE_US_MAX)
        return receipt

    def give_back(self, run_id: str, sequence: int, token: str) -> None:
        """A worker does not want a job: another one may have it at once.

        Raises:
            Stale: it is not that worker's.
        """
        job = self._leases.leased(run_id, sequence, token)
        job.revoked = None
        self._leases.requeue(job)

    def take_back(self, worker: str, run_id: str) -> None:
        """Queue a job again that a worker does not know of."""
        job = self._leases.find(run_id)
        if job is not None and job.worker == worker:
            job.revoked = None
            self._leases.lose(job, "it came back and did not know the job")

    def worker_gone(self, worker: str, why: str) -> None:
        """Queue the jobs of a worker again."""
        for job in self._leases.held_by(worker):
            job.revoked = None
            self._leases.lose(job, why)

    def loosen(self, worker: str, why: str) -> list[str]:
        """Let others have the jobs of a worker that has lost its stream; return its runs.

        Their leases go on until somebody has taken them: it may come back.
        """
        found = self._leases.held_by(worker)
        for job in found:
            job.revoked = None
            self._leases.loosen(job, why)
        return [job.run_id for job in found]

    def come_back(self, taker: Taker) -> list[str]:
        """Keep for a worker what it held over another stream; return its runs."""
        found = self._leases.held_by(taker.id)
        for job in found:
            job.revoked, job.is_loose = taker.revoked, False
            self._queues.remove(job)
        return [job.run_id for job in found]

    def again(self, worker: str, run_id: str) -> Assignment | None:
        """Return a job for the worker that has it, under the lease that it has."""
        job = self._leases.find(run_id)
        if job is None or job.lease is None or job.worker != worker or job.reports:
            return None
        return Assignment(job.player.segment(), job.lease)

    def jobs_of(self, worker: str) -> list[str]:
        """Return the runs that a worker is at."""
        return [job.run_id for job in self._leases.held_by(worker)]

    def holder_of(self, run_id: str) -> str:
        """Return the worker that is at a run, as people read it; or nothing."""
        job = self._leases.find(run_id)
        if job is None or not job.worker or job.is_loose:
            return ""
        return f"worker {job.worker}"

    def backlog(self, run_id: str) -> int:
        """Return how many reports of a job are not taken yet."""
        job = self._leases.find(run_id)
        return 0 if job is None else len(job.reports)


def _fails_by_child(job: Job) -> bool:
    """Fail a run with a failed child, whose worker would take it for a completed one."""
    failed = next((row for row in job.player.segment().rows if row.error), None)
    if failed is None or failed.error is None:
        return False
    error = ErrorInfo(
        type="InvokeError",
        message=(
            f"child run {failed.child_run} of {failed.function_id!r} did not complete:"
            f" {failed.error.message}; the SDK of the worker cannot be told so"
        ),
        code="INVOKE_FAILED",
        retryable=False,
    )
    job.hear(Report(News(error=error), retryable=False), Receipt())
    return True


def _merged(reports: list[Report]) -> Report:
    """Return several reports of one segment, of which only the last may end it."""
    if len(reports) == 1:
        return reports[0]
    last = reports[-1]
    steps = tuple(_steps(reports))
    news = News(steps, last.news.then, last.news.error)
    return Report(news, last.retryable, last.retry_after)


def _steps(reports: list[Report]) -> Iterator[StepDone]:
    for report in reports:
        yield from report.news.steps
