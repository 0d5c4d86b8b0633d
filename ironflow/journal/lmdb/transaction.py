"""What a transaction has read and changed so far: the ground that its tables stand on.

What is known of a run is looked up once, and not before it is needed: in memory, or
in the store.
"""

from collections.abc import Mapping
from typing import Final

from ironflow.journal.base import Hint, InboxRow, MatchPath, WaitRow
from ironflow.journal.lmdb import keys, rows
from ironflow.journal.lmdb.known import Known, Memory, Staged
from ironflow.journal.lmdb.layers import Overlay
from ironflow.journal.lmdb.reads import read_inbox


class Transaction:
    """What the tables of a view stand on."""

    def __init__(self, overlay: Overlay, memory: Memory) -> None:
        self.hint = Hint()
        self.staged: Final = Staged()
        self._overlay: Final = overlay
        self._memory: Final = memory
        self._prefix: Final = keys.environment_prefix(memory.environment)
        # Waits that an event was offered to, with their keys, by run and step.
        self._offered: Final[dict[tuple[str, str], tuple[bytes, WaitRow]]] = {}

    def _run(self, run_id: str) -> bytes:
        return self._prefix + keys.run(run_id)

    def _known(self, run_id: str) -> Known:
        """What is known of a run, with this transaction's writes."""
        known = self.staged.known.get(run_id)
        if known is None:
            known = self._memory.known(run_id) or self._read(run_id)
            self.staged.known[run_id] = known
        return known

    def _read(self, run_id: str) -> Known:
        key = self._run(run_id)
        data = self._overlay.get(keys.RUNS, key)
        if data is None:
            return Known(key, None, 0, (), is_bare=True)
        return Known(key, rows.RUN.decode(data))

    def _length(self, known: Known) -> int:
        length = known.length
        if length is None:
            length = known.length = self._overlay.length(known.key)
        return length

    def _inbox(self, known: Known) -> tuple[InboxRow, ...]:
        inbox = known.inbox
        if inbox is None:
            inbox = known.inbox = read_inbox(self._overlay, known.key)
        return inbox

    def _match_paths(self) -> Mapping[str, Mapping[str, MatchPath]]:
        staged = self.staged.match_paths
        return self._memory.match_paths if staged is None else staged
