"""Workers of the published SDKs that hold a stream: jobs and words in both directions.

A worker that loses its stream goes on with its jobs and comes back. Others may have them
meanwhile; those that nobody has taken it keeps, if it still knows them. What it says under
another lease is passed over, without a word.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, final

import trio

from ironflow.engine.log import log
from ironflow.errors import ConfigurationError, ValueRejected
from ironflow.interpreter import failures
from ironflow.interpreter.segments_news import News
from ironflow.transport.http.messages import ClientGone
from ironflow.transport.segment_host import SegmentHost
from ironflow.transport.segment_jobs import Assignment, Stale
from ironflow.transport.segment_workers import PublishedWorker
from ironflow.wire import segments_stream as codec
from ironflow.wire.errors import ConnectError, malformed
from ironflow.wire.message import Message
from ironflow.wire.proto.worker import (
    CancelJob,
    EngineMessage,
    JobAck,
    JobNack,
    JobNackReason,
    LeaseRefreshResult,
    LeaseState,
    SegmentLeaseStatus,
    WorkerHeartbeat,
    WorkerMessage,
    WorkerRegistered,
)
from ironflow.wire.segments import Report

HEARTBEAT_MS: Final = 3_000

_POLL_US: Final = 60 * 1_000_000
_BUSY_US: Final = 1_000_000  # until a worker that had no room is asked again
_QUIET_US: Final = 1_000_000  # then a worker that came back has said what it had to say
_BEGIN_US: Final = 5_000_000  # from a job sent again to the heartbeat that must name it
_UNSAID_MAX: Final = 256  # reports of a job that are read before they are recorded
_TOLD: Final = (
    "step_completed",
    "step_failed",
    "step_yielded",
    "job_completed",
    "job_failed",
)

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Message], Awaitable[None]]


async def serve_stream(
    host: SegmentHost, receive: Receive, send: Send, *, stopping: trio.Event
) -> None:
    """Serve a worker until its stream ends.

    Raises:
        ConnectError: it does not begin with its registration, or the server stops.
    """
    first = await receive()
    if not isinstance(first, WorkerMessage) or first.register is None:
        raise malformed("the first message of a worker must be register")
    if not first.register.worker_id:
        raise malformed("register.worker_id is empty; give the worker an id")
    await host.look()
    source = codec.register_document(first.register)
    worker = host.workers.register(first.register.worker_id, source, transport="stream")
    stream = _Stream(host, worker, send)
    try:
        await stream.serve(receive, stopping)
    finally:
        if not stopping.is_set():  # else the next server has the runs
            host.workers.stream_ended(worker)


@final
class _Stream:
    """One stream of one worker."""

    def __init__(self, host: SegmentHost, worker: PublishedWorker, send: Send) -> None:
        self._host = host
        self._book = host.book
        self._worker = worker
        self._send = send
        self._must_know_at = 0  # what was sent again
        self._busy_until = 0
        self._is_draining = False
        self._room = trio.Event()  # there may be
        self._asking = trio.CancelScope()  # for jobs
        # Jobs and their ends go out in the order in which they were decided: the end of a
        # job would else end the same job that was given to the worker again since.
        self._outbox: deque[EngineMessage] = deque()
        self._news = trio.Event()  # something is in it
        worker.revoked = self._revoke
        # Jobs of an earlier stream, which the worker may still know or not.
        self._inherited = set(self._book.come_back(worker))

    async def serve(self, receive: Receive, stopping: trio.Event) -> None:
        """Serve until the worker ends the stream, or comes back over another one."""
        registered = WorkerRegistered(
            worker_id=self._worker.id, heartbeat_interval_ms=HEARTBEAT_MS
        )
        await self._send(EngineMessage(registered=registered))
        stopped = False
        async with trio.open_nursery() as nursery:
            self._worker.replaced = nursery.cancel_scope.cancel

            async def stop() -> None:
                nonlocal stopped
                await stopping.wait()
                stopped = True
                nursery.cancel_scope.cancel()

            nursery.start_soon(stop)
            nursery.start_soon(self._assign)
            nursery.start_soon(self._empty_outbox)
            nursery.start_soon(self._send_again)
            with suppress(ClientGone):
                await self._listen(receive)
            nursery.cancel_scope.cancel()
        if stopped:
            raise ConnectError("unavailable", "the server is stopping; connect again")

    # --- to the worker ------------------------------------------------------------------

    async def _assign(self) -> None:
        worker, book = self._worker, self._book
        while not (self._is_draining or book.is_closed):
            self._room = trio.Event()
            now = self._host.now()
            if self._busy_until > now:
                await self._host.wait_until(self._busy_until)
                continue
            room = worker.slots - len(book.jobs_of(worker.id))
            if room < 1:
                await self._room.wait()
                continue
            jobs: list[Assignment] = []
            with trio.CancelScope() as self._asking:
                jobs = await book.poll(worker, limit=room, wait_us=_POLL_US)
            for found in jobs:
                self._give(found)

    async def _send_again(self) -> None:
        """Send what was given out over an earlier stream, under the leases that it has.

        A process that still has a job pays no attention; a new one under the same id begins
        it. The older SDK would execute it beside itself: its ids are of one process, and
        what it does not know its heartbeats will show.
        """
        worker = self._worker
        if not worker.drops_what_it_has:
            return
        while self._inherited and worker.heard_at + _QUIET_US > self._host.now():
            await self._host.wait_until(worker.heard_at + _QUIET_US)
        self._must_know_at = self._host.now() + _BEGIN_US
        for run_id in sorted(self._inherited):
            found = self._book.again(worker.id, run_id)
            if found is not None:
                self._give(found)

    def _give(self, found: Assignment) -> None:
        job = codec.assignment(found.segment, found.lease, {})
        self._put(EngineMessage(job=job))

    def _revoke(self, run_id: str) -> None:
        cancel = CancelJob(job_id=run_id, reason="the job was taken back")
        self._put(EngineMessage(cancel=cancel))
        self._room.set()

    def _put(self, message: EngineMessage) -> None:
        self._outbox.append(message)
        self._news.set()

    async def _empty_outbox(self) -> None:
        while True:
            await self._news.wait()
            self._news = trio.Event()
            while self._outbox:
                await self._send(self._outbox.popleft())

    # --- from the worker ----------------------------------------------------------------

    async def _listen(self, receive: Receive) -> None:
        while (message := await receive()) is not None:
            self._worker.heard_at = self._host.now()
            if message.heartbeat is not None:
                await self._heartbeat(message.heartbeat)
            elif message.step_started is not None:
                self._is_at(message.step_started.job_id)
            elif message.job_ack is not None:
                self._acknowledge(message.job_ack)
            elif message.job_nack is not None:
                self._give_back(message.job_nack)
            else:
                await self._told(message)

    async def _told(self, message: WorkerMessage) -> None:
        for name in _TOLD:
            told = getattr(message, name)
            if told is not None:
                await self._report(told)
                return

    async def _report(self, told: codec.Told) -> None:
        run_id, now = told.job_id, self._host.now()
        try:
            report = codec.report_of(told, run_id, now=now)
        except (ConfigurationError, ValueRejected) as error:
            log.warning("run %s: its worker reports what is wrong: %s", run_id, error)
            info = failures.describe(error, with_traceback=False)
            report = Report(News(error=info), retryable=False)
        try:
            fence = told.execution_seq, told.lease_token
            receipt = self._book.report(run_id, *fence, report)
        except Stale:
            return
        self._inherited.discard(run_id)
        if report.is_last:
            self._room.set()
        if self._book.backlog(run_id) > _UNSAID_MAX:
            await self._host.durable(receipt)

    def _is_at(self, run_id: str) -> None:
        """A worker is at a job of an earlier stream: it need not be sent again."""
        if run_id in self._inherited and self._book.renew(self._worker.id, run_id):
            self._inherited.discard(run_id)

    def _acknowledge(self, ack: JobAck) -> None:
        with suppress(Stale):
            self._book.acknowledge(ack.job_id, ack.execution_seq, ack.lease_token)

    def _give_back(self, nack: JobNack) -> None:
        """A job that is not wanted is queued at once; no attempt is counted."""
        if nack.reason == JobNackReason.JOB_NACK_REASON_DRAINING:
            self._is_draining = True
        else:
            self._busy_until = self._host.now() + _BUSY_US
        self._asking.cancel()  # or it would be given the very job again
        with suppress(Stale):
            self._book.give_back(nack.job_id, nack.execution_seq, nack.lease_token)
        self._room.set()

    async def _heartbeat(self, heartbeat: WorkerHeartbeat) -> None:
        self._worker.active = heartbeat.active_jobs
        statuses: list[SegmentLeaseStatus] = []
        for job in heartbeat.jobs:
            run_id = job.run_id or job.job_id  # the older SDK names the job only
            lease = self._book.renew(self._worker.id, run_id)
            if lease is None:
                state = LeaseState.LEASE_STATE_UNKNOWN
            elif job.execution_seq in {0, lease.execution_seq}:
                state = LeaseState.LEASE_STATE_REFRESHED
            else:
                state = LeaseState.LEASE_STATE_STALE
            status = SegmentLeaseStatus(
                run_id=run_id, execution_seq=job.execution_seq, state=state
            )
            statuses.append(status)
        self._take_back(heartbeat)
        refresh = LeaseRefreshResult(segments=tuple(statuses))
        await self._send(EngineMessage(lease_refresh=refresh))

    def _take_back(self, heartbeat: WorkerHeartbeat) -> None:
        """Queue the jobs of an earlier stream that the worker does not know any more."""
        self._inherited -= {job.run_id or job.job_id for job in heartbeat.jobs}
        if self._must_know_at > self._host.now():
            return  # it may have been said before what was sent again was heard
        for run_id in self._inherited:
            self._book.take_back(self._worker.id, run_id)
        self._inherited.clear()
