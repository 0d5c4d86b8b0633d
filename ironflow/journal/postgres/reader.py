"""A journal in PostgreSQL that is only read: no node, no thread, no table is made."""

from collections.abc import Callable, Sequence
from typing import final

import psycopg
import trio

from ironflow.errors import ConfigurationError
from ironflow.journal.base import Answer, Claim, Hint, JournalCommand
from ironflow.journal.postgres._psycopg import Database, ServerError, connect_plain
from ironflow.journal.postgres.address import Address, parse_address
from ironflow.journal.postgres.link import Options, Readers, Server, not_opened
from ironflow.journal.postgres.reads import Reads
from ironflow.journal.postgres.schema import VERSION, found_version

_ENVIRONMENTS = "SELECT name, id FROM environments ORDER BY name"


async def open_postgres_reader(
    url: str, *, environment: str = "default"
) -> "PostgresReader":
    """Open the journal that a URL names, to read it beside its engines.

    Raises:
        ConfigurationError: the URL is wrong, the server refuses it, or there is no
            such journal or environment.
        JournalFailed: the server cannot be reached.
        JournalNewer: a newer ironflow made the tables.
    """
    address = parse_address(url)
    server = Server(address, Options(lease=address.lease))
    number = await trio.to_thread.run_sync(_number, server, environment)
    return PostgresReader(Readers(server), environment=environment, number=number)


def _number(server: Server, environment: str) -> int:
    address = server.address
    try:
        with connect_plain(address.conninfo, server.settings) as database:
            return _found(database, address, environment)
    except (ServerError, psycopg.Error) as error:
        raise not_opened(address, error) from error


def _found(database: Database, address: Address, environment: str) -> int:
    version = found_version(database, address.schema)
    if version == 0:
        raise ConfigurationError(
            f"{address.shown} has no journal in the schema {address.schema!r}; an engine"
            " or 'ironflow run' makes one"
        )
    if version < VERSION:
        raise ConfigurationError(
            f"the tables of {address.shown} have version {version}; an engine of this"
            f" ironflow brings them to version {VERSION} when it starts"
        )
    known: dict[str, int] = dict(database.execute(_ENVIRONMENTS).fetchall())
    if environment not in known:
        names = ", ".join(known) or "none yet"
        raise ConfigurationError(
            f"{address.shown} has no environment {environment!r}; it has: {names}"
        )
    return known[environment]


@final
class PostgresReader(Reads):
    """A journal that only reads; what it returns was durable."""

    async def commit(self, commands: Sequence[JournalCommand]) -> Sequence[Answer]:
        """Refuse: a reader does not write."""
        raise _only_reads(f"commit {len(commands)} commands")

    async def claim(self, functions: frozenset[str], *, limit: int) -> Sequence[Claim]:
        """Refuse: a reader does not claim."""
        raise _only_reads(f"claim {limit} runs of {len(functions)} functions")

    async def release(self, claims: Sequence[Claim]) -> None:
        """Refuse: a reader holds nothing."""
        raise _only_reads(f"release {len(claims)} runs")

    def watch(self, callback: Callable[[Hint], None]) -> Callable[[], None]:
        """Refuse: a reader is told nothing; ask again."""
        raise _only_reads(f"call {callback!r} back")

    async def close(self) -> None:
        """End its sessions. Idempotent."""
        await trio.lowlevel.checkpoint()
        self._readers.close()


def _only_reads(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"a journal opened for reading cannot {what}; open it with open_journal"
    )
