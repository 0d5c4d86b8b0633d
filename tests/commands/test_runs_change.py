"""`ironflow runs cancel` and `runs retry`: requests that act at the next start."""

from pathlib import Path

import pytest

from tests.commands.conftest import APP, Stock, printed


def test_a_cancel_is_recorded_and_acts_when_the_run_goes_on(own_stock: Stock) -> None:
    wait = ("run", APP, "approval.asked", "--data", '{"id": 2}')
    key = ("--idempotency-key", "k", "--timeout", "300ms", "--json")
    run_id = printed(own_stock(*wait, *key))["runs"][0]["id"]

    asked = own_stock("runs", "cancel", run_id, "--reason", "too late")
    ended = printed(own_stock(*wait, *key))["runs"][0]
    shown = printed(own_stock("runs", "show", run_id, "--json"))

    assert asked.exit_code == 0
    assert "cancel requested; it acts when the next engine starts" in asked.stdout
    assert ended["status"] == "cancelled"
    assert shown["cancel"]["reason"] == "too late"


def test_a_second_cancel_changes_nothing(own_stock: Stock) -> None:
    args = ("runs", "cancel", own_stock.runs["approve"], "--json")
    first, second = printed(own_stock(*args)), printed(own_stock(*args))

    assert (first["changed"], second["changed"]) == (True, False)


def test_a_run_that_has_ended_cannot_be_cancelled(own_stock: Stock) -> None:
    result = own_stock("runs", "cancel", own_stock.runs["process-order"])

    assert result.exit_code == 1
    assert "has completed; there is nothing to cancel" in result.stderr


def test_a_paused_run_is_made_ready(own_stock: Stock) -> None:
    run_id = own_stock.runs["forgetful"]

    result = own_stock("runs", "retry", run_id)

    assert result.exit_code == 0
    assert "retry requested; it acts when the next engine starts" in result.stdout
    shown = own_stock("runs", "show", run_id).stdout
    assert "no process owns the data directory: it will go on when" in shown


@pytest.mark.parametrize("function_id", ["approve", "sold-out"])
def test_only_a_paused_run_can_be_retried(own_stock: Stock, function_id: str) -> None:
    result = own_stock("runs", "retry", own_stock.runs[function_id])

    assert result.exit_code == 1
    assert "only a paused run can be retried" in result.stderr


def test_a_reason_has_a_bound(stock: Stock) -> None:
    result = stock("runs", "cancel", stock.runs["approve"], "--reason", "x" * 2001)

    assert result.exit_code == 2
    assert "2001 characters; at most 2000" in result.stderr


@pytest.mark.parametrize("command", ["cancel", "retry"])
def test_a_run_that_is_not_there_is_not_changed(stock: Stock, command: str) -> None:
    result = stock("runs", command, "run_" + "f" * 32)

    assert result.exit_code == 1
    assert "there is no run" in result.stderr


@pytest.mark.parametrize("command", ["cancel", "retry"])
def test_no_journal_is_made_where_there_is_none(tmp_path: Path, command: str) -> None:
    empty = Stock(tmp_path, {})

    result = empty("runs", command, "run_" + "f" * 32)

    assert result.exit_code == 1
    assert "start with 'ironflow run APP EVENT'" in result.stderr
    assert list(tmp_path.iterdir()) == []
