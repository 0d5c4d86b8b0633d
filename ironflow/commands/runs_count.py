"""`ironflow runs count`."""

from collections.abc import Sequence

import click
import msgspec

from ironflow.client import calls
from ironflow.commands import journals, output, remote
from ironflow.commands.options import json_option
from ironflow.commands.remote import Server
from ironflow.commands.source import Source, source_options
from ironflow.journal.base import CountedJournal
from ironflow.transport.rendering import run_count_document
from ironflow.wire.answers import RunCountDocument, RunCountsDocument


@click.command()
@source_options
@json_option
def count(*, source: Source, as_json: bool) -> None:
    """Count runs by function and status."""
    found = _found(source)
    if as_json:
        total = sum(each.runs for each in found)
        output.write_json({"counts": msgspec.to_builtins(found), "total": total})
        return
    if not found:
        click.echo("No runs.", err=True)
        return
    rows = [
        (output.plain(each.function_id), output.state(each.status), str(each.runs))
        for each in found
    ]
    output.table(("FUNCTION", "STATUS", "RUNS"), rows)


def _found(source: Source) -> Sequence[RunCountDocument]:
    if isinstance(source, Server):
        return remote.document(source, calls.count_runs(), RunCountsDocument).counts

    async def read(journal: CountedJournal) -> Sequence[RunCountDocument]:
        return [run_count_document(each) for each in await journal.counts()]

    return journals.read(source, read)
