"""`ironflow backup`, `restore` and `compact`."""

from pathlib import Path

import pytest

from tests.commands.conftest import Stock, ironflow, printed
from tests.commands.test_verify import damage


@pytest.fixture
def backup(stock: Stock, tmp_path: Path) -> Path:
    path = tmp_path / "backup"
    assert stock("backup", str(path)).exit_code == 0
    return path


def test_a_directory_is_restored_as_it_was_backed_up(
    stock: Stock, backup: Path, tmp_path: Path
) -> None:
    target = tmp_path / "new"

    result = ironflow("restore", str(backup), str(target))
    found = printed(ironflow("runs", "list", "--json", "--data-dir", str(target)))

    assert result.exit_code == 0
    assert f"{target}: up to commit " in result.stdout
    assert found == printed(stock("runs", "list", "--json"))
    assert printed(stock("events", "list", "--json")) == printed(
        ironflow("events", "list", "--json", "--data-dir", str(target))
    )


def test_the_commands_print_documents(own_stock: Stock, tmp_path: Path) -> None:
    path, target = tmp_path / "backup", tmp_path / "new"

    saved = printed(own_stock("backup", str(path), "--json"))
    restored = printed(ironflow("restore", str(path), str(target), "--json"))
    compacted = printed(own_stock("compact", "--json"))

    assert saved["bytes"] == path.stat().st_size
    assert (restored["commit"], restored["taken_at"]) == (
        saved["commit"],
        saved["taken_at"],
    )
    assert restored["findings"] == []
    assert compacted["bytes_after"] == (own_stock.directory / "data.mdb").stat().st_size
    assert own_stock("verify").exit_code == 0


def test_compact_says_what_it_won(own_stock: Stock) -> None:
    result = own_stock("compact")

    assert result.exit_code == 0
    assert "bytes before" in result.stdout


def test_what_was_damaged_before_the_backup_is_said(
    own_stock: Stock, tmp_path: Path
) -> None:
    """The directory is there all the same: it is what was backed up."""
    damage(own_stock, b"parcel of book", b"parcel of rook")
    own_stock("backup", str(tmp_path / "backup"))
    target = tmp_path / "new"

    result = ironflow("restore", str(tmp_path / "backup"), str(target))

    assert result.exit_code == 1
    assert "findings: it was damaged when the backup was taken" in result.stderr
    assert (target / "data.mdb").exists()


def test_a_directory_that_is_not_empty_is_left_alone(
    own_stock: Stock, backup: Path
) -> None:
    result = ironflow("restore", str(backup), str(own_stock.directory))

    assert result.exit_code == 1
    assert "not empty" in result.stderr
    assert own_stock("verify").exit_code == 0


@pytest.mark.parametrize("command", [("backup", "file"), ("compact",)])
def test_postgresql_has_tools_of_its_own(command: tuple[str, ...]) -> None:
    result = ironflow(*command, "--data-dir", "postgresql://nobody@nowhere/none")

    assert result.exit_code == 1
    assert "pg_dump" in result.stderr
