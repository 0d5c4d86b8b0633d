"""`ironflow events list`: the log of events, in order."""

import pytest

from tests.commands.conftest import Stock, printed


def test_events_are_listed_in_order(stock: Stock) -> None:
    heading, *lines = stock("events", "list").stdout.splitlines()

    assert heading.split() == ["POSITION", "TIME", "NAME", "ID", "RUNS", "DATA"]
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4", "5"]
    assert lines[0].split()[3] == "order.placed"
    assert '"items": ["book", "pen"]' in lines[0]


def test_events_are_chosen_by_pattern_and_position(stock: Stock) -> None:
    args = ("events", "list", "--name", "order.*", "--after", "1", "--json")

    found = printed(stock(*args))

    names = [event["name"] for event in found["events"]]
    assert names == ["order.forgotten", "order.late"]
    assert found["events"][0]["run_ids"] == [stock.runs["forgetful"]]
    assert found["after"] is None


def test_a_full_page_says_where_the_next_begins(stock: Stock) -> None:
    result = stock("events", "list", "--limit", "2")

    assert "add --after 2" in result.stderr


def test_nothing_found_is_not_an_error(stock: Stock) -> None:
    result = stock("events", "list", "--name", "nothing")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "No events.\n"


@pytest.mark.parametrize("pattern", ["a..b", "", "a.>.b"])
def test_a_pattern_that_is_none_exits_2(stock: Stock, pattern: str) -> None:
    result = stock("events", "list", "--name", pattern)

    assert result.exit_code == 2
    assert "--name" in result.stderr
