"""`ironflow doctor`: what is wrong, what is intact, what to do."""

from pathlib import Path

import pytest

from tests.commands.conftest import Stock, printed
from tests.commands.test_verify import damage


def test_a_healthy_directory_is_said_to_be(stock: Stock) -> None:
    result = stock("doctor")
    document = printed(stock("doctor", "--json"))

    assert result.exit_code == 0
    assert f"{stock.directory}: healthy, nobody owns it" in result.stdout
    assert "5 of 5 runs are intact" in result.stdout
    assert document["healthy"] is True
    assert document["wrong"] == []
    assert document["salvaged"] is None


def test_damage_is_told_with_what_to_do(own_stock: Stock) -> None:
    damage(own_stock, b"parcel of book", b"parcel of rook")

    result = own_stock("doctor")

    assert result.exit_code == 1
    assert f"{own_stock.directory}: damaged" in result.stdout
    assert own_stock.runs["process-order"] in result.stdout
    assert "4 of 5 runs are intact" in result.stdout
    assert "ironflow doctor --salvage NEWDIR" in result.stdout


def test_what_is_intact_is_salvaged(own_stock: Stock, tmp_path: Path) -> None:
    damage(own_stock, b"parcel of book", b"parcel of rook")
    lost, target = own_stock.runs["process-order"], tmp_path / "new"

    result = own_stock("doctor", "--salvage", str(target))
    there = Stock(target, own_stock.runs)
    document = printed(
        own_stock("doctor", "--salvage", str(tmp_path / "again"), "--json")
    )

    assert result.exit_code == 1
    assert f"{target}: 4 of 5 runs and 5 events saved" in result.stdout
    assert list(document["salvaged"]["lost"]) == [lost]
    found = printed(there("runs", "list", "--json"))["runs"]
    assert {run["id"] for run in found} == set(own_stock.runs.values()) - {lost}
    assert there("verify").exit_code == 0
    assert there("doctor").exit_code == 0


def test_the_beginning_of_a_run_is_salvaged_when_it_is_said(
    own_stock: Stock, tmp_path: Path
) -> None:
    damage(own_stock, b"parcel of book", b"parcel of rook")

    result = own_stock("doctor", "--salvage", str(tmp_path / "new"), "--partial")

    assert "5 of 5 runs and 5 events saved" in result.stdout
    assert "Cut:" in result.stdout
    assert "records are intact" in result.stdout


@pytest.mark.parametrize("option", ["--partial", "--resume"])
def test_how_to_salvage_goes_with_salvage(stock: Stock, option: str) -> None:
    result = stock("doctor", option)

    assert result.exit_code == 2
    assert "go with --salvage" in result.stderr
