"""A server, as commands talk to it: where it is, the key, and what its answers become."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

from ironflow.client.calls import JSON, Call, refusal_of
from ironflow.commands.options import CommandT

_DEFAULT: Final = "http://127.0.0.1:9123"
_SECONDS: Final = 30.0  # beyond what a call itself waits for
_SUCCESS: Final = range(200, 300)
_UNAUTHENTICATED: Final = 401

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and the key that it asks for; empty for none."""

    url: str
    api_key: str


def server_options(command: CommandT) -> CommandT:
    """Add `--server` and `--api-key`."""
    key: Callable[[CommandT], CommandT] = click.option(
        "--api-key",
        default="",
        envvar="IRONFLOW_API_KEY",
        show_envvar=True,
        help="The key that the server asks for.",
    )
    server: Callable[[CommandT], CommandT] = click.option(
        "--server",
        default=_DEFAULT,
        envvar="IRONFLOW_SERVER_URL",
        show_default=True,
        show_envvar=True,
        help="The URL of the server.",
    )
    return server(key(command))


def send(server: Server, call: Call, *, wait: float = 0) -> Any:
    """Send a call and return the document that it gives.

    Raises:
        ClickException: there is no such server, or it refuses; the message says why.
    """
    import httpx

    headers = {"accept": JSON}
    if call.body:
        headers["content-type"] = JSON
    if server.api_key:
        headers["authorization"] = f"Bearer {server.api_key}"
    try:
        answer = httpx.request(
            call.method,
            server.url.rstrip("/") + call.path,
            params=dict(call.query),
            content=call.body,
            headers=headers,
            timeout=wait + _SECONDS,
        )
    except (httpx.TransportError, httpx.InvalidURL, ValueError) as error:
        raise _unreachable(server, error) from error
    if answer.status_code not in _SUCCESS:
        raise _refused(server, answer.status_code, answer.content)
    try:
        return answer.json()
    except ValueError as error:
        raise click.ClickException(
            f"{server.url} answers, but not as a server of ironflow; correct --server"
        ) from error


def _unreachable(server: Server, error: Exception) -> click.ClickException:
    why = str(error) or type(error).__name__
    return click.ClickException(
        f"no server answers at {server.url} ({why}); start one with 'ironflow serve', or"
        " say with --server where it is"
    )


def _refused(server: Server, status: int, body: bytes) -> click.ClickException:
    refusal = refusal_of(status, body)
    if status == _UNAUTHENTICATED:
        return click.ClickException(
            f"{server.url} asks for a key: {refusal.message}; give one with --api-key, or"
            " set IRONFLOW_API_KEY"
        )
    return click.ClickException(refusal.message)
