"""Workers that connect: who is there, who gets which run, and what is left behind.

A worker of ours says hello over a WebSocket with the functions that it has; runs of these
are claimed for it from the journal and sent to it, as many as it has credit for. A worker
that is lost, by a closed connection or by silence, loses its runs at once.
"""

import secrets
from collections.abc import Callable, Collection
from typing import Final, final

import trio
from msgspec.structs import replace

from ironflow import limits
from ironflow.engine.log import log
from ironflow.errors import JournalError, ProtocolError
from ironflow.journal.base import FunctionRow, Hint, Journal, RegisterFunctions
from ironflow.transport.admitted import function_row
from ironflow.transport.context import Context
from ironflow.transport.holding import Holding
from ironflow.transport.http.messages import (
    Request,
    WebSocket,
    WebSocketClosed,
    WebSocketUpgrade,
)
from ironflow.transport.http.router import Router
from ironflow.transport.moved import Moved
from ironflow.transport.pull_session import PullSession, refuse
from ironflow.transport.workers import WorkerInfo, Workers
from ironflow.wire.frames import (
    BUSY,
    PROTOCOL,
    Bye,
    Hello,
    Welcome,
    encode,
    worker_frame,
)
from ironflow.wire.link import Link, LinkClosed

PATH: Final = "/api/v2/worker"
SUBPROTOCOL: Final = "ironflow.2"

_SILENCE_S: Final = limits.WORKER_SILENCE_US_MAX / 1_000_000
_FAIR: Final = 16  # runs that a worker gets before the next one's turn
_END_S: Final = limits.SHUTDOWN_US_DEFAULT / 1_000_000


def routes(router: Router, context: Context) -> None:
    """Let workers of ours connect: the part of a server."""
    hosting = context.engine.hosting
    host = PullHost(
        hosting.journal,
        hosting.now,
        hosted=lambda: context.engine.functions,
        workers=context.operations.workers,
    )
    router.add("GET", PATH, host.handle)
    context.operations.workers.add_carriers(host.holder_of)
    context.operations.capabilities.transports.add("worker-2")
    context.nursery.start_soon(host.run)
    context.nursery.start_soon(_close_when, context.stopping, host)


async def _close_when(stopping: trio.Event, host: "PullHost") -> None:
    await stopping.wait()
    host.close()


