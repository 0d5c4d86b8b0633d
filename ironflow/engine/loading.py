"""Reads a run's history into a session."""

from typing import Final

from ironflow import limits
from ironflow.engine.runtime import Runtime, log
from ironflow.errors import JournalError
from ironflow.interpreter.program import Program
from ironflow.interpreter.session import Session
from ironflow.records import Entry

_PAGE: Final = limits.PAGE_RECORDS_MAX


async def load_session(
    runtime: Runtime, program: Program, run_id: str
) -> Session | None:
    """Return a session over the history; None if it cannot be read, which is logged."""
    entries: list[Entry] = []
    try:
        while True:
            after = len(entries)
            entries += await runtime.journal.history(run_id, after=after, limit=_PAGE)
            if len(entries) - after < _PAGE:
                break
    except JournalError as error:
        log.error("run %s stays where it is: %s", run_id, error)
        return None
    session = Session(program, run_id, runtime.journal.environment)
    session.load(entries)
    return session
