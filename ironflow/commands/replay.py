"""`ironflow replay`: do recorded runs go with today's code?"""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click

from ironflow.commands import journals
from ironflow.commands.options import (
    APP_TARGET,
    RUN_ID,
    data_dir_option,
    json_option,
)
from ironflow.commands.progress import Update, progress
from ironflow.commands.replay_report import Report
from ironflow.debug.chain import Chain
from ironflow.debug.replay import Replay
from ironflow.debug.verdict import Verdict
from ironflow.interpreter.program import Program
from ironflow.journal.base import Journal, RunQuery, RunSummary
from ironflow.limits import PAGE_RUNS_MAX


@dataclass(frozen=True, slots=True)
class _Options:
    run_id: str | None
    function_id: str
    inputs: bool
    verify: bool


@click.command()
@click.argument("run_id", metavar="[RUN]", type=RUN_ID, required=False)
@click.option("--all", "every", is_flag=True, help="Replay every run of the journal.")
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
    directory: Path,
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
        journals.read(directory, partial(_replay, report, options, update))
    report.write(one=not every, as_json=as_json)
    if report.is_bad(strict=strict):
        raise click.exceptions.Exit(1)


async def _replay(
    report: Report, options: _Options, update: Update, journal: Journal
) -> None:
    total = await _total(journal, options) if update.is_shown else 0
    started = time.monotonic()
    async for summary in _runs(journal, options):
        program = report.programs.get(summary.row.function_id)
        if program is None:
            report.unknown(summary)
            continue
        verdict = await _verdict(journal, program, summary, options)
        report.add(summary, verdict)
        update(report.records, total, "")
    report.seconds = time.monotonic() - started


async def _runs(journal: Journal, options: _Options) -> AsyncIterator[RunSummary]:
    if options.run_id is not None:
        yield await journals.found(journal, options.run_id)
        return
    query = RunQuery(function_id=options.function_id, limit=PAGE_RUNS_MAX)
    while found := await journal.find(query):
        for summary in found:
            yield summary
        query = replace(query, cursor=found[-1].row.run_id)


async def _total(journal: Journal, options: _Options) -> int:
    """How many records there are: what the bar is a part of."""
    return sum([summary.length async for summary in _runs(journal, options)])


async def _verdict(
    journal: Journal, program: Program, summary: RunSummary, options: _Options
) -> Verdict:
    # Function code must not find the task of Trio in which histories are read.
    from ironflow.engine.guard import OutsideTrio

    run_id = summary.row.run_id
    chain = Chain(journal.environment, run_id) if options.verify else None
    replaying = Replay(program, run_id, inputs=options.inputs)
    while True:
        async for page in journals.pages(journal, run_id):
            if chain is not None:
                chain.follow(page)
            with OutsideTrio():
                replaying.take(page)
        chain = None  # what comes is read for the second time
        with OutsideTrio():
            verdict = replaying.verdict()
        if verdict is not None:
            return verdict
        replaying = replaying.closer()
