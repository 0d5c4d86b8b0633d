"""Figures of a server for Prometheus.

Labels are bounded: paths become one of a few surfaces, and only so many functions have
lines of their own. Counting costs a dictionary and an addition; the text is made by a thread.
"""

from collections import Counter as Tally
from collections.abc import Sequence
from typing import Final, final

import prometheus_client as prometheus
import trio

import ironflow
from ironflow import limits
from ironflow.journal.base import CountedJournal, RunCount
from ironflow.transport.http.messages import Request
from ironflow.transport.workers import Workers

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OTHERS: Final = "(others)"
_API: Final = "/api/v1/"
_CONNECT: Final = "/ironflow.v1."
_GROUPS: Final = frozenset(
    {"events", "functions", "runs", "steps", "workers", "capabilities", "keys"}
)
_ALONE: Final = frozenset({"health", "ready", "metrics", "ws"})
_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
)
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)


@final
class Metrics:
    """The figures of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=self._registry)
        self._requests = prometheus.Counter(
            "ironflow_http_requests",
            "Requests that were answered.",
            ("surface", "method", "status"),
            registry=self._registry,
        )
        self._seconds = prometheus.Histogram(
            "ironflow_http_request_seconds",
            "From the headers of a request to its answer.",
            ("surface",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._runs = prometheus.Gauge(
            "ironflow_runs",
            "Runs in the journal, by function and status.",
            ("function", "status"),
            registry=self._registry,
        )
        self._workers = prometheus.Gauge(
            "ironflow_workers", "Workers that are connected.", registry=self._registry
        )
        prometheus.Info(
            "ironflow_server", "What the server is.", registry=self._registry
        ).info({"version": ironflow.__version__})
        self._known: dict[tuple[str, str, int], prometheus.Counter] = {}
        self._timers: dict[str, prometheus.Histogram] = {}
        self._lock = trio.Lock()  # one text is made at a time

    def observe(self, request: Request, status: int, seconds: float) -> None:
        """Count an answer."""
        surface = surface_of(request.path)
        key = (surface, request.method, status)
        counter = self._known.get(key)
        if counter is None:
            counter = self._counter(surface, request.method, status)
        counter.inc()
        timer = self._timers.get(surface)
        if timer is None:
            timer = self._timers[surface] = self._seconds.labels(surface)
        timer.observe(seconds)

    async def text(self, journal: CountedJournal, workers: Workers) -> bytes:
        """Return all figures as Prometheus reads them."""
        async with self._lock:
            self._workers.set(len(workers))
            await self._count_runs(journal)
            return await trio.to_thread.run_sync(
                prometheus.generate_latest, self._registry
            )

    def _counter(self, surface: str, method: str, status: int) -> prometheus.Counter:
        shown = method if method in _METHODS else "other"
        counter = self._requests.labels(surface, shown, str(status))
        if shown == method:  # what clients invent is not remembered
            self._known[surface, method, status] = counter
        return counter

    async def _count_runs(self, journal: CountedJournal) -> None:
        counts = await journal.counts()
        self._runs.clear()
        for (function_id, status), count in bounded(counts).items():
            self._runs.labels(function_id, status).set(count)


def surface_of(path: str) -> str:
    """Return which of a few surfaces a path belongs to."""
    if path.startswith(_API):
        group = path[len(_API) :].partition("/")[0]
        return group if group in _GROUPS else "other"
    if path.startswith(_CONNECT):
        return "connect"
    name = path[1:]
    return name if name in _ALONE else "other"


def bounded(counts: Sequence[RunCount]) -> dict[tuple[str, str], int]:
    """Return counts of runs by function and status; those of most functions together.

    The functions with the most runs have lines of their own.
    """
    by_function: Tally[str] = Tally()
    for each in counts:
        by_function[each.function_id] += each.count
    most = by_function.most_common(limits.METRICS_FUNCTIONS_MAX)
    shown = {function_id for function_id, _ in most}
    found: Tally[tuple[str, str]] = Tally()
    for each in counts:
        name = each.function_id if each.function_id in shown else OTHERS
        found[name, each.status] += each.count
    return found
