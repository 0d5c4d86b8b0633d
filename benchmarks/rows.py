"""What a measurement says, and how it is shown."""

import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure: the median of its rounds, beside what it must reach.

    `higher` says whether more is better. `beside` is the physical limit or peer that
    was measured in the same rounds, in the same unit.
    """

    name: str
    unit: str
    rounds: tuple[float, ...]
    must: float
    aim: float
    higher: bool
    beside: str = ""

    @property
    def median(self) -> float:
        """Return the median of the rounds."""
        return statistics.median(self.rounds)

    @property
    def verdict(self) -> str:
        """Say whether the figure reaches its aim, its must, or neither."""
        for word, bound in (("aim", self.aim), ("ok", self.must)):
            if (self.median >= bound) if self.higher else (self.median <= bound):
                return word
        return "MISSED"

    def as_json(self) -> dict[str, Any]:
        """Return everything for the JSON report."""
        return {**asdict(self), "median": self.median, "verdict": self.verdict}


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table for people."""
    lines = [
        f"{'what':<58} {'median':>12} {'range':>23} {'must':>10} {'aim':>10}  verdict"
    ]
    for row in rows:
        span = f"{_shown(min(row.rounds))}..{_shown(max(row.rounds))}"
        name = f"{row.name} [{row.unit}]"
        lines.append(
            f"{name:<58} {_shown(row.median):>12} {span:>23}"
            f" {_shown(row.must):>10} {_shown(row.aim):>10}  {row.verdict}"
        )
        if row.beside:
            lines.append(f"    beside: {row.beside}")
    return "\n".join(lines)


def _shown(value: float) -> str:
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def noise() -> dict[str, object]:
    """Return what else the machine was doing: the load and the cores."""
    return {"load_average": os.getloadavg(), "cores": os.cpu_count()}
