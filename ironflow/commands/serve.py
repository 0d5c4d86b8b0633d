"""`ironflow serve`: an engine, its API and its log lines, until a signal ends it."""

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import click

from ironflow.authoring.app import App
from ironflow.commands import journals
from ironflow.commands.options import (
    APP_TARGET,
    DURATION,
    Place,
    data_dir_option,
    json_option,
)
from ironflow.errors import ConfigurationError
from ironflow.policy.names import check_environment
from ironflow.policy.reach import reach

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_FORMATS: Final = ("json", "text")
_LEVELS: Final = ("debug", "info", "warning", "error")


@click.command()
@click.option(
    "--app",
    "target",
    metavar="APP",
    type=APP_TARGET,
    envvar="IRONFLOW_APP",
    show_envvar=True,
    help="Host the functions of this app: module:attribute or path/file.py:attribute.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    envvar="IRONFLOW_HOST",
    show_default=True,
    show_envvar=True,
    help="The address to listen at.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=9123,
    envvar="IRONFLOW_PORT",
    show_default=True,
    show_envvar=True,
    help="The port to listen at; 0 takes any that is free.",
)
@data_dir_option
@click.option(
    "--database-url",
    envvar="IRONFLOW_DATABASE_URL",
    show_envvar=True,
    help="Keep the journal here instead: postgresql://..., or memory: to keep nothing.",
)
@click.option(
    "--environment",
    default="default",
    envvar="IRONFLOW_ENVIRONMENT",
    show_default=True,
    show_envvar=True,
    help="The part of the journal to work in.",
)
@click.option(
    "--dev", "is_dev", is_flag=True, help="Ask for no keys; this machine only."
)
@click.option(
    "--tls-cert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="IRONFLOW_TLS_CERT",
    show_envvar=True,
    help="Serve HTTPS with this certificate (PEM, with its chain).",
)
@click.option(
    "--tls-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="IRONFLOW_TLS_KEY",
    show_envvar=True,
    help="The private key of the certificate (PEM).",
)
@click.option(
    "--signing-key",
    default="",
    envvar="IRONFLOW_SIGNING_KEY",
    show_envvar=True,
    help="Sign requests to endpoints with this key; better kept in the variable.",
)
@click.option(
    "--push-allow",
    default="",
    metavar="LIST",
    envvar="IRONFLOW_PUSH_ALLOW",
    show_envvar=True,
    help="Call endpoints of these networks and hosts only (10.0.0.0/8,*.shop.test).",
)
@click.option(
    "--push-deny",
    default="",
    metavar="LIST",
    envvar="IRONFLOW_PUSH_DENY",
    show_envvar=True,
    help="Never call endpoints of these networks and hosts.",
)
@click.option(
    "--retention",
    type=DURATION,
    envvar="IRONFLOW_RETENTION",
    show_envvar=True,
    help='Delete events, and runs after their end, when they are so old ("30d").',
)
@click.option(
    "--pack-after",
    type=DURATION,
    envvar="IRONFLOW_PACK_AFTER",
    show_envvar=True,
    help='Move histories into segments so long after their end ("1d").',
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
    help="What to log, at least; debug shows every request.",
)
@click.option(
    "--trace",
    "tracing",
    is_flag=True,
    envvar="IRONFLOW_TRACE",
    show_envvar=True,
    help="Send OpenTelemetry traces by OTLP, as the OTEL_* variables say.",
)
@json_option
def serve(
    *,
    target: str | None,
    host: str,
    port: int,
    directory: Place,
    database_url: str | None,
    environment: str,
    is_dev: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    signing_key: str,
    push_allow: str,
    push_deny: str,
    retention: float | None,
    pack_after: float | None,
    log_format: str | None,
    log_level: str,
    tracing: bool,
    as_json: bool,
) -> None:
    """Serve the API, and host the functions of an app, until a signal ends it.

    Without --app, functions are those of workers and endpoints. The first SIGTERM or
    Ctrl-C lets requests and steps that are under way end; the second stops at once, and
    what was not recorded is done again at the next start.
    """
    _check(host=host, is_dev=is_dev, tls_cert=tls_cert, tls_key=tls_key)
    _check_environment(environment)
    app = _app(target)
    # The engine comes after what may be wrong with the command line.
    import trio

    from ironflow.commands import logs
    from ironflow.transport.serving import Serving
    from ironflow.transport.serving import serve as run
    from ironflow.transport.tls import ServerTls

    logs.configure(form=log_format or logs.default_form(), level=log_level)
    url = database_url or journals.new_url_of(directory)
    serving = Serving(
        app=app,
        url=url,
        host=host,
        port=port,
        environment=environment,
        is_dev=is_dev,
        tls=ServerTls(tls_cert, tls_key) if tls_cert and tls_key else None,
        signing_key=signing_key,
        reach=reach(allow=push_allow, deny=push_deny),
        retention=retention,
        pack_after=pack_after,
        tracing=tracing,
    )

    line = partial(_line, app=app, directory=None if database_url else directory)
    ready = _say_json if as_json else partial(_say, line)
    with _tracing(wanted=tracing):
        trio.run(lambda: run(serving, ready=ready))


def _say_json(address: str, first_key: str | None) -> None:
    key = {"api_key": first_key} if first_key else {}
    click.echo(json.dumps({"url": address, **key}))


def _say(line: Callable[[str], str], address: str, first_key: str | None) -> None:
    click.echo(line(address))
    click.echo(_first(first_key), nl=bool(first_key))


@contextmanager
def _tracing(*, wanted: bool) -> Generator[None]:
    """Let spans be sent, the last of them at the end."""
    if not wanted:
        yield
        return
    try:
        from ironflow.engine.tracing import configure
    except ImportError as error:
        raise ConfigurationError(
            f"--trace needs OpenTelemetry ({error}): pip install 'ironflow-engine[otel]'"
        ) from error
    shutdown = configure("ironflow")
    try:
        yield
    finally:
        shutdown()


def _check(
    *, host: str, is_dev: bool, tls_cert: Path | None, tls_key: Path | None
) -> None:
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("give --tls-cert and --tls-key together")
    if is_dev and host not in _LOOPBACK:
        raise click.UsageError(
            f"--dev asks for no keys, so it is for this machine only: leave --host {host}"
            " out, or --dev"
        )


def _check_environment(name: str) -> None:
    try:
        check_environment(name)
    except ConfigurationError as error:
        raise click.BadParameter(str(error), param_hint="--environment") from error


def _app(target: str | None) -> App:
    if target is None:
        return App(functions=[])
    from ironflow.authoring.load import load_app

    return load_app(target)


def _first(key: str | None) -> str:
    """Say what the first key is, if one was made; nobody can show it again."""
    if key is None:
        return ""
    return f"the first API key, of an administrator; it is not shown again: {key}"


def _line(address: str, *, app: App, directory: Place | None) -> str:
    """Say where the server is, and what it has."""
    count = len(app.functions)
    functions = "1 function" if count == 1 else f"{count} functions"
    data = f", data in {directory}" if isinstance(directory, Path) else ""
    return f"ironflow serves {functions} on {address}{data}"
