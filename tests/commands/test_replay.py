"""`ironflow replay`: which recorded runs go with today's code."""

from collections.abc import Callable

import pytest

from tests.commands.conftest import APP, Stock, printed

Write = Callable[..., str]
FIXED = ('paid["total"]', 'paid["paid"]')


def test_the_same_code_goes_with_every_run_but_the_one_with_a_bug(stock: Stock) -> None:
    result = stock("replay", "--all", "--app", APP)

    assert result.exit_code == 1
    assert "5 runs, " in result.stdout
    assert ": 4 same, 1 stops" in result.stdout
    assert "1 run of forgetful, such as " in result.stdout
    assert "raises KeyError: 'total'" in result.stdout


def test_corrected_code_goes_on_with_all(stock: Stock, app_file: Write) -> None:
    result = stock("replay", "--all", "--app", app_file(FIXED))

    assert result.exit_code == 0
    assert ": 4 same, 1 extends" in result.stdout


def test_a_divergence_names_both_lines(stock: Stock, app_file: Write) -> None:
    target = app_file(FIXED, ('"cool-off"', '"pause"'))

    result = stock("replay", stock.runs["process-order"], "--app", target)

    assert result.exit_code == 1
    assert "✗ diverges" in result.stdout
    assert "(cool-off:0)" in result.stdout
    assert "recorded  sleep 'cool-off:0' (commands/shop.py:" in result.stdout
    assert "today     sleep 'pause:0'" in result.stdout
    assert "/today.py:" in result.stdout


def test_another_output_shows_the_values(stock: Stock, app_file: Write) -> None:
    target = app_file(FIXED, ('"score": score', '"score": score + 1'))
    run_id = stock.runs["process-order"]

    result = stock("replay", run_id, "--app", target)
    document = printed(stock("replay", run_id, "--app", target, "--json"))

    assert result.exit_code == 1
    assert "value     $.score: 12 is now 13" in result.stdout
    assert document["verdict"] == "diverges"
    assert document["cause"] == "outcome"
    assert document["differences"] == [{"path": "$.score", "recorded": 12, "today": 13}]


def test_runs_that_disagree_for_one_cause_are_one_group(
    own_stock: Stock, app_file: Write
) -> None:
    from tests.commands.conftest import ORDER

    own_stock("run", APP, "order.placed", "--data", ORDER)
    target = app_file(FIXED, ('"ship"', '"send"'))

    document = printed(own_stock("replay", "--all", "--app", target, "--json"))

    assert document["counts"] == {"same": 4, "extends": 1, "diverges": 2, "stops": 0}
    [group] = document["groups"]
    assert (group["function_id"], group["count"]) == ("process-order", 2)
    assert own_stock.runs["process-order"] in group["run_ids"]
    assert group["example"]["step"] in {"ship-all:0:ship:0", "ship-all:1:ship:0"}


def test_changed_parameters_and_arguments_are_notes(
    stock: Stock, app_file: Write
) -> None:
    target = app_file(
        FIXED, ('timeout="7d"', 'timeout="8d"'), ('order["total"])', 'order["id"])')
    )
    approve, order = stock.runs["approve"], stock.runs["process-order"]

    waits = stock("replay", approve, "--app", target)
    plain = stock("replay", order, "--app", target)
    close = stock("replay", order, "--app", target, "--inputs")
    every = stock("replay", "--all", "--app", target)

    assert (waits.exit_code, plain.exit_code, close.exit_code) == (0, 0, 0)
    assert "timeout at was " in waits.stdout
    assert "note" not in plain.stdout
    assert "arguments changed to \"('o1',)\"" in close.stdout
    assert "1 of them have notes" in every.stdout


def test_functions_that_the_app_lacks_fail_only_if_strict(stock: Stock) -> None:
    target = APP.replace(":app", ":process_order")

    result = stock("replay", "--all", "--app", target)
    strict = stock("replay", "--all", "--app", target, "--strict")
    one = stock("replay", stock.runs["approve"], "--app", target)
    document = printed(
        stock("replay", stock.runs["approve"], "--app", target, "--json")
    )

    assert (result.exit_code, strict.exit_code, one.exit_code) == (0, 1, 0)
    assert "1 runs of approve: unknown function, not replayed" in result.stderr
    assert "unknown function approve" in one.stdout
    assert document["verdict"] == "unknown function"


def test_one_function_may_be_chosen(stock: Stock) -> None:
    args = ("replay", "--all", "--app", APP, "--function", "approve", "--json")

    document = printed(stock(*args))

    assert document["runs"] == 1
    assert document["records"] == 2


def test_a_replay_writes_nothing_and_performs_nothing(stock: Stock) -> None:
    file = stock.directory / "data.mdb"
    before = file.read_bytes()

    stock("replay", "--all", "--app", APP, "--verify")

    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("args", "status", "sentence"),
    [
        (("--app", APP), 2, "give a RUN or --all"),
        (("run_" + "0" * 32, "--all", "--app", APP), 2, "not both"),
        (("run_" + "0" * 32, "--app", APP, "--function", "x"), 2, "goes with --all"),
        (("--all",), 2, "Missing option '--app'"),
        (("--all", "--app", "shop"), 2, "write module:attribute"),
        (("run_1", "--app", APP), 2, "is not a run id"),
        (("run_" + "f" * 32, "--app", APP), 1, "there is no run"),
        (
            ("--all", "--app", APP, "--function", "approval"),
            1,
            "no function 'approval'",
        ),
    ],
)
def test_what_is_wrong_is_said(
    stock: Stock, args: tuple[str, ...], status: int, sentence: str
) -> None:
    result = stock("replay", *args)

    assert result.exit_code == status
    assert sentence in result.stderr


def test_long_work_shows_a_bar_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    from ironflow.commands import bar

    with bar.shown("Replaying", seconds=0) as update:
        update(3, 10, "log")
        update(4, 0, "")

    assert "Replaying log" in capsys.readouterr().err


def test_values_that_come_and_go_are_named(stock: Stock, app_file: Write) -> None:
    target = app_file(FIXED, ('"score": score', '"points": score'))

    result = stock("replay", stock.runs["process-order"], "--app", target)

    assert "value     $.score: 12 is gone" in result.stdout
    assert "value     $.points: 12 is new" in result.stdout


def test_a_run_that_extends_says_what_is_asked_next(
    stock: Stock, app_file: Write
) -> None:
    target = app_file(FIXED)

    result = stock("replay", stock.runs["forgetful"], "--app", target)

    assert result.exit_code == 0
    assert "✓ extends" in result.stdout
    assert "asks next the end of the run [completed]" in result.stdout
