"""What is asked of many runs: which there are, how they stand, how many of each.

Pure: a store finds the runs, and asks here what a query means.
"""

from dataclasses import dataclass

import msgspec

from ironflow import ids
from ironflow.journal.rows import RunRow
from ironflow.policy.attributes import AttributeFilter


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs: newest first, those after `cursor` (a run id, exclusive).

    `status` takes the words of `RunSummary.status`. `since` and `until` (exclusive, 0
    for none) are times in microseconds. The time of a run is the one in its id, to a
    millisecond: when its event was made, or when its parent asked for it. A run passes all
    filters by its `attributes`.
    """

    status: str = ""
    function_id: str = ""
    parent_run: str = ""
    since: int = 0
    until: int = 0
    cursor: str = ""
    limit: int = 50
    attributes: tuple[AttributeFilter, ...] = ()


class RunSummary(msgspec.Struct, frozen=True, gc=False):
    """A run as lists show it.

    `status` is what users see: `queued` (no record but the first, and ready),
    `running` (ready or held), `waiting` (parked), or the row's own.
    """

    row: RunRow
    status: str
    length: int


@dataclass(frozen=True, slots=True, order=True)
class RunCount:
    """How many runs of a function have a status, a word of `RunSummary.status`."""

    function_id: str
    status: str
    count: int


def shown_status(row: RunRow, *, length: int, ready: bool, held: bool) -> str:
    """Return `RunSummary.status`; a run that is held is ready.

    Who cannot see holds (another process) says that nobody holds it.
    """
    if row.status != "open":
        return row.status
    if not ready:
        return "waiting"
    return "queued" if length == 1 and not held else "running"


def id_range(query: RunQuery) -> tuple[str, str]:
    """Return the first run id that a query may find, and the first one beyond.

    Ids are in the order of time. An empty one is no bound.
    """
    first = ids.run_id(ids.earliest(query.since)) if query.since else ""
    ends = [query.cursor] if query.cursor else []
    if query.until:
        ends.append(ids.run_id(ids.earliest(query.until)))
    return first, min(ends, default="")


def fits(summary: RunSummary, query: RunQuery) -> bool:
    """Say whether a query that looks at the run's id finds the run."""
    row = summary.row
    return (
        query.status in {"", summary.status}
        and query.function_id in {"", row.function_id}
        and query.parent_run in {"", row.parent_run}
        and all(each.takes(row.attributes) for each in query.attributes)
    )
