"""The jobs of workers of the published SDKs: who executes which run, and what is heard.

A run that needs a segment waits in `next_report`. Its job is queued, taken by a worker of
its function, and reported on, under a *lease*: whoever names another one than the job's
is refused, so a worker that was given up cannot write. What a worker reports is answered
when it is durable, by its `Receipt`. Nothing here knows how workers are reached.

A job that nobody reports on is queued again. That is no attempt: the run did not fail.
"""

import secrets
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol, final
from weakref import WeakKeyDictionary

import trio

from ironflow import limits
from ironflow.engine.alarms import Alarm, Alarms
from ironflow.engine.clock import Clock
from ironflow.interpreter.segments import SegmentSession
from ironflow.interpreter.segments_news import News, Segment, StepDone
from ironflow.records import ErrorInfo
from ironflow.transport.segment_queues import JobQueues
from ironflow.wire.segments import Report
from ironflow.wire.segments_jobs import Lease

_TOKEN_BYTES: Final = 16


class Stale(Exception):
    """The lease that was named is not that of the job: it was given to somebody else."""


@final
class Receipt:
    """Whether a report has become durable."""

    def __init__(self) -> None:
        self._settled = trio.Event()
        self.is_durable = False

    def settle(self, *, durable: bool) -> None:
        """Say what became of it; the first word counts."""
        if not self._settled.is_set():
            self.is_durable = durable
            self._settled.set()

    @property
    def is_settled(self) -> bool:
        """Say whether that is known."""
        return self._settled.is_set()

    async def wait(self) -> bool:
        """Return whether it is durable, once that is known."""
        await self._settled.wait()
        return self.is_durable


@final
@dataclass(slots=True, eq=False)
class Job:
    """A run that needs a segment. `worker` is empty while it is queued.

    `is_awaited`: its run waits for news. `number` is its place among all jobs. `revoked`
    is called with the run's id when the job is taken from a worker that has not ended it.
    """

    player: SegmentSession
    function_id: str
    timeout_us: int
    number: int
    worker: str = ""
    lease: Lease | None = None
    is_acked: bool = False
    is_awaited: bool = False
    reports: deque[tuple[Report, Receipt]] = field(
        default_factory=deque[tuple[Report, Receipt]]
    )
    heard: trio.Event = field(default_factory=trio.Event)
    revoked: Callable[[str], None] | None = None
    expiry: Alarm | None = None
    deadline: Alarm | None = None

    @property
    def run_id(self) -> str:
        """The run's id, which is the job's too."""
        return self.player.run_id

    def hear(self, report: Report, receipt: Receipt) -> None:
        """Let the run take a report."""
        self.reports.append((report, receipt))
        self.heard.set()


@final
@dataclass(frozen=True, slots=True)
class Assignment:
    """A job in the hand of a worker."""

    segment: Segment
    lease: Lease


class Taker(Protocol):
    """A worker, as far as its jobs go.

    `takes_failures`: it can be told that a child did not complete. `revoked`: see `Job`.
    """

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def functions(self) -> Collection[str]:
        """What it can execute."""
        ...

    @property
    def takes_failures(self) -> bool:
        """See above."""
        ...

    @property
    def revoked(self) -> Callable[[str], None] | None:
        """See above."""
        ...


