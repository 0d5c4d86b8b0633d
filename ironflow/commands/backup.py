"""`ironflow backup`, `restore` and `compact`: files of a data directory."""

from pathlib import Path

import click

from ironflow.commands import journals, output
from ironflow.commands.options import Place, data_dir_option, json_option
from ironflow.commands.progress import progress
from ironflow.journal.lmdb.backup import Backup, back_up
from ironflow.journal.lmdb.backup import restore as restored
from ironflow.journal.lmdb.compacting import compact as compacted
from ironflow.journal.lmdb.verify import Finding, verify
from ironflow.wire.answers import moment

FILE = click.Path(dir_okay=False, path_type=Path)


def data_directory(place: Place, command: str) -> Path:
    """Return the directory that there must be.

    Raises:
        ClickException: it is a journal in PostgreSQL, or there is none.
    """
    if isinstance(place, str):
        raise click.ClickException(
            f"{command} is for a data directory; a journal in PostgreSQL is kept by the"
            " server's own tools (pg_dump, pg_basebackup, VACUUM)"
        )
    journals.check_there(place)
    return place


@click.command()
@click.argument("path", metavar="FILE", type=FILE)
@data_dir_option
@json_option
def backup(*, path: Path, directory: Place, as_json: bool) -> None:
    """Copy a data directory into one file.

    An engine may own the directory meanwhile: the backup has everything that was
    committed when it began, as of one moment.
    """
    source = data_directory(directory, "backup")
    with progress("Backing up") as update:
        found = back_up(source, path, lambda done, total: update(done, total, ""))
    size = path.stat().st_size
    if as_json:
        output.write_json({"file": str(path), "bytes": size, **_document(found)})
        return
    click.echo(f"{path}: up to commit {found.number}, {size} bytes")


@click.command()
@click.argument("path", metavar="FILE", type=FILE)
@click.argument(
    "directory", metavar="DIRECTORY", type=click.Path(file_okay=False, path_type=Path)
)
@json_option
def restore(*, path: Path, directory: Path, as_json: bool) -> None:
    """Make a data directory of a backup.

    The directory must be new or empty. It appears when it is whole; then everything
    in it is verified, as 'ironflow verify' does. Exit status 1 if anything is damaged.
    """
    with progress("Restoring") as update:
        found = restored(path, directory, lambda done, total: update(done, total, ""))
    with progress("Verifying") as update:
        findings: list[Finding] = []
        for each in verify(directory):
            if isinstance(each, Finding):
                findings.append(each)
            else:
                update(each.done, each.total, each.part)
    if as_json:
        wrong = [each.message for each in findings]
        output.write_json(
            {"directory": str(directory), "findings": wrong, **_document(found)}
        )
    else:
        click.echo(f"{directory}: up to commit {found.number}, as it was backed up")
    if findings:
        click.echo(
            f"{len(findings)} findings: it was damaged when the backup was taken;"
            f" 'ironflow doctor --data-dir {directory}' says what is intact",
            err=True,
        )
        raise click.exceptions.Exit(1)


def _document(found: Backup) -> dict[str, object]:
    return {"commit": found.number, "taken_at": moment(found.taken_at)}


@click.command()
@data_dir_option
@json_option
def compact(*, directory: Place, as_json: bool) -> None:
    """Make a data directory as small as what is in it.

    Nobody may have it open. It needs room for a copy. Payloads that were redacted are in
    none of its files afterwards.
    """
    source = data_directory(directory, "compact")
    found = compacted(source)
    if as_json:
        sizes = {"bytes_before": found.before, "bytes_after": found.after}
        output.write_json({**sizes, "left": list(found.left)})
        return
    click.echo(f"{source}: {found.before} bytes before, {found.after} after")
    for name in found.left:
        click.echo(
            f"{source / name} may still have what was redacted: 'ironflow doctor' says what"
            " is wrong with a segment; a file of an older layout is yours to delete",
            err=True,
        )
