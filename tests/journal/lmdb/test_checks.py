"""The journal in LMDB keeps every promise of a journal; opening again is a restart."""

from pathlib import Path

import pytest

from ironflow.journal.lmdb.verify import Finding, verify
from ironflow.testing.checks import JOURNAL_CHECKS, JournalCheck, check_journal
from tests.journal.lmdb.conftest import store_in
from tests.journal.lmdb.packing import packing_store_in


@pytest.mark.parametrize("check", JOURNAL_CHECKS, ids=lambda check: check.__name__)
async def test_the_journal_in_lmdb_keeps(check: JournalCheck, tmp_path: Path) -> None:
    await check(store_in(tmp_path))

    assert not [found for found in verify(tmp_path) if isinstance(found, Finding)]


@pytest.mark.slow
async def test_the_checks_can_share_a_directory(tmp_path: Path) -> None:
    await check_journal(store_in(tmp_path))

    assert not [found for found in verify(tmp_path) if isinstance(found, Finding)]


# A packed history goes in one commit, however long: it is a few rows. And a thousand
# deliveries are a thousand rounds of packing that have nothing to pack.
UNPACKED = {
    "check_a_long_run_goes_in_many_commits",
    "check_an_event_that_is_still_offered_stays",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "check",
    [check for check in JOURNAL_CHECKS if check.__name__ not in UNPACKED],
    ids=lambda check: check.__name__,
)
async def test_the_journal_keeps_when_it_packs_after_every_commit(
    check: JournalCheck, tmp_path: Path
) -> None:
    await check(packing_store_in(tmp_path))

    assert not [found for found in verify(tmp_path) if isinstance(found, Finding)]
