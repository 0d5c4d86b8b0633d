"""One worker that is connected: frames in, frames out, until the link ends."""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, final

import trio

from ironflow import limits
from ironflow.engine.log import log
from ironflow.errors import JournalError, ProtocolError
from ironflow.journal.base import Claim, FunctionRow
from ironflow.transport.holding import Holding
from ironflow.transport.workers import WorkerInfo
from ironflow.wire.frames import (
    Bye,
    Claimed,
    Claims,
    Credit,
    Drain,
    Failure,
    Frame,
    GiveBack,
    Hello,
    HistoryRequest,
    News,
    Ping,
    Pong,
    ReceivedCommit,
    WorkerFrame,
    encode,
    worker_frame,
)
from ironflow.wire.link import Link, LinkClosed

_PING_S: Final = limits.WORKER_PING_US_DEFAULT / 1_000_000
_SILENCE_S: Final = limits.WORKER_SILENCE_US_MAX / 1_000_000
_BYE: Final = 1000
_BROKEN: Final = 1002


class Host(Protocol):
    """What a session needs of its host."""

    def now(self) -> int:
        """Return the time in microseconds."""
        ...

    def released(self) -> None:
        """Learn that runs were given back, which others may have."""
        ...

    def room_in(self, session: "PullSession") -> None:
        """Learn that a session could carry on more runs."""
        ...


