"""The leases of jobs: which worker has which, until when, and what ends it.

A lease is a number that grows and a random token. Whoever names another one is refused.
"""

import secrets
from typing import Final, final

from ironflow import limits
from ironflow.engine.alarms import Alarms
from ironflow.engine.clock import Clock
from ironflow.interpreter.segments import SegmentSession
from ironflow.interpreter.segments_news import News
from ironflow.records import ErrorInfo
from ironflow.transport.segment_jobs import (
    Assignment,
    Job,
    Losses,
    Receipt,
    Stale,
    Taker,
)
from ironflow.transport.segment_queues import JobQueues
from ironflow.wire.segments import Report
from ironflow.wire.segments_jobs import Lease

_TOKEN_BYTES: Final = 16


@final
class Leases:
    """The jobs of a book, and who has them."""

    def __init__(
        self, clock: Clock, alarms: Alarms, queues: JobQueues[Job], losses: Losses
    ) -> None:
        self._clock = clock
        self._alarms = alarms
        self._queues = queues
        self._losses = losses
        self._jobs: dict[str, Job] = {}
        self._held: dict[str, set[str]] = {}  # runs by worker
        self._number = 0
        self._sequence = 0

    # --- jobs ---------------------------------------------------------------------------

    def job(self, player: SegmentSession, function_id: str, timeout_us: int) -> Job:
        """Return the job of a run that is carried on so."""
        job = self._jobs.get(player.run_id)
        if job is not None and job.player is player:
            return job
        if job is not None:
            self.drop(job)  # of a hold that was lost
        self._number += 1
        job = Job(player, function_id, timeout_us, self._number)
        self._jobs[job.run_id] = job
        return job

    def find(self, run_id: str) -> Job | None:
        """Return the job of a run, if it has one."""
        return self._jobs.get(run_id)

    def awaited(self) -> list[str]:
        """Return the runs that wait for news."""
        return [each.run_id for each in self._jobs.values() if each.is_awaited]

    def held_by(self, worker: str) -> list[Job]:
        """Return the jobs that a worker has a lease of, by their runs."""
        return [self._jobs[run_id] for run_id in sorted(self._held.get(worker, ()))]

    def drop(self, job: Job) -> None:
        """Forget a job."""
        self.release(job)
        for _, receipt in job.reports:
            receipt.settle(durable=False)
        if self._jobs.get(job.run_id) is job:
            del self._jobs[job.run_id]
        self._queues.remove(job)

    # --- leases -------------------------------------------------------------------------

    def assign(self, job: Job, taker: Taker) -> Assignment:
        """Give a job to a worker, under a lease of its own."""
        if job.lease is not None:
            self.release(job)  # it was loose
        self._losses.taken(job.run_id, taker.id)
        now = self._clock.now()
        # It grows over restarts, too, without being kept: no clock goes back that far.
        self._sequence = max(self._sequence + 1, now // 1_000)
        token = secrets.token_hex(_TOKEN_BYTES)
        job.worker, job.is_acked, job.revoked = taker.id, False, taker.revoked
        self._held.setdefault(taker.id, set()).add(job.run_id)
        job.lease = Lease(self._sequence, token, 0)
        self.extend(job, limits.SEGMENT_ACK_US_MAX)
        if job.timeout_us:
            job.deadline = self._alarms.set(
                now + job.timeout_us, lambda: self._time_out(job)
            )
        return Assignment(job.player.segment(), job.lease)

    def extend(self, job: Job, duration_us: int) -> None:
        """Let a lease go on for so long from now."""
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
        elif job.is_acked:
            silence = limits.SEGMENT_SILENCE_US_MAX // 1_000_000
            self.lose(job, f"it said nothing of the job for {silence} s")
        else:
            patience = limits.SEGMENT_ACK_US_MAX // 1_000_000
            self.lose(job, f"it did not begin the job within {patience} s")

    def _time_out(self, job: Job) -> None:
        if job.lease is None:
            return
        error = ErrorInfo(
            type="TimeoutError",
            message=f"the function did not end within {job.timeout_us / 1e6:g} s",
            code="TIMEOUT",
        )
        self.release(job)
        self._queues.remove(job)
        job.hear(Report(News(error=error)), Receipt())

    def leased(self, run_id: str, sequence: int, token: str) -> Job:
        """Return the job whose lease is named, for its worker.

        Raises:
            Stale: it is that of nobody any more.
        """
        job = self._jobs.get(run_id)
        lease = None if job is None else job.lease
        if job is None or lease is None or lease.execution_seq != sequence:
            raise Stale(run_id)
        if not secrets.compare_digest(lease.token.encode(), token.encode()):
            raise Stale(run_id)
        self.keep(job)
        return job

    def keep(self, job: Job) -> None:
        """A worker speaks under the lease of a job: it has it, and no other may."""
        if job.is_loose:
            job.is_loose = False
            self._queues.remove(job)
        self._losses.taken(job.run_id, job.worker)

    def offer(self, job: Job) -> None:
        """Queue a job, unless it is, or what it has told is still to be recorded."""
        if not (job.reports or self._queues.has(job)):
            self._queues.put(job)

    def lose(self, job: Job, why: str) -> None:
        """Queue the job again of a worker that was lost."""
        self._losses.lost(job.run_id, job.worker, why)
        self.requeue(job)

    def loosen(self, job: Job, why: str) -> None:
        """Let others have a job whose worker may come back to it."""
        job.is_loose = True
        self._losses.lost(job.run_id, job.worker, why)
        if job.is_awaited:
            self.offer(job)

    def release(self, job: Job) -> None:
        """Take a job from its worker."""
        held = self._held.get(job.worker)
        if held is not None:
            held.discard(job.run_id)
            if not held:
                del self._held[job.worker]
        revoked, job.revoked = job.revoked, None
        job.worker, job.lease, job.is_loose = "", None, False
        if revoked is not None:
            revoked(job.run_id)
        for alarm in (job.expiry, job.deadline):
            if alarm is not None:
                alarm.cancel()
        job.expiry = job.deadline = None

    def requeue(self, job: Job) -> None:
        """Queue a job again, unless what it has told is still to be recorded.

        A job that no run waits for, and that has told nothing, is of a hold that was lost.
        """
        self.release(job)
        if job.is_awaited:
            self.offer(job)
        elif not job.reports:
            self.drop(job)
