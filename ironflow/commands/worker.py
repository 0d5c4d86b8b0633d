"""`ironflow worker`: the functions of an app, carried out for a server."""

import json
import os
import socket
from typing import Final

import click

from ironflow import limits
from ironflow.authoring.app import App
from ironflow.commands.options import APP_TARGET, DURATION, json_option
from ironflow.commands.remote import server_options

_FORMATS: Final = ("json", "text")
_LEVELS: Final = ("debug", "info", "warning", "error")
_SHUTDOWN: Final = f"{limits.SHUTDOWN_US_DEFAULT // 1_000_000}s"


@click.command()
@click.option(
    "--app",
    "target",
    metavar="APP",
    type=APP_TARGET,
    envvar="IRONFLOW_APP",
    show_envvar=True,
    required=True,
    help="Carry out the functions of this app: module:attribute or"
    " path/file.py:attribute.",
)
@server_options
@click.option(
    "--ca-file",
    default="",
    metavar="FILE",
    envvar="IRONFLOW_CA_FILE",
    show_envvar=True,
    help="Trust servers with certificates of these authorities only (PEM).",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, limits.WORKER_CREDIT_MAX),
    default=limits.WORKER_CREDIT_DEFAULT,
    envvar="IRONFLOW_CONCURRENCY",
    show_default=True,
    show_envvar=True,
    help="How many runs to carry on at once; those that wait do not count.",
)
@click.option(
    "--name", help="What to call this worker; without it, the host and the process."
)
@click.option(
    "--shutdown",
    type=DURATION,
    default=_SHUTDOWN,
    show_default=True,
    help="How long steps that run get to end when the worker is stopped.",
)
@click.option(
    "--log-format",
    type=click.Choice(_FORMATS),
    envvar="IRONFLOW_LOG_FORMAT",
    show_envvar=True,
    help="How to log; without it, text on a terminal and JSON elsewhere.",
)
@click.option(
    "--log-level",
    type=click.Choice(_LEVELS),
    default="info",
    envvar="IRONFLOW_LOG_LEVEL",
    show_default=True,
    show_envvar=True,
    help="What to log, at least.",
)
@json_option
def worker(
    *,
    target: str,
    server: str,
    api_key: str,
    ca_file: str,
    concurrency: int,
    name: str | None,
    shutdown: float,
    log_format: str | None,
    log_level: str,
    as_json: bool,
) -> None:
    """Carry out the functions of an app for a server, until a signal ends it.

    Every step that ends is recorded by the server before the next one starts. If the
    connection is lost, runs go to other workers, and this one connects again. The first
    SIGTERM or Ctrl-C lets steps that run end; the second stops at once.
    """
    app = _app(target)
    # The engine comes after what may be wrong with the command line.
    import trio

    from ironflow.commands import logs
    from ironflow.worker.process import work

    logs.configure(form=log_format or logs.default_form(), level=log_level)
    name = name or f"{socket.gethostname()}-{os.getpid()}"

    def connected(environment: str) -> None:
        if as_json:
            said = {"worker": name, "server": server, "environment": environment}
            click.echo(json.dumps(said))
        else:
            click.echo(_line(app, name, server, environment))

    async def run() -> None:
        await work(
            app,
            server,
            name=name,
            api_key=api_key,
            ca_file=ca_file,
            credit=concurrency,
            shutdown=shutdown,
            connected=connected,
        )

    trio.run(run)


def _line(app: App, name: str, server: str, environment: str) -> str:
    """Say who is connected, and with what."""
    count = len(app.functions)
    functions = "1 function" if count == 1 else f"{count} functions"
    return (
        f"worker {name} carries out {functions} for {server}, environment {environment}"
    )


def _app(target: str) -> App:
    from ironflow.authoring.load import load_app

    app = load_app(target)
    if not app.functions:
        raise click.ClickException(
            f"{target} has no functions, so a worker would have nothing to do; add some"
            " with App(functions=[...])"
        )
    return app
