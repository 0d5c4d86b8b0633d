"""`ironflow runs list`."""

import time
from collections.abc import Sequence

import click
import msgspec

from ironflow import limits
from ironflow.commands import journals, output
from ironflow.commands.options import (
    MOMENT,
    RUN_ID,
    STATUSES,
    Place,
    data_dir_option,
    json_option,
)
from ironflow.journal.base import Journal, RunQuery, RunSummary
from ironflow.policy.duration import format_duration
from ironflow.transport.rendering import run_document


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
    "--limit",
    type=click.IntRange(1, limits.PAGE_RUNS_MAX),
    default=50,
    show_default=True,
    help="How many runs to list.",
)
@click.option("--cursor", type=RUN_ID, help="List what comes after this run.")
@data_dir_option
@json_option
def list_runs(
    *,
    status: str | None,
    function_id: str,
    since: int | None,
    until: int | None,
    limit: int,
    cursor: str | None,
    directory: Place,
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
    )

    async def find(journal: Journal) -> Sequence[RunSummary]:
        return await journal.find(query)

    found = journals.read(directory, find)
    after = found[-1].row.run_id if len(found) == limit else None
    if as_json:
        output.write_json({"runs": [document(each) for each in found], "cursor": after})
        return
    _write(found)
    if after is not None:
        click.echo(f"There may be more: add --cursor {after}", err=True)


def document(summary: RunSummary) -> dict[str, object]:
    """Return a run as JSON has it."""
    found: dict[str, object] = msgspec.to_builtins(run_document(summary))
    return found


def took(summary: RunSummary) -> str:
    """Return how long a run took, or has taken so far."""
    row = summary.row
    until = row.ended_at or time.time_ns() // 1_000
    return format_duration(max(until - row.created_at, 0))


def _write(found: Sequence[RunSummary]) -> None:
    if not found:
        click.echo("No runs.", err=True)
        return
    rows = [
        (
            each.row.run_id,
            output.state(each.status),
            output.plain(each.row.function_id),
            output.local(each.row.created_at),
            took(each),
            str(each.length),
            output.plain(each.row.event_name),
        )
        for each in found
    ]
    headings = ("RUN", "STATUS", "FUNCTION", "STARTED", "TOOK", "RECORDS", "EVENT")
    output.table(headings, rows, dropped=("EVENT", "RECORDS", "TOOK", "STARTED"))
