"""Workers of the published SDKs that poll over REST.

They register, say what they do, ask for jobs, and report. A report is answered when it
is durable; one under a lease that has ended is refused, and changes nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, final

import trio

from ironflow import limits
from ironflow.errors import ConfigurationError, ValueRejected
from ironflow.interpreter import failures
from ironflow.interpreter.segments_news import News
from ironflow.transport.handlers.endpoint import query_of
from ironflow.transport.http.messages import HttpError, Request, Response
from ironflow.transport.http.router import Parameters, Router
from ironflow.transport.segment_host import SegmentHost
from ironflow.transport.segment_jobs import Assignment, Receipt, Stale
from ironflow.wire import documents, segments
from ironflow.wire.documents import Document
from ironflow.wire.segments import Report
from ironflow.wire.segments_jobs import encoded, job_document

POLL_WAIT: Final = "ironflow-poll-wait"

_JSON: Final = ("content-type", "application/json")
_PATH: Final = "/api/v1/workers/{id}"
_JOBS_MAX: Final = 100  # of one answer


def routes(router: Router, host: SegmentHost) -> None:
    """Add what workers that poll call."""
    rest = _Rest(host)
    for method in ("POST", "PUT"):
        router.add(method, f"{_PATH}/register", rest.register)
        router.add(method, f"{_PATH}/heartbeat", rest.heartbeat)
        router.add(method, f"{_PATH}/jobs/{{job}}/ack", rest.acknowledge)
        router.add(method, f"{_PATH}/jobs/{{job}}", rest.report)
    router.add("GET", f"{_PATH}/jobs", rest.jobs)


@final
class _Rest:
    """The handlers."""

    def __init__(self, host: SegmentHost) -> None:
        self._host = host

    async def register(self, request: Request, parameters: Parameters) -> Response:
        """A worker says who it is; it may do so again."""
        source = segments.parsed(await request.read())
        await self._host.look()
        worker_id = parameters["id"]
        self._host.workers.leave(worker_id)
        self._host.workers.register(worker_id, source, transport="rest")
        return _answer(200, {"status": "registered"})

    async def heartbeat(self, request: Request, parameters: Parameters) -> Response:
        """A worker says which jobs it is at: only their leases are renewed."""
        source = segments.parsed(await request.read())
        worker = self._host.workers.heard(parameters["id"])
        jobs = documents.items(source, "jobs")
        worker.active = documents.whole(source, "active_jobs", len(jobs))
        for each in jobs:
            job = documents.document(each, what="a job")
            self._host.book.renew(worker.id, documents.text(job, "job_id"))
        return _answer(200, {"status": "ok"})

    async def jobs(self, request: Request, parameters: Parameters) -> Response:
        """A worker asks for jobs, and may wait for them."""
        worker = self._host.workers.heard(parameters["id"])
        query = documents.document(query_of(request), what="the query")
        available = documents.whole(query, "available", worker.slots)
        wait_s = min(
            max(0, documents.whole(query, "wait")), limits.SEGMENT_POLL_US_MAX // 10**6
        )
        at_work = len(self._host.book.jobs_of(worker.id))
        room = min(available, worker.slots - at_work, _JOBS_MAX)
        found: Sequence[Assignment] = ()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when_gone, request, nursery.cancel_scope)
            found = await self._host.book.poll(
                worker, limit=room, wait_us=wait_s * 1_000_000
            )
            nursery.cancel_scope.cancel()
        if request.is_vanished():
            self._host.workers.vanished(worker)
        else:
            worker.heard_at = self._host.now()
        headers = [(POLL_WAIT, str(wait_s))] if wait_s else []
        if not found:
            return Response(204, headers)
        jobs = [job_document(each.segment, each.lease, {}) for each in found]
        return Response(200, [_JSON, *headers], encoded({"jobs": jobs}))

    async def acknowledge(self, request: Request, parameters: Parameters) -> Response:
        """A worker begins a job."""
        source = segments.parsed(await request.read())
        self._host.workers.note(parameters["id"])
        return self._fenced(
            lambda: self._host.book.acknowledge(parameters["job"], *_fence(source))
        )

    async def report(self, request: Request, parameters: Parameters) -> Response:
        """A worker says what came of a job, so far or at last."""
        source = segments.parsed(await request.read())
        # One that was forgotten is told so by its lease: at 404 it would go on.
        self._host.workers.note(parameters["id"])
        run_id, book = parameters["job"], self._host.book
        try:
            report, wrong = segments.report_of(source, run_id), None
        except (ConfigurationError, ValueRejected) as error:
            report, wrong = _refused(source, error), error
        receipts: list[Receipt] = []
        answer = self._fenced(
            lambda: receipts.append(book.report(run_id, *_fence(source), report))
        )
        if receipts and not await self._host.durable(receipts[0]):
            raise HttpError(
                503, "unavailable", "it could not be made durable; report it again"
            )
        if receipts and wrong is not None:
            raise wrong
        return answer

    def _fenced(self, act: Callable[[], None]) -> Response:
        try:
            act()
        except Stale:
            code = "STALE_EXECUTION"
            message = "the job is not this worker's any more; drop it"
            return _answer(409, {"error": code, "code": code, "message": message})
        return _answer(200, {"status": "ok"})


def _refused(source: Document, error: ConfigurationError | ValueRejected) -> Report:
    """Fail a run whose worker reports an end that cannot be read.

    A worker does not report again, so the run would be executed again for ever. What a
    checkpoint has wrong is only refused: the worker goes on without one.
    """
    if documents.text(source, "status") == "progress":
        raise error
    info = failures.describe(error, with_traceback=False)
    return Report(News(error=info), retryable=False)


def _fence(source: Document) -> tuple[int, str]:
    sequence = documents.whole(source, "execution_seq")
    return sequence, documents.text(source, "lease_token")


async def _cancel_when_gone(request: Request, scope: trio.CancelScope) -> None:
    await request.wait_gone()
    scope.cancel()


def _answer(status: int, document: dict[str, Any]) -> Response:
    return Response(status, [_JSON], encoded(document))
