"""Who is ready, in order, and who holds what: memory of the owner alone.

The ready rows of the store say who is ready; holds are not stored, because the
owner is alone and a crash ends every hold. A parked run is not in here.
"""

from collections.abc import Iterable, Mapping
from heapq import merge
from itertools import islice
from typing import Final, final

CLAIMS_PER_OWNER: Final = 1 << 32


@final
class ReadyQueue:
    """First ready, first claimed; a claim makes a new epoch.

    An epoch is the owner's number and a count of claims, so neither an owner
    before this one nor a holder before the last can append.
    """

    def __init__(self, owner: int) -> None:
        self.holds: Final[dict[str, int]] = {}
        self._functions: Final[dict[str, str]] = {}  # every ready run
        self._queues: Final[dict[str, dict[str, int]]] = {}  # those that nobody holds
        self._place = 0
        self._epoch = owner * CLAIMS_PER_OWNER

    def __len__(self) -> int:
        return len(self._functions)

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._functions

    def add(self, run_id: str, function_id: str) -> None:
        """The run is ready; nothing changes if it was."""
        if run_id not in self._functions:
            self._functions[run_id] = function_id
            self._enqueue(run_id)

    def drop(self, run_id: str) -> None:
        """The run is no longer ready and nobody holds it."""
        function_id = self._functions.pop(run_id, None)
        if function_id is not None:
            self._queues[function_id].pop(run_id, None)
        self.holds.pop(run_id, None)

    def claim(self, functions: Iterable[str], *, limit: int) -> list[str]:
        """Hold the ready runs of these functions that came first."""
        queues = [queue for name in functions if (queue := self._queues.get(name))]
        taken = [run_id for _, run_id in islice(merge(*map(_places, queues)), limit)]
        for run_id in taken:
            del self._queues[self._functions[run_id]][run_id]
            self._epoch += 1
            self.holds[run_id] = self._epoch
        return taken

    def release(self, run_id: str, *, epoch: int) -> bool:
        """End a hold of this epoch; the run goes to the end of the queue."""
        held = self.holds.get(run_id) == epoch
        if held:
            del self.holds[run_id]
            self._enqueue(run_id)
        return held

    def function_of(self, run_id: str) -> str:
        """Return the function of a ready run."""
        return self._functions[run_id]

    def _enqueue(self, run_id: str) -> None:
        self._place += 1
        queue = self._queues.setdefault(self._functions[run_id], {})
        queue[run_id] = self._place


def _places(queue: Mapping[str, int]) -> Iterable[tuple[int, str]]:
    return ((place, run_id) for run_id, place in queue.items())
