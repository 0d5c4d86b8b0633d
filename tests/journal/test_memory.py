"""The journal in memory keeps every promise of a journal."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from ironflow.journal.base import Journal
from ironflow.journal.memory import MemoryJournal
from ironflow.testing.checks import JOURNAL_CHECKS, JournalCheck, check_journal


def one_store() -> Callable[[], AbstractAsyncContextManager[Journal]]:
    """Return a function that opens the same store each time, as after a restart."""
    snapshot = MemoryJournal().snapshot()

    @asynccontextmanager
    async def open_journal() -> AsyncGenerator[Journal]:
        nonlocal snapshot
        journal = MemoryJournal.restored(snapshot)
        yield journal
        snapshot = journal.snapshot()
        await journal.close()

    return open_journal


@pytest.mark.parametrize("check", JOURNAL_CHECKS, ids=lambda check: check.__name__)
async def test_the_journal_in_memory_keeps(check: JournalCheck) -> None:
    """All of section 8 of the design that a store can break."""
    await check(one_store())


@pytest.mark.slow
async def test_the_checks_can_share_a_store() -> None:
    """Names and ids of one check are not those of another."""
    await check_journal(one_store())
