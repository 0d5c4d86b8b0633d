"""Connections that come back: a server that restarts costs time and nothing else."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import psycopg
import trio

from ironflow.errors import ConfigurationError, JournalError, JournalFailed
from ironflow.journal.postgres._psycopg import (
    Call,
    Connection,
    ConnectionLost,
    Row,
    ServerError,
    connect,
    sentence,
)
from ironflow.journal.postgres.address import LEASE_SECONDS_DEFAULT, Address

READERS_MAX: Final = 4
_PAUSE_SECONDS: Final = (0.02, 0.1, 0.3, 1.0)  # between tries, the last for ever


@final
@dataclass(frozen=True, slots=True)
class Options:
    """How patient a journal is. Seconds.

    `lease`: how long the others wait for a node that is silent. `poll`: how often it
    looks for what a lost notification would have told. `patience`: how long it tries
    to reach a server that went away.
    """

    lease: float = LEASE_SECONDS_DEFAULT
    poll: float = 5.0
    patience: float = 60.0


@final
class Server:
    """Where sessions come from."""

    def __init__(self, address: Address, options: Options) -> None:
        self.address: Final = address
        self.options: Final = options
        held = max(1, round(options.lease * 500))
        self.settings: Final = {
            "search_path": f'"{address.schema.replace(chr(34), chr(34) * 2)}"',
            # Whoever stops while it holds the lock of the environment lets go of it.
            "idle_in_transaction_session_timeout": f"{held}ms",
            # All statements name rows by index. A plan made while the tables were
            # small must not read them whole when they have grown.
            "plan_cache_mode": "force_generic_plan",
            "enable_seqscan": "off",
            "enable_bitmapscan": "off",
            "enable_material": "off",
            "enable_hashjoin": "off",
            "enable_mergejoin": "off",
            "jit": "off",
        }
        # Nobody waits for who makes tables, so that may take its time.
        no_limit = {"idle_in_transaction_session_timeout": "0"}
        self.settings_to_migrate: Final = self.settings | no_limit

    async def connection(self) -> Connection:
        """Open a session, trying again while the server is away.

        Raises:
            JournalFailed: it did not come back in time, or refuses us.
        """
        deadline = trio.current_time() + self.options.patience
        tries = 0
        while True:
            try:
                return await trio.to_thread.run_sync(
                    connect, self.address.conninfo, self.settings
                )
            except ConnectionLost as error:
                if trio.current_time() > deadline:
                    raise self._given_up(error) from error
            except ServerError as error:
                raise self._given_up(error) from error
            await trio.sleep(_PAUSE_SECONDS[min(tries, len(_PAUSE_SECONDS) - 1)])
            tries += 1

    def _given_up(self, error: ServerError) -> JournalFailed:
        return JournalFailed(
            f"the connection to {self.address.shown} was lost and could not be had"
            f" again within {self.options.patience:g} s ({error}). Nothing that was"
            " acknowledged is lost; start again when the server is back"
        )


@final
@dataclass(slots=True, eq=False)
class _Read:
    """The calls of one task and, later, what became of them."""

    calls: Sequence[Call]
    task: "trio.lowlevel.Task"
    found: list[list[Row]] | None = None
    error: Exception | None = None
    leads: bool = False
    sleeps: bool = False

    async def sleep(self) -> None:
        """Wait until somebody wakes this task."""
        self.sleeps = True
        await trio.lowlevel.wait_task_rescheduled(_not_aborted)

    def wake(self) -> None:
        """Wake the task, if it sleeps: it may be asking for others."""
        if self.sleeps:
            self.sleeps = False
            trio.lowlevel.reschedule(self.task)


@final
class Readers:
    """A few sessions for reads, opened when they are needed.

    Reads that are asked in one pass of the loop share a round trip. Nothing that
    waits is cancelled: whoever leads may ask for others too.
    """

    def __init__(self, server: Server) -> None:
        self._server: Final = server
        self._idle: Final[list[Connection]] = []
        self._waiting: Final[deque[_Read]] = deque()
        self._leaders = 0
        self._closed = False

    async def run(self, calls: Sequence[Call]) -> list[list[Row]]:
        """Run calls that only read; again, if the session is lost meanwhile.

        Raises:
            JournalFailed: the server did not come back.
            JournalError: the journal is closed, or the server refuses a call.
        """
        while True:
            try:
                return await self.run_once(calls)
            except ConnectionLost:
                self._check_open()

    async def run_once(self, calls: Sequence[Call]) -> list[list[Row]]:
        """Run calls.

        Raises:
            ConnectionLost: nobody knows what became of them.
            JournalFailed: the server did not come back.
            JournalError: the journal is closed, or the server refuses a call.
        """
        self._check_open()
        read = _Read(calls, trio.lowlevel.current_task())
        self._waiting.append(read)
        if self._leaders < READERS_MAX:
            self._leaders += 1
            read.leads = True
        while read.found is None and read.error is None:
            if read.leads:
                await self._lead(read)
            else:
                await read.sleep()
        if read.error is not None:
            raise read.error
        assert read.found is not None
        return read.found

    async def _lead(self, leader: _Read) -> None:
        """Ask for all who wait, then let the next who waits lead."""
        leader.leads = False
        await trio.lowlevel.cancel_shielded_checkpoint()
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            await self._ask(taken)
        finally:
            for read in taken:
                read.wake()
            following = next((read for read in self._waiting if read.sleeps), None)
            if following is None:
                self._leaders -= 1
            else:
                following.leads = True
                following.wake()

    async def _ask(self, taken: Sequence[_Read]) -> None:
        try:
            results = await self._exchange(taken) if taken else []
        except (ServerError, JournalError) as error:
            for read in taken:
                read.error = error
            return
        found = iter(results)
        for read in taken:
            read.found = [next(found) for _ in read.calls]

    async def _exchange(self, taken: Sequence[_Read]) -> list[list[Row]]:
        connection = self._idle.pop() if self._idle else await self._opened()
        try:
            return await connection.run([call for read in taken for call in read.calls])
        except ConnectionLost:
            raise
        except ServerError as error:
            raise JournalError(
                f"{self._server.address.shown} refused a read: {error}"
            ) from error
        finally:
            self._put_back(connection)

    async def _opened(self) -> Connection:
        connection: Connection | None = None
        with trio.CancelScope(shield=True):  # others wait for it, too
            connection = await self._server.connection()
        assert connection is not None
        return connection

    def _put_back(self, connection: Connection) -> None:
        if self._closed:
            connection.close()
        elif connection.is_open:
            self._idle.append(connection)

    def _check_open(self) -> None:
        if self._closed:
            raise closed()

    def close(self) -> None:
        """End the sessions; those at work end when they are done."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()


def _not_aborted(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED


def closed() -> JournalError:
    """Return the error for a call to a journal that was closed."""
    return JournalError("this journal is closed; open it again")


def not_opened(
    address: Address, error: ServerError | psycopg.Error
) -> ConfigurationError | JournalFailed:
    """Return the error for a journal that could not be opened."""
    words = sentence(error) if isinstance(error, psycopg.Error) else str(error)
    if isinstance(error, ConnectionLost | psycopg.OperationalError):
        return JournalFailed(
            f"the journal {address.shown} cannot be reached ({words}); start the server"
            " or correct the URL, then try again"
        )
    return ConfigurationError(
        f"the journal {address.shown} cannot be opened ({words}); correct the URL, or"
        " what the server allows this user: it needs a database with CREATE, or a"
        " schema of its own"
    )
