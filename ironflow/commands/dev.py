"""`ironflow dev`: a server that starts again when the code of its app changes."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, final

import click
import trio

from ironflow.commands import output
from ironflow.commands.options import APP_TARGET, DataPlace, Place, json_option
from ironflow.commands.watching import Snapshot, Watched, place_of

_LOOK_S: Final = 0.25  # between two looks at the files
_DRAIN_S: Final = 3.0  # for what is under way, before it is cut off and done again
_STOP_S: Final = 30.0  # as long as a server may take to stop in order
_END_S: Final = 5.0
_SHOWN_MAX: Final = 5

Tell = Callable[[str, dict[str, object]], None]
"""Says something to people; programs are told the rest."""


@click.command()
@click.option(
    "--app",
    "target",
    metavar="APP",
    type=APP_TARGET,
    required=True,
    envvar="IRONFLOW_APP",
    show_envvar=True,
    help="Host the functions of this app: module:attribute or path/file.py:attribute.",
)
@click.option(
    "--data-dir",
    "directory",
    type=DataPlace(),
    help="The directory that holds the journal; that of 'ironflow serve' without it.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    help="The port to listen at; that of 'ironflow serve' without it.",
)
@json_option
@click.argument("options", metavar="[-- SERVE-OPTIONS]", nargs=-1)
def dev(
    *,
    target: str,
    directory: Place | None,
    port: int | None,
    as_json: bool,
    options: Sequence[str],
) -> None:
    """Serve an app, and start again when its code changes.

    It is 'ironflow serve --dev' in a process of its own; what follows -- are further
    options for that. The journal stays, so runs go on under the new code. Ctrl-C ends
    both; a second one does not wait for what is under way.
    """
    given = {"--data-dir": directory, "--port": port}
    command = [
        *(sys.executable, "-m", "ironflow", "serve", "--dev", "--app", target),
        *(part for name, value in given.items() for part in _option(name, value)),
        *(["--json"] if as_json else []),
        *options,
    ]
    place = place_of(target, current=Path.cwd(), path=sys.path)
    supervisor = Supervisor(command, Watched(place), partial(_tell, as_json=as_json))
    trio.run(supervisor.run)


def _option(name: str, value: object) -> list[str]:
    return [] if value is None else [name, str(value)]


def _tell(text: str, document: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        output.write_line(document)
    else:
        click.echo(text, err=True)


@final
class Supervisor:
    """Runs a command, and again whenever watched files have changed."""

    def __init__(self, command: Sequence[str], watched: Watched, tell: Tell) -> None:
        self._command = command
        self._watched = watched
        self._tell = tell
        self._asked = 0  # how often to end
        self._process: trio.Process | None = None

    async def run(self) -> None:
        """Return when a signal has ended the command."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._obey, signals)
                await self._go_on()
                nursery.cancel_scope.cancel()

    async def _obey(self, signals: AsyncIterator[int]) -> None:
        async for _ in signals:
            self._asked += 1
            self._signal(signal.SIGTERM)

    async def _go_on(self) -> None:
        seen = await self._look()
        while not self._asked:
            await self._start()
            seen, changes = await self._until_change(seen)
            await self._end()
            if changes:
                self._tell(_changed(changes), {"changed": changes})

    async def _until_change(self, seen: Snapshot) -> tuple[Snapshot, list[str]]:
        """Return the files when they have changed and rest; or when all is to end."""
        changes: list[str] = []
        is_told = False
        while not self._asked:
            await trio.sleep(_LOOK_S)
            now = await self._look()
            new = self._watched.changes(seen, now)
            if changes and not new:  # whoever writes them is done
                return seen, changes
            changes = sorted({*changes, *new})
            seen = now
            is_told = is_told or self._tell_of_end()
        return seen, []

    def _tell_of_end(self) -> bool:
        """Say that the command has ended by itself, if it has."""
        status = None if self._process is None else self._process.poll()
        if status is None or self._asked:
            return False
        self._tell(
            f"the server has ended with status {status}; it starts again when a file below"
            f" {self._watched.directory} changes",
            {"ended": status},
        )
        return True

    async def _look(self) -> Snapshot:
        return await trio.to_thread.run_sync(self._watched.look)

    # --- the process --------------------------------------------------------------------

    async def _start(self) -> None:
        self._process = await trio.lowlevel.open_process(
            self._command,
            # A second change within a second may leave the time and size of a file.
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            # Ctrl-C reaches this process alone, which passes it on once.
            process_group=0,
        )

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    async def _end(self) -> None:
        """Let the command end in order; cut it off when that takes too long."""
        if not self._asked:  # else it has been told
            self._signal(signal.SIGTERM)
        if not await self._has_ended(_STOP_S if self._asked else _DRAIN_S):
            self._signal(signal.SIGTERM)
            if not await self._has_ended(_END_S):
                self._signal(signal.SIGKILL)
                await self._has_ended(_END_S)

    async def _has_ended(self, seconds: float) -> bool:
        if self._process is None:
            return True
        with trio.move_on_after(seconds) as scope:
            await self._process.wait()
        return not scope.cancelled_caught


def _changed(changes: Sequence[str]) -> str:
    shown = ", ".join(map(output.plain, changes[:_SHOWN_MAX]))
    more = len(changes) - _SHOWN_MAX
    others = f" and {more} more" if more > 0 else ""
    return f"{shown}{others} changed; starting again"
