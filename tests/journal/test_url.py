"""A URL names a store, or the message says how one is written."""

from pathlib import Path

import pytest

from ironflow.errors import ConfigurationError, JournalError, JournalFailed
from ironflow.journal.base import RegisterFunctions
from ironflow.journal.memory import MemoryJournal
from ironflow.journal.url import open_journal


async def test_memory_opens_a_new_journal_and_closes_it() -> None:
    async with open_journal("memory:", environment="test") as journal:
        assert isinstance(journal, MemoryJournal)
        assert journal.environment == "test"

    with pytest.raises(JournalError, match="closed"):
        await journal.commit([RegisterFunctions((), 1)])


async def test_lmdb_opens_the_directory_it_names(tmp_path: Path) -> None:
    async with open_journal(
        f"lmdb://{tmp_path}/absolute", environment="test"
    ) as journal:
        assert journal.environment == "test"

    assert (tmp_path / "absolute" / "data.mdb").exists()


async def test_a_relative_path_is_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async with open_journal("lmdb:data/journal"):
        pass

    assert (tmp_path / "data" / "journal").is_dir()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory",
        "memory:x",
        "memory://",
        "lmdb:",
        "lmdb://",
        "lmdb://relative",
        "lmdb:a\0b",
        "/var/lib/ironflow",
        "redis://here",
    ],
)
async def test_a_malformed_url_is_answered_with_the_forms(url: str) -> None:
    with pytest.raises(ConfigurationError, match="lmdb:///absolute/path"):
        async with open_journal(url):
            pass


async def test_a_server_that_is_away_is_named_without_its_password() -> None:
    pytest.importorskip("psycopg")
    url = "postgresql://ann:secret@127.0.0.1:1/db?password=secret"

    with pytest.raises(JournalFailed, match="start the server") as caught:
        async with open_journal(url):
            pass

    assert "secret" not in str(caught.value)
    assert "127.0.0.1:1/db" in str(caught.value)


async def test_postgresql_without_its_driver_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ironflow.journal.url.find_spec", lambda _: None)

    with pytest.raises(
        ConfigurationError, match=r"ironflow-engine\[postgres\]"
    ) as caught:
        async with open_journal("postgresql://ann:secret@host/db?password=secret"):
            pass

    assert "secret" not in str(caught.value)
    assert "host/db" in str(caught.value)
