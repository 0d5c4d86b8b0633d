"""Reads a run's history into its session."""

from ironflow import limits
from ironflow.engine.guard import OutsideTrio
from ironflow.interpreter.session import Session
from ironflow.journal.base import Journal
from ironflow.records import Entry


async def load(journal: Journal, session: Session) -> Session:
    """Return the session with the whole history of its run, or a new one that has it.

    The code runs over a long history page by page: others run between two pages, and
    no more than one is held. One with amendments is held whole.

    Raises:
        JournalError: the history cannot be read.
    """
    length, limit = 0, limits.REPLAY_RECORDS_MAX
    while True:
        page = await journal.history(session.run_id, after=length, limit=limit)
        length += len(page)
        more = len(page) == limit
        with OutsideTrio():
            taken = session.load(page, more=more)
        if not taken:
            return await _load_whole(journal, session)
        if not more:
            return session


async def _load_whole(journal: Journal, session: Session) -> Session:
    with OutsideTrio():
        session.close()
    session = Session(session.program, session.run_id, journal.environment)
    entries: list[Entry] = []
    while page := await journal.history(session.run_id, after=len(entries)):
        entries += page
    session.load(entries)
    return session
