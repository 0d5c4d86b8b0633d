"""`ironflow emit` and `ironflow invoke`: start runs on a server, and wait for them."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import IO, Any, Final, cast

import click

from ironflow.client import calls
from ironflow.client.answers import EmittedAnswer
from ironflow.commands import output
from ironflow.commands.json_input import given
from ironflow.commands.options import DURATION, CommandT, json_option
from ironflow.commands.remote import Server, send, server_options
from ironflow.errors import ConfigurationError
from ironflow.policy.names import check_event_name

_OPEN: Final = frozenset({"queued", "running", "waiting"})
_TIMEOUT: Final = "30s"

Document = dict[str, Any]


def _data_options(command: CommandT) -> CommandT:
    """Add `--data`, `--data-file`, `--idempotency-key` and `--timeout`."""
    options: Sequence[Callable[[CommandT], CommandT]] = (
        click.option(
            "--timeout",
            type=DURATION,
            default=_TIMEOUT,
            show_default=True,
            help='Stop waiting after this long ("30s", "5m"); the runs go on.',
        ),
        click.option(
            "--idempotency-key",
            default="",
            help="Do it once: if the key was used before, give what came of it then.",
        ),
        click.option(
            "--data-file",
            type=click.File("rb"),
            help="The file with the data; - is stdin.",
        ),
        click.option("--data", help="The data, as JSON."),
    )
    for option in options:
        command = option(command)
    return command


@click.command()
@click.argument("event")
@_data_options
@click.option(
    "--metadata", multiple=True, metavar="KEY=VALUE", help="Metadata; may be repeated."
)
@click.option(
    "--version",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="The version of the data's schema.",
)
@click.option("--wait", is_flag=True, help="Wait until the runs have ended.")
@server_options
@json_option
def emit(
    *,
    event: str,
    data: str | None,
    data_file: IO[bytes] | None,
    metadata: Sequence[str],
    version: int,
    idempotency_key: str,
    wait: bool,
    timeout: float,
    server: str,
    api_key: str,
    as_json: bool,
) -> None:
    """Emit an event on a server; it is stored when this returns.

    With --wait the status is 1 unless every run that the event started has completed.
    """
    try:
        check_event_name(event)
    except ConfigurationError as error:
        raise click.BadParameter(str(error), param_hint="EVENT") from error
    call = partial(
        calls.emit,
        event,
        given(data, data_file),
        idempotency_key=idempotency_key,
        metadata=_metadata(metadata),
        version=version,
        source="cli",
    )
    _carry_out(Server(server, api_key), call, timeout if wait else 0, as_json=as_json)


@click.command()
@click.argument("function_id", metavar="FUNCTION")
@_data_options
@click.option("--no-wait", is_flag=True, help="Return when the run is stored.")
@server_options
@json_option
def invoke(
    *,
    function_id: str,
    data: str | None,
    data_file: IO[bytes] | None,
    idempotency_key: str,
    no_wait: bool,
    timeout: float,
    server: str,
    api_key: str,
    as_json: bool,
) -> None:
    """Run a function on a server, whatever its triggers, and wait until it has ended.

    The status is 1 unless the run has completed.
    """
    call = partial(
        calls.invoke,
        function_id,
        given(data, data_file),
        idempotency_key=idempotency_key,
    )
    _carry_out(
        Server(server, api_key), call, 0 if no_wait else timeout, as_json=as_json
    )


def _carry_out(
    server: Server,
    call: Callable[..., calls.Call[EmittedAnswer]],
    timeout: float,
    *,
    as_json: bool,
) -> None:
    """Send a call that starts runs; wait for these, print them, and fail if one did."""
    deadline = time.monotonic() + timeout
    found = send(server, call(wait=timeout))
    if timeout:
        found["runs"] = [_waited(server, run, deadline) for run in found["runs"]]
    if as_json:
        output.write_json(found)
    else:
        _write(found, is_waited=bool(timeout))
    sentences = [each for run in found.get("runs", ()) for each in _failures(run)]
    if sentences:
        raise click.ClickException("\n".join(sentences))


def _waited(server: Server, run: Document, deadline: float) -> Document:
    """Return a run when it has ended or time is up: one request waits for minutes only."""
    while run["status"] in _OPEN:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        run = cast("Document", send(server, calls.get_run(run["id"], wait=left)))
    return run


def _metadata(given_: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given_:
        key, separator, value = text.partition("=")
        if not (separator and key):
            raise click.BadParameter(
                f"{text!r} must be KEY=VALUE", param_hint="--metadata"
            )
        found[key] = value
    return found


def _write(found: Document, *, is_waited: bool) -> None:
    again = "  which was there before" if found["duplicate"] else ""
    click.echo(f"event {found['event_id']}{again}")
    if not is_waited:
        for run_id in found["run_ids"]:
            click.echo(f"run   {run_id}")
        if not found["run_ids"]:
            click.echo("it starts no run: no function is triggered by it", err=True)
        return
    for run in found["runs"]:
        status, function_id = (
            output.state(run["status"]),
            output.plain(run["function_id"]),
        )
        click.echo(f"{status}  {function_id}  {run['id']}")
        if run["status"] == "completed":
            text = output.one_line(run["output"])
            click.echo("  " + output.cut(text, output.width() - 2))


def _failures(run: Document) -> list[str]:
    """Say why a run did not complete, and what to do."""
    error: Document = run["error"] or {}
    why = f": {error['type']}: {error['message']}" if error else ""
    match run["status"]:
        case "completed":
            return []
        case "failed":
            return [f"run {run['id']} failed{why}"]
        case "cancelled":
            return [f"run {run['id']} was cancelled{why}"]
        case "paused":
            message = error.get("message", "")
            return [
                f"run {run['id']} is paused: {message}. Correct that, then resume it"
            ]
        case status:
            return [
                f"run {run['id']} is still {status}; it goes on without this command"
            ]
