"""Help is quick and whole, and the reference names every command and option."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import ironflow as package
from ironflow.cli import cli
from ironflow.commands.group import LazyGroup
from tests.commands.conftest import ironflow

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
SLOW = {"trio", "lmdb", "rich", "msgspec", "asyncio"}


def commands(
    group: click.Group = cli, path: tuple[str, ...] = ("ironflow",)
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command of the command line, with its path."""
    yield path, group
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = list(commands())
BY_NAME = {" ".join(path): command for path, command in COMMANDS}


def sections() -> dict[str, str]:
    """The reference by the command that a heading names."""
    parts = re.split(r"^#+ `([^`]+)`$", REFERENCE.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("name", BY_NAME)
def test_a_command_is_in_the_reference_with_all_its_options(name: str) -> None:
    section = sections().get(name, "")

    assert section, f"write a section for `{name}`"
    missing = [
        option
        for parameter in BY_NAME[name].params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if isinstance(parameter, click.Option) and f"`{option}" not in section
    ]
    assert not missing


@pytest.mark.parametrize("name", BY_NAME)
def test_every_option_and_command_has_help(name: str) -> None:
    command = BY_NAME[name]

    assert command.help
    assert [
        option.name
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ] == []


@pytest.mark.parametrize("name", sections())
def test_the_reference_has_no_command_that_is_gone(name: str) -> None:
    assert name in BY_NAME


def test_the_help_of_a_group_is_that_of_its_commands() -> None:
    for path, group in COMMANDS:
        if isinstance(group, LazyGroup):
            for name, known in group.commands_by_name.items():
                command = BY_NAME[" ".join((*path, name))]
                assert known.help == command.get_short_help_str(200), name


def test_commands_that_print_data_print_json() -> None:
    without = [
        name
        for name, command in BY_NAME.items()
        if not isinstance(command, click.Group)
        and not any("--json" in parameter.opts for parameter in command.params)
    ]

    assert without == []


def test_the_version_is_the_package_s() -> None:
    result = ironflow("--version")

    assert result.stdout == f"ironflow, version {package.__version__}\n"


@pytest.mark.parametrize(
    "args",
    [["--help"], ["runs", "--help"], ["runs", "lst"], ["--version"], ["nothing"]],
)
def test_help_imports_nothing_that_is_slow(args: list[str]) -> None:
    program = (
        "import sys\nfrom ironflow.cli import cli\n"
        f"cli({args!r}, standalone_mode=False)\n"
    )
    guarded = f"try:\n    exec({program!r})\nfinally:\n    print('*', *sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", f"import sys\n{guarded}"],
        capture_output=True,
        text=True,
        check=False,
    )
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = set(finished.stdout.rpartition("*")[2].split())
    assert loaded
    assert not loaded & SLOW - set(bare.stdout.split())
