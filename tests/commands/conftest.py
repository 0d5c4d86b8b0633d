"""A data directory with a run of each kind, and the command line on it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ironflow.cli import cli

APP = f"{Path(__file__).parent / 'shop.py'}:app"
ORDER = '{"id": "o1", "total": 10, "items": ["book", "pen"]}'


def ironflow(*args: str, **options: Any) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(cli, args, prog_name="ironflow", **options)


def printed(result: Result) -> Any:
    """Return the JSON that a command printed."""
    return json.loads(result.stdout)


@dataclass(frozen=True)
class Stock:
    """A data directory with runs in it, by function id; nobody owns it."""

    directory: Path
    runs: dict[str, str]

    def __call__(self, *args: str, **options: Any) -> Result:
        return ironflow(*args, "--data-dir", str(self.directory), **options)


def fill(directory: Path) -> Stock:
    stock = Stock(directory, {})
    for event, data in (
        ("order.placed", ORDER),
        ("approval.asked", '{"id": "o1"}'),
        ("order.forgotten", "null"),
        ("order.late", "null"),
    ):
        # The second waits for ever: what is looked at is that it waits.
        wait = "0.3s" if event == "approval.asked" else "1m"
        result = stock("run", APP, event, "--data", data, "--timeout", wait, "--json")
        found = printed(result)
        for run in found["runs"] + found["children"]:
            stock.runs[run["function_id"]] = run["id"]
    return stock


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    """Return a stocked directory that tests only read."""
    return fill(tmp_path_factory.mktemp("stock") / "data")


@pytest.fixture
def own_stock(tmp_path: Path) -> Stock:
    """Return a stocked directory that the test may change."""
    return fill(tmp_path / "data")


@pytest.fixture
def app_file(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes today's code: the shop's, with changes."""

    def write(*changes: tuple[str, str]) -> str:
        text = (Path(__file__).parent / "shop.py").read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "today.py"
        path.write_text(text)
        return f"{path}:app"

    return write
