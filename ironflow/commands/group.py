"""Groups whose commands are imported when they are used, and what errors become."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple, final

import click

from ironflow.commands import settings
from ironflow.commands.failing import explained


class LazyCommand(NamedTuple):
    """Where a command is (`module:attribute`), and its help of one line."""

    place: str
    help: str


class LazyGroup(click.Group):
    """A group that knows its commands by name and help, and imports one at a time."""

    def __init__(
        self,
        *args: Any,
        commands_by_name: Mapping[str, LazyCommand],
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.commands_by_name = commands_by_name

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which help shows them."""
        return list(self.commands_by_name)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        known = self.commands_by_name.get(cmd_name)
        if known is None:
            return None
        module, _, attribute = known.place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name; what is set for us is for it, too."""
        if ctx.default_map:
            names = self.commands_by_name
            ctx.default_map = dict(settings.below(ctx.default_map, names))
        return super().resolve_command(ctx, args)

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Show names and help without importing a command."""
        rows = [(name, known.help) for name, known in self.commands_by_name.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@final
class RootGroup(LazyGroup):
    """The outermost group: it reads the settings, and no error leaves it as a traceback."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Begin with the settings of the file."""
        extra.setdefault("default_map", settings.read(self.commands_by_name))
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn what it raises into a sentence and a status."""
        with explained():
            return super().invoke(ctx)
