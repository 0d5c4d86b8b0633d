"""Runs that do not go with today's code, put together by cause."""

import re
from dataclasses import dataclass, field
from typing import Final, final

from ironflow.debug.verdict import GOOD, Kind, Verdict

RUNS_MAX: Final = 100  # named in a group

_COUNTER: Final = re.compile(r"(?<!\\):\d+(?=[:'])")
_INDEX: Final = re.compile(r"\[\d+\]")


@final
@dataclass(slots=True)
class Group:
    """Runs of one function that disagree with it at the same place, in the same way.

    `example` is the verdict on the first of them; `run_ids` are the first RUNS_MAX.
    """

    function_id: str
    example: Verdict
    count: int = 0
    run_ids: list[str] = field(default_factory=list[str])


@final
class Tally:
    """Counts verdicts as they come, and groups those that are not good."""

    def __init__(self) -> None:
        self.counts: dict[Kind, int] = dict.fromkeys(
            ("same", "extends", "diverges", "stops"), 0
        )
        self.noted = 0  # runs that go with the code, with notes
        self._groups: dict[tuple[str, ...], Group] = {}

    def add(self, run_id: str, function_id: str, verdict: Verdict) -> None:
        """Count one run."""
        # Redacted ones are hardly ever there.
        self.counts[verdict.kind] = self.counts.get(verdict.kind, 0) + 1
        if verdict.kind in GOOD:
            self.noted += bool(verdict.notes)
            return
        key = (function_id, *_cause(verdict))
        group = self._groups.setdefault(key, Group(function_id, verdict))
        group.count += 1
        if len(group.run_ids) < RUNS_MAX:
            group.run_ids.append(run_id)

    def groups(self) -> list[Group]:
        """Return the groups, largest first."""
        return sorted(self._groups.values(), key=lambda group: -group.count)


def _cause(verdict: Verdict) -> tuple[str, ...]:
    """What is the same in runs that disagree at the same place of the code.

    Counters and branch numbers in step ids say how often, not where; indexes in
    values say which of many.
    """
    paths = ",".join(found.path for found in verdict.differences)
    return (
        verdict.kind,
        verdict.cause,
        _COUNTER.sub("", verdict.recorded),
        _COUNTER.sub("", verdict.asked),
        _INDEX.sub("[]", paths),
    )
