"""Reads a run's history into its session."""

from typing import Final

from ironflow import limits
from ironflow.engine.runtime import Runtime, log
from ironflow.errors import JournalError
from ironflow.interpreter.session import Session
from ironflow.records import Entry

_PAGE: Final = limits.PAGE_RECORDS_MAX


async def load(runtime: Runtime, session: Session) -> bool:
    """Load the whole history; False if it cannot be read, which is logged."""
    run_id = session.run_id
    entries: list[Entry] = []
    try:
        while True:
            after = len(entries)
            entries += await runtime.journal.history(run_id, after=after, limit=_PAGE)
            if len(entries) - after < _PAGE:
                break
    except JournalError as error:
        log.error("run %s stays where it is: %s", run_id, error)
        return False
    session.load(entries)
    return True
