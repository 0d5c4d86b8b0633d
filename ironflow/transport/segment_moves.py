"""What the rows of runs say of workers of the published SDKs that were lost.

A run that moves because its worker is not heard of any more says which one that was, why,
and who carries it on. Nothing is counted: such a run does not look like one that ends its
workers, and a worker is lost for many reasons.
"""

from collections import OrderedDict
from typing import Final, final

import trio

from ironflow import limits
from ironflow.engine.hosting import Hosting
from ironflow.engine.log import log
from ironflow.errors import JournalError
from ironflow.journal.base import NoteLost, NoteWorker


@final
class Moves:
    """Notes what is lost and taken, and writes it a little later: `run` is its task."""

    def __init__(self, hosting: Hosting) -> None:
        self._hosting: Final = hosting
        self._lost: Final[OrderedDict[str, str]] = OrderedDict()  # workers by run
        self._notes: list[NoteLost | NoteWorker] = []
        self._news = trio.Event()

    def lost(self, run_id: str, worker: str, why: str) -> None:
        """A worker was lost that was at a run; the first word about it counts."""
        epoch = self._hosting.epoch_of(run_id)
        if epoch is None or self._lost.get(run_id) == worker:
            return
        self._lost[run_id] = worker
        if len(self._lost) > limits.MOVED_RUNS_MAX:
            self._lost.popitem(last=False)
        now = self._hosting.now()
        self._note(NoteLost(((run_id, epoch),), now, worker, why))

    def taken(self, run_id: str, worker: str) -> None:
        """A worker is at a run: the next one, or the same that is there again."""
        if self._lost.pop(run_id, None) is None:
            return
        epoch = self._hosting.epoch_of(run_id)
        if epoch is not None:
            self._note(NoteWorker(((run_id, epoch),), worker))

    def _note(self, note: NoteLost | NoteWorker) -> None:
        self._notes.append(note)
        self._news.set()

    async def run(self) -> None:
        """Write what is noted, until it is cancelled."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            while self._notes:
                await self._write(limits.COMMIT_COMMANDS_MAX)

    async def _write(self, count: int) -> None:
        notes, self._notes = self._notes[:count], self._notes[count:]
        try:
            await self._hosting.journal.commit(notes)
        except JournalError as error:  # it is for people; their runs go on without
            log.warning("it is not written which workers were lost: %s", error)
