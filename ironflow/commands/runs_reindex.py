"""`ironflow runs reindex`."""

import click

from ironflow.commands import journals, output
from ironflow.commands.options import Place, data_dir_option, json_option
from ironflow.commands.progress import progress
from ironflow.errors import JournalOwned


@click.command()
@data_dir_option
@json_option
def reindex(*, directory: Place, as_json: bool) -> None:
    """Make the index of runs anew.

    Lists and counts read it. Nothing else depends on it: an engine makes one that is
    missing while it works.
    """
    if isinstance(directory, str):
        raise click.ClickException(
            "runs reindex works on a data directory; in PostgreSQL use REINDEX"
        )
    from ironflow.journal.lmdb.reindex import reindex as made_anew

    journals.url_of(directory)  # or it says that there is no journal
    taken_in = 0
    with progress("Indexing") as update:

        def told(runs: int) -> None:
            nonlocal taken_in
            taken_in = runs
            update(runs, 0, "runs")

        try:
            made_anew(directory, told)
        except JournalOwned as error:
            raise journals.owned(directory) from error
    if as_json:
        output.write_json({"runs": taken_in})
        return
    click.echo(f"{directory}: {taken_in} runs are in the index")
