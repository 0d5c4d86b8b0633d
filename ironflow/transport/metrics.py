"""Figures of a server for Prometheus.

Labels are bounded: paths become one of a few surfaces, and only so many functions have
lines of their own. To count an answer is an addition in a dictionary; what Prometheus wants
is made of that when it asks, by a thread (`exposition`).
"""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from ironflow import limits
from ironflow.journal.base import CountedJournal, RunCount
from ironflow.transport.circuits import State
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


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures at one moment: counts by their labels.

    `times` has, of each surface, how many requests took no longer than each bound, and how
    many seconds all took together. `circuits` counts those of endpoints by state;
    `circuits_open` names those that are not closed, as far as that is bounded.
    """

    answers: Mapping[tuple[str, str, int], int]
    times: Mapping[str, tuple[Sequence[tuple[str, float]], float]]
    runs: Mapping[tuple[str, str], int]
    workers: int
    circuits: Mapping[str, int]
    circuits_open: Sequence[str]


@final
class Metrics:
    """The figures of one server."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, int], int] = {}
        self._times: dict[str, _Times] = {}

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

    async def figures(
        self, journal: CountedJournal, workers: Workers, circuits: Mapping[str, State]
    ) -> Figures:
        """Return all figures, those of the journal, workers and endpoints among them."""
        left_alone = [key for key, state in circuits.items() if state != "closed"]
        return Figures(
            answers=dict(self._answers),
            times={
                surface: (times.buckets(), times.sum)
                for surface, times in self._times.items()
            },
            runs=bounded(await journal.counts()),
            workers=len(workers),
            circuits=Tally(circuits.values()),
            circuits_open=left_alone[: limits.METRICS_FUNCTIONS_MAX],
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