@final
class PullHost:
    """Gives ready runs to workers that are connected. `run` is its task.

    `hosted` are the functions of the server's own app, which no worker may have.
    """

    def __init__(
        self,
        journal: Journal,
        now: Callable[[], int],
        *,
        hosted: Callable[[], Collection[str]] = tuple,
        workers: Workers | None = None,
    ) -> None:
        self._journal: Final = journal
        self.now: Final = now
        self._hosted: Final = hosted
        self._workers: Final = Workers() if workers is None else workers
        self._sessions: Final[dict[str, PullSession]] = {}
        self._moved: Final = Moved()
        self._look = trio.Event()
        self._is_ready = True  # something may have become ready since the last look

    def workers(self) -> list[WorkerInfo]:
        """Return the workers that are connected, the longest first."""
        return [session.info() for session in self._sessions.values()]

    def holder_of(self, run_id: str) -> str:
        """Return the worker that carries a run on, as people read it; or nothing."""
        for session in self._sessions.values():
            if run_id in session.holding.runs:
                return f"worker {session.worker}"
        return ""

    async def drain(self, worker: str, *, reason: str) -> bool:
        """Ask a worker, by its name or session, to leave; False: there is none."""
        found = [
            session
            for session in self._sessions.values()
            if worker in {session.worker, session.id}
        ]
        for session in found:
            await session.drain(reason)
        return bool(found)

    # --- connections ----------------------------------------------------------------------

    async def handle(
        self, request: Request, parameters: dict[str, str]
    ) -> WebSocketUpgrade:
        """Answer `GET /api/v2/worker`: go on as a WebSocket."""
        del request, parameters

        async def serve(socket: WebSocket) -> None:
            await self.serve(_SocketLink(socket))

        return WebSocketUpgrade(
            serve, SUBPROTOCOL, message_bytes_max=limits.WIRE_MESSAGE_BYTES_MAX
        )

    async def serve(self, link: Link) -> None:
        """Serve one worker until its link ends."""
        try:
            session = await self._welcome(link)
        except ProtocolError as error:
            log.error("a worker is refused: %s", error)
            await refuse(link, error.code, str(error))
            return
        except LinkClosed:
            return
        if session is None:
            return
        self._sessions[session.id] = session
        forget = self._workers.add(session.worker, session.info)
        self.room_in(session)
        log.info("worker %s is connected: %s", session.worker, _names(session))
        try:
            await session.run()
        except trio.Cancelled:  # the server stops: it is not the worker's fault
            session.why_lost = ""
            raise
        finally:
            del self._sessions[session.id]
            forget()
            session.is_over = True
            with trio.CancelScope(shield=True):
                await self._ended(session)
                self.released()
                await _part(link)

    async def _welcome(self, link: Link) -> PullSession | None:
        with trio.move_on_after(_SILENCE_S):
            hello = worker_frame(await link.receive())
            if not isinstance(hello, Hello):
                raise ProtocolError("the first frame of a worker is hello")
            rows = _checked(hello, hosted=self._hosted())
            if len(self._sessions) >= limits.WORKERS_MAX:
                many = f"{limits.WORKERS_MAX} workers are connected; come again later"
                await refuse(link, BUSY, many)
                return None
            now = self.now()
            await self._journal.commit([RegisterFunctions(rows, now)])
            session_id = secrets.token_hex(8)
            welcome = Welcome(
                PROTOCOL,
                self._journal.environment,
                session_id,
                now,
                limits.WORKER_SILENCE_US_MAX,
            )
            await link.send(encode(welcome))
            holding = Holding(
                self._journal,
                self.now,
                self._moved,
                worker=hello.worker,
                process=hello.process,
            )
            return PullSession(
                self, link, hello, id=session_id, rows=rows, holding=holding
            )
        return None

    async def _ended(self, session: PullSession) -> None:
        """Give back what a worker held, and count it if the worker was lost."""
        held = len(session.holding.runs)
        try:
            if not session.why_lost:
                await session.holding.let_go()
                log.info("worker %s has left", session.worker)
                return
            await session.holding.lose(session.why_lost)
        except JournalError as error:  # the journal has ended, and every hold with it
            log.error("runs of worker %s are not given back: %s", session.worker, error)
            return
        log.warning(
            "worker %s was lost: %s; %d runs of it go to others",
            session.worker,
            session.why_lost,
            held,
        )

    # --- claims -----------------------------------------------------------------------------

    async def run(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Give out what is ready, until it is cancelled."""
        stop = self._journal.watch(self._hint)
        task_status.started()
        try:
            while True:
                await self._look.wait()
                self._look = trio.Event()
                await self._give_out()
        finally:
            stop()

    def close(self) -> None:
        """End all sessions in order: workers are told, their runs are given back."""
        for session in tuple(self._sessions.values()):
            session.end()

    def room_in(self, session: PullSession) -> None:
        """Look for runs if this session has room, and something may be ready for it."""
        if session.room > 0 and (self._is_ready or not session.is_exhausted):
            self._look.set()

    def released(self) -> None:
        """Look for runs that were given back: not every journal tells of them."""
        self._is_ready = True
        self._look.set()

    def _hint(self, hint: Hint) -> None:
        if hint.ready or hint.room or hint.everything:
            self.released()
        if hint.everything:
            for session in self._sessions.values():
                session.news(tuple(session.holding.runs))
        elif hint.inbox:
            for session in self._sessions.values():
                session.news(hint.inbox)

    async def _give_out(self) -> None:
        """Claim what is ready, by turns: the worker with the least to do comes first."""
        if self._is_ready:
            self._is_ready = False
            for session in self._sessions.values():
                session.is_exhausted = False
        while hungry := self._hungry():
            session = min(hungry, key=_load)
            limit = session.room if len(hungry) == 1 else min(session.room, _FAIR)
            claims = await self._journal.claim(session.functions, limit=limit)
            if session.is_over:
                await self._journal.release(claims)
                continue
            session.is_exhausted = len(claims) < limit
            if claims:
                session.give(claims)

    def _hungry(self) -> list[PullSession]:
        return [
            session
            for session in self._sessions.values()
            if session.room > 0 and not session.is_exhausted
        ]


def _load(session: PullSession) -> float:
    return session.load


def _names(session: PullSession) -> str:
    return ", ".join(sorted(session.functions))


def _checked(hello: Hello, *, hosted: Collection[str]) -> tuple[FunctionRow, ...]:
    if PROTOCOL not in hello.versions:
        raise ProtocolError(
            f"this server speaks version {PROTOCOL} of the protocol, the worker"
            f" {', '.join(map(str, hello.versions)) or 'none'}"
        )
    texts = (hello.worker, hello.process, hello.hostname, hello.sdk)
    if not hello.worker or any(len(text) > limits.NAME_CHARS_MAX for text in texts):
        raise ProtocolError(
            f"the name of a worker has 1 to {limits.NAME_CHARS_MAX} characters"
        )
    if not 0 <= hello.credit <= limits.WORKER_CREDIT_MAX:
        raise ProtocolError(f"a credit is from 0 to {limits.WORKER_CREDIT_MAX}")
    if not 0 < len(hello.functions) <= limits.WORKER_FUNCTIONS_MAX:
        raise ProtocolError(
            f"a worker has 1 to {limits.WORKER_FUNCTIONS_MAX} functions, not"
            f" {len(hello.functions)}"
        )
    rows = [function_row(bytes(row)) for row in hello.functions]
    both = ", ".join(sorted({row.id for row in rows}.intersection(hosted)))
    if both:
        raise ProtocolError(
            f"the server carries out {both} by itself: give the functions of the worker other"
            " ids, or take these out of its app"
        )
    return tuple(replace(row, host="pull") for row in rows)


async def _part(link: Link) -> None:
    """Close a link; whoever is not there any more need not be told."""
    with trio.move_on_after(_END_S):
        try:
            await link.send(encode(Bye("the server ends the connection")))
            await link.close()
        except LinkClosed:
            pass


@final
class _SocketLink:
    """A link over a WebSocket of the server."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket: Final = socket

    async def send(self, message: bytes) -> None:
        try:
            await self._socket.send(message)
        except WebSocketClosed as error:
            raise LinkClosed(error.code, error.reason) from error

    async def receive(self) -> bytes:
        try:
            message = await self._socket.receive()
        except WebSocketClosed as error:
            raise LinkClosed(error.code, error.reason) from error
        return message.encode() if isinstance(message, str) else message

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._socket.close(code, reason)
