"""Settings in ironflow.toml: for every command, or for one."""

from pathlib import Path

import click
import pytest

from ironflow.cli import COMMANDS
from ironflow.commands import settings
from ironflow.commands.group import LazyGroup
from tests.commands.conftest import ironflow
from tests.commands.test_help import COMMANDS as ALL


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty current directory, without variables."""
    monkeypatch.chdir(tmp_path)
    for name in ("IRONFLOW_CONFIG", "IRONFLOW_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(directory: Path, text: str, name: str = "ironflow.toml") -> None:
    (directory / name).write_text(text)


def test_a_setting_at_the_top_is_for_every_command(here: Path) -> None:
    write(here, 'data-dir = "elsewhere"')

    for command in (["runs", "list"], ["events", "list"]):
        assert "elsewhere does not exist" in ironflow(*command).stderr


def test_a_table_is_for_its_command(here: Path) -> None:
    write(here, 'data-dir = "all"\n[runs]\ndata-dir = "mine"')

    assert "mine does not exist" in ironflow("runs", "list").stderr
    assert "all does not exist" in ironflow("events", "list").stderr


def test_a_flag_wins_over_a_variable_and_that_over_the_file(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here, 'data-dir = "in-file"')
    monkeypatch.setenv("IRONFLOW_DATA_DIR", "in-variable")

    by_variable = ironflow("runs", "list")
    by_flag = ironflow("runs", "list", "--data-dir", "in-flag")

    assert "in-variable does not exist" in by_variable.stderr
    assert "in-flag does not exist" in by_flag.stderr


def test_the_file_may_lie_elsewhere(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here, 'data-dir = "named"', name="other.toml")
    monkeypatch.setenv("IRONFLOW_CONFIG", str(here / "other.toml"))

    assert "named does not exist" in ironflow("runs", "list").stderr


def test_a_file_that_is_named_must_be_there(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRONFLOW_CONFIG", str(here / "gone.toml"))

    result = ironflow("runs", "list")

    assert result.exit_code == 1
    assert "gone.toml, and there is no such file" in result.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('data-dri = "x"', "no setting 'data-dri'; did you mean data-dir?"),
        ('zzzz = "x"', "no setting 'zzzz'; there are api-key,"),
        ("[serv]\nport = 1", "no setting 'serv'; did you mean serve?"),
        ("[serve]\nprt = 1", "no setting 'prt'; did you mean port?"),
        ("host = []", "no setting 'host'"),
        ("port = ", "is not TOML"),
        ("a = '\x00'", "is not TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_said(here: Path, text: str, says: str) -> None:
    write(here, text)

    result = ironflow("runs", "list")

    assert result.exit_code == 1
    assert says in result.stderr


def test_every_setting_is_an_option_of_some_command() -> None:
    """Under the name that click has for it."""
    options = {
        (option, parameter.name)
        for _, command in ALL
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }

    for name, parameter in settings.NAMES.items():
        assert (f"--{name}", parameter) in options


def test_no_command_is_called_like_a_setting() -> None:
    """But `dev`: a table is the command's, anything else the setting."""
    names = {
        name
        for _, group in ALL
        if isinstance(group, LazyGroup)
        for name in group.commands_by_name
    }

    found = {*COMMANDS, *names} & {*settings.NAMES, *settings.NAMES.values()}

    assert found == {"dev"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("dev = true", {"is_dev": True}),
        ('[dev]\napp = "shop:app"', {"dev": {"target": "shop:app"}}),
        ("[serve]\ndev = true", {"serve": {"is_dev": True}}),
    ],
)
def test_a_table_is_told_from_a_setting(
    here: Path, text: str, found: dict[str, object]
) -> None:
    write(here, text)

    assert settings.read(COMMANDS) == found
