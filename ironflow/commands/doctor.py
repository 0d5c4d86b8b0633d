"""`ironflow doctor`: what is wrong, what is intact, what to do."""

from pathlib import Path

import click

from ironflow.commands import output
from ironflow.commands.backup import data_directory
from ironflow.commands.options import Place, data_dir_option, json_option
from ironflow.commands.progress import progress
from ironflow.journal.lmdb.doctor import Diagnosis, diagnose
from ironflow.journal.lmdb.salvage import Plan, Salvaged
from ironflow.journal.lmdb.salvage import salvage as salvaged

_SHOWN_MAX = 20


@click.command()
@click.option(
    "--salvage",
    "target",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write what is intact into a new journal in this directory.",
)
@click.option(
    "--partial",
    is_flag=True,
    help="With --salvage: also runs of which only the beginning is intact.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="With --salvage: let runs that have not ended go on there.",
)
@data_dir_option
@json_option
def doctor(
    *,
    target: Path | None,
    partial: bool,
    resume: bool,
    directory: Place,
    as_json: bool,
) -> None:
    """Say what is wrong with a data directory, what is intact, and what to do.

    No damage ends the command: what could do so is read by another process. It
    changes nothing in the directory. Exit status 1 if anything is wrong.
    """
    if target is None and (partial or resume):
        raise click.UsageError("--partial and --resume go with --salvage")
    source = data_directory(directory, "doctor")
    with progress("Examining") as update:
        found = diagnose(source, lambda part, done, total: update(done, total, part))
    saved = None
    if target is not None:
        plan = Plan(resume=resume, partial=partial)
        with progress("Saving") as update:
            saved = salvaged(
                source,
                target,
                lambda done, total: update(done, total, ""),
                damaged=sorted(found.damaged),
                plan=plan,
            )
    if as_json:
        output.write_json(_document(found, saved))
    else:
        _write(found)
        if saved is not None and target is not None:
            _write_saved(saved, target)
    if not found.is_healthy:
        raise click.exceptions.Exit(1)


def _document(found: Diagnosis, saved: Salvaged | None) -> dict[str, object]:
    return {
        "healthy": found.is_healthy,
        "owner": found.owner,
        "files": found.files,
        "wrong": found.wrong,
        "notes": found.notes,
        "intact": found.intact,
        "advice": found.advice,
        "damaged_runs": sorted(found.damaged),
        "salvaged": None
        if saved is None
        else {
            "runs": sorted(saved.runs),
            "cut": saved.cut,
            "lost": saved.lost,
            "events": saved.events,
            "events_lost": saved.events_lost,
            "documents": sum(saved.documents.values()),
            "documents_lost": sum(saved.documents_lost.values()),
        },
    }


def _write(found: Diagnosis) -> None:
    who = "nobody owns it"
    if found.owner is not None:
        who = f"process {found.owner} owns it"
    click.echo(
        f"{found.directory}: {'healthy' if found.is_healthy else 'damaged'}, {who}"
    )
    for name, size in found.files.items():
        click.echo(f"  {name}: {size} bytes")
    for title, lines in (
        ("Wrong", found.wrong),
        ("To know", found.notes),
        ("Intact", found.intact),
        ("What to do", found.advice),
    ):
        _write_lines(title, lines)


def _write_lines(title: str, lines: list[str]) -> None:
    if lines:
        click.echo(f"{title}:")
    for line in lines[:_SHOWN_MAX]:
        click.echo(f"  {output.plain(line)}")
    if len(lines) > _SHOWN_MAX:
        click.echo(f"  and {len(lines) - _SHOWN_MAX} more; --json has all")


def _write_saved(saved: Salvaged, target: Path) -> None:
    total = len(saved.runs) + len(saved.lost)
    click.echo(
        f"{target}: {len(saved.runs)} of {total} runs and {saved.events} events saved"
    )
    _write_lines("Cut", [f"{run_id}: {why}" for run_id, why in saved.cut.items()])
    _write_lines("Lost", [f"{run_id}: {why}" for run_id, why in saved.lost.items()])
    _write_lines("Lost events", [_gap(*gap) for gap in saved.events_lost])
    kept, lost = sum(saved.documents.values()), sum(saved.documents_lost.values())
    if kept or lost:
        click.echo(f"Documents: {kept} saved, {lost} lost")


def _gap(first: int, last: int) -> str:
    return f"event {first}" if first == last else f"events {first} to {last}"
