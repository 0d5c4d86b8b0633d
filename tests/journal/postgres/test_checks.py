"""The journal in PostgreSQL keeps every promise; opening again is a restart."""

import pytest

from ironflow.journal.postgres import batch
from ironflow.testing.checks import JOURNAL_CHECKS, JournalCheck, check_journal
from ironflow.testing.checks_children import CHILD_CHECKS
from ironflow.testing.checks_events import EVENT_CHECKS
from ironflow.testing.checks_waits import WAIT_CHECKS
from tests.journal.postgres.conftest import store_at


@pytest.mark.parametrize("check", JOURNAL_CHECKS, ids=lambda check: check.__name__)
async def test_the_journal_in_postgresql_keeps(check: JournalCheck, url: str) -> None:
    await check(store_at(url))


@pytest.mark.slow
async def test_the_checks_can_share_a_schema(url: str) -> None:
    await check_journal(store_at(url))


@pytest.mark.parametrize(
    "check", [*WAIT_CHECKS, *CHILD_CHECKS], ids=lambda check: check.__name__
)
async def test_a_thread_that_waits_for_each_answer_decides_alike(
    check: JournalCheck, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the last resort of commits that want more and more answers."""
    monkeypatch.setattr(batch, "PASSES_MAX", 0)

    await check(store_at(url))


async def test_nothing_need_be_foreseen(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guess saves round trips, and decides nothing."""
    monkeypatch.setattr(batch, "foreseen", lambda *_: iter(()))
    monkeypatch.setattr(batch, "PASSES_MAX", 50)

    for check in EVENT_CHECKS:
        await check(store_at(url))
