"""What changes runs of a server alone: pause, delete and patch."""

import click

from ironflow.client import calls
from ironflow.commands import output, remote
from ironflow.commands.json_input import parsed
from ironflow.commands.options import RUN_ID, json_option
from ironflow.commands.remote import Server, server_options
from ironflow.commands.runs_change import check_reason


@click.command()
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.option("--reason", default="", help="Why; it is shown while the run is paused.")
@server_options
@json_option
def pause(
    *, run_id: str, reason: str, server: str, api_key: str, as_json: bool
) -> None:
    """Let a run of a server stand still until it is resumed.

    One that is being carried on is paused when the steps that run have ended.
    """
    check_reason(reason)
    call = calls.pause_run(run_id, reason=reason)
    found = remote.send(Server(server, api_key), call)
    if as_json:
        output.write_json(found)
    elif found["status"] == "paused":
        click.echo(f"{run_id}: paused")
    else:
        click.echo(f"{run_id}: asked to pause; it is {found['status']} now")


@click.command()
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@server_options
@json_option
def delete(*, run_id: str, server: str, api_key: str, as_json: bool) -> None:
    """Forget a run of a server that has ended, with all its records."""
    remote.send(Server(server, api_key), calls.delete_run(run_id))
    if as_json:
        output.write_json({"run_id": run_id, "deleted": True})
    else:
        click.echo(f"{run_id}: deleted")


@click.command()
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.argument("step")
@click.option("--output", "result", required=True, help="The new result, as JSON.")
@click.option("--reason", default="", help="Why; it is kept in the run's history.")
@server_options
@json_option
def patch(
    *,
    run_id: str,
    step: str,
    result: str,
    reason: str,
    server: str,
    api_key: str,
    as_json: bool,
) -> None:
    """Replace the result of a step of a run of a server.

    STEP is its id, as 'ironflow runs show' has it. The run must wait, be paused or have
    failed; what the result was stays in its history.
    """
    check_reason(reason)
    call = calls.patch_step(
        run_id, step, parsed(result, option="--output"), reason=reason
    )
    found = remote.send(Server(server, api_key), call)
    if as_json:
        output.write_json(found)
    else:
        status = found["status"]
        click.echo(f"{run_id}: the result of {output.plain(step)} is replaced")
        if status in {"paused", "failed"}:
            click.echo(
                f"it is {status}; 'ironflow runs resume' lets it go on", err=True
            )
