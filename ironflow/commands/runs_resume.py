"""`ironflow runs resume`: a run goes on, where it stopped or from a step."""

import time
from typing import Any

import click
import msgspec
from msgspec import UNSET

from ironflow import values
from ironflow.client import calls
from ironflow.commands import journals, output, remote
from ironflow.commands.json_input import parsed
from ironflow.commands.options import RUN_ID, Place, json_option
from ironflow.commands.remote import Server
from ironflow.commands.runs_change import check_reason
from ironflow.commands.source import Source, source_options
from ironflow.engine.rewinding import FromStep, rewind
from ironflow.errors import MisusedOperation
from ironflow.journal.base import Answer, JournalCommand, Refused, ResumeRun
from ironflow.journal.served import ServedJournal
from ironflow.transport.rendering import run_details_document
from ironflow.transport.run_reads import RunReads


@click.command()
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.option(
    "--from-step", "step", default="", help="Go on from this step: its id, or its name."
)
@click.option("--output", "result", help="What that step gives, as JSON.")
@click.option(
    "--force", is_flag=True, help="Also call a step with once='at_most' again."
)
@click.option("--reason", default="", help="Why; it is kept in the run's history.")
@source_options
@json_option
def resume(
    *,
    run_id: str,
    step: str,
    result: str | None,
    force: bool,
    reason: str,
    source: Source,
    as_json: bool,
) -> None:
    """Let a run go on that is paused or has failed, also from a step.

    With --from-step that step is performed again, and so is all that is on record after
    it; with --output it gives this instead. In a data directory the run goes on at the
    next start, since no process may own the directory now.
    """
    check_reason(reason)
    if not step and (force or result is not None):
        raise click.UsageError("--output and --force go with --from-step")
    given = UNSET if result is None else parsed(result, option="--output")
    if isinstance(source, Server):
        call = calls.resume_run(
            run_id, from_step=step, output=given, force=force, reason=reason
        )
        found = remote.send(source, call)
    else:
        wanted = FromStep(
            step=step,
            result=None if given is UNSET else values.encode(given),
            force=force,
            actor="ironflow runs resume",
            reason=reason,
        )
        found = _resumed_here(source, run_id, wanted)
    if as_json:
        output.write_json(found)
        return
    where = f" from {output.plain(step)}" if step else ""
    click.echo(f"{run_id}: goes on{where}; it is {found['status']} now")


def _resumed_here(place: Place, run_id: str, wanted: FromStep) -> Any:
    async def work(journal: ServedJournal) -> Any:
        async def commit(command: JournalCommand) -> Answer:
            [answer] = await journal.commit([command])
            if isinstance(answer, Refused):
                raise answer.error
            return answer

        summary = await journals.found(journal, run_id)
        if wanted.step:
            now = time.time_ns() // 1_000
            await rewind(journal, commit, run_id, wanted, now=now)
        elif summary.status == "paused":
            await commit(ResumeRun(run_id))
        else:
            raise MisusedOperation(
                f"run {run_id} is {summary.status}, not paused; in a data directory a run"
                " that has failed goes on with --from-step"
            )
        run = await RunReads(journal).get(run_id)
        return msgspec.to_builtins(
            run_details_document(
                run.summary, event=run.event, output=run.output, error=run.error
            )
        )

    return journals.own(place, work)
