"""What the book of jobs deals with: jobs, their leases, and what is reported on them."""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol, final

import trio

from ironflow.engine.alarms import Alarm
from ironflow.interpreter.segments import SegmentSession
from ironflow.interpreter.segments_news import Segment
from ironflow.wire.segments import Report
from ironflow.wire.segments_jobs import Lease


class Stale(Exception):
    """The lease that was named is not that of the job: it was given to somebody else."""


@final
class Receipt:
    """Whether a report has become durable."""

    def __init__(self) -> None:
        self._settled = trio.Event()
        self.is_durable = False

    def settle(self, *, durable: bool) -> None:
        """Say what became of it; the first word counts."""
        if not self._settled.is_set():
            self.is_durable = durable
            self._settled.set()

    @property
    def is_settled(self) -> bool:
        """Say whether that is known."""
        return self._settled.is_set()

    async def wait(self) -> bool:
        """Return whether it is durable, once that is known."""
        await self._settled.wait()
        return self.is_durable


@final
@dataclass(slots=True, eq=False)
class Job:
    """A run that needs a segment. `worker` is empty while it is queued.

    `is_awaited`: its run waits for news. `is_loose`: its worker has lost its stream. `number`
    is its place among all jobs. `revoked` is called with the run's id when the job is taken from a worker that has not ended it.
    """

    player: SegmentSession
    function_id: str
    timeout_us: int
    number: int
    worker: str = ""
    lease: Lease | None = None
    is_acked: bool = False
    is_awaited: bool = False
    is_loose: bool = False
    reports: deque[tuple[Report, Receipt]] = field(
        default_factory=deque[tuple[Report, Receipt]]
    )
    heard: trio.Event = field(default_factory=trio.Event)
    revoked: Callable[[str], None] | None = None
    expiry: Alarm | None = None
    deadline: Alarm | None = None

    @property
    def run_id(self) -> str:
        """The run's id, which is the job's too."""
        return self.player.run_id

    def hear(self, report: Report, receipt: Receipt) -> None:
        """Let the run take a report."""
        self.reports.append((report, receipt))
        self.heard.set()


@final
@dataclass(frozen=True, slots=True)
class Assignment:
    """A job in the hand of a worker."""

    segment: Segment
    lease: Lease


class Taker(Protocol):
    """A worker, as far as its jobs go.

    `takes_failures`: it can be told that a child did not complete. `revoked`: see `Job`.
    """

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def functions(self) -> Collection[str]:
        """What it can execute."""
        ...

    @property
    def takes_failures(self) -> bool:
        """See above."""
        ...

    @property
    def revoked(self) -> Callable[[str], None] | None:
        """See above."""
        ...


class Losses(Protocol):
    """Who writes down which workers were lost."""

    def lost(self, run_id: str, worker: str, why: str) -> None:
        """A worker was lost that was at a run."""
        ...

    def taken(self, run_id: str, worker: str) -> None:
        """A worker is at a run, which another one may have lost."""
        ...
