"""A journal at the other end of a link: with it, an engine is a worker.

It has what an engine needs to carry runs on: claims that come as the server gives them,
histories, commits of what the runs it holds have recorded. Timers, events and matching
stay with the server, and so does everything that lists.

A connection that ends takes all holds with it. What is committed after that is refused
like an append of any holder whose time is over, and the engine gives the run up.
"""

import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

import msgspec
import trio

from ironflow import limits
from ironflow.engine.log import log
from ironflow.errors import (
    JournalError,
    JournalFull,
    LeaseLost,
    ProtocolError,
)
from ironflow.journal.base import (
    Answer,
    Claim,
    FunctionRow,
    Hint,
    JournalCommand,
    Refused,
    RegisterFunctions,
    TimerRow,
)
from ironflow.records import Entry
from ironflow.wire.frames import (
    BUSY,
    PROTOCOL,
    Answers,
    Bye,
    Claims,
    Command,
    Commit,
    Credit,
    Drain,
    Failure,
    GiveBack,
    Hello,
    HistoryPage,
    HistoryRequest,
    News,
    NotStored,
    Ping,
    Pong,
    ServerFrame,
    Welcome,
    encode,
    server_frame,
)
from ironflow.wire.link import Link, LinkClosed
from ironflow.worker.connection import Connection, Page, Reply
from ironflow.worker.server_clock import ServerClock
from ironflow.worker.translating import (
    answered_here,
    claim_of,
    command_of,
    reply_of,
)
from ironflow.worker.unanswered import Unanswered

