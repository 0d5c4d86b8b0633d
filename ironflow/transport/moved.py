"""Runs that a worker lost: whose they were, until somebody carries them on."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, final

from ironflow import limits


@final
class Moved:
    """Remembers of a run the process that lost it. It is memory of one server.

    A process that comes back has not died: what was counted against its runs is forgiven.
    """

    def __init__(self) -> None:
        self._processes: Final[OrderedDict[str, str]] = OrderedDict()

    def lost(self, run_ids: Iterable[str], process: str) -> None:
        """Note that this process lost these runs."""
        for run_id in run_ids:
            self._processes[run_id] = process
        while len(self._processes) > limits.MOVED_RUNS_MAX:
            self._processes.popitem(last=False)

    def taken(
        self, run_ids: Iterable[str], process: str
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Forget these runs, which a process has now.

        Returns those that came back to it, and those that others have lost.
        """
        back: set[str] = set()
        over: set[str] = set()
        for run_id in run_ids:
            before = self._processes.pop(run_id, None)
            if before is not None:
                (back if before == process else over).add(run_id)
        return frozenset(back), frozenset(over)
