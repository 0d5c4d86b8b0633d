"""A server, as commands talk to it: where it is, the key, and what its answers become."""

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click
import msgspec

from ironflow.client.answers import Answer
from ironflow.client.calls import Call
from ironflow.client.settings import URL_DEFAULT
from ironflow.client.synchronous.client import Client
from ironflow.commands.options import CommandT
from ironflow.errors import ConfigurationError, ServerError, ServerUnavailable
from ironflow.policy.retry import NO_RETRY

_UNAUTHENTICATED: Final = 401
_SECONDS: Final = "30s"  # beyond what a call itself waits for

DocumentT = TypeVar("DocumentT", bound=msgspec.Struct)


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
    with connected(server) as client:
        answer = client.answered(call)
    try:
        return json.loads(answer) if answer else {}
    except ValueError as error:
        raise _foreign(server) from error


def document(server: Server, call: Call[Answer], kind: type[DocumentT]) -> DocumentT:
    """Send a call and return what it gives, as a document of `wire/answers.py`.

    Raises:
        ClickException: there is no such server, or it asks for a key.
        IronflowError: it refuses; the message says why.
    """
    with connected(server) as client:
        answer = client.answered(call)
    try:
        return msgspec.json.decode(answer, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _foreign(server) from error


@contextmanager
def connected(server: Server) -> Generator[Client]:
    """Give a client; say what to do where the server does not answer as it should.

    A command is sent once: whoever typed it sees what happened, and may repeat it.
    """
    try:
        with client_of(server) as client:
            yield client
    except ServerUnavailable as error:
        raise _unavailable(server, error) from error
    except ServerError as error:
        raise _refused(server, error) from error


def client_of(server: Server) -> Client:
    """Return a client that sends everything once.

    Raises:
        BadParameter: the URL or the key is none.
    """
    try:
        return Client(
            server.url, api_key=server.api_key, timeout=_SECONDS, retry=NO_RETRY
        )
    except ConfigurationError as error:
        raise click.BadParameter(str(error), param_hint="--server") from error


def _foreign(server: Server) -> click.ClickException:
    return click.ClickException(
        f"{server.url} answers, but not as a server of ironflow; correct --server"
    )


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
