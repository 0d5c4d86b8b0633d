"""A progress bar on stderr where a person looks, and nothing elsewhere."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol


class Update(Protocol):
    """Moves the bar. `is_shown`: whether it is worth finding out the total."""

    is_shown: bool

    def __call__(self, done: int, total: int, what: str) -> None:
        """Show so many of a total (0: unknown), and what is being done."""
        ...


@contextmanager
def progress(title: str) -> Generator[Update]:
    """Show how far a long work is."""
    if not sys.stderr.isatty():
        yield _Hidden()
        return
    from ironflow.commands.bar import shown

    with shown(title) as update:
        yield update


class _Hidden:
    is_shown = False

    def __call__(self, done: int, total: int, what: str) -> None:
        pass
