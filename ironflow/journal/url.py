"""From a URL to an open journal; a store's driver is imported when it is asked for."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from ironflow.errors import ConfigurationError
from ironflow.journal.base import Journal

FORMS: Final = (
    'write "memory:" (nothing is kept), "lmdb:///absolute/path" or "lmdb:relative/path"'
)


@asynccontextmanager
async def open_journal(
    url: str, *, environment: str = "default"
) -> AsyncGenerator[Journal]:
    """Open the journal that a URL names; it is closed when the block ends.

    `memory:` is new and empty each time. An LMDB journal is made if there is none.

    Raises:
        ConfigurationError: the URL is not one of the accepted forms.
        JournalError: the store cannot be opened; the message says why.
    """
    journal = await _opened(url, environment=environment)
    try:
        yield journal
    finally:
        # No deadline: a commit under way is finished, not abandoned.
        with trio.CancelScope(shield=True):
            await journal.close()


async def _opened(url: str, *, environment: str) -> Journal:
    scheme, _, rest = url.partition(":")
    match scheme:
        case "memory" if url == "memory:":
            from ironflow.journal.memory import MemoryJournal

            return MemoryJournal(environment)
        case "lmdb":
            from ironflow.journal.lmdb.store import open_lmdb

            path = _path(url, rest)
            return await open_lmdb(path, environment=environment)
        case "postgresql" | "postgres":
            raise ConfigurationError(
                f"the journal {_shown(url)} cannot be opened: PostgreSQL is not"
                f" supported yet; {FORMS}"
            )
        case _:
            raise ConfigurationError(f"{_shown(url)} is not a journal; {FORMS}")


def _path(url: str, rest: str) -> Path:
    """The directory in what follows `lmdb:`; two slashes begin an absolute path."""
    path = rest.removeprefix("//")
    if not path or (path != rest and not path.startswith("/")) or "\0" in path:
        raise ConfigurationError(f"{_shown(url)} names no directory; {FORMS}")
    return Path(path)


def _shown(url: str) -> str:
    """The URL without what stands before an @: it may be a password."""
    scheme, slashes, rest = url.partition("://")
    return repr(scheme + slashes + rest.rpartition("@")[2])
