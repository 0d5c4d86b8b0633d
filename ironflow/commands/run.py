"""`ironflow run`: one event, its runs and their children, in this process."""

import difflib
from functools import partial
from typing import IO

import click

from ironflow.authoring.app import App
from ironflow.commands.json_input import given
from ironflow.commands.options import (
    APP_TARGET,
    DURATION,
    Place,
    data_dir_option,
    json_option,
)
from ironflow.errors import ConfigurationError
from ironflow.policy.match import parse_pattern, pattern_matches
from ironflow.policy.names import check_event_name


@click.command()
@click.argument("target", metavar="APP", type=APP_TARGET)
@click.argument("event")
@click.option("--data", help="The event's data, as JSON.")
@click.option(
    "--data-file",
    type=click.File("rb"),
    help="The file with the event's data; - is stdin.",
)
@click.option(
    "--timeout",
    type=DURATION,
    help='Stop waiting after this long ("30s", "5m"); the runs are kept.',
)
@click.option(
    "--idempotency-key",
    default="",
    help="Emit the event once: if the key was used before, go on with its runs.",
)
@data_dir_option
@json_option
def run(
    *,
    target: str,
    event: str,
    data: str | None,
    data_file: IO[bytes] | None,
    timeout: float | None,
    idempotency_key: str,
    directory: Place,
    as_json: bool,
) -> None:
    """Run the functions of APP that EVENT starts, until they end.

    APP is module:attribute or path/file.py:attribute. The event and the result of
    every step are kept in the data directory. If this process is killed, the same
    command with the same --idempotency-key goes on where it stopped. Other runs in
    the directory stay as they are; of a journal in PostgreSQL, runs of the same
    functions may be carried on beside it.

    Exit status 1 unless every run that the event started has completed; a child that
    failed counts if its parent let it.
    """
    value = given(data, data_file)
    app = _app(target, event)
    # Trio and the engine come after what may be wrong with the command line.
    import trio

    from ironflow.commands import one_shot, run_outcome

    outcome = trio.run(
        partial(
            one_shot.carry_out,
            app,
            event,
            value,
            url=_url(directory),
            shared=isinstance(directory, str),
            idempotency_key=idempotency_key,
            timeout=timeout,
        )
    )
    run_outcome.write(outcome, as_json=as_json)
    sentences = run_outcome.failures(outcome, app, idempotency_key=idempotency_key)
    if sentences:
        raise click.ClickException("\n".join(sentences))


def _url(directory: Place) -> str:
    return directory if isinstance(directory, str) else f"lmdb://{directory.absolute()}"


# --- what the command line says -----------------------------------------------------


def _app(target: str, event: str) -> App:
    """Load the app; some function of it must take the event."""
    from ironflow.authoring.load import load_app

    try:
        check_event_name(event)
    except ConfigurationError as error:
        raise click.BadParameter(str(error), param_hint="EVENT") from error
    app = load_app(target)
    triggers = [
        (trigger, function_id)
        for function_id, own in app.triggers.items()
        for trigger in own
    ]
    for trigger, _ in triggers:
        if pattern_matches(parse_pattern(trigger, option="triggers"), event):
            return app
    known = ", ".join(f"{name} ({function_id})" for name, function_id in triggers)
    near = difflib.get_close_matches(event, [name for name, _ in triggers], n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise click.ClickException(
        f"no function of {target} takes the event {event!r}, so nothing would run."
        f" Its triggers are: {known or 'none'}{hint}"
    )
