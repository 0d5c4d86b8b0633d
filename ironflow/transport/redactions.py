"""What takes payloads away for ever: of runs, steps and events."""

from typing import final

from ironflow import ids, limits
from ironflow.engine.clock import Clock
from ironflow.engine.log import log
from ironflow.journal.redacting import (
    Redacted,
    Wish,
    redact_event,
    redact_run,
    redact_step,
)
from ironflow.journal.served import ServedJournal


@final
class Redactions:
    """Redacts what is in a journal; who asked is the `actor`."""

    def __init__(self, journal: ServedJournal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    async def run(self, run_id: str, *, reason: str = "", actor: str = "") -> Redacted:
        """Take away all payloads of a run that has ended; see `redact_run`."""
        run_id = ids.check_run_id(run_id)
        wish = self._wish(reason, actor)
        return _told(await redact_run(self._journal, run_id, wish), run_id, actor)

    async def step(
        self, run_id: str, step: str, *, reason: str = "", actor: str = ""
    ) -> Redacted:
        """Take away what a step gave; see `redact_step`."""
        run_id = ids.check_run_id(run_id)
        wish = self._wish(reason, actor)
        found = await redact_step(self._journal, run_id, step, wish)
        return _told(found, f"a step of {run_id}", actor)

    async def event(
        self, event_id: str, *, reason: str = "", actor: str = ""
    ) -> Redacted:
        """Take away the data of an event; see `redact_event`."""
        event_id = ids.check_event_id(event_id)
        wish = self._wish(reason, actor)
        return _told(await redact_event(self._journal, event_id, wish), event_id, actor)

    def _wish(self, reason: str, actor: str) -> Wish:
        return Wish(self._clock.now(), actor, reason[: limits.REASON_CHARS_MAX])


def _told(found: Redacted, what: str, actor: str) -> Redacted:
    if found.payloads:
        log.info(
            "%s: %d payloads redacted, asked for by %r", what, found.payloads, actor
        )
    return found
