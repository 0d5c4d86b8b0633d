"""Figures of a server for Prometheus.

Labels are bounded: paths become one of a few surfaces, and only so many functions have
lines of their own. To count an answer is an addition in a dictionary; what Prometheus wants
is made of that when it asks, by a thread.
"""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from typing import Final, final

import prometheus_client as prometheus
import trio
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

import ironflow
from ironflow import limits
from ironflow.journal.base import CountedJournal, RunCount
from ironflow.transport.http.messages import Request
from ironflow.transport.workers import Workers

OTHERS: Final = "(others)"
OTHER: Final = "other"
_API: Final = "/api/v1/"
_CONNECT: Final = "/ironflow.v1."
_GROUPS: Final = frozenset(
    {"events", "functions", "runs", "steps", "workers", "capabilities", "apikeys"}
)
_ALONE: Final = frozenset({"health", "ready", "metrics", "ws"})
_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
)
_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)


@final
class Metrics(Collector):
    """The figures of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, int], int] = {}
        self._times: dict[str, _Times] = {}
        self._runs: dict[tuple[str, str], int] = {}
        self._workers = 0
        self._lock = trio.Lock()  # one text is made at a time
        self._registry = prometheus.CollectorRegistry()
        self._registry.register(self)
        prometheus.ProcessCollector(registry=self._registry)

    def observe(self, request: Request, status: int, seconds: float) -> None:
        """Count an answer."""
        surface = surface_of(request.path)
        method = request.method if request.method in _METHODS else OTHER
        key = (surface, method, status)
        self._answers[key] = self._answers.get(key, 0) + 1
        times = self._times.get(surface)
        if times is None:
            times = self._times[surface] = _Times()
        times.add(seconds)

    async def text(self, journal: CountedJournal, workers: Workers) -> bytes:
        """Return all figures as Prometheus reads them."""
        async with self._lock:
            self._workers = len(workers)
            self._runs = bounded(await journal.counts())
            return await trio.to_thread.run_sync(
                prometheus.generate_latest, self._registry
            )

    def collect(self) -> Iterable[Metric]:
        """Give the figures of this moment: called by Prometheus, in a thread."""
        yield InfoMetricFamily(
            "ironflow_server",
            "What the server is.",
            value={"version": ironflow.__version__},
        )
        answers = CounterMetricFamily(
            "ironflow_http_requests",
            "Requests that were answered.",
            labels=("surface", "method", "status"),
        )
        for (surface, method, status), count in list(self._answers.items()):
            answers.add_metric((surface, method, str(status)), count)
        yield answers
        seconds = HistogramMetricFamily(
            "ironflow_http_request_seconds",
            "From the headers of a request to its answer.",
            labels=("surface",),
        )
        for surface, times in list(self._times.items()):
            seconds.add_metric((surface,), times.buckets(), times.sum)
        yield seconds
        runs = GaugeMetricFamily(
            "ironflow_runs",
            "Runs in the journal, by function and status.",
            labels=("function", "status"),
        )
        for (function_id, status_), count in self._runs.items():
            runs.add_metric((function_id, status_), count)
        yield runs
        yield GaugeMetricFamily(
            "ironflow_workers", "Workers that are connected.", value=self._workers
        )


@final
class _Times:
    """How long requests took: how many up to each bound, and all together."""

    __slots__ = ("_counts", "sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(_BOUNDS, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return each bound with how many took no longer."""
        found: list[tuple[str, float]] = []
        total = 0
        names = [*map(str, _BOUNDS), "+Inf"]
        for name, count in zip(names, self._counts, strict=True):
            total += count
            found.append((name, total))
        return found


def surface_of(path: str) -> str:
    """Return which of a few surfaces a path belongs to."""
    if path.startswith(_API):
        group = path[len(_API) :].partition("/")[0]
        return group if group in _GROUPS else OTHER
    if path.startswith(_CONNECT):
        return "connect"
    name = path[1:]
    return name if name in _ALONE else OTHER


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