_SILENCE_S: Final = limits.WORKER_SILENCE_US_MAX / 1_000_000
_LOST: Final = LeaseLost(
    "the connection to the server ended, and with it every hold of this worker; the"
    " server gives the run to whoever is there"
)
_encode: Final = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a worker is: a name that people read, and what tells its processes apart."""

    worker: str
    process: str
    sdk: str
    hostname: str = socket.gethostname()


@final
class RemoteJournal(Unanswered):
    """The journal of a worker. `serve` it over one link after the other."""

    def __init__(
        self,
        identity: Identity,
        clock: ServerClock,
        *,
        credit: int = limits.WORKER_CREDIT_DEFAULT,
    ) -> None:
        self._identity: Final = identity
        self._clock: Final = clock
        self._credit = credit
        self._environment = ""
        self._functions: tuple[FunctionRow, ...] = ()
        self._connection: Connection | None = None
        self._claims: Final[deque[Claim]] = deque()
        self._news: Final[set[str]] = set()  # of claims that nobody has taken yet
        self._callbacks: Final[list[Callable[[Hint], None]]] = []
        self.registered: Final = trio.Event()  # the engine has said what it can do
        self.drain_asked: Final = trio.Event()  # by the server
        self.connected = trio.Event()

    # --- the link -------------------------------------------------------------------------

    async def serve(
        self, link: Link, connected: Callable[[str], None] = lambda environment: None
    ) -> str:
        """Be a worker over this link until it ends; return why it did.

        Raises:
            ProtocolError: the server does not take this worker.
        """
        connection = Connection(link)
        try:
            await link.send(encode(self._hello()))
            await self._welcomed(await self._received(link))
            self._connection = connection
            self.connected.set()
            connected(self._environment)
            return await self._serve(link, connection)
        except LinkClosed as error:
            return error.reason or "the connection was closed"
        finally:
            self._connection = None
            self.connected = trio.Event()
            self._claims.clear()
            self._news.clear()
            connection.lose()

    async def _serve(self, link: Link, connection: Connection) -> str:
        try:
            while True:
                await self._take(await self._received(link), connection)
        except ProtocolError as error:
            log.error("the connection to the server ends: %s", error)
            return str(error)

    def _hello(self) -> Hello:
        own = self._identity
        return Hello(
            (PROTOCOL,),
            own.worker,
            own.process,
            own.hostname,
            own.sdk,
            tuple(msgspec.Raw(_encode(row)) for row in self._functions),
            self._credit,
        )

    async def _received(self, link: Link) -> ServerFrame:
        with trio.move_on_after(_SILENCE_S):
            return server_frame(await link.receive())
        await link.close(1001, "silence")
        raise LinkClosed(1006, f"the server said nothing for {_SILENCE_S:g} s")

    async def _welcomed(self, frame: ServerFrame) -> None:
        if isinstance(frame, Failure):
            if frame.code == BUSY:
                raise LinkClosed(1013, frame.message)
            raise ProtocolError(frame.message)
        if not isinstance(frame, Welcome) or frame.version != PROTOCOL:
            raise ProtocolError("the server does not say welcome; it is something else")
        if self._environment not in {"", frame.environment}:
            raise ProtocolError(
                f"the server has environment {frame.environment!r} now; this worker"
                f" began with {self._environment!r}: start it again"
            )
        self._environment = frame.environment
        self._clock.told(frame.now)

    async def _take(self, frame: ServerFrame, connection: Connection) -> None:
        match frame:
            case Answers() | NotStored() | HistoryPage():
                connection.replied(frame.number, reply_of(frame))
            case Claims() | News():
                self._told(frame)
            case Ping():
                self._clock.told(frame.now)
                await connection.send(Pong())
            case Drain():
                self.drain_asked.set()
            case Bye():
                raise LinkClosed(1000, frame.reason)
            case Failure() | Welcome():
                raise ProtocolError(_message(frame))

    def _told(self, frame: Claims | News) -> None:
        if isinstance(frame, Claims):
            self._claims.extend(map(claim_of, frame.claims))
            self._tell(Hint(ready={each.run_id for each in frame.claims}))
            return
        not_taken = {each.run_id for each in self._claims}
        self._news.update(not_taken.intersection(frame.run_ids))
        self._tell(Hint(inbox=set(frame.run_ids)))

    def _tell(self, hint: Hint) -> None:
        for callback in tuple(self._callbacks):
            callback(hint)

    async def drain(self) -> None:
        """Ask the server for no more runs; what it has sent so far is given back."""
        self._credit = 0
        claims = tuple(self._claims)
        self._claims.clear()
        await self.release(claims)
        if self._connection is not None:
            await self._connection.send(Credit(0))

    # --- what an engine needs ---------------------------------------------------------------

    @property
    def environment(self) -> str:
        """The environment of the server; empty before the first welcome."""
        return self._environment

    async def commit(self, commands: Sequence[JournalCommand]) -> Sequence[Answer]:
        """Let the server carry out what runs have recorded; see `Journal.commit`.

        What it does not have to know is answered here.

        Raises:
            JournalFull: the server has no space; nothing was stored.
            ConfigurationError: a worker cannot do this.
        """
        answers: list[Answer | None] = []
        asked: list[Command] = []
        for command in commands:
            answer = self._answered(command)
            answers.append(answer)
            if answer is None:
                asked.append(command_of(command))
        if asked:
            outcomes = iter(await self._ask(tuple(asked)))
            answers = [next(outcomes) if each is None else each for each in answers]
        return [each for each in answers if each is not None]

    def _answered(self, command: JournalCommand) -> Answer | None:
        """Answer what concerns nobody but this worker."""
        if isinstance(command, RegisterFunctions):
            self._functions = command.functions
            self.registered.set()
        return answered_here(command)

    async def _ask(self, commands: tuple[Command, ...]) -> Sequence[Answer]:
        connection = self._connection
        reply: Reply | None = None
        if connection is not None:
            number = connection.number()
            with trio.CancelScope(shield=True):  # nobody can take it back
                reply = await connection.ask(number, Commit(number, commands))
        if isinstance(reply, NotStored):
            raise JournalFull(reply.message)
        if reply is None:
            return [Refused(_LOST) for _ in commands]
        assert isinstance(reply, list), "a commit is answered by answers"
        return reply

    async def history(
        self, run_id: str, *, after: int = 0, limit: int = limits.PAGE_RECORDS_MAX
    ) -> Sequence[Entry]:
        """Return records of a run that this worker holds, in order.

        Raises:
            JournalError: the connection was lost.
        """
        entries: list[Entry] = []
        more = True
        while more and len(entries) < limit:
            connection = self._connection
            if connection is None:
                raise _LOST
            number, begin = connection.number(), after + len(entries)
            request = HistoryRequest(number, run_id, begin, limit - len(entries))
            page = await connection.ask(number, request)
            if not isinstance(page, Page):
                raise JournalError(f"the history of run {run_id} did not come: {_LOST}")
            entries += page.entries
            more = page.more and bool(page.entries)
        return entries

    async def claim(self, functions: frozenset[str], *, limit: int) -> Sequence[Claim]:
        """Return runs that the server has sent."""
        claims = self._claims
        taken = [claims.popleft() for _ in range(min(limit, len(claims)))]
        news = {each.run_id for each in taken} & self._news
        strange = [each for each in taken if each.function_id not in functions]
        if news:
            # The engine has to have taken the run up before it can look.
            self._news.difference_update(news)
            token = trio.lowlevel.current_trio_token()
            token.run_sync_soon(self._tell, Hint(inbox=news))
        if strange:
            await self.release(strange)
            taken = [each for each in taken if each.function_id in functions]
        return taken

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give runs back to the server."""
        if claims and self._connection is not None:
            pairs = tuple((each.run_id, each.epoch) for each in claims)
            await self._connection.send(GiveBack(pairs))

    async def functions(self) -> Sequence[FunctionRow]:
        """Return the functions of this worker."""
        return self._functions

    async def due(self, now: int, *, limit: int) -> tuple[Sequence[TimerRow], int]:
        """Return nothing: timers act at the server."""
        del now, limit
        return (), 0

    def watch(self, callback: Callable[[Hint], None]) -> Callable[[], None]:
        """Call back when claims or news come; return a stop."""
        self._callbacks.append(callback)

        def stop() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return stop

    async def close(self) -> None:
        """Leave in order: the server gives the runs of this worker to others."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.send(Bye("the worker ends"))


def _message(frame: Failure | Welcome) -> str:
    if isinstance(frame, Failure):
        return frame.message
    return "the server says welcome once"
