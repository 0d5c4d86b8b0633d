"""`ironflow keys`: the API keys of a journal, or of a server that has it open."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

from ironflow.client import key_calls as calls
from ironflow.client.answers import Nothing
from ironflow.client.calls import Call
from ironflow.commands import journals, output
from ironflow.commands.group import LazyCommand, LazyGroup
from ironflow.commands.options import CommandT, Place, data_dir_option, json_option
from ironflow.commands.remote import Server, send
from ironflow.errors import JournalOwned
from ironflow.transport.handlers import keys as documents
from ironflow.transport.keyring import Keyring
from ironflow.wire.keys import ROLES

T = TypeVar("T")
Document = dict[str, Any]
COMMANDS: Final = {
    "create": LazyCommand(
        "ironflow.commands.keys:create",
        "Create an API key called NAME, and show its text: nobody can show it again.",
    ),
    "list": LazyCommand("ironflow.commands.keys:list_keys", "List the API keys."),
    "rotate": LazyCommand(
        "ironflow.commands.keys:rotate",
        "Give an API key another text, and show it; the one before is worth nothing.",
    ),
    "revoke": LazyCommand(
        "ironflow.commands.keys:revoke",
        "Revoke an API key: it is worth nothing any more.",
    ),
}


@dataclass(frozen=True, slots=True)
class _Where:
    """A server, or else a journal and the environment in it."""

    server: Server
    directory: Place
    environment: str

    def do(
        self, call: Call[Nothing], work: Callable[[Keyring], Awaitable[T]]
    ) -> T | Any:
        """Send the call to the server; without one, do the work on the journal."""
        if self.server.url:
            return send(self.server, call)
        return _worked(self.directory, self.environment, work)


@click.group(cls=LazyGroup, commands_by_name=COMMANDS)
def keys() -> None:
    """Create, list, rotate and revoke the API keys of a server."""


def _where(command: CommandT) -> CommandT:
    """Add the options that say where the keys are."""
    options: list[Callable[[CommandT], CommandT]] = [
        json_option,
        click.option(
            "--api-key",
            default="",
            envvar="IRONFLOW_API_KEY",
            show_envvar=True,
            help="The key that the server asks for: one of an administrator.",
        ),
        click.option(
            "--server",
            default="",
            envvar="IRONFLOW_SERVER_URL",
            show_envvar=True,
            help="The URL of the server that has the data directory open.",
        ),
        click.option(
            "--environment",
            default="default",
            envvar="IRONFLOW_ENVIRONMENT",
            show_default=True,
            show_envvar=True,
            help="The part of the journal that the keys are for.",
        ),
        data_dir_option,
    ]
    for option in options:
        command = option(command)
    return command


@click.command()
@click.argument("name")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(ROLES),
    default=("developer",),
    show_default=True,
    help="What it may do; may be given more than once.",
)
@click.option(
    "--expires-in", default="", help='After so long it is worth nothing ("90d").'
)
@_where
def create(
    *,
    name: str,
    roles: tuple[str, ...],
    expires_in: str,
    as_json: bool,
    **where: Any,
) -> None:
    """Create an API key called NAME, and show its text: nobody can show it again."""
    body = documents.CreateKeyBody(
        name=name, role_ids=list(roles), expires_in=expires_in
    )
    call = calls.create_key(
        {"name": name, "role_ids": list(roles), "expires_in": expires_in}
    )
    found = _at(**where).do(call, lambda keyring: documents.create_in(keyring, body))
    _show_new(found, as_json=as_json)


@click.command("list")
@_where
def list_keys(*, as_json: bool, **where: Any) -> None:
    """List the API keys."""

    async def look(keyring: Keyring) -> list[documents.KeyDocument]:
        return [documents.key_document(each) for each in await keyring.all()]

    found: list[Document] = _plain(_at(**where).do(calls.list_keys(), look))
    if as_json:
        output.write_json(found)
        return
    if not found:
        click.echo("No API keys.", err=True)
        return
    rows = [
        (
            each["id"],
            f"{each['key_prefix']}…",
            ", ".join(each["role_ids"]),
            each["created_at"] or "-",
            each["expires_at"] or "-",
            output.plain(each["name"]),
        )
        for each in found
    ]
    headings = ("KEY", "BEGINS", "ROLES", "CREATED", "EXPIRES", "NAME")
    output.table(headings, rows, dropped=("CREATED", "BEGINS"), cuttable=True)


@click.command()
@click.argument("key_id", metavar="KEY")
@_where
def rotate(*, key_id: str, as_json: bool, **where: Any) -> None:
    """Give an API key another text, and show it; the one before is worth nothing."""

    async def change(keyring: Keyring) -> documents.NewKeyDocument:
        found = await keyring.rotate(key_id)
        if found is None:
            raise _unknown(key_id)
        return documents.new_key_document(*found)

    found = _at(**where).do(calls.rotate_key(key_id), change)
    _show_new(found, as_json=as_json)


@click.command()
@click.argument("key_id", metavar="KEY")
@_where
def revoke(*, key_id: str, as_json: bool, **where: Any) -> None:
    """Revoke an API key: it is worth nothing any more."""

    async def change(keyring: Keyring) -> None:
        if not await keyring.revoke(key_id):
            raise _unknown(key_id)

    _at(**where).do(calls.revoke_key(key_id), change)
    if as_json:
        output.write_json({"id": key_id, "revoked": True})
    else:
        click.echo(f"revoked {key_id}")


def _at(*, directory: Place, environment: str, server: str, api_key: str) -> _Where:
    return _Where(Server(server, api_key), directory, environment)


def _worked(
    directory: Place, environment: str, work: Callable[[Keyring], Awaitable[T]]
) -> T:
    import trio

    from ironflow.engine.clock import SystemClock
    from ironflow.journal.url import open_journal

    async def main() -> T:
        url = journals.new_url_of(directory)
        async with open_journal(url, environment=environment) as journal:
            return await work(Keyring(journal, SystemClock()))

    try:
        return trio.run(main)
    except JournalOwned as error:
        raise click.ClickException(
            f"{error}; if that is a server, give its URL with --server and a key of an"
            " administrator with --api-key"
        ) from error


def _unknown(key_id: str) -> click.ClickException:
    return click.ClickException(
        f"there is no API key {key_id!r}; 'ironflow keys list' shows those there are"
    )


def _plain(found: Any) -> Any:
    """Return documents of either side as plain data."""
    import msgspec

    return msgspec.to_builtins(found)


def _show_new(found: Any, *, as_json: bool) -> None:
    """Show a key with its text: alone on standard output, so that it can be piped."""
    document: Document = _plain(found)
    if as_json:
        click.echo(json.dumps(document))
        return
    roles = ", ".join(document["role_ids"])
    click.echo(f"{document['id']} ({roles}); its text is not shown again:", err=True)
    click.echo(document["key"])
