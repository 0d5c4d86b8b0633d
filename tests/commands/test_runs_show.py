"""`ironflow runs show`: what a run did, and why it stands as it does."""

import re

import pytest

from tests.commands.conftest import Stock, printed


def test_the_timeline_has_a_line_for_each_operation(stock: Stock) -> None:
    result = stock("runs", "show", stock.runs["process-order"])

    header, timeline = result.stdout.split("\n\n")
    assert result.exit_code == 0
    assert re.search(r"Status +✓ completed", header)
    assert re.search(r"Event +order.placed +evt_\w+ +\{\"id\": \"o1\"", header)
    shape = [line.split("  ")[:3] for line in timeline.splitlines()]
    assert len(shape) == 8
    lines = timeline.splitlines()
    assert re.match(
        r"✓ completed  charge:0 .* step .*shop\.py:\d+  \{\"paid\": 10}", lines[0]
    )
    assert lines[1].strip() == "ship-all:0"
    assert re.match(r"✓ completed    ship:0 .*\"parcel of book\"", lines[2])
    assert lines[3].strip() == "ship-all:1"
    assert re.match(r"✓ completed  score-customer:0 .* invoke .* run_\w+ 12", lines[5])
    assert re.match(r"✓ published  publish:orders.done:0 .* evt_\w+ \{", lines[6])
    assert re.match(r"✓ fired      cool-off:0 +sleep", lines[7])


def test_attempts_and_undo_are_shown(stock: Stock) -> None:
    lines = stock("runs", "show", stock.runs["sold-out"]).stdout

    assert re.search(r"Error +ironflow.errors.StepError: step 'reserve' failed", lines)
    assert re.search(r"✗ failed +reserve:0 .*ConnectionError: the warehouse", lines)
    assert re.search(r"\n +attempt 1 after \S+: ConnectionError: the ware", lines)
    assert re.search(r"undo .*began: StepError", lines)
    assert re.search(r"✓ completed +compensate:charge:0 .* undo .* 5\n", lines)


def test_a_waiting_run_says_for_what_and_until_when(stock: Stock) -> None:
    lines = stock("runs", "show", stock.runs["approve"]).stdout

    assert re.search(
        r"Why +wait approval:0: event approval.given with the same data.id, until"
        r" [-\d]+ [:\d]+ \(in (7d|6d23h)",
        lines,
    )
    assert re.search(r"… waiting +approval:0 +wait ", lines)


def test_a_paused_run_says_why(stock: Stock) -> None:
    lines = stock("runs", "show", stock.runs["forgetful"]).stdout

    assert re.search(r"Why +paused \(code\) since .*KeyError: 'total'.*shop\.py", lines)


def test_a_child_names_its_parent(stock: Stock) -> None:
    lines = stock("runs", "show", stock.runs["score-customer"]).stdout

    parent = stock.runs["process-order"]
    assert re.search(rf"Parent +{parent} +score-customer:0", lines)


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_lines_fit_the_terminal(
    stock: Stock, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))

    for run_id in stock.runs.values():
        lines = stock("runs", "show", run_id).stdout.splitlines()
        assert max(map(len, lines)) <= columns


def test_values_are_shown_whole_on_request(stock: Stock) -> None:
    lines = stock("runs", "show", stock.runs["process-order"], "--full").stdout

    assert '    {\n      "paid": 10\n    }\n' in lines


def test_programs_get_json(stock: Stock) -> None:
    document = printed(stock("runs", "show", stock.runs["process-order"], "--json"))

    operations = {each["id"]: each for each in document["operations"]}
    assert document["event"]["data"]["id"] == "o1"
    assert document["output"]["score"] == 12
    assert document["error"] is None
    assert operations["ship-all:1:ship:0"]["value"] == "parcel of pen"
    assert operations["score-customer:0"]["child_run"] == stock.runs["score-customer"]
    assert operations["cool-off:0"]["until"].endswith("Z")


def test_json_has_attempts_undo_and_reasons(stock: Stock) -> None:
    failed = printed(stock("runs", "show", stock.runs["sold-out"], "--json"))
    waiting = printed(stock("runs", "show", stock.runs["approve"], "--json"))

    reserve = next(each for each in failed["operations"] if each["id"] == "reserve:0")
    assert [each["number"] for each in reserve["attempts"]] == [1, 2]
    assert failed["undo"][0]["reason"] == "StepError"
    assert waiting["why"][0].startswith("wait approval:0: event approval.given")


def test_raw_records_are_shown_on_request(stock: Stock) -> None:
    run_id = stock.runs["forgetful"]
    lines = stock("runs", "show", run_id, "--records").stdout.splitlines()
    document = printed(stock("runs", "show", run_id, "--records", "--json"))

    assert lines[0].split() == ["RECORD", "TIME", "KIND", "ID", "HOLDS"]
    assert "StepCompleted  charge:0" in lines[2]
    assert [each["kind"] for each in document["records"]] == [
        "RunStarted",
        "StepCompleted",
    ]
    assert document["records"][1]["payload"] == {"paid": 1}
    assert len(document["records"][1]["digest"]) == 32


def test_a_run_that_is_not_there_names_the_nearest(stock: Stock) -> None:
    run_id = stock.runs["approve"]
    wrong = run_id[:-1] + ("0" if run_id[-1] != "0" else "1")

    result = stock("runs", "show", wrong)

    assert result.exit_code == 1
    assert f"did you mean {run_id}?" in result.stderr


def test_a_run_that_is_like_no_other_points_to_the_list(stock: Stock) -> None:
    result = stock("runs", "show", "run_" + "f" * 32)

    assert result.exit_code == 1
    assert "'ironflow runs list' shows them" in result.stderr


def test_a_text_that_is_no_run_id_says_what_one_looks_like(stock: Stock) -> None:
    result = stock("runs", "show", "o1")

    assert result.exit_code == 2
    assert "'run_' and 32 hexadecimal digits" in result.stderr


def test_attributes_are_shown(stock: Stock) -> None:
    shown = stock("runs", "show", stock.runs["process-order"]).stdout
    other = stock("runs", "show", stock.runs["approve"]).stdout

    [line] = [each for each in shown.splitlines() if each.startswith("Attributes")]
    assert line.split() == ["Attributes", "order=o1", "total=10"]
    assert "Attributes" not in other
