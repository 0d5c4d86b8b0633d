"""`ironflow pack`: histories of runs that ended long ago, made small."""

import time

import click

from ironflow.commands import journals, output
from ironflow.commands.options import Place, data_dir_option, json_option
from ironflow.policy.duration import parse_duration


@click.command()
@click.option(
    "--older-than",
    default="1d",
    show_default=True,
    metavar="DURATION",
    help="Pack the histories of runs that ended so long ago.",
)
@data_dir_option
@json_option
def pack(*, older_than: str, directory: Place, as_json: bool) -> None:
    """Pack the histories of runs that ended long ago.

    They are read as before. An engine with `pack_after` does it by itself; nobody may
    own a data directory meanwhile, but engines may be at work in PostgreSQL.
    """
    age = parse_duration(older_than, option="--older-than")
    packing = journals.packed(directory, before=max(1, _now() - age))
    if as_json:
        output.write_json(
            {
                "runs": packing.runs,
                "records": packing.records,
                "bytes_before": packing.bytes_before,
                "bytes_after": packing.bytes_after,
            }
        )
        return
    click.echo(
        f"{packing.runs} runs packed, with {packing.records} records:"
        f" {packing.bytes_before} bytes before, {packing.bytes_after} after"
    )


def _now() -> int:
    return time.time_ns() // 1_000
