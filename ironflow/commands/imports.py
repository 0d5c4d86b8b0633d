"""`ironflow import`: the runs of a bundle into a journal."""

from pathlib import Path

import click

from ironflow.commands import journals, output
from ironflow.commands.options import Place, data_dir_option, json_option
from ironflow.commands.progress import Update, progress
from ironflow.errors import JournalOwned
from ironflow.journal.archive import Imported, import_runs
from ironflow.journal.bundle import BundleFile


@click.command("import")
@click.argument("path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--resume",
    is_flag=True,
    help="Let runs that have not ended go on here; nobody else may carry them on.",
)
@click.option(
    "--skip-existing", is_flag=True, help="Leave runs that are here as they are."
)
@data_dir_option
@json_option
def import_(
    *, path: Path, resume: bool, skip_existing: bool, directory: Place, as_json: bool
) -> None:
    """Store the runs of a bundle in a journal.

    The journal is made if there is none. Runs that have ended are stored whole. The
    others are paused, so that nothing is done twice: 'ironflow runs retry' lets one go
    on, --resume all of them.
    """
    with progress("Importing") as update:
        try:
            found = _import(
                path, directory, update, resume=resume, skip_existing=skip_existing
            )
        except JournalOwned as error:
            raise journals.owned(directory) from error
    if as_json:
        output.write_json(
            {"imported": list(found.run_ids), "skipped": list(found.skipped)}
        )
        return
    skipped = f", {len(found.skipped)} were there" if found.skipped else ""
    click.echo(f"{path}: {len(found.run_ids)} runs imported{skipped}")


def _import(
    path: Path,
    directory: Place,
    update: Update,
    *,
    resume: bool,
    skip_existing: bool,
) -> Imported:
    import trio

    from ironflow.journal.url import open_journal

    async def main() -> Imported:
        bundle = BundleFile(path)  # before a journal is made for it
        try:
            async with open_journal(journals.new_url_of(directory)) as journal:
                return await import_runs(
                    journal,
                    bundle,
                    lambda done, total: update(done, total, ""),
                    resume=resume,
                    skip_existing=skip_existing,
                )
        finally:
            bundle.close()

    return trio.run(main)
