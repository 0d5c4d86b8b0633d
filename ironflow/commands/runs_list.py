"""`ironflow runs list`."""

import time
from collections.abc import Sequence

import click
import msgspec

from ironflow import limits
from ironflow.client import calls
from ironflow.commands import journals, output, remote
from ironflow.commands.options import FILTER, MOMENT, RUN_ID, STATUSES, json_option
from ironflow.commands.remote import Server
from ironflow.commands.source import Source, source_options
from ironflow.journal.base import Journal, RunQuery
from ironflow.policy.attributes import parse_filters
from ironflow.policy.duration import format_duration
from ironflow.transport.rendering import run_document
from ironflow.wire.answers import RunDocument, RunListDocument, moment


@click.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only runs that stand so.")
@click.option(
    "--function", "function_id", default="", help="Only runs of this function."
)
@click.option(
    "--since", type=MOMENT, help="Only runs from then on: 1h30m (ago), or ISO 8601."
)
@click.option("--until", type=MOMENT, help="Only runs from before then.")
@click.option(
    "--attribute",
    "attributes",
    type=FILTER,
    multiple=True,
    help="Only runs with such an attribute: customer=c1, 'total>=100'. Repeatable.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, limits.PAGE_RUNS_MAX),
    default=50,
    show_default=True,
    help="How many runs to list.",
)
@click.option("--cursor", type=RUN_ID, help="List what comes after this run.")
@source_options
@json_option
def list_runs(
    *,
    status: str | None,
    function_id: str,
    since: int | None,
    until: int | None,
    attributes: tuple[str, ...],
    limit: int,
    cursor: str | None,
    source: Source,
    as_json: bool,
) -> None:
    """List runs, newest first."""
    query = RunQuery(
        status=status or "",
        function_id=function_id,
        since=since or 0,
        until=until or 0,
        cursor=cursor or "",
        limit=limit,
        attributes=parse_filters(attributes, option="--attribute"),
    )

    found = _found(source, query, attributes)
    after = found[-1].id if len(found) == limit else None
    if as_json:
        output.write_json({"runs": [document(each) for each in found], "cursor": after})
        return
    _write(found)
    if after is not None:
        click.echo(f"There may be more: add --cursor {after}", err=True)


def _found(
    source: Source, query: RunQuery, attributes: Sequence[str]
) -> Sequence[RunDocument]:
    if isinstance(source, Server):
        call = calls.list_runs(
            statuses=[query.status] if query.status else (),
            function_id=query.function_id,
            since=moment(query.since) or "",
            until=moment(query.until) or "",
            attributes=attributes,
            cursor=query.cursor,
            limit=query.limit,
        )
        return remote.document(source, call, RunListDocument).runs

    async def find(journal: Journal) -> Sequence[RunDocument]:
        return [run_document(each) for each in await journal.find(query)]

    return journals.read(source, find)


def document(run: RunDocument) -> dict[str, object]:
    """Return a run as JSON has it."""
    found: dict[str, object] = msgspec.to_builtins(run)
    return found


def took(run: RunDocument) -> str:
    """Return how long a run took, or has taken so far."""
    until = output.microseconds(run.ended_at) or time.time_ns() // 1_000
    return format_duration(max(until - output.microseconds(run.created_at), 0))


def _write(found: Sequence[RunDocument]) -> None:
    if not found:
        click.echo("No runs.", err=True)
        return
    rows = [
        (
            each.id,
            output.state(each.status),
            output.plain(each.function_id),
            output.local(output.microseconds(each.created_at)),
            took(each),
            str(each.records),
            output.plain(each.event_name),
        )
        for each in found
    ]
    headings = ("RUN", "STATUS", "FUNCTION", "STARTED", "TOOK", "RECORDS", "EVENT")
    output.table(headings, rows, dropped=("EVENT", "RECORDS", "TOOK", "STARTED"))
