"""`ironflow verify`: is what is stored what was written?"""

from collections.abc import Sequence
from pathlib import Path

import click

from ironflow.commands import journals, output
from ironflow.commands.options import Place, data_dir_option, json_option
from ironflow.commands.progress import progress
from ironflow.journal.lmdb.verify import Finding
from ironflow.journal.lmdb.verify import verify as verified


@click.command()
@data_dir_option
@json_option
def verify(*, directory: Place, as_json: bool) -> None:
    """Check that a journal is what was written.

    Reads every record, payload, event and commit and checks their digests, also
    while an engine owns the directory. Exit status 1 if anything is damaged.
    """
    if isinstance(directory, str):
        raise click.ClickException(
            "verify reads a data directory. A journal in PostgreSQL is kept whole by"
            " the server (initdb --data-checksums, pg_amcheck); the digests of its"
            " records are checked by 'ironflow replay --all --verify'"
        )
    journals.check_there(directory)
    findings: list[Finding] = []
    looked_at: dict[str, int] = {}
    with progress("Verifying") as update:
        for found in verified(directory):
            if isinstance(found, Finding):
                findings.append(found)
                continue
            looked_at[found.part] = found.done
            update(found.done, found.total, found.part)
    if as_json:
        output.write_json(
            {
                "good": not findings,
                "findings": [
                    {
                        "message": each.message,
                        "run_id": each.run_id or None,
                        "record": each.record or None,
                    }
                    for each in findings
                ],
                "rows": looked_at,
            }
        )
    else:
        _write(directory, findings, looked_at)
    if findings:
        raise click.exceptions.Exit(1)


def _write(
    directory: Path, findings: Sequence[Finding], looked_at: dict[str, int]
) -> None:
    rows = sum(looked_at.values())
    if not findings:
        click.echo(f"{directory}: whole, {rows} rows looked at")
        return
    for each in findings:
        place = f"{each.run_id}, record {each.record}: " if each.run_id else ""
        click.echo(f"{place}{output.plain(each.message)}")
    click.echo(
        f"{len(findings)} findings; put a backup back, or keep what is left: runs that"
        " are not named here are whole",
        err=True,
    )
