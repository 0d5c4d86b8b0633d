"""`ironflow runs count`."""

from collections.abc import Sequence

import click

from ironflow.commands import journals, output
from ironflow.commands.options import Place, data_dir_option, json_option
from ironflow.journal.base import CountedJournal, RunCount


@click.command()
@data_dir_option
@json_option
def count(*, directory: Place, as_json: bool) -> None:
    """Count runs by function and status."""

    async def read(journal: CountedJournal) -> Sequence[RunCount]:
        return await journal.counts()

    found = journals.read(directory, read)
    total = sum(each.count for each in found)
    if as_json:
        documents = [
            {
                "function_id": each.function_id,
                "status": each.status,
                "runs": each.count,
            }
            for each in found
        ]
        output.write_json({"counts": documents, "total": total})
        return
    if not found:
        click.echo("No runs.", err=True)
        return
    rows = [
        (output.plain(each.function_id), output.state(each.status), str(each.count))
        for each in found
    ]
    output.table(("FUNCTION", "STATUS", "RUNS"), rows)