@final
class PullSession:
    """A worker at the other end of a link, from its hello to its end."""

    def __init__(
        self,
        host: Host,
        link: Link,
        hello: Hello,
        *,
        id: str,  # noqa: A002  it is the session's
        rows: Sequence[FunctionRow],
        holding: Holding,
    ) -> None:
        self._host: Final = host
        self._link: Final = link
        self.id: Final = id
        self.worker: Final = hello.worker
        self.process: Final = hello.process
        self._hostname: Final = hello.hostname
        self._sdk: Final = hello.sdk
        self.functions: Final = frozenset(row.id for row in rows)
        self.holding: Final = holding
        self._credit = min(hello.credit, limits.WORKER_CREDIT_MAX)
        self._connected_at = self._last_seen = host.now()
        self._claims: list[Claim] = []
        self._untold: set[str] = set()  # runs whose claims the worker does not know yet
        self._news: set[str] = set()
        self._poke = trio.Event()
        self._writing: Final = trio.Lock()
        self._free: Final = trio.Semaphore(limits.WORKER_COMMITS_MAX)
        self._scope: Final = trio.CancelScope()
        self.why_lost = ""  # empty while it is there, and after an end in order
        self.is_over = False
        self.is_exhausted = False  # nothing was ready for it the last time

    # --- what its host asks ---------------------------------------------------------------

    @property
    def room(self) -> int:
        """Return how many more runs it may be given."""
        return 0 if self.is_over else self._credit - len(self.holding.runs)

    @property
    def load(self) -> float:
        """Return which part of its credit is used: the next run goes where it is least."""
        return len(self.holding.runs) / max(1, self._credit)

    def info(self) -> WorkerInfo:
        """Return the worker as it is now."""
        return WorkerInfo(
            id=self.worker,
            transport="worker-2",
            function_ids=tuple(sorted(self.functions)),
            registered_at=self._connected_at,
            last_heartbeat=self._last_seen,
            active_jobs=len(self.holding.runs),
            max_concurrent=self._credit,
            hostname=self._hostname,
            sdk=self._sdk,
        )

    def give(self, claims: Sequence[Claim]) -> None:
        """Let the worker carry these runs on."""
        self.holding.take(claims)
        self._claims += claims
        self._untold.update([claim.run_id for claim in claims])
        self._poke.set()

    def news(self, run_ids: Iterable[str]) -> None:
        """Tell the worker of inbox rows of runs that it holds."""
        runs = self.holding.runs
        for run_id in run_ids:
            held = runs.get(run_id)
            if held is not None:
                self._news.add(run_id)
                self._poke.set()

    async def drain(self, reason: str) -> None:
        """Ask the worker to end what it has begun, and to leave."""
        await self._send(Drain(reason))

    def end(self) -> None:
        """End it in order: the server stops."""
        self.why_lost = ""
        self._scope.cancel()

    # --- its life ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the worker until its link ends; then `why_lost` says why.

        Commits that are under way have been carried out when it returns.
        """
        self.why_lost = "its connection was closed"
        with self._scope:
            async with trio.open_nursery() as helpers:
                helpers.start_soon(self._ping)
                helpers.start_soon(self._tell)
                async with trio.open_nursery() as commits:
                    await self._read(commits)
                helpers.cancel_scope.cancel()
        self.is_over = True

    async def _read(self, commits: trio.Nursery) -> None:
        while not self.is_over:
            data = await self._received()
            if data is None:
                self._scope.cancel()
                return
            self._last_seen = self._host.now()
            try:
                await self._handle(worker_frame(data), commits)
            except ProtocolError as error:
                await self._fail(error)

    async def _received(self) -> bytes | None:
        """Return the next message; None, with the reason noted, if none comes."""
        with trio.move_on_after(_SILENCE_S):
            try:
                return await self._link.receive()
            except LinkClosed:
                return None
        self.why_lost = f"it said nothing for {_SILENCE_S:g} s"
        return None

    async def _handle(self, frame: WorkerFrame, commits: trio.Nursery) -> None:
        match frame:
            case ReceivedCommit():
                await self._free.acquire()
                commits.start_soon(self._commit, frame)
            case Pong():
                pass
            case GiveBack():
                await self.holding.give_back(frame.claims)
                self._host.released()
            case HistoryRequest():
                await self._send(await self.holding.history(frame))
            case Credit():
                self._credit = max(0, min(frame.credit, limits.WORKER_CREDIT_MAX))
                self._host.room_in(self)
            case Bye() | Failure():
                self._leaves(frame)
            case Hello():
                raise ProtocolError("a worker says hello once")

    def _leaves(self, frame: Bye | Failure) -> None:
        if isinstance(frame, Bye):
            self.why_lost, self.is_over = "", True
            return
        log.error("worker %s: %s", self.worker, frame.message)
        self.why_lost = f"it says: {frame.message}"
        self._scope.cancel()

    async def _commit(self, frame: ReceivedCommit) -> None:
        try:
            answers = await self.holding.commit(frame)
        except ProtocolError as error:
            await self._fail(error)
            return
        except JournalError as error:  # the server's own engine meets it, too
            log.error("a commit of worker %s failed: %s", self.worker, error)
            self._scope.cancel()
            return
        except Exception:  # noqa: BLE001  what a worker sends ends its own connection at most
            log.exception("a commit of worker %s could not be decided", self.worker)
            bug = "this cannot be carried out; the log of the server says why"
            await self._fail(ProtocolError(bug))
            return
        finally:
            self._free.release()
        if self.room > 0:
            self._host.room_in(self)
        if self._news:
            await self._send_news()  # what came before the answer is told before it
        await self._send(answers)

    async def _ping(self) -> None:
        while True:
            await self._send(Ping(self._host.now()))
            await trio.sleep(_PING_S)

    async def _tell(self) -> None:
        """Send claims, and then what has come for their runs, in this order."""
        while True:
            await self._poke.wait()
            self._poke = trio.Event()
            if self._claims:
                claims, self._claims = self._claims, []
                await self._send_claims(await self.holding.describe(claims))
                self._untold.difference_update([each.run_id for each in claims])
            if self._news:
                await self._send_news()

    async def _send_news(self) -> None:
        news = self._news - self._untold
        self._news -= news
        held = tuple(run_id for run_id in news if run_id in self.holding.runs)
        if held:
            await self._send(News(held))

    async def _send_claims(self, claims: Sequence[Claimed]) -> None:
        together: list[Claimed] = []
        size = 0
        for claim in claims:
            length = len(bytes(claim.history))
            if together and size + length > limits.WIRE_PAGE_BYTES_MAX:
                await self._send(Claims(tuple(together)))
                together, size = [], 0
            together.append(claim)
            size += length
        if together:
            await self._send(Claims(tuple(together)))

    async def _send(self, frame: Frame) -> None:
        async with self._writing:
            try:
                await self._link.send(encode(frame))
            except LinkClosed:
                self._scope.cancel()

    async def _fail(self, error: ProtocolError) -> None:
        """End the connection of a worker that broke the protocol."""
        log.error("worker %s is sent away: %s", self.worker, error)
        self.why_lost = f"it broke the protocol: {error}"
        await refuse(self._link, error.code, str(error))
        self._scope.cancel()


async def refuse(link: Link, code: str, message: str) -> None:
    """Say what is wrong, and close."""
    try:
        with trio.move_on_after(_PING_S):
            await link.send(encode(Failure(code, message)))
            await link.close(_BROKEN, code.lower())
    except LinkClosed:
        pass
