"""`ironflow replay`: do recorded runs go with today's code?"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import click

from ironflow.commands import journals
from ironflow.commands.options import (
    APP_TARGET,
    RUN_ID,
    Bundle,
    Place,
    bundle_option,
    data_dir_option,
    json_option,
)
from ironflow.commands.progress import Update, progress
from ironflow.commands.replay_report import Report
from ironflow.debug.chain import Chain
from ironflow.debug.replay import Replay
from ironflow.debug.verdict import Verdict
from ironflow.journal.base import Journal, RunQuery, RunSummary
from ironflow.limits import PAGE_RUNS_MAX
from ironflow.records import Entry

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Options:
    run_id: str | None
    function_id: str
    inputs: bool
    verify: bool


@click.command()
@click.argument("run_id", metavar="[RUN]", type=RUN_ID, required=False)
@click.option("--all", "every", is_flag=True, help="Replay every run there is.")
@click.option(
    "--app",
    "target",
    type=APP_TARGET,
    required=True,
    help="Today's code: module:attribute or path/file.py:attribute.",
)
@click.option(
    "--function", "function_id", default="", help="With --all: only this function."
)
@click.option(
    "--inputs", is_flag=True, help="Note changed arguments of steps, too (slower)."
)
@click.option("--verify", is_flag=True, help="Check digests on the way (slower).")
@click.option(
    "--strict", is_flag=True, help="Fail for functions that the app does not have."
)
@bundle_option
@data_dir_option
@json_option
def replay(
    *,
    run_id: str | None,
    every: bool,
    target: str,
    function_id: str,
    inputs: bool,
    verify: bool,
    strict: bool,
    bundle: Path | None,
    directory: Place,
    as_json: bool,
) -> None:
    """Run today's code over recorded histories, without any effect.

    No step is performed, nothing is written, and an engine may own the directory
    meanwhile. Each run is the same, extends (the code asks for more at the end of an
    open run), diverges at a record, or stops there with a bug. With --all, runs that
    disagree for one cause are one group.

    Exit status 1 if any run diverges or stops.
    """
    if (run_id is None) == (not every):
        raise click.UsageError("give a RUN or --all" + (", not both" * every))
    if function_id and not every:
        raise click.UsageError("--function goes with --all; a RUN has its function")
    options = _Options(run_id, function_id, inputs, verify)
    from ironflow.authoring.load import load_app

    app = load_app(target)
    if function_id:
        app.function(function_id)
    report = Report(dict(app.programs))
    with progress("Replaying") as update:
        place = Bundle(bundle) if bundle else directory
        journals.read(place, partial(_replay, report, options, update))
    report.write(one=not every, as_json=as_json)
    if report.is_bad(strict=strict):
        raise click.exceptions.Exit(1)


async def _replay(
    report: Report, options: _Options, update: Update, journal: Journal
) -> None:
    total = await _total(journal, options) if update.is_shown else 0
    started = time.monotonic()
    found = await _page(journal, options, after=None)
    while found:
        for summary in found:
            await _replay_one(report, options, journal, summary)
            update(report.records, total, "")
        found = await _page(journal, options, after=found[-1])
    report.seconds = time.monotonic() - started


async def _page(
    journal: Journal, options: _Options, *, after: RunSummary | None
) -> Sequence[RunSummary]:
    """Return the next runs that were asked for."""
    if options.run_id is None:
        cursor = "" if after is None else after.row.run_id
        query = RunQuery(
            function_id=options.function_id, cursor=cursor, limit=PAGE_RUNS_MAX
        )
        return await journal.find(query)
    return [] if after else [await journals.found(journal, options.run_id)]


async def _total(journal: Journal, options: _Options) -> int:
    """How many records there are: what the bar is a part of."""
    total = 0
    found = await _page(journal, options, after=None)
    while found:
        total += sum(summary.length for summary in found)
        found = await _page(journal, options, after=found[-1])
    return total


async def _replay_one(
    report: Report, options: _Options, journal: Journal, summary: RunSummary
) -> None:
    program = report.programs.get(summary.row.function_id)
    if program is None:
        report.unknown(summary)
        return
    run_id = summary.row.run_id
    chain = Chain(journal.environment, run_id)
    if options.verify:
        await journals.walk(journal, run_id, chain.follow)
    replaying: Replay | None = Replay(program, run_id, inputs=options.inputs)
    while replaying is not None:
        await journals.walk(journal, run_id, _taking(replaying))
        verdict: Verdict | None = _outside(replaying.verdict)
        if verdict is not None:
            report.add(summary, verdict)
        replaying = replaying.closer() if verdict is None else None


def _taking(replaying: Replay) -> Callable[[Sequence[Entry]], None]:
    return lambda page: _outside(lambda: replaying.take(page))


def _outside(work: Callable[[], T]) -> T:
    """Run function code, which must not find the task that reads histories."""
    from ironflow.engine.guard import OutsideTrio

    with OutsideTrio():
        return work()
