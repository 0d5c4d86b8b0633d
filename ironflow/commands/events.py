"""`ironflow events`: the log of events."""

from collections.abc import Sequence
from typing import Final

import click

from ironflow import limits
from ironflow.client import calls
from ironflow.commands import journals, output, remote
from ironflow.commands.group import LazyCommand, LazyGroup
from ironflow.commands.options import json_option
from ironflow.commands.remote import Server
from ironflow.commands.source import Source, source_options
from ironflow.errors import ConfigurationError
from ironflow.journal.base import Journal
from ironflow.policy.match import parse_pattern
from ironflow.transport.rendering import event_document
from ironflow.wire.answers import EventDocument, EventLogDocument

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
@source_options
@json_option
def list_events(
    *, pattern: str, after: int, limit: int, source: Source, as_json: bool
) -> None:
    """List events in the order they came.

    The position of an event is its place in the log; it never changes.
    """
    try:
        parse_pattern(pattern, option="--name")
    except ConfigurationError as error:
        raise click.BadParameter(str(error), param_hint="--name") from error

    found = _found(source, pattern, after=after, limit=limit)
    last = found[-1].position if len(found) == limit else None
    if as_json:
        output.write_json(
            {"events": [_document(each) for each in found], "after": last}
        )
        return
    _write(found)
    if last is not None:
        click.echo(f"There may be more: add --after {last}", err=True)


def _found(
    source: Source, pattern: str, *, after: int, limit: int
) -> Sequence[EventDocument]:
    if isinstance(source, Server):
        call = calls.list_events(pattern, after=after, limit=limit)
        return remote.document(source, call, EventLogDocument).events

    async def find(journal: Journal) -> Sequence[EventDocument]:
        events = await journal.events(pattern, after=after, limit=limit)
        return [event_document(each) for each in events]

    return journals.read(source, find)


def _document(event: EventDocument) -> dict[str, object]:
    return {
        "position": event.position,
        "id": event.id,
        "name": event.name,
        "data": event.data,
        "version": event.version,
        "timestamp": event.timestamp,
        "metadata": event.metadata,
        "idempotency_key": event.idempotency_key or None,
        "source": event.source or None,
        "run_ids": event.run_ids,
    }


def _write(found: Sequence[EventDocument]) -> None:
    if not found:
        click.echo("No events.", err=True)
        return
    rows = [
        (
            str(each.position),
            output.local(output.microseconds(each.timestamp)),
            output.plain(each.name),
            each.id,
            str(len(each.run_ids)),
            output.one_line(each.data),
        )
        for each in found
    ]
    headings = ("POSITION", "TIME", "NAME", "ID", "RUNS", "DATA")
    output.table(headings, rows, dropped=("ID", "RUNS", "TIME"), cuttable=True)
