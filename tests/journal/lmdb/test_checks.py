"""The journal in LMDB keeps every promise of a journal; opening again is a restart."""

from pathlib import Path

import pytest

from ironflow.journal.lmdb.verify import Finding, verify
from ironflow.testing.checks import JOURNAL_CHECKS, JournalCheck, check_journal
from tests.journal.lmdb.conftest import store_in


@pytest.mark.parametrize("check", JOURNAL_CHECKS, ids=lambda check: check.__name__)
async def test_the_journal_in_lmdb_keeps(check: JournalCheck, tmp_path: Path) -> None:
    await check(store_in(tmp_path))

    assert not [found for found in verify(tmp_path) if isinstance(found, Finding)]


@pytest.mark.slow
async def test_the_checks_can_share_a_directory(tmp_path: Path) -> None:
    await check_journal(store_in(tmp_path))

    assert not [found for found in verify(tmp_path) if isinstance(found, Finding)]
