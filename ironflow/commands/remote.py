"""A server, as commands talk to it: where it is, the key, and what its answers become."""

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import click

from ironflow.client.answers import Answer
from ironflow.client.calls import Call
from ironflow.client.settings import URL_DEFAULT
from ironflow.commands.options import CommandT
from ironflow.errors import ServerError, ServerUnavailable

_UNAUTHENTICATED: Final = 401
_SECONDS: Final = "30s"  # beyond what a call itself waits for


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and the key that it asks for; empty for none."""

    url: str
    api_key: str


def key_option(command: CommandT) -> CommandT:
    """Add `--api-key`."""
    return click.option(
        "--api-key",
        default="",
        envvar="IRONFLOW_API_KEY",
        show_envvar=True,
        help="The key that the server asks for.",
    )(command)


def server_options(command: CommandT) -> CommandT:
    """Add `--server` and `--api-key`."""
    server: Callable[[CommandT], CommandT] = click.option(
        "--server",
        default=URL_DEFAULT,
        envvar="IRONFLOW_SERVER_URL",
        show_default=True,
        show_envvar=True,
        help="The URL of the server.",
    )
    return server(key_option(command))


def send(server: Server, call: Call[Answer]) -> Any:
    """Send a call and return the document that it gives.

    Raises:
        ClickException: there is no such server, or it asks for a key.
        IronflowError: it refuses; the message says why.
    """
    from ironflow.client.synchronous.client import Client
    from ironflow.policy.retry import NO_RETRY

    with explained(server):
        client = Client(
            server.url, api_key=server.api_key, timeout=_SECONDS, retry=NO_RETRY
        )
        with client:
            answer = client.answered(call)
    try:
        return json.loads(answer) if answer else {}
    except ValueError as error:
        raise click.ClickException(
            f"{server.url} answers, but not as a server of ironflow; correct --server"
        ) from error


@contextmanager
def explained(server: Server) -> Generator[None]:
    """Say what to do on the command line where a server does not answer as it should."""
    try:
        yield
    except ServerUnavailable as error:
        raise _unavailable(server, error) from error
    except ServerError as error:
        raise _refused(server, error) from error


def _unavailable(server: Server, error: ServerUnavailable) -> click.ClickException:
    if error.is_sent:
        return click.ClickException(str(error))
    return click.ClickException(
        f"no server answers at {server.url} ({error.why}); start one with 'ironflow serve',"
        " or say with --server where it is"
    )


def _refused(server: Server, error: ServerError) -> click.ClickException:
    if error.status == _UNAUTHENTICATED:
        return click.ClickException(
            f"{server.url} asks for a key: {error.why}; give one with --api-key, or set"
            " IRONFLOW_API_KEY"
        )
    return click.ClickException(str(error))
