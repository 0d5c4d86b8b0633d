"""The journal in PostgreSQL: one environment of it, as one of its nodes."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, final

import psycopg
import trio

from ironflow import limits
from ironflow.errors import ConfigurationError
from ironflow.journal.base import (
    Answer,
    Claim,
    Hint,
    JournalCommand,
    Packing,
)
from ironflow.journal.postgres import encoding as pg
from ironflow.journal.postgres import heartbeat
from ironflow.journal.postgres._psycopg import (
    Connection,
    ConnectionLost,
    Database,
    ServerError,
    connect_plain,
)
from ironflow.journal.postgres.address import Address, parse_address
from ironflow.journal.postgres.claims import claim_calls, made
from ironflow.journal.postgres.link import Options, Readers, Server, closed, not_opened
from ironflow.journal.postgres.memory import CLAIMS_PER_NODE, Memory
from ironflow.journal.postgres.packing import pack
from ironflow.journal.postgres.reads import Reads
from ironflow.journal.postgres.schema import migrate
from ironflow.journal.postgres.writer import Writer

_CHANNEL: Final = """SELECT 'ironflow_' || %(schema)s::regnamespace::oid || '_' || %(id)s,
    (%(schema)s::regnamespace::oid::bigint << 31) + %(id)s"""
_ENVIRONMENT: Final = "SELECT id FROM environments WHERE name = %s"
_NEW_ENVIRONMENT: Final = """
WITH made AS (
    INSERT INTO environments (name) VALUES (%s) ON CONFLICT DO NOTHING RETURNING id)
INSERT INTO commits (environment, number, batch, node, events, registry, delivery, hint)
SELECT id, 0, gen_random_uuid(), 0, 0, 0, '', '' FROM made"""


async def open_postgres(
    url: str, *, environment: str = "default", options: Options | None = None
) -> "PostgresJournal":
    """Open the journal that a URL names, as a node beside others; make it if it is new.

    Raises:
        ConfigurationError: the URL is wrong, or the server refuses it.
        JournalFailed: the server cannot be reached.
        JournalNewer: a newer ironflow made the tables.
        JournalForeign: the schema holds other tables.
    """
    address = parse_address(url)
    server = Server(address, options or Options(lease=address.lease))
    opened = await trio.to_thread.run_sync(_opened, server, environment)
    try:
        connection = await server.connection()
    except BaseException:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(_leave, server, opened.memory)
        raise
    return PostgresJournal(server, opened, connection)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A node that was made, and the last commit before it."""

    memory: Memory
    seen: int


def _opened(server: Server, environment: str) -> _Opened:
    """Make tables, environment and node where they are missing; on a thread."""
    address = server.address
    try:
        with connect_plain(address.conninfo, server.settings_to_migrate) as database:
            migrate(database, address.schema)
        with connect_plain(address.conninfo, server.settings) as database:
            memory = _environment(database, address, environment)
            lease = server.options.lease
            seen = heartbeat.register(database, memory, lease=lease)
            return _Opened(memory, seen)
    except (ServerError, psycopg.Error) as error:
        raise not_opened(address, error) from error


def _environment(database: Database, address: Address, name: str) -> Memory:
    database.execute(_NEW_ENVIRONMENT, (name,))
    row = database.execute(_ENVIRONMENT, (name,)).fetchone()
    assert row is not None
    schema = '"' + address.schema.replace('"', '""') + '"'
    names = database.execute(_CHANNEL, {"schema": schema, "id": row[0]}).fetchone()
    assert names is not None
    channel, lock = names
    return Memory(environment=row[0], lock=lock, channel=channel, name=name, node=0)


def _leave(server: Server, memory: Memory) -> None:
    """Give back what this node holds; if that fails, its lease ends by itself."""
    address = server.address
    with (
        suppress(ServerError, psycopg.Error),
        connect_plain(address.conninfo, server.settings) as database,
    ):
        heartbeat.leave(database, memory)


