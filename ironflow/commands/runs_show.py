"""`ironflow runs show`: header, reasons, timeline; or the raw records."""

import time
from dataclasses import dataclass
from pathlib import Path

import click

from ironflow.commands import journals, output, run_documents, run_timeline
from ironflow.commands.options import (
    RUN_ID,
    Bundle,
    Place,
    bundle_option,
    data_dir_option,
    json_option,
)
from ironflow.commands.runs_list import took
from ironflow.commands.standing import IN_BUNDLE, SHARED, moved, reasons
from ironflow.interpreter.fold import RunState, fold
from ironflow.journal.base import Journal, RunSummary
from ironflow.records import Entry


@dataclass(frozen=True, slots=True)
class _Found:
    summary: RunSummary
    entries: list[Entry]


@click.command()
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.option("--records", is_flag=True, help="Show the raw records instead.")
@click.option("--full", is_flag=True, help="Show values whole.")
@bundle_option
@data_dir_option
@json_option
def show(
    *,
    run_id: str,
    records: bool,
    full: bool,
    bundle: Path | None,
    directory: Place,
    as_json: bool,
) -> None:
    """Show what a run did and why it stands as it does.

    Each line is an operation: its state, its id within its branch, how long it took
    from being asked to its end, where it stands in the source, and its value, error,
    or what it waits for.
    """

    async def read(journal: Journal) -> _Found:
        summary = await journals.found(journal, run_id)
        return _Found(summary, await journals.history(journal, run_id))

    found = journals.read(Bundle(bundle) if bundle else directory, read)
    if records:
        run_documents.write_records(found.entries, as_json=as_json, full=full)
        return
    now = time.time_ns() // 1_000
    state = fold(found.entries)
    owner = IN_BUNDLE if bundle else _owner(directory)
    why = [*reasons(found.summary, state, now=now, owner=owner)]
    if as_json:
        output.write_json(run_documents.run(found.summary, state, why))
        return
    _write_header(found.summary, state, why, full=full)
    run_timeline.write(state, now=now, full=full)


def _owner(directory: Place) -> int | None:
    if isinstance(directory, str):
        return SHARED
    from ironflow.journal.lmdb.owner import read_owner

    return read_owner(directory)


def _write_header(
    summary: RunSummary, state: RunState, why: list[str], *, full: bool
) -> None:
    row = summary.row
    lines = [
        ("Run", row.run_id),
        ("Function", f"{output.plain(row.function_id)}  {_version(state)}"),
        ("Status", output.state(summary.status)),
        ("Started", f"{output.local(row.created_at)}  took {took(summary)}"),
        ("Event", _event(state, full=full)),
    ]
    if row.parent_run:
        lines.append(("Parent", f"{row.parent_run}  {output.plain(row.parent_step)}"))
    if row.continued_from:
        lines.append(("Continues", row.continued_from))
    if row.continued_to:
        lines.append(("Goes on", row.continued_to))
    if row.lost is not None:
        lines.append(("Moved", output.plain(moved(summary))))
    if state.error is not None:
        lines.append(("Error", f"{state.error.type}: {state.error.message}"))
    elif state.payload:
        lines.append(("Output", output.value(state.payload, full=full)))
    lines.extend(("Why" if not index else "", line) for index, line in enumerate(why))
    for name, text in lines:
        _write_line(name, text)


def _version(state: RunState) -> str:
    attempt = f", attempt {state.attempt}" if state.attempt > 1 else ""
    return output.dim(f"version {output.plain(state.version)}{attempt}")


def _event(state: RunState, *, full: bool) -> str:
    event = state.event
    if event is None:
        return state.event_id
    data = output.value(event.data, full=full)
    return f"{output.plain(event.name)}  {output.dim(event.id)}  {data}"


def _write_line(name: str, text: str) -> None:
    """Print a line of the header; a long one goes on below itself."""
    label = output.dim(output.padded_to(name, 10))
    for line in output.wrapped(text, output.width() - 10):
        click.echo(label + line)
        label = " " * 10
