"""`ironflow runs`: the group of what looks at runs and changes them."""

from typing import Final

import click

from ironflow.commands.group import LazyCommand, LazyGroup

COMMANDS: Final = {
    "list": LazyCommand(
        "ironflow.commands.runs_list:list_runs", "List runs, newest first."
    ),
    "count": LazyCommand(
        "ironflow.commands.runs_count:count", "Count runs by function and status."
    ),
    "show": LazyCommand(
        "ironflow.commands.runs_show:show",
        "Show what a run did and why it stands as it does.",
    ),
    "reindex": LazyCommand(
        "ironflow.commands.runs_reindex:reindex", "Make the index of runs anew."
    ),
    "cancel": LazyCommand(
        "ironflow.commands.runs_change:cancel", "Ask a run to cancel."
    ),
    "retry": LazyCommand(
        "ironflow.commands.runs_change:retry",
        "Let a paused run try again; with a server, one that has failed, too.",
    ),
    "pause": LazyCommand(
        "ironflow.commands.runs_steer:pause",
        "Let a run of a server stand still until it is resumed.",
    ),
    "resume": LazyCommand(
        "ironflow.commands.runs_resume:resume",
        "Let a run go on that is paused or has failed, also from a step.",
    ),
    "patch": LazyCommand(
        "ironflow.commands.runs_steer:patch",
        "Replace the result of a step of a run of a server.",
    ),
    "delete": LazyCommand(
        "ironflow.commands.runs_steer:delete",
        "Forget a run of a server that has ended, with all its records.",
    ),
}


@click.group(cls=LazyGroup, commands_by_name=COMMANDS)
def runs() -> None:
    """List, show and change runs."""
