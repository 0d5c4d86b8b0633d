"""`ironflow runs count`: how many there are of what."""

from pathlib import Path

import trio

from ironflow.journal.lmdb.store import open_lmdb
from tests.commands.conftest import Stock, ironflow, printed


def test_runs_are_counted_by_function_and_status(stock: Stock) -> None:
    result = stock("runs", "count")

    heading, *lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert heading.split() == ["FUNCTION", "STATUS", "RUNS"]
    # A sign stands before the status.
    assert [[line.split()[0], *line.split()[2:]] for line in lines] == [
        ["approve", "waiting", "1"],
        ["forgetful", "paused", "1"],
        ["process-order", "completed", "1"],
        ["score-customer", "completed", "1"],
        ["sold-out", "failed", "1"],
    ]


def test_programs_get_json(stock: Stock) -> None:
    document = printed(stock("runs", "count", "--json"))

    assert document["total"] == 5
    assert document["counts"][0] == {
        "function_id": "approve",
        "status": "waiting",
        "runs": 1,
    }


async def _make(directory: Path) -> None:
    await (await open_lmdb(directory)).close()


def test_nothing_to_count_is_not_an_error(tmp_path: Path) -> None:
    trio.run(_make, tmp_path)
    result = ironflow("runs", "count", "--data-dir", str(tmp_path))

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No runs.\n")
