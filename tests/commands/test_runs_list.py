"""`ironflow runs list`: which runs there are and how they stand."""

from datetime import UTC, datetime

import pytest

from tests.commands.conftest import Stock, printed


def test_runs_are_listed_newest_first(stock: Stock) -> None:
    result = stock("runs", "list")

    heading, *lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert heading.split()[:4] == ["RUN", "STATUS", "FUNCTION", "STARTED"]
    assert [line.split()[3] for line in lines] == [
        "sold-out",
        "forgetful",
        "approve",
        "score-customer",
        "process-order",
    ]


def test_programs_get_json(stock: Stock) -> None:
    document = printed(stock("runs", "list", "--function", "forgetful", "--json"))

    [run] = document["runs"]
    assert document["cursor"] is None
    assert run["id"] == stock.runs["forgetful"]
    assert run["status"] == "paused"
    assert run["pause"]["reason"] == "code"
    assert run["started_at"].endswith("Z")


@pytest.mark.parametrize(
    ("status", "function_id"),
    [("waiting", "approve"), ("failed", "sold-out"), ("paused", "forgetful")],
)
def test_runs_are_chosen_by_status(stock: Stock, status: str, function_id: str) -> None:
    [run] = printed(stock("runs", "list", "--status", status, "--json"))["runs"]

    assert run["function_id"] == function_id


def test_runs_are_chosen_by_attributes(stock: Stock) -> None:
    def listed(*filters: str) -> list[str]:
        args = [arg for each in filters for arg in ("--attribute", each)]
        runs = printed(stock("runs", "list", *args, "--json"))["runs"]
        return [run["function_id"] for run in runs]

    assert listed("order=o1") == ["process-order"]
    assert listed("order=o1", "total>=10") == ["process-order"]
    assert listed("order=o1", "total>10") == []
    assert listed("order=o2") == []


def test_runs_are_chosen_by_time(stock: Stock) -> None:
    every = printed(stock("runs", "list", "--json"))["runs"]
    # The time of a run is the one in its id, which is that of its event.
    middle = int(every[2]["id"][4:16], 16)
    moment = datetime.fromtimestamp(middle / 1000, tz=UTC).isoformat()

    since = printed(stock("runs", "list", "--since", moment, "--json"))["runs"]
    until = printed(stock("runs", "list", "--until", moment, "--json"))["runs"]
    ago = printed(stock("runs", "list", "--since", "1d", "--json"))["runs"]
    long_ago = stock("runs", "list", "--until", "1d")

    assert since == every[:3]
    assert until == every[3:]
    assert ago == every
    assert long_ago.stderr == "No runs.\n"


def test_a_full_page_says_where_the_next_begins(stock: Stock) -> None:
    first = stock("runs", "list", "--limit", "3")
    document = printed(stock("runs", "list", "--limit", "3", "--json"))
    rest = printed(stock("runs", "list", "--cursor", document["cursor"], "--json"))

    assert f"--cursor {document['cursor']}" in first.stderr
    assert len(document["runs"]) == 3
    assert [run["function_id"] for run in rest["runs"]] == [
        "score-customer",
        "process-order",
    ]


def test_nothing_found_is_not_an_error(stock: Stock) -> None:
    result = stock("runs", "list", "--function", "nobody")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "No runs.\n"


def test_a_narrow_terminal_drops_columns(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")

    wide = stock("runs", "list").stdout.splitlines()
    monkeypatch.setenv("COLUMNS", "80")
    narrow = stock("runs", "list").stdout.splitlines()

    assert max(map(len, wide)) <= 100
    assert max(map(len, narrow)) <= 80
    assert wide[0].split() == ["RUN", "STATUS", "FUNCTION", "STARTED", "TOOK"]
    assert narrow[0].split() == ["RUN", "STATUS", "FUNCTION"]


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--status", "asleep"), "'asleep' is not one of 'queued', 'running'"),
        (("--limit", "0"), "0 is not in the range"),
        (("--since", "yesterday"), "--since='yesterday' is not a time"),
        (("--until", "2030-01-31T09:00:00"), "does not say in which time zone"),
        (("--cursor", "run_1"), "'run_1' is not a run id"),
        (("--attribute", "order"), "--attribute='order' is no filter"),
    ],
)
def test_a_wrong_option_exits_2(
    stock: Stock, args: tuple[str, ...], sentence: str
) -> None:
    result = stock("runs", "list", *args)

    assert result.exit_code == 2
    assert sentence in result.stderr
