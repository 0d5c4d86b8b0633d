"""`ironflow runs cancel` and `runs retry`: requests, acted upon at the next start."""

import time
from typing import Final

import click

from ironflow import limits
from ironflow.commands import journals, output
from ironflow.commands.options import RUN_ID, Place, data_dir_option, json_option
from ironflow.journal.base import (
    CLOSED,
    JournalCommand,
    RequestCancel,
    ResumeRun,
    RunSummary,
)

_ACTOR: Final = "ironflow runs cancel"


@click.command()
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.option("--reason", default="", help="Why; it is kept in the run's history.")
@data_dir_option
@json_option
def cancel(*, run_id: str, reason: str, directory: Place, as_json: bool) -> None:
    """Ask a run to cancel.

    The request is recorded. It acts when an engine carries the run on: at the next
    start, since no process may own the directory now.
    """
    if len(reason) > limits.REASON_CHARS_MAX:
        raise click.BadParameter(
            f"it has {len(reason)} characters; at most {limits.REASON_CHARS_MAX} are"
            " kept",
            param_hint="--reason",
        )

    def request(summary: RunSummary) -> JournalCommand:
        row = summary.row
        if row.status in CLOSED and row.status != "continued":
            raise click.ClickException(
                f"run {row.run_id} has {_ENDED[row.status]}; there is nothing to cancel"
            )
        return RequestCancel(row.run_id, _ACTOR, reason, time.time_ns() // 1_000)

    _, answer = journals.change(directory, run_id, request)
    is_new = getattr(answer, "changed", True)
    _tell(
        run_id,
        "cancel requested" if is_new else "cancel was requested before",
        as_json=as_json,
        is_new=is_new,
    )


_ENDED: Final = {
    "completed": "completed",
    "failed": "failed",
    "cancelled": "been cancelled",
}


@click.command()
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@data_dir_option
@json_option
def retry(*, run_id: str, directory: Place, as_json: bool) -> None:
    """Let a paused run try again.

    It goes on from where it stands when an engine carries it on: at the next start,
    since no process may own the directory now.
    """

    def request(summary: RunSummary) -> JournalCommand:
        if summary.row.status != "paused":
            raise click.ClickException(
                f"run {run_id} is {summary.status}, not paused; only a paused run can be"
                " retried. Emit its event again to start another run"
            )
        return ResumeRun(run_id)

    journals.change(directory, run_id, request)
    _tell(run_id, "retry requested", as_json=as_json, is_new=True)


def _tell(run_id: str, what: str, *, as_json: bool, is_new: bool) -> None:
    if as_json:
        output.write_json({"run_id": run_id, "status": what, "changed": is_new})
        return
    click.echo(f"{run_id}: {what}; it acts when the next engine starts")
