"""What the journal of a worker does not answer: whoever asks has to ask the server."""

from collections.abc import Sequence

from ironflow.journal.base import (
    RunQuery,
    RunSummary,
    Standing,
    StoredEvent,
    TimerRow,
)
from ironflow.worker.translating import only_carries_on


class Unanswered:
    """The part of `Journal` that no engine needs to carry runs on.

    Every method raises ConfigurationError.
    """

    async def find(self, query: RunQuery) -> Sequence[RunSummary]:
        """Refuse: ask the server."""
        only_carries_on(f"find runs ({query})")

    async def run(self, run_id: str) -> RunSummary | None:
        """Refuse: ask the server."""
        only_carries_on(f"look at run {run_id}")

    async def standing(self, run_id: str) -> Standing | None:
        """Refuse: ask the server."""
        only_carries_on(f"look at run {run_id}")

    async def events(
        self, pattern: str = ">", *, after: int = 0, limit: int = 100
    ) -> Sequence[StoredEvent]:
        """Refuse: ask the server."""
        only_carries_on(f"read {limit} events {pattern!r} after {after}")

    async def timers(self, run_id: str) -> Sequence[TimerRow]:
        """Refuse: ask the server."""
        only_carries_on(f"look at the timers of run {run_id}")
