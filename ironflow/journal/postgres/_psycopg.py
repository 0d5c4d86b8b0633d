"""The one door to psycopg: connections that run statements in libpq's pipeline.

One call sends any number of prepared statements and waits for all of their answers:
one round trip. It is driven by Trio, or by a thread that may block. A connection
serves one call at a time; whoever owns it sees to that.
"""

import select
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, final

import psycopg
import trio
from psycopg import pq
from psycopg.pq.abc import PGresult

Database = psycopg.Connection[tuple[Any, ...]]
"""A session as the driver gives it."""

What = Literal["read", "write"]
Row = tuple[bytes, ...]
"""The columns of a row in binary format; NULL is empty."""

_LOOK_SECONDS: Final = 0.05
_BINARY: Final = 1
_FATAL: Final = pq.ExecStatus.FATAL_ERROR
_ABORTED: Final = pq.ExecStatus.PIPELINE_ABORTED
_SYNC: Final = pq.ExecStatus.PIPELINE_SYNC

# The server ends the connection, or sends us to another server.
_LOST_CLASSES: Final = ("08", "57P")
_LOST_STATES: Final = frozenset({"25P03", "25006"})
_DISCONNECTED: Final = "08006"
# Words in a refusal to connect that passes by itself.
_PASSING: Final = (
    "starting up",
    "shutting down",
    "recovery mode",
    "not yet accepting",
    "too many clients",
    "remaining connection slots",
    "terminating connection",
)


