"""`ironflow functions`: what a server's registry has, and registering in it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from ironflow.client import calls
from ironflow.commands import output
from ironflow.commands.group import LazyCommand, LazyGroup
from ironflow.commands.options import APP_TARGET, json_option
from ironflow.commands.remote import Server, send, server_options

COMMANDS: Final = {
    "list": LazyCommand(
        "ironflow.commands.functions:list_functions",
        "List the functions that a server knows.",
    ),
    "show": LazyCommand(
        "ironflow.commands.functions:show", "Show what a server knows of a function."
    ),
    "register": LazyCommand(
        "ironflow.commands.functions:register",
        "Register the functions of an endpoint, which a server then calls for every"
        " run.",
    ),
}

Document = dict[str, Any]


@click.group(cls=LazyGroup, commands_by_name=COMMANDS)
def functions() -> None:
    """List, show and register the functions of a server."""


@click.command("list")
@server_options
@json_option
def list_functions(*, server: str, api_key: str, as_json: bool) -> None:
    """List the functions that a server knows."""
    found = send(Server(server, api_key), calls.list_functions())
    if as_json:
        output.write_json(found)
        return
    if not found["functions"]:
        click.echo("No functions.", err=True)
        return
    _write(found["functions"])


@click.command()
@click.argument("function_id", metavar="FUNCTION")
@click.option("--history", is_flag=True, help="Show what it was, newest first.")
@server_options
@json_option
def show(
    *, function_id: str, history: bool, server: str, api_key: str, as_json: bool
) -> None:
    """Show what a server knows of a function.

    With --history, its versions: one for each time that what it said of itself changed. A
    function whose code the server or a worker has, has none.
    """
    place = Server(server, api_key)
    if history:
        found = send(place, calls.function_versions(function_id))
        _show_versions(found, as_json=as_json)
        return
    found = send(place, calls.get_function(function_id))
    if as_json:
        output.write_json(found)
        return
    for name, text in _lines(found):
        click.echo(output.dim(output.padded_to(name, 12)) + output.plain(text))


def _show_versions(found: Document, *, as_json: bool) -> None:
    if as_json:
        output.write_json(found)
        return
    if not found["versions"]:
        click.echo("No versions: it is what its code says.", err=True)
        return
    rows = [
        (
            str(each["version"]),
            output.local(output.microseconds(each["at"])),
            each["change"],
            output.plain(each["function"]["version"]),
            each["actor"],
            output.plain(each["reason"]),
        )
        for each in found["versions"]
    ]
    headings = ("VERSION", "AT", "CHANGE", "CODE", "ACTOR", "REASON")
    output.table(headings, rows, dropped=("CODE", "ACTOR"), cuttable=True)


@click.command()
@click.option(
    "--endpoint",
    "url",
    required=True,
    metavar="URL",
    help="Where ironflow.serve(app) is reached by the server.",
)
@click.option(
    "--app",
    "target",
    metavar="APP",
    type=APP_TARGET,
    envvar="IRONFLOW_APP",
    show_envvar=True,
    help="Fail if the endpoint lacks a function of this app, or has another version.",
)
@server_options
@json_option
def register(
    *, url: str, target: str | None, server: str, api_key: str, as_json: bool
) -> None:
    """Register the functions of an endpoint, which a server then calls for every run.

    The server asks the endpoint which functions it has, so it has to be up. Both need
    the same signing key.
    """
    place = Server(server, api_key)
    ids = set(send(place, calls.register_endpoint(url))["functions"])
    every = send(place, calls.list_functions())["functions"]
    found = [each for each in every if each["id"] in ids]
    if as_json:
        output.write_json({"functions": found, "count": len(found)})
    else:
        _write(found)
    if target is not None:
        _compare(target, url, {each["id"]: each["version"] for each in found})


def _compare(target: str, url: str, found: Mapping[str, str]) -> None:
    from ironflow.authoring.load import load_app

    programs = load_app(target).programs
    missing = sorted(programs.keys() - found.keys())
    if missing:
        raise click.ClickException(
            f"{url} has no function {', '.join(missing)}, which is in {target}; what it"
            " has is registered: bring it up to date, then register it again"
        )
    other = sorted(
        each.id for each in programs.values() if each.version != found[each.id]
    )
    if other:
        raise click.ClickException(
            f"{url} has other code than {target} for {', '.join(other)}; what it has is"
            " registered: bring it up to date, then register it again"
        )


def _write(found: Sequence[Document]) -> None:
    rows = [
        (
            output.plain(each["id"]),
            each["host"],
            output.plain(_triggers(each)),
            output.plain(each["version"]),
            output.plain(each["endpoint_url"]),
        )
        for each in found
    ]
    headings = ("FUNCTION", "HOST", "TRIGGERS", "VERSION", "ENDPOINT")
    output.table(headings, rows, dropped=("VERSION", "ENDPOINT"), cuttable=True)


def _triggers(function: Document) -> str:
    return ", ".join(
        each.get("event") or each.get("cron") or each.get("expression") or "?"
        for each in function["triggers"]
    )


def circuit_line(circuit: Document) -> str:
    """Say whether an endpoint is called, and why not."""
    if not circuit or circuit["state"] == "closed":
        return str(circuit.get("state", ""))
    until = output.local(output.microseconds(circuit.get("open_until")))
    return (
        f"{circuit['state'].replace('_', ' ')}, left alone until {until} after"
        f" {circuit['consecutive_fails']} failures in a row; the last:"
        f" {circuit.get('last_error', '')}"
    )


def _lines(function: Document) -> list[tuple[str, str]]:
    concurrency = function["concurrency"]
    retry: Document = function["retry"] or {}
    lines = [
        ("Function", function["id"]),
        ("Name", function["name"]),
        ("About", function["description"]),
        ("Host", function["host"]),
        ("Endpoint", function["endpoint_url"]),
        ("Circuit", circuit_line(function.get("circuit", {}))),
        ("Version", f"{function['version']}, revision {function['revision']}"),
        ("Status", function["status"]),
        ("Triggers", _triggers(function)),
        ("At once", str(concurrency.get("limit") or "")),
        ("For each", concurrency.get("key", "")),
        ("Attempts", str(retry.get("max_attempts", ""))),
        ("Inactive", ", ".join(function["inactive"])),
    ]
    return [(name, text) for name, text in lines if text]
