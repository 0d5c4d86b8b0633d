"""`ironflow runs cancel` and `runs retry`.

In a data directory they are requests, acted upon at the next start; a server acts at once.
"""

import time
from typing import Final

import click

from ironflow import limits
from ironflow.client import calls
from ironflow.commands import journals, output, remote
from ironflow.commands.options import RUN_ID, Place, json_option
from ironflow.commands.remote import Server
from ironflow.commands.source import Source, source_options
from ironflow.interpreter.fold import fold
from ironflow.journal.base import (
    CLOSED,
    JournalCommand,
    RequestCancel,
    ResumeRun,
    RunSummary,
)
from ironflow.wire.answers import RunDocument

_ACTOR: Final = "ironflow runs cancel"
_ENDED: Final = {
    "completed": "completed",
    "failed": "failed",
    "cancelled": "been cancelled",
}


@click.command()
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.option("--reason", default="", help="Why; it is kept in the run's history.")
@source_options
@json_option
def cancel(*, run_id: str, reason: str, source: Source, as_json: bool) -> None:
    """Ask a run to cancel.

    In a data directory the request is recorded. It acts when an engine carries the run on:
    at the next start, since no process may own the directory now.
    """
    check_reason(reason)
    if isinstance(source, Server):
        is_new = _cancel_there(source, run_id, reason)
    else:
        is_new = _cancel_here(source, run_id, reason)
    _tell(
        run_id,
        "cancel requested" if is_new else "cancel was requested before",
        source=source,
        as_json=as_json,
        is_new=is_new,
    )


def _cancel_here(place: Place, run_id: str, reason: str) -> bool:
    def request(summary: RunSummary) -> JournalCommand:
        row = summary.row
        _check_open(run_id, row.status)
        return RequestCancel(row.run_id, _ACTOR, reason, time.time_ns() // 1_000)

    _, answer = journals.change(place, run_id, request)
    return bool(getattr(answer, "changed", True))


def _cancel_there(server: Server, run_id: str, reason: str) -> bool:
    run = remote.document(server, calls.get_run(run_id), RunDocument)
    _check_open(run_id, run.status)
    with remote.connected(server) as client:
        # One that no engine has taken out of the inbox yet is not seen: it is asked again.
        before = fold(client.history(run_id, limit=limits.HISTORY_RECORDS_MAX))
        client.cancel_run(run_id, reason=reason)
    return before.cancel is None


def _check_open(run_id: str, status: str) -> None:
    if status in CLOSED and status != "continued":
        raise click.ClickException(
            f"run {run_id} has {_ENDED[status]}; there is nothing to cancel"
        )


@click.command()
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@source_options
@json_option
def retry(*, run_id: str, source: Source, as_json: bool) -> None:
    """Let a paused run try again; with a server, one that has failed, too.

    It goes on from where it stands when an engine carries it on: in a data directory at
    the next start, since no process may own the directory now.
    """
    if isinstance(source, Server):
        with remote.connected(source) as client:
            client.retry_run(run_id)
    else:
        _retry_here(source, run_id)
    _tell(run_id, "retry requested", source=source, as_json=as_json, is_new=True)


def _retry_here(place: Place, run_id: str) -> None:
    def request(summary: RunSummary) -> JournalCommand:
        if summary.row.status != "paused":
            raise click.ClickException(
                f"run {run_id} is {summary.status}, not paused; only a paused run can be"
                " retried. Emit its event again to start another run"
            )
        return ResumeRun(run_id)

    journals.change(place, run_id, request)


def check_reason(reason: str) -> None:
    """Refuse a reason that would be cut off.

    Raises:
        BadParameter: it is too long.
    """
    if len(reason) > limits.REASON_CHARS_MAX:
        raise click.BadParameter(
            f"it has {len(reason)} characters; at most {limits.REASON_CHARS_MAX} are"
            " kept",
            param_hint="--reason",
        )


def _tell(
    run_id: str, what: str, *, source: Source, as_json: bool, is_new: bool
) -> None:
    if as_json:
        output.write_json({"run_id": run_id, "status": what, "changed": is_new})
        return
    when = "" if isinstance(source, Server) else "; it acts when the next engine starts"
    click.echo(f"{run_id}: {what}{when}")
