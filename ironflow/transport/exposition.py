"""The figures of a server as Prometheus reads them.

Imported when it first asks: its library brings a web server along.
"""

from collections.abc import Iterable
from typing import final

import prometheus_client as prometheus
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

import ironflow
from ironflow.transport.metrics import Figures


def text_of(figures: Figures) -> bytes:
    """Return figures, and those of the process, as text."""
    registry = prometheus.CollectorRegistry()
    registry.register(_Given(figures))
    prometheus.ProcessCollector(registry=registry)
    return prometheus.generate_latest(registry)


@final
class _Given(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """Give the figures: called by Prometheus' library."""
        figures = self._figures
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
        for (surface, method, status), count in figures.answers.items():
            answers.add_metric((surface, method, str(status)), count)
        yield answers
        seconds = HistogramMetricFamily(
            "ironflow_http_request_seconds",
            "From the headers of a request to its answer.",
            labels=("surface",),
        )
        for surface, (buckets, total) in figures.times.items():
            seconds.add_metric((surface,), buckets, total)
        yield seconds
        runs = GaugeMetricFamily(
            "ironflow_runs",
            "Runs in the journal, by function and status.",
            labels=("function", "status"),
        )
        for (function_id, standing), count in figures.runs.items():
            runs.add_metric((function_id, standing), count)
        yield runs
        circuits = GaugeMetricFamily(
            "ironflow_circuits",
            "Endpoints by whether they are called: closed, open or half open.",
            labels=("state",),
        )
        for state in ("closed", "half_open", "open"):
            circuits.add_metric((state,), figures.circuits.get(state, 0))
        yield circuits
        left_alone = GaugeMetricFamily(
            "ironflow_circuit_open",
            "Endpoints that are left alone now: the function's id, or the URL.",
            labels=("circuit",),
        )
        for key in figures.circuits_open:
            left_alone.add_metric((key,), 1)
        yield left_alone
        yield GaugeMetricFamily(
            "ironflow_workers", "Workers that are connected.", value=figures.workers
        )
