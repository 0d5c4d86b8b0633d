"""`ironflow workers`: who is connected to a server."""

from typing import Final

import click

from ironflow.client import calls
from ironflow.commands import output
from ironflow.commands.group import LazyCommand, LazyGroup
from ironflow.commands.options import json_option
from ironflow.commands.remote import Server, send, server_options

COMMANDS: Final = {
    "list": LazyCommand(
        "ironflow.commands.workers:list_workers",
        "List the workers that are connected to a server.",
    ),
}


@click.group(cls=LazyGroup, commands_by_name=COMMANDS)
def workers() -> None:
    """List the workers of a server."""


@click.command("list")
@server_options
@json_option
def list_workers(*, server: str, api_key: str, as_json: bool) -> None:
    """List the workers that are connected to a server."""
    found = send(Server(server, api_key), calls.list_workers())
    if as_json:
        output.write_json(found)
        return
    if not found["workers"]:
        click.echo("No workers.", err=True)
        return
    rows = [
        (
            output.plain(each["id"]),
            output.plain(each["hostname"]),
            each["transport"],
            f"{each['active_jobs']}/{each['max_concurrent']}",
            each["last_heartbeat"] or "-",
            output.plain(", ".join(each["function_ids"])),
        )
        for each in found["workers"]
    ]
    headings = ("WORKER", "HOST", "BY", "JOBS", "HEARD OF", "FUNCTIONS")
    output.table(headings, rows, dropped=("HOST", "BY", "HEARD OF"), cuttable=True)
