"""Where a command reads from and what it changes: a data directory, or a server."""

import functools
from collections.abc import Callable
from typing import Any, cast

import click
from click.core import ParameterSource

from ironflow.commands.options import CommandT, Place, data_dir_option
from ironflow.commands.remote import Server, key_option

Source = Place | Server

_RANKS = (
    ParameterSource.DEFAULT,
    ParameterSource.DEFAULT_MAP,
    ParameterSource.ENVIRONMENT,
    ParameterSource.COMMANDLINE,
)


def source_options(command: CommandT) -> CommandT:
    """Add `--data-dir`, `--server` and `--api-key`; the command is given a `source`."""

    @functools.wraps(command)
    def call(
        *, directory: Place, server: str | None, api_key: str, **options: Any
    ) -> Any:
        return command(source=_chosen(directory, server, api_key), **options)

    option: Callable[..., Any] = click.option(
        "--server",
        envvar="IRONFLOW_SERVER_URL",
        show_envvar=True,
        help="Ask the server at this URL instead of a data directory.",
    )
    return cast("CommandT", data_dir_option(option(key_option(call))))


def _chosen(directory: Place, server: str | None, api_key: str) -> Source:
    """Return what was said last: the command line before variables, these before a file.

    Raises:
        UsageError: the command line says both.
    """
    context = click.get_current_context()
    if not server:
        return directory
    of_server, of_directory = (
        _RANKS.index(source) if source in _RANKS else len(_RANKS)
        for source in map(context.get_parameter_source, ("server", "directory"))
    )
    if of_server == of_directory == _RANKS.index(ParameterSource.COMMANDLINE):
        raise click.UsageError("give --data-dir or --server, not both")
    return directory if of_directory > of_server else Server(server, api_key)
