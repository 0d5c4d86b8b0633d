"""What an engine does now and then: delete what is past its retention, pack what is old.

An hour after the last time it begins again. It keeps nothing: what a crash cuts off is
done by the next engine.
"""

from typing import Final, final

from ironflow import limits
from ironflow.engine.log import log
from ironflow.engine.retention import Retention
from ironflow.engine.runtime import Runtime
from ironflow.errors import JournalError, JournalFailed
from ironflow.journal.base import PackingJournal


@final
class Housekeeping:
    """The sweeps of one engine; `pack_after_us` is an age after the end, 0: pack nothing."""

    def __init__(
        self, runtime: Runtime, retention: Retention, *, pack_after_us: int
    ) -> None:
        self._runtime: Final = runtime
        self._retention: Final = retention
        self._pack_after_us: Final = pack_after_us

    async def run(self) -> None:
        """Sweep again and again."""
        runtime, pause = self._runtime, limits.RETENTION_FIRST_US_DEFAULT
        while True:
            await runtime.wait_until(runtime.clock.now() + pause)
            pause = limits.RETENTION_PAUSE_US_DEFAULT
            if await self._delete() or self._pack_after_us:
                await self._pack()

    async def _delete(self) -> bool:
        """Sweep; say whether anything may have gone."""
        try:
            return await self._retention.sweep()
        except JournalFailed:
            raise  # the engine stops
        except JournalError as error:
            log.error("what is past its retention stays for now: %s", error)
            return True

    async def _pack(self) -> None:
        runtime, journal = self._runtime, self._runtime.journal
        if runtime.closing or not isinstance(journal, PackingJournal):
            return
        after_us = self._pack_after_us
        before = runtime.clock.now() - after_us if after_us else 0
        runtime.activity.begin()
        try:
            await journal.pack(ended_before=before, go_on=lambda: not runtime.closing)
        except JournalFailed:
            raise
        except JournalError as error:
            log.error("nothing is packed for now: %s", error)
        finally:
            runtime.activity.end()
