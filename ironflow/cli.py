"""The `ironflow` command: its groups, each imported when it is used."""

from typing import Final

import click

from ironflow import __version__
from ironflow.commands.group import LazyCommand, RootGroup

# The help is here too, so that `ironflow --help` imports no command.
COMMANDS: Final = {
    "serve": LazyCommand(
        "ironflow.commands.serve:serve",
        "Serve the API, and host the functions of an app, until a signal ends it.",
    ),
    "dev": LazyCommand(
        "ironflow.commands.dev:dev",
        "Serve an app, and start again when its code changes.",
    ),
    "emit": LazyCommand(
        "ironflow.commands.emit:emit",
        "Emit an event on a server; it is stored when this returns.",
    ),
    "invoke": LazyCommand(
        "ironflow.commands.emit:invoke",
        "Run a function on a server, whatever its triggers, and wait until it has ended.",
    ),
    "functions": LazyCommand(
        "ironflow.commands.functions:functions",
        "List, show and register the functions of a server.",
    ),
    "worker": LazyCommand(
        "ironflow.commands.worker:worker",
        "Carry out the functions of an app for a server, until a signal ends it.",
    ),
    "workers": LazyCommand(
        "ironflow.commands.workers:workers", "List the workers of a server."
    ),
    "keys": LazyCommand(
        "ironflow.commands.keys:keys",
        "Create, list, rotate and revoke the API keys of a server.",
    ),
    "run": LazyCommand(
        "ironflow.commands.run:run",
        "Run the functions of APP that EVENT starts, until they end.",
    ),
    "runs": LazyCommand("ironflow.commands.runs:runs", "List, show and change runs."),
    "events": LazyCommand("ironflow.commands.events:events", "List events."),
    "redact": LazyCommand(
        "ironflow.commands.redact:redact",
        "Take payloads away for ever: of a run, a step or an event.",
    ),
    "replay": LazyCommand(
        "ironflow.commands.replay:replay",
        "Run today's code over recorded histories, without any effect.",
    ),
    "export": LazyCommand(
        "ironflow.commands.export:export", "Write runs into one file, a bundle."
    ),
    "import": LazyCommand(
        "ironflow.commands.imports:import_", "Store the runs of a bundle in a journal."
    ),
    "backup": LazyCommand(
        "ironflow.commands.backup:backup", "Copy a data directory into one file."
    ),
    "restore": LazyCommand(
        "ironflow.commands.backup:restore", "Make a data directory of a backup."
    ),
    "compact": LazyCommand(
        "ironflow.commands.backup:compact",
        "Make a data directory as small as what is in it.",
    ),
    "pack": LazyCommand(
        "ironflow.commands.pack:pack",
        "Pack the histories of runs that ended long ago.",
    ),
    "doctor": LazyCommand(
        "ironflow.commands.doctor:doctor",
        "Say what is wrong with a data directory, what is intact, and what to do.",
    ),
    "verify": LazyCommand(
        "ironflow.commands.verify:verify", "Check that a journal is what was written."
    ),
}


@click.group(
    cls=RootGroup,
    commands_by_name=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="ironflow")
def cli() -> None:
    """Functions that survive a crash: run them, look at them, replay them.

    Results go to stdout, everything else to stderr. The exit status is 0 if it was
    done, 1 if it failed, 2 if the command line was wrong.
    """


def main() -> None:
    """Run the command line and exit with its status."""
    cli(prog_name="ironflow")
