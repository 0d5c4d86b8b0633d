"""The progress bar itself; rich is slow to import, so only a terminal gets here."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import Progress, TaskID

_SECONDS: Final = 0.1


class Bar:
    """A bar that is moved as often as its user likes, and drawn now and then."""

    is_shown = True

    def __init__(
        self, bar: Progress, task: TaskID, title: str, *, seconds: float
    ) -> None:
        self._bar = bar
        self._task = task
        self._title = title
        self._seconds = seconds
        self._due = time.monotonic() + seconds

    def __call__(self, done: int, total: int, what: str) -> None:
        """Show so many of a total (0: unknown), and what is being done."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + self._seconds
        self._bar.update(
            self._task,
            completed=done,
            total=total or None,
            description=f"{self._title} {what}".rstrip(),
            refresh=True,
        )


@contextmanager
def shown(title: str, *, seconds: float = _SECONDS) -> Generator[Bar]:
    """Draw a bar on stderr until the block ends; then it is gone.

    It changes at most once in so many `seconds`, so a short work shows little.
    """
    console = Console(stderr=True)
    with Progress(console=console, transient=True, auto_refresh=False) as bar:
        yield Bar(bar, bar.add_task(title, total=None), title, seconds=seconds)
