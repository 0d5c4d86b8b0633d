"""`ironflow export`: runs into a bundle."""

from pathlib import Path

import click

from ironflow.commands import journals, output
from ironflow.commands.options import (
    RUN_ID,
    STATUSES,
    Place,
    data_dir_option,
    json_option,
)
from ironflow.commands.progress import progress
from ironflow.journal.base import Journal


@click.command()
@click.argument("run_ids", metavar="[RUN]...", type=RUN_ID, nargs=-1)
@click.option("--all", "every", is_flag=True, help="Export every run of the journal.")
@click.option(
    "--function", "function_id", default="", help="Export the runs of this function."
)
@click.option(
    "--status", type=click.Choice(STATUSES), help="Export the runs that stand so."
)
@click.option(
    "--with-children",
    is_flag=True,
    help="Also what those runs have started or continued in.",
)
@click.option(
    "-o",
    "--output",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The file to write; a bundle of this name is replaced.",
)
@data_dir_option
@json_option
def export(
    *,
    run_ids: tuple[str, ...],
    every: bool,
    function_id: str,
    status: str | None,
    with_children: bool,
    path: Path,
    directory: Place,
    as_json: bool,
) -> None:
    """Write runs into one file, a bundle.

    It has each run with its history as it is stored, checked on the way. 'ironflow
    runs show --bundle' and 'replay --bundle' read it, and so does any reader of
    MessagePack. An engine may own the directory meanwhile.
    """
    filtered = bool(function_id or status)
    if sum((bool(run_ids), every, filtered)) != 1:
        raise click.UsageError("give RUNs, or --all, or --function and --status")
    from ironflow.journal.archive import Selection, export_runs

    selection = Selection(run_ids, function_id, status or "", with_children)
    with progress("Exporting") as update:

        async def work(journal: Journal) -> list[str]:
            return await export_runs(
                journal, selection, path, lambda done, total: update(done, total, "")
            )

        found = journals.read(directory, work)
    if as_json:
        output.write_json(
            {"file": str(path), "runs": found, "bytes": path.stat().st_size}
        )
        return
    click.echo(f"{path}: {len(found)} runs, {path.stat().st_size} bytes")