@final
class Book:
    """All jobs of one engine. Only its loop touches it.

    When it `is_closed` it gives out none any more.
    """

    def __init__(self, clock: Clock, alarms: Alarms) -> None:
        self._clock = clock
        self._alarms = alarms
        self._jobs: dict[str, Job] = {}
        self._queues = JobQueues[Job](alarms)
        self._held: dict[str, set[str]] = {}  # runs by worker
        self._told: WeakKeyDictionary[SegmentSession, list[Receipt]] = (
            WeakKeyDictionary()
        )
        self._number = 0
        self._sequence = 0
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
        job = self._job(player, function_id, timeout_us)
        job.is_awaited = True
        if not (job.reports or job.worker or self._queues.has(job)):
            self._queues.put(job)
        try:
            while not job.reports:
                job.heard = trio.Event()
                await job.heard.wait()
        except trio.Cancelled:
            self._drop(job)
            raise
        finally:
            job.is_awaited = False
        found = list(job.reports)
        job.reports.clear()
        self._told.setdefault(player, []).extend(receipt for _, receipt in found)
        report = _merged([report for report, _ in found])
        if report.is_last:
            self._drop(job)
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
        job = self._jobs.get(player.run_id)
        if job is not None and job.player is player:
            self._drop(job)

    def close(self) -> list[str]:
        """Hand out no job any more; return the runs that wait for news."""
        self.is_closed = True
        self._queues.wake_all()
        return [each.run_id for each in self._jobs.values() if each.is_awaited]

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
            found.append(self._assign(job, taker))
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
        job = self._leased(run_id, sequence, token)
        job.is_acked = True
        self._extend(job, limits.SEGMENT_SILENCE_US_MAX)

    def renew(self, worker: str, run_id: str) -> Lease | None:
        """A worker says that it is at a job; return the lease, None if it has none."""
        job = self._jobs.get(run_id)
        if job is None or job.lease is None or job.worker != worker:
            return None
        if job.is_acked:
            self._extend(job, limits.SEGMENT_SILENCE_US_MAX)
        return job.lease

    def report(self, run_id: str, sequence: int, token: str, report: Report) -> Receipt:
        """A worker says what came of a job, as far as it has come.

        Raises:
            Stale: it is not that worker's, or it has ended.
        """
        job = self._leased(run_id, sequence, token)
        receipt = Receipt()
        job.hear(report, receipt)
        if report.is_last:
            job.revoked = None
            self._release(job)  # nothing more is taken from this worker
        else:
            job.is_acked = True
            self._extend(job, limits.SEGMENT_SILENCE_US_MAX)
        return receipt

    def give_back(self, run_id: str, sequence: int, token: str) -> None:
        """A worker does not want a job: another one may have it at once.

        Raises:
            Stale: it is not that worker's.
        """
        job = self._leased(run_id, sequence, token)
        job.revoked = None
        self._requeue(job)

    def take_back(self, worker: str, run_id: str) -> None:
        """Queue a job again that a worker does not know of."""
        job = self._jobs.get(run_id)
        if job is not None and job.worker == worker:
            self._requeue(job)

    def worker_gone(self, worker: str) -> None:
        """Queue the jobs of a worker again."""
        for run_id in self.jobs_of(worker):
            self._jobs[run_id].revoked = None
            self._requeue(self._jobs[run_id])

    def jobs_of(self, worker: str) -> list[str]:
        """Return the runs that a worker is at."""
        return sorted(self._held.get(worker, ()))

    def holder_of(self, run_id: str) -> str:
        """Return the worker that is at a run, as people read it; or nothing."""
        job = self._jobs.get(run_id)
        return f"worker {job.worker}" if job is not None and job.worker else ""

    def backlog(self, run_id: str) -> int:
        """Return how many reports of a job are not taken yet."""
        job = self._jobs.get(run_id)
        return 0 if job is None else len(job.reports)

    # --- inside -------------------------------------------------------------------------

    def _job(self, player: SegmentSession, function_id: str, timeout_us: int) -> Job:
        job = self._jobs.get(player.run_id)
        if job is not None and job.player is player:
            return job
        if job is not None:
            self._drop(job)  # of a hold that was lost
        self._number += 1
        job = Job(player, function_id, timeout_us, self._number)
        self._jobs[job.run_id] = job
        return job

    def _assign(self, job: Job, taker: Taker) -> Assignment:
        now = self._clock.now()
        # It grows over restarts, too, without being kept: no clock goes back that far.
        self._sequence = max(self._sequence + 1, now // 1_000)
        token = secrets.token_hex(_TOKEN_BYTES)
        job.worker, job.is_acked, job.revoked = taker.id, False, taker.revoked
        self._held.setdefault(taker.id, set()).add(job.run_id)
        job.lease = Lease(self._sequence, token, 0)
        self._extend(job, limits.SEGMENT_ACK_US_MAX)
        if job.timeout_us:
            job.deadline = self._alarms.set(
                now + job.timeout_us, lambda: self._time_out(job)
            )
        return Assignment(job.player.segment(), job.lease)

    def _extend(self, job: Job, duration_us: int) -> None:
        assert job.lease is not None
        lease, due = job.lease, self._clock.now() + duration_us
        job.lease = Lease(lease.execution_seq, lease.token, due)
        if job.expiry is None:
            job.expiry = self._alarms.set(due, lambda: self._expire(job))

    def _expire(self, job: Job) -> None:
        job.expiry, lease = None, job.lease
        if lease is None:
            return
        if lease.expires_at > self._clock.now():  # it was renewed meanwhile
            job.expiry = self._alarms.set(lease.expires_at, lambda: self._expire(job))
        else:
            self._requeue(job)

    def _time_out(self, job: Job) -> None:
        if job.lease is None:
            return
        error = ErrorInfo(
            type="TimeoutError",
            message=f"the function did not end within {job.timeout_us / 1e6:g} s",
            code="TIMEOUT",
        )
        self._release(job)
        job.hear(Report(News(error=error)), Receipt())

    def _leased(self, run_id: str, sequence: int, token: str) -> Job:
        job = self._jobs.get(run_id)
        lease = None if job is None else job.lease
        if job is None or lease is None or lease.execution_seq != sequence:
            raise Stale(run_id)
        if not secrets.compare_digest(lease.token.encode(), token.encode()):
            raise Stale(run_id)
        return job

    def _release(self, job: Job) -> None:
        """Take a job from its worker."""
        held = self._held.get(job.worker)
        if held is not None:
            held.discard(job.run_id)
            if not held:
                del self._held[job.worker]
        revoked, job.revoked = job.revoked, None
        job.worker, job.lease = "", None
        if revoked is not None:
            revoked(job.run_id)
        for alarm in (job.expiry, job.deadline):
            if alarm is not None:
                alarm.cancel()
        job.expiry = job.deadline = None

    def _requeue(self, job: Job) -> None:
        """Queue a job again, unless what it has told is still to be recorded.

        A job that no run waits for, and that has told nothing, is of a hold that was lost.
        """
        self._release(job)
        if job.reports:
            return
        if job.is_awaited:
            self._queues.put(job)
        else:
            self._drop(job)

    def _drop(self, job: Job) -> None:
        self._release(job)
        for _, receipt in job.reports:
            receipt.settle(durable=False)
        if self._jobs.get(job.run_id) is job:
            del self._jobs[job.run_id]
        self._queues.remove(job)


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
