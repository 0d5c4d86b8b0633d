"""The workers of a server: who is connected, what each takes on, who is at a run.

The hosts of workers and endpoints say so here; what is kept lives as long as the server.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import final


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A worker at one moment. Times are microseconds; `transport` is how it is reached."""

    id: str
    transport: str
    function_ids: tuple[str, ...]
    registered_at: int
    last_heartbeat: int
    active_jobs: int = 0
    max_concurrent: int = 0
    hostname: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    runtime: str = ""
    sdk: str = ""


@final
class Workers:
    """The workers that are connected, each with a function that says how it stands."""

    def __init__(self) -> None:
        self._looks: dict[str, Callable[[], WorkerInfo]] = {}
        self._carriers: list[Callable[[str], str]] = []

    def add(self, worker_id: str, look: Callable[[], WorkerInfo]) -> Callable[[], None]:
        """Note a worker, in place of one with this id; return what takes it back."""
        self._looks[worker_id] = look

        def remove() -> None:
            # It may have come back meanwhile, over another connection.
            if self._looks.get(worker_id) is look:
                del self._looks[worker_id]

        return remove

    def infos(self) -> list[WorkerInfo]:
        """Return the workers as they stand now, by id."""
        return [self._looks[worker_id]() for worker_id in sorted(self._looks)]

    def add_carriers(self, carrier_of: Callable[[str], str]) -> None:
        """Ask here, too, who carries a run on; it returns an empty text for nobody."""
        self._carriers.append(carrier_of)

    def carrier_of(self, run_id: str) -> str:
        """Return who carries a run on at this moment; empty if nobody of this server."""
        found = (carrier_of(run_id) for carrier_of in self._carriers)
        return next(filter(None, found), "")

    def __len__(self) -> int:
        return len(self._looks)
