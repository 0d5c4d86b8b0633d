"""The journal in PostgreSQL keeps every promise; opening again is a restart."""

import pytest

from ironflow.testing.checks import JOURNAL_CHECKS, JournalCheck, check_journal
from tests.journal.postgres.conftest import store_at


@pytest.mark.parametrize("check", JOURNAL_CHECKS, ids=lambda check: check.__name__)
async def test_the_journal_in_postgresql_keeps(check: JournalCheck, url: str) -> None:
    await check(store_at(url))


@pytest.mark.slow
async def test_the_checks_can_share_a_schema(url: str) -> None:
    await check_journal(store_at(url))