@final
class PostgresJournal(Reads):
    """One environment of a journal that several processes may have open.

    A commit that was acknowledged survives whatever the server survives; one that was
    not is there whole or not at all. All methods belong to one Trio loop.
    """

    def __init__(self, server: Server, opened: _Opened, connection: Connection) -> None:
        memory = opened.memory
        super().__init__(
            Readers(server), environment=memory.name, number=memory.environment
        )
        self._server: Final = server
        self._memory: Final = memory
        self._callbacks: Final[list[Callable[[Hint], None]]] = []
        self._token: Final = trio.lowlevel.current_trio_token()
        self._writer: Final = Writer(server, connection, memory, settled=self._tell)
        self._heartbeat: Final = heartbeat.Heartbeat(
            server, memory, seen=opened.seen, tell=self._tell_soon
        )
        self._heartbeat.start()
        self._claims = 0
        self._claiming = 0
        self._kept_back: Final[list[Hint]] = []
        self._forgotten: Final[list[int]] = []
        self._closed = False

    async def commit(self, commands: Sequence[JournalCommand]) -> Sequence[Answer]:
        """Carry out the commands, in order, in one transaction.

        The transaction is shared with whoever else commits now in this process. On
        return everything survives a crash of the process and of the server. A refused
        command changes nothing and does not touch the others: its answer is `Refused`.
        It is shielded from cancellation from the moment it is called, because a commit
        cannot be taken back. While the server is away it waits.

        Raises:
            JournalFull: no space; nothing was stored, the journal goes on.
            JournalFailed: the server did not come back in time, or refuses to write.
            ConfigurationError: there are too many commands.
            JournalError: it is closed.
        """
        if len(commands) > limits.COMMIT_COMMANDS_MAX:
            raise ConfigurationError(
                f"{len(commands)} commands are too many for one commit; the limit is"
                f" {limits.COMMIT_COMMANDS_MAX}"
            )
        self._check_open()
        return await self._writer.submit(commands)

    async def claim(self, functions: frozenset[str], *, limit: int) -> Sequence[Claim]:
        """Take ready runs of these functions that nobody holds, first come first.

        At most `limits.CLAIM_RUNS_MAX`. A hold lasts as long as the lease of this node,
        which is renewed by itself; when it has run out, others may end it.
        """
        self._check_open()
        if not functions:
            return ()
        self._claiming += 1
        try:
            return await self._claimed(
                functions, limit=min(limit, limits.CLAIM_RUNS_MAX)
            )
        finally:
            self._claiming -= 1
            if not self._claiming and self._kept_back:
                # The caller learns of its runs first, then what came for them.
                self._token.run_sync_soon(self._tell_kept_back)

    async def _claimed(
        self, functions: frozenset[str], *, limit: int
    ) -> Sequence[Claim]:
        while True:
            self._claims += 1
            epoch = self._memory.node * CLAIMS_PER_NODE + self._claims
            calls = claim_calls(
                self._memory,
                functions,
                epoch=epoch,
                limit=limit,
                forgotten=self._forgotten,
            )
            try:
                found = await self._readers.run_once(calls)
                return made(found, epoch, self._memory) or ()
            except ConnectionLost:
                self._forgotten.append(epoch)
                self._check_open()

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give runs back, still ready; others may claim them at once.

        Runs that are no longer held under the claim's epoch stay as they are.
        """
        self._check_open()
        await self._writer.submit(claims=claims)

    async def pack(
        self, *, ended_before: int, go_on: Callable[[], bool], at_once: bool = False
    ) -> Packing:
        """Pack histories of runs that ended before a time, some with each transaction.

        Where `ended_before` is 0, nothing. Other nodes may pack at the same time. All are
        packed, also without `at_once`.

        Raises:
            JournalError: the server refuses it, or the journal is closed.
        """
        del at_once  # there are no segments to be filled
        self._check_open()
        if not ended_before:
            return Packing()
        number = self._memory.environment
        return await pack(self._readers, number, before=ended_before, go_on=go_on)

    def watch(self, callback: Callable[[Hint], None]) -> Callable[[], None]:
        """Call back after each commit that changed something; return a stop.

        Also after commits of other nodes.
        """
        self._callbacks.append(callback)

        def stop() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return stop

    def _tell_soon(self, hint: Hint) -> None:
        """Tell those who watch, from another thread."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._tell_of_others, hint)

    def _tell_of_others(self, hint: Hint) -> None:
        """Tell of commits of other nodes: what this one knew is out of date."""
        self._memory.forget(None if hint.everything else map(pg.run, hint.inbox))
        self._tell(hint)

    def _tell(self, hint: Hint) -> None:
        if self._claiming:
            self._kept_back.append(hint)
            return
        for callback in tuple(self._callbacks):
            callback(hint)

    def _tell_kept_back(self) -> None:
        hints = list(self._kept_back)
        self._kept_back.clear()
        for hint in hints:
            self._tell(hint)

    def _check_open(self) -> None:
        if self._closed:
            raise closed()

    async def close(self) -> None:
        """Finish the commits under way and give everything back. Idempotent."""
        if self._closed:
            return
        self._closed = True
        with trio.CancelScope(shield=True):
            await self._writer.close()
            await trio.to_thread.run_sync(self._heartbeat.stop)
            self._readers.close()
            await trio.to_thread.run_sync(_leave, self._server, self._memory)
