"""What every read of a journal in LMDB stands on: a source, and turns for other tasks."""

from typing import Final, Protocol

import trio

from ironflow.errors import JournalError
from ironflow.journal.lmdb import keys
from ironflow.journal.lmdb._lmdb import Environment
from ironflow.journal.lmdb.layers import Layered

READS_IN_A_ROW_MAX: Final = 32  # of one journal, until other tasks get a turn


class Source(Protocol):
    """Where a journal reads: an owner's memory and LMDB, or another process's."""

    @property
    def environment(self) -> Environment:
        """The LMDB file below."""
        ...

    def snapshot(self) -> Layered:
        """Return all that is committed, to be read in a `with` block."""
        ...


class Reading:
    """A journal that is read; `environment` names the part of it."""

    def __init__(self, source: Source, *, environment: str, number: int) -> None:
        self.environment = environment
        self.source: Final = source
        self._prefix: Final = keys.environment_prefix(number)
        self._closed = False
        self._reads = 0

    async def _checkpoint(self) -> None:
        # A read takes microseconds, as long as a checkpoint: one now and then will do.
        self._reads += 1
        if self._reads % READS_IN_A_ROW_MAX == 0:
            await trio.lowlevel.checkpoint()
        self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise closed()


def closed() -> JournalError:
    """Return the error for a call to a journal that was closed."""
    return JournalError("this journal is closed; open it again")