@final
@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with `$1`...; it is prepared once a connection, under its name."""

    name: str
    sql: str


Call = tuple[Statement, Sequence[bytes]]


class ServerError(Exception):
    """The server refused or was not reached; `state` is its five-character SQLSTATE."""

    def __init__(self, message: str, *, state: str) -> None:
        super().__init__(message)
        self.state: Final = state


@final
class ConnectionLost(ServerError):
    """The connection is gone, and with it the transaction, unless it had committed."""


@final
class Connection:
    """A session of a server."""

    def __init__(self, connection: Database) -> None:
        self._connection: Final = connection
        self._pg: Final = connection.pgconn
        self._prepared: Final[set[str]] = set()
        self._pg.nonblocking = 1
        self._pg.enter_pipeline_mode()
        self.is_open = True

    async def run(self, calls: Sequence[Call]) -> list[list[Row]]:
        """Run statements, in order, in one round trip; return the rows of each.

        It cannot be cancelled: what was sent is answered, or the connection is gone.

        Raises:
            ConnectionLost: nobody knows which of them were carried out.
            ServerError: one failed, and those after it were not tried. A transaction
                that was open is rolled back.
        """
        with trio.CancelScope(shield=True):
            for what in self._guarded(calls):
                await self._ready_to(what)
        return self._rows

    async def _ready_to(self, what: What) -> None:
        if what == "read":
            await trio.lowlevel.wait_readable(self._pg.socket)
            return
        # A server whose answers nobody takes does not read either: look now and then.
        with trio.move_on_after(_LOOK_SECONDS):
            await trio.lowlevel.wait_writable(self._pg.socket)

    def run_blocking(self, calls: Sequence[Call]) -> list[list[Row]]:
        """Do what `run` does, and block this thread meanwhile."""
        for what in self._guarded(calls):
            if what == "read":
                select.select([self._pg.socket], [], [])
            else:
                select.select([], [self._pg.socket], [], _LOOK_SECONDS)
        return self._rows

    def close(self) -> None:
        """End the session; an open transaction is rolled back. Idempotent."""
        if self.is_open:
            self.is_open = False
            self._connection.close()

    # --- one exchange -----------------------------------------------------------

    def _guarded(self, calls: Sequence[Call]) -> Generator[What, None, None]:
        """Exchange; whatever fails otherwise than by a refusal ends the session."""
        self._rows: list[list[Row]] = []
        done = False
        try:
            yield from self._exchange(calls)
            done = True
        except psycopg.Error as error:
            raise ConnectionLost(sentence(error), state=_DISCONNECTED) from error
        except ConnectionLost:
            raise
        except ServerError:
            done = True
            raise
        finally:
            if not done:
                self.close()

    def _exchange(self, calls: Sequence[Call]) -> Generator[What, None, None]:
        error = yield from self._answers(calls)
        if error is None:
            return
        if _is_lost(error.state):
            raise ConnectionLost(str(error), state=error.state)
        if self._pg.transaction_status != pq.TransactionStatus.IDLE:
            again = yield from self._answers([(_ROLLBACK, ())])
            if again is not None:
                raise ConnectionLost(str(again), state=again.state)
        raise error

    def _answers(
        self, calls: Sequence[Call]
    ) -> Generator[What, None, ServerError | None]:
        """Send the statements and take the answers; return the first that failed."""
        preparing = self._send(calls)
        pg = self._pg
        while pg.flush():
            yield "write"
            pg.consume_input()
        self._rows = []
        error: ServerError | None = None
        while True:
            while pg.is_busy():
                yield "read"
                pg.consume_input()
            result = pg.get_result()
            if result is None:
                continue
            if result.status == _SYNC:
                return error
            if result.status in {_FATAL, _ABORTED}:
                error = error or _refused(result)
                continue
            if preparing and preparing[0][0] == len(self._rows):
                self._prepared.add(preparing.pop(0)[1])
            else:
                self._rows.append(_rows(result))

    def _send(self, calls: Sequence[Call]) -> list[tuple[int, str]]:
        """Send the statements; return what is prepared before which of them."""
        pg, preparing = self._pg, list[tuple[int, str]]()
        for place, (statement, params) in enumerate(calls):
            name = statement.name.encode()
            if statement.name not in self._prepared and not any(
                statement.name == known for _, known in preparing
            ):
                pg.send_prepare(name, statement.sql.encode())
                preparing.append((place, statement.name))
            formats = [_BINARY] * len(params)
            pg.send_query_prepared(
                name, params, param_formats=formats, result_format=_BINARY
            )
        pg.pipeline_sync()
        return preparing


_ROLLBACK: Final = Statement("rollback", "ROLLBACK")


def _rows(result: PGresult) -> list[Row]:
    columns, value = range(result.nfields), result.get_value
    return [
        tuple([value(row, column) or b"" for column in columns])
        for row in range(result.ntuples)
    ]


def _refused(result: PGresult) -> ServerError:
    field = pq.DiagnosticField
    state = result.error_field(field.SQLSTATE) or b""
    message = result.error_field(field.MESSAGE_PRIMARY) or result.error_message
    detail = result.error_field(field.MESSAGE_DETAIL) or b""
    words = b": ".join(filter(None, (message, detail))).decode(errors="replace")
    return ServerError(words, state=state.decode(errors="replace"))


def _is_lost(state: str) -> bool:
    return state.startswith(_LOST_CLASSES) or state in _LOST_STATES


# --- sessions -------------------------------------------------------------------


def connect(conninfo: str, settings: Mapping[str, str]) -> Connection:
    """Open a session with these settings; block this thread meanwhile.

    Raises:
        ServerError: it cannot be had; `ConnectionLost` where trying again may help.
    """
    connection = connect_plain(conninfo, settings)
    try:
        return Connection(connection)
    except psycopg.Error as error:
        connection.close()
        raise _unconnected(error) from error


def connect_plain(conninfo: str, settings: Mapping[str, str]) -> Database:
    """Open a session as the driver gives it, for whoever has a thread of its own.

    Raises:
        ServerError: it cannot be had; `ConnectionLost` where trying again may help.
    """
    connection: Database | None = None
    try:
        connection = psycopg.connect(conninfo, autocommit=True)
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    except psycopg.Error as error:
        if connection is not None:
            connection.close()
        raise _unconnected(error) from error
    return connection


def _unconnected(error: psycopg.Error) -> ServerError:
    """Say why there is no session: libpq gives no code for it, only words."""
    message = sentence(error)
    if "FATAL:" not in message or any(word in message for word in _PASSING):
        return ConnectionLost(message, state=_DISCONNECTED)
    return ServerError(message, state=error.sqlstate or "")


def sentence(error: psycopg.Error) -> str:
    """Return what the driver says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
