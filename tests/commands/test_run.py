"""`ironflow run`: an event, its runs and their children, in one process."""

from pathlib import Path

import pytest

from tests.commands.conftest import APP, ORDER, Stock, ironflow, printed


def test_the_results_of_runs_and_children_are_printed(tmp_path: Path) -> None:
    result = ironflow(
        "run", APP, "order.placed", "--data", ORDER, "--data-dir", str(tmp_path)
    )

    assert result.exit_code == 0, result.stderr
    first, output, child, score = result.stdout.splitlines()
    assert first.startswith("✓ completed  process-order  run_")
    assert '"parcels": ["parcel of book", "parcel of pen"]' in output
    assert "score-customer" in child
    assert score.strip() == "12"
    assert result.stderr == ""


def test_programs_get_json(tmp_path: Path) -> None:
    args = ("run", APP, "order.placed", "--data", ORDER, "--json")
    result = ironflow(*args, "--data-dir", str(tmp_path))

    document = printed(result)
    [run], [child] = document["runs"], document["children"]
    assert document["duplicate"] is False
    assert run["status"] == "completed"
    assert run["output"]["paid"] == {"paid": 10}
    assert child["function_id"] == "score-customer"


@pytest.mark.parametrize("form", ["file", "stdin"])
def test_data_comes_from_a_file(tmp_path: Path, form: str) -> None:
    file = tmp_path / "order.json"
    file.write_text(ORDER)
    name = str(file) if form == "file" else "-"

    result = ironflow(
        *("run", APP, "order.placed", "--data-file", name),
        *("--data-dir", str(tmp_path / "data")),
        input=ORDER,
    )

    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    ("event", "timeout", "status", "sentence"),
    [
        ("order.late", "1m", "failed", "the warehouse is away"),
        ("order.forgotten", "1m", "paused", "KeyError: 'total'"),
        ("approval.asked", "1", "waiting", "is still waiting"),
    ],
)
def test_a_run_that_does_not_complete_fails_the_command(
    tmp_path: Path, *, event: str, timeout: str, status: str, sentence: str
) -> None:
    result = ironflow(
        *("run", APP, event, "--data", '{"id": 1}', "--timeout", timeout),
        *("--data-dir", str(tmp_path)),
    )

    assert result.exit_code == 1
    assert status in result.stdout
    assert sentence in result.stderr


def test_a_key_that_was_used_goes_on_with_its_runs(
    own_stock: Stock, tmp_path: Path
) -> None:
    args = ("run", APP, "approval.asked", "--idempotency-key", "k1", "--json")
    wait = ("--data", '{"id": "o2"}', "--timeout", "300ms")
    first = printed(own_stock(*args, *wait))
    given = own_stock("run", APP, "approval.given", "--data", '{"id": "o2"}')

    again = printed(own_stock(*args, *wait))

    assert given.exit_code == 1  # no function takes it, so it was not emitted
    assert again["duplicate"] is True
    assert [run["id"] for run in again["runs"]] == [run["id"] for run in first["runs"]]


def test_only_its_own_runs_go_on(own_stock: Stock) -> None:
    """A paused run with new code, and whatever else is open, stays as it is."""
    before = printed(own_stock("runs", "list", "--json"))["runs"]

    own_stock("run", APP, "order.placed", "--data", ORDER)

    after = {
        run["id"]: run for run in printed(own_stock("runs", "list", "--json"))["runs"]
    }
    assert all(after[run["id"]]["records"] == run["records"] for run in before)


def test_a_paused_run_goes_on_with_its_key_under_corrected_code(
    tmp_path: Path, app_file: object
) -> None:
    assert callable(app_file)
    args = ("--idempotency-key", "k", "--data-dir", str(tmp_path / "data"))
    paused = ironflow("run", APP, "order.forgotten", *args)

    result = ironflow(
        "run", app_file(('paid["total"]', 'paid["paid"]')), "order.forgotten", *args
    )

    assert "Correct that, then repeat this command" in paused.stderr
    assert result.exit_code == 0, result.stderr
    assert "completed  forgetful" in result.stdout


def test_an_event_for_nobody_names_the_triggers(tmp_path: Path) -> None:
    result = ironflow("run", APP, "order.plced", "--data-dir", str(tmp_path / "none"))

    assert result.exit_code == 1
    assert "order.placed (process-order)" in result.stderr
    assert "did you mean order.placed?" in result.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ('{"id": }', "Expecting value at line 1, column 8"),
        ("", "it is empty"),
        ('{"a": NaN}', "NaN is not JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[\n1,\n]", "line 3, column 1"),
    ],
)
def test_bad_json_is_a_mistake_of_the_command_line(
    tmp_path: Path, data: str, sentence: str
) -> None:
    result = ironflow(
        "run", APP, "order.placed", "--data", data, "--data-dir", str(tmp_path)
    )

    assert result.exit_code == 2
    assert sentence in result.stderr


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    file.write_bytes(b'{"id": "\xff"}')

    result = ironflow("run", APP, "order.placed", "--data-file", str(file))

    assert result.exit_code == 2
    assert "byte 8 is not UTF-8" in result.stderr


def test_a_value_that_cannot_be_stored_names_its_path(tmp_path: Path) -> None:
    huge = '{"total": [1, 123456789012345678901234567890]}'
    result = ironflow(
        "run", APP, "order.placed", "--data", huge, "--data-dir", str(tmp_path)
    )

    assert result.exit_code == 1
    assert "$.total[1]" in result.stderr


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("shop", "e"), "'shop' names no app; write module:attribute"),
        ((":app", "e"), "':app' names no app"),
        (("shop:", "e"), "such as shop:app"),
        (("shop:app", "a..b"), "a..b"),
        (("shop:app", "e", "--timeout", "soon"), "is not a duration"),
        (("shop:app", "e", "--data", "1", "--data-file", "-"), "not both"),
        (("shop:app", "e", "--data-file", "/none.json"), "/none.json"),
    ],
)
def test_a_wrong_command_line_exits_2(args: tuple[str, ...], sentence: str) -> None:
    result = ironflow("run", *args)

    assert result.exit_code == 2
    assert sentence in result.stderr


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("no_such_module:app", "there is no module 'no_such_module'"),
        ("/no/such/file.py:app", "there is no file /no/such/file.py"),
        (APP.replace(":app", ":ap"), "did you mean 'app'"),
        (APP.replace(":app", ":charge"), "neither an ironflow.App nor a function"),
    ],
)
def test_an_app_that_is_not_there_exits_1(target: str, sentence: str) -> None:
    result = ironflow("run", target, "order.placed")

    assert result.exit_code == 1
    assert sentence in result.stderr
