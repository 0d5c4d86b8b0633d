"""What goes wrong becomes one sentence and an exit status, never a traceback."""

from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner, Result

from ironflow.commands.failing import DEBUG
from ironflow.commands.group import LazyCommand, RootGroup
from ironflow.errors import ConfigurationError

ERRORS: dict[str, Callable[[], BaseException]] = {
    "ours": lambda: ConfigurationError("the name is wrong; choose another"),
    "system": lambda: PermissionError(13, "Permission denied", "/data/x"),
    "bare": lambda: OSError("no space"),
    "bug": lambda: KeyError("x"),
    "interrupt": KeyboardInterrupt,
    "usage": lambda: click.UsageError("give a RUN"),
    "grouped": lambda: ExceptionGroup(
        "", [ExceptionGroup("", [ConfigurationError("inside")])]
    ),
    "grouped-interrupt": lambda: BaseExceptionGroup(
        "", [ValueError("x"), KeyboardInterrupt()]
    ),
    "pipe": lambda: BrokenPipeError(32, "Broken pipe"),
}


@click.command()
@click.argument("which")
def failing(which: str) -> None:
    """Fail."""
    error = ERRORS[which]()
    raise error


ROOT = RootGroup(
    "ironflow", commands_by_name={"fail": LazyCommand(f"{__name__}:failing", "Fail.")}
)


def fail(which: str, **env: str) -> Result:
    return CliRunner().invoke(ROOT, ["fail", which], env=env, prog_name="ironflow")


@pytest.mark.parametrize(
    ("which", "status", "sentence"),
    [
        ("ours", 1, "Error: the name is wrong; choose another\n"),
        ("grouped", 1, "Error: inside\n"),
        (
            "system",
            1,
            "Error: /data/x: Permission denied; correct that and try again\n",
        ),
        ("bare", 1, "Error: no space; correct that and try again\n"),
        ("interrupt", 130, ""),
        ("grouped-interrupt", 130, ""),
        ("pipe", 1, ""),
    ],
)
def test_an_error_is_a_sentence_and_a_status(
    which: str, status: int, sentence: str
) -> None:
    result = fail(which)

    assert result.exit_code == status
    assert (result.stdout, result.stderr) == ("", sentence)


def test_a_wrong_command_line_keeps_its_status() -> None:
    result = fail("usage")

    assert result.exit_code == 2
    assert "Error: give a RUN" in result.stderr


def test_a_bug_says_how_to_see_more() -> None:
    result = fail("bug")

    assert result.exit_code == 1
    assert "this is a bug in ironflow: KeyError: 'x'" in result.stderr
    assert f"set {DEBUG}=1" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("which", ["bug", "ours"])
def test_the_traceback_is_shown_on_request(which: str) -> None:
    result = fail(which, IRONFLOW_DEBUG="1")

    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr


def test_a_command_that_is_not_there_is_a_wrong_command_line() -> None:
    result = CliRunner().invoke(ROOT, ["nothing"])

    assert result.exit_code == 2
    assert "No such command 'nothing'" in result.stderr
