"""`ironflow redact`: payloads of a run, a step or an event are taken away for ever."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

import click

from ironflow import ids
from ironflow.client import calls
from ironflow.client.answers import Redacted
from ironflow.client.calls import Call
from ironflow.commands import journals, output, remote
from ironflow.commands.group import LazyCommand, LazyGroup
from ironflow.commands.options import RUN_ID, CommandT, json_option
from ironflow.commands.remote import Server
from ironflow.commands.runs_change import check_reason
from ironflow.commands.source import Source, source_options
from ironflow.journal import redacting
from ironflow.journal.redacting import Wish
from ironflow.journal.served import ServedJournal
from ironflow.wire.answers import RedactedDocument

_ACTOR: Final = "ironflow redact"
_HERE: Final = "ironflow.commands.redact"

Work = Callable[[ServedJournal, Wish], Awaitable[redacting.Redacted]]

_COMMANDS: Final = {
    "run": LazyCommand(
        f"{_HERE}:run", "Take away all payloads of a run that has ended."
    ),
    "step": LazyCommand(
        f"{_HERE}:step",
        "Take away what a step gave: its results, the errors of its attempts.",
    ),
    "event": LazyCommand(
        f"{_HERE}:event",
        "Take away the data of an event, in the log and in runs that have a copy.",
    ),
}


@click.group(cls=LazyGroup, commands_by_name=_COMMANDS)
def redact() -> None:
    """Take payloads away for ever: of a run, a step or an event.

    A marker stands in their place, and the chain of digests holds. In a data directory
    the bytes are in its files until 'ironflow compact'.
    """


def _options(command: CommandT) -> CommandT:
    option: Callable[[CommandT], CommandT] = click.option(
        "--reason", default="", help="Why; it is kept with what is redacted."
    )
    return option(source_options(json_option(command)))


@click.command()
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@_options
def run(*, run_id: str, reason: str, source: Source, as_json: bool) -> None:
    """Take away all payloads of a run that has ended.

    What it told its parent, its children and the runs that it goes on in, or was told by
    them, goes on both sides. The event that started it stays.
    """

    def work(journal: ServedJournal, wish: Wish) -> Awaitable[redacting.Redacted]:
        return redacting.redact_run(journal, run_id, wish)

    call = calls.redact_run(run_id, reason=reason)
    _redact(run_id, source, (call, work), reason, as_json=as_json)


@click.command()
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.argument("step")
@_options
def step(*, run_id: str, step: str, reason: str, source: Source, as_json: bool) -> None:
    """Take away what a step gave: its results, the errors of its attempts.

    STEP is its id, as 'ironflow runs show' has it. The run must have ended.
    """

    def work(journal: ServedJournal, wish: Wish) -> Awaitable[redacting.Redacted]:
        return redacting.redact_step(journal, run_id, step, wish)

    call = calls.redact_step(run_id, step, reason=reason)
    what = f"{run_id}, step {output.plain(step)}"
    _redact(what, source, (call, work), reason, as_json=as_json)


@click.command()
@click.argument("event_id", metavar="EVENT")
@_options
def event(*, event_id: str, reason: str, source: Source, as_json: bool) -> None:
    """Take away the data of an event, in the log and in runs that have a copy.

    These must have ended. The runs that were there at its time are looked at.
    """
    event_id = ids.check_event_id(event_id.strip())

    def work(journal: ServedJournal, wish: Wish) -> Awaitable[redacting.Redacted]:
        return redacting.redact_event(journal, event_id, wish)

    call = calls.redact_event(event_id, reason=reason)
    _redact(event_id, source, (call, work), reason, as_json=as_json)


def _redact(
    what: str,
    source: Source,
    ways: tuple[Call[Redacted], Work],
    reason: str,
    *,
    as_json: bool,
) -> None:
    """Redact on a server or in a journal, and tell what went."""
    check_reason(reason)
    call, work = ways
    if isinstance(source, Server):
        found = remote.document(source, call, RedactedDocument)
    else:
        wish = Wish(time.time_ns() // 1_000, _ACTOR, reason)
        here = journals.own(source, lambda journal: work(journal, wish))
        found = RedactedDocument(
            payloads=here.payloads,
            run_ids=list(here.run_ids),
            event_ids=list(here.event_ids),
        )
    if as_json:
        output.write_json(
            {
                "payloads": found.payloads,
                "run_ids": found.run_ids,
                "event_ids": found.event_ids,
            }
        )
        return
    _tell(what, found)


def _tell(what: str, found: RedactedDocument) -> None:
    runs = "1 run" if len(found.run_ids) == 1 else f"{len(found.run_ids)} runs"
    if found.payloads:
        click.echo(f"{what}: {found.payloads} payloads are gone; {runs} had some")
    else:
        click.echo(f"{what}: nothing was left to redact")
    for event_id in found.event_ids:
        click.echo(
            f"event {event_id} has data of it; 'ironflow redact event {event_id}' takes"
            " that away",
            err=True,
        )
