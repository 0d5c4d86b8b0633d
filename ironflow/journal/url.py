"""From a URL to an open journal; a store's driver is imported when it is asked for."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import trio

from ironflow.errors import ConfigurationError
from ironflow.journal.served import ServedJournal

FORMS: Final = (
    'write "memory:" (nothing is kept), "lmdb:///absolute/path", "lmdb:relative/path"'
    ' or "postgresql://user@host/database"'
)
_POSTGRES: Final = ("postgresql", "postgres")


@asynccontextmanager
async def open_journal(
    url: str, *, environment: str = "default"
) -> AsyncGenerator[ServedJournal]:
    """Open the journal that a URL names; it is closed when the block ends.

    `memory:` is new and empty each time. A journal in LMDB or PostgreSQL is made if
    there is none.

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


async def open_reader(url: str, *, environment: str = "default") -> ServedJournal:
    """Open a journal to read it beside whoever has it; the caller closes it.

    Raises:
        ConfigurationError: the URL is wrong, or there is no such journal.
        JournalError: the store cannot be read; the message says why.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "lmdb":
        from ironflow.journal.lmdb.store import open_reader as open_lmdb_reader

        return await open_lmdb_reader(_path(url, rest), environment=environment)
    if scheme in _POSTGRES:
        _check_driver(url)
        from ironflow.journal.postgres.reader import open_postgres_reader

        return await open_postgres_reader(url, environment=environment)
    raise ConfigurationError(f"{_shown(url)} is nothing that can be read; {FORMS}")


async def _opened(url: str, *, environment: str) -> ServedJournal:
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
            return await _postgres(url, environment=environment)
        case _:
            raise ConfigurationError(f"{_shown(url)} is not a journal; {FORMS}")


async def _postgres(url: str, *, environment: str) -> ServedJournal:
    """Open a journal in PostgreSQL."""
    _check_driver(url)
    from ironflow.journal.postgres.store import open_postgres

    return await open_postgres(url, environment=environment)


def _check_driver(url: str) -> None:
    if find_spec("psycopg") is None:
        raise ConfigurationError(
            f"the journal {_shown(url)} needs a driver for PostgreSQL:"
            " pip install 'ironflow-engine[postgres]'"
        )


def _path(url: str, rest: str) -> Path:
    """The directory in what follows `lmdb:`; two slashes begin an absolute path."""
    path = rest.removeprefix("//")
    if not path or (path != rest and not path.startswith("/")) or "\0" in path:
        raise ConfigurationError(f"{_shown(url)} names no directory; {FORMS}")
    return Path(path)


def _shown(url: str) -> str:
    """The URL without what may hold a password: all before an @ and after a ?."""
    scheme, slashes, rest = url.partition("://")
    return repr(scheme + slashes + rest.rpartition("@")[2].partition("?")[0])
