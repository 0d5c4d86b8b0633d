"""The command line on a journal in PostgreSQL."""

from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]  # it has no types
import pytest
from click.testing import Result

from tests.commands.conftest import APP, ORDER, ironflow, printed


def on(url: str, *args: str, **options: Any) -> Result:
    return ironflow(*args, "--data-dir", url, **options)


@pytest.fixture
def waiting(url: str) -> str:
    """Return a run that waits for an approval."""
    asked = ("run", APP, "approval.asked", "--data", '{"id": "o1"}')
    found = printed(on(url, *asked, "--timeout", "0.5s", "--json"))
    run_id: str = found["runs"][0]["id"]
    return run_id


def test_a_run_is_carried_out_listed_and_shown(url: str) -> None:
    ran = on(url, "run", APP, "order.placed", "--data", ORDER, "--json")
    assert ran.exit_code == 0, ran.output
    [run] = printed(ran)["runs"]

    listed = printed(on(url, "runs", "list", "--json"))
    shown = on(url, "runs", "show", run["id"])
    events = printed(on(url, "events", "list", "--json"))
    replayed = on(url, "replay", "--all", "--app", APP)

    assert run["id"] in [each["id"] for each in listed["runs"]]
    assert shown.exit_code == 0
    assert "completed" in shown.output
    assert "order.placed" in [each["name"] for each in events["events"]]
    assert replayed.exit_code == 0, replayed.output


def test_a_run_is_cancelled_while_engines_have_the_journal(
    url: str, waiting: str
) -> None:
    assert on(url, "runs", "cancel", waiting).exit_code == 0

    shown = on(url, "runs", "show", waiting)
    assert "in an engine that has the function" in shown.output
    again = printed(on(url, "runs", "cancel", waiting, "--json"))
    assert again["changed"] is False


def test_where_there_is_no_journal_none_is_made(url: str) -> None:
    for command in (("runs", "list"), ("runs", "cancel", "run_" + 32 * "0")):
        result = on(url, *command)

        assert result.exit_code == 1
        assert "has no journal in the schema" in result.output


def test_verify_says_who_checks_instead(url: str) -> None:
    result = on(url, "verify")

    assert result.exit_code == 1
    assert "--data-checksums" in result.output


def test_a_password_is_not_shown(url: str) -> None:
    address = f"postgresql://ann:secret@/nowhere?{url.partition('?')[2]}"

    result = on(address, "runs", "list")

    assert result.exit_code == 1
    assert "secret" not in result.output


def test_histories_are_packed_beside_engines_and_exported_as_before(
    url: str, waiting: str, tmp_path: Path
) -> None:
    on(url, "run", APP, "order.placed", "--data", ORDER)
    assert on(url, "export", "--all", "-o", str(tmp_path / "a")).exit_code == 0

    packed = printed(on(url, "pack", "--older-than", "1us", "--json"))
    again = on(url, "pack", "--older-than", "1us")
    replayed = on(url, "replay", "--all", "--app", APP)
    assert on(url, "export", "--all", "-o", str(tmp_path / "b")).exit_code == 0

    assert packed["runs"] > 0
    assert again.stdout.startswith("0 runs packed")
    assert replayed.exit_code == 0, replayed.output
    assert records_in(tmp_path / "a") == records_in(tmp_path / "b")
    assert waiting in on(url, "runs", "list").output


def records_in(path: Path) -> list[object]:
    """The parts of a bundle; the first and the last tell when it was written."""
    with path.open("rb") as file:
        return list(msgpack.Unpacker(file))[2:-2]
