"""Reads a run's history into its session."""

from collections.abc import Callable

from ironflow import limits
from ironflow.engine.guard import OutsideTrio
from ironflow.interpreter.player import Player
from ironflow.journal.base import Journal
from ironflow.records import Entry


async def load(
    journal: Journal, player: Player, afresh: Callable[[], Player]
) -> Player:
    """Return the player with the whole history of its run, or one `afresh` that has it.

    The code runs over a long history page by page: others run between two pages, and
    no more than one is held. One with amendments is held whole.

    Raises:
        JournalError: the history cannot be read.
    """
    length, limit = 0, limits.REPLAY_RECORDS_MAX
    while True:
        page = await journal.history(player.run_id, after=length, limit=limit)
        length += len(page)
        more = len(page) == limit
        with OutsideTrio():
            taken = player.load(page, more=more)
        if not taken:
            return await _load_whole(journal, player, afresh)
        if not more:
            return player


async def _load_whole(
    journal: Journal, player: Player, afresh: Callable[[], Player]
) -> Player:
    with OutsideTrio():
        player.close()
    player = afresh()
    entries: list[Entry] = []
    while page := await journal.history(player.run_id, after=len(entries)):
        entries += page
    player.load(entries)
    return player
