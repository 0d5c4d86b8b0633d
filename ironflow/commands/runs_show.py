"""`ironflow runs show`: header, reasons, timeline; or the raw records."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from ironflow.client import calls
from ironflow.commands import journals, output, remote, run_documents, run_timeline
from ironflow.commands.options import RUN_ID, Bundle, bundle_option, json_option
from ironflow.commands.remote import Server
from ironflow.commands.runs_list import took
from ironflow.commands.source import Source, source_options
from ironflow.commands.standing import IN_BUNDLE, SERVED, SHARED, moved, reasons
from ironflow.interpreter.fold import RunState, fold
from ironflow.journal.base import Journal
from ironflow.limits import HISTORY_RECORDS_MAX
from ironflow.records import Entry, RunStarted
from ironflow.transport.rendering import run_document
from ironflow.wire.answers import RunDocument

_LABEL_COLUMNS: Final = 11


@dataclass(frozen=True, slots=True)
class _Found:
    run: RunDocument
    entries: Sequence[Entry]


@click.command()
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.option("--records", is_flag=True, help="Show the raw records instead.")
@click.option("--full", is_flag=True, help="Show values whole.")
@bundle_option
@source_options
@json_option
def show(
    *,
    run_id: str,
    records: bool,
    full: bool,
    bundle: Path | None,
    source: Source,
    as_json: bool,
) -> None:
    """Show what a run did and why it stands as it does.

    Each line is an operation: its state, its id within its branch, how long it took
    from being asked to its end, where it stands in the source, and its value, error,
    or what it waits for.
    """
    found = _found(Bundle(bundle) if bundle else source, run_id)
    if records:
        run_documents.write_records(found.entries, as_json=as_json, full=full)
        return
    now = time.time_ns() // 1_000
    state = fold(found.entries)
    owner = IN_BUNDLE if bundle else _owner(source)
    why = [*reasons(found.run, state, now=now, owner=owner)]
    if as_json:
        output.write_json(run_documents.of_run(found.run, state, why))
        return
    _write_header(found, state, why, full=full)
    run_timeline.write(state, now=now, full=full)


def _found(source: Source | Bundle, run_id: str) -> _Found:
    if isinstance(source, Server):
        run = remote.document(source, calls.get_run(run_id), RunDocument)
        with remote.connected(source) as client:
            return _Found(run, client.history(run_id, limit=HISTORY_RECORDS_MAX))

    async def read(journal: Journal) -> _Found:
        summary = await journals.found(journal, run_id)
        entries = await journals.history(journal, run_id)
        return _Found(run_document(summary), entries)

    return journals.read(source, read)


def _owner(source: Source) -> int | None:
    match source:
        case Server():
            return SERVED
        case str():
            return SHARED
        case Path():
            from ironflow.journal.lmdb.owner import read_owner

            return read_owner(source)


def _write_header(
    found: _Found, state: RunState, why: list[str], *, full: bool
) -> None:
    run = found.run
    started = output.local(output.microseconds(run.created_at))
    lines = [
        ("Run", run.id),
        ("Function", f"{output.plain(run.function_id)}  {_version(state)}"),
        ("Status", output.state(run.status)),
        ("Started", f"{started}  took {took(run)}"),
        ("Event", _event(state, full=full)),
    ]
    if run.attributes:
        lines.append(("Attributes", _attributes(run)))
    lines += _kin(found)
    if state.error is not None:
        lines.append(("Error", f"{state.error.type}: {state.error.message}"))
    elif state.payload:
        lines.append(("Output", output.value(state.payload, full=full)))
    lines.extend(("Why" if not index else "", line) for index, line in enumerate(why))
    for name, text in lines:
        _write_line(name, text)


def _kin(found: _Found) -> Iterator[tuple[str, str]]:
    """The runs and workers that it has to do with."""
    run = found.run
    if run.parent_run:
        step = output.plain(_parent_step(found.entries))
        yield "Parent", f"{run.parent_run}  {step}"
    if run.continued_from:
        yield "Continues", run.continued_from
    if run.continued_to:
        yield "Goes on", run.continued_to
    if run.lost:
        yield "Moved", output.plain(moved(run.lost))


def _attributes(run: RunDocument) -> str:
    texts = [
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in run.attributes.items()
    ]
    return output.plain("  ".join(texts))


def _parent_step(entries: Sequence[Entry]) -> str:
    first = entries[0].record if entries else None
    return first.parent_step if isinstance(first, RunStarted) else ""


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
    label = output.dim(output.padded_to(name, _LABEL_COLUMNS))
    for line in output.wrapped(text, output.width() - _LABEL_COLUMNS):
        click.echo(label + line)
        label = " " * _LABEL_COLUMNS
