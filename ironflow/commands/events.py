"""`ironflow events`: the log of events."""

from collections.abc import Sequence
from typing import Final

import click

from ironflow import limits
from ironflow.commands import journals, output
from ironflow.commands.group import LazyCommand, LazyGroup
from ironflow.commands.options import Place, data_dir_option, json_option
from ironflow.errors import ConfigurationError
from ironflow.journal.base import Journal, StoredEvent
from ironflow.policy.match import parse_pattern
from ironflow.transport.rendering import shown
from ironflow.wire.answers import moment

COMMANDS: Final = {
    "list": LazyCommand(
        "ironflow.commands.events:list_events", "List events in the order they came."
    ),
}


@click.group(cls=LazyGroup, commands_by_name=COMMANDS)
def events() -> None:
    """List events."""


@click.command("list")
@click.option(
    "--name",
    "pattern",
    default=">",
    help="Only events of this name or pattern: * is one segment, > the rest.",
)
@click.option(
    "--after",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="List what comes after this position.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, limits.PAGE_EVENTS_MAX),
    default=50,
    show_default=True,
    help="How many events to list.",
)
@data_dir_option
@json_option
def list_events(
    *, pattern: str, after: int, limit: int, directory: Place, as_json: bool
) -> None:
    """List events in the order they came.

    The position of an event is its place in the log; it never changes.
    """
    try:
        parse_pattern(pattern, option="--name")
    except ConfigurationError as error:
        raise click.BadParameter(str(error), param_hint="--name") from error

    async def find(journal: Journal) -> Sequence[StoredEvent]:
        return await journal.events(pattern, after=after, limit=limit)

    found = journals.read(directory, find)
    last = found[-1].position if len(found) == limit else None
    if as_json:
        output.write_json(
            {"events": [_document(each) for each in found], "after": last}
        )
        return
    _write(found)
    if last is not None:
        click.echo(f"There may be more: add --after {last}", err=True)


def _document(stored: StoredEvent) -> dict[str, object]:
    event = stored.event
    return {
        "position": stored.position,
        "id": event.id,
        "name": event.name,
        "data": shown(event.data),
        "version": event.version,
        "timestamp": moment(event.timestamp),
        "metadata": event.metadata,
        "idempotency_key": event.idempotency_key or None,
        "source": event.source or None,
        "run_ids": list(stored.run_ids),
    }


def _write(found: Sequence[StoredEvent]) -> None:
    if not found:
        click.echo("No events.", err=True)
        return
    rows = [
        (
            str(each.position),
            output.local(each.event.timestamp),
            output.plain(each.event.name),
            each.event.id,
            str(len(each.run_ids)),
            output.one_line(shown(each.event.data)),
        )
        for each in found
    ]
    headings = ("POSITION", "TIME", "NAME", "ID", "RUNS", "DATA")
    output.table(headings, rows, dropped=("ID", "RUNS", "TIME"), cuttable=True)
