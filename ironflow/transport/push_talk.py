"""One run in the hand of an endpoint of ours: what is said about it, and what if nobody answers.

A run is taken from an endpoint when it is known that its process has ended, and counted
then, as with any worker that is lost. While nobody answers it is not known: the run stays where
it is, and once the circuit of the endpoint lets calls through, whoever answers is asked.
"""

import math
from dataclasses import dataclass, field
from typing import Final, final

import httpx
import trio

from ironflow import limits
from ironflow.engine.log import log
from ironflow.errors import ProtocolError
from ironflow.journal.base import Claim
from ironflow.policy.breaker import Admission
from ironflow.transport.circuits import Breaker
from ironflow.transport.holding import Holding
from ironflow.transport.push_posts import (
    EndpointFailed,
    ForeignAnswer,
    NotSent,
    Posts,
    WrongAnswer,
)
from ironflow.wire.frames import (
    Claims,
    Frame,
    GiveBack,
    HistoryRequest,
    News,
    ReceivedCommit,
    WorkerFrame,
)
from ironflow.wire.posts import Described, Post, Reply, packed, worker_frames

_SECOND_US: Final = 1_000_000
_RETRY_S: Final = 0.5
_ENDED: Final = "its process ended, or another one answered"


class _Lost(EndpointFailed):
    """Another process is there than the one that had the run, or it ends whoever gets it."""


class _Left(EndpointFailed):
    """The run is not with the endpoint, and nothing says that a process ended of it."""


@final
@dataclass(eq=False)
class Endpoint:
    """An endpoint, its functions, and who speaks with it."""

    url: str
    breaker: Breaker
    functions: frozenset[str] = frozenset()
    talks: "dict[str, Talk]" = field(default_factory=dict[str, "Talk"])
    wakes_at: int = 0  # when its circuit lets a call through
    free: list[httpx.AsyncClient] = field(default_factory=list[httpx.AsyncClient])
    _processes: list[str] = field(default_factory=list[str])

    @property
    def processes(self) -> frozenset[str]:
        """Return the processes that have answered of late."""
        return frozenset(self._processes)

    def heard(self, process: str) -> None:
        """Note that a process has answered."""
        if process not in self._processes:
            self._processes.append(process)
            del self._processes[: -limits.PUSH_PROCESSES_MAX]


@final
class Talk:
    """The conversation about one run; `run` is its task."""

    def __init__(
        self,
        posts: Posts,
        endpoint: Endpoint,
        claim: Claim,
        *,
        admission: Admission,
        holding: Holding,
    ) -> None:
        self._posts: Final = posts
        self.endpoint: Final = endpoint
        self._claim: Final = claim
        self._admission = admission
        self._breaker: Final = endpoint.breaker
        self._is_told = False  # whether the circuit knows what came of a call
        self.run_id: Final = claim.run_id
        self.holding: Final = holding
        holding.take([claim])
        free = endpoint.free
        self._client = free.pop() if free else posts.client()
        self._claims: tuple[Frame, ...] = ()
        self._process = ""  # that has the run
        # The claim was sent and not answered: a process may have the run that is not known,
        # or have ended of it. `_doubt` says why; `_before` is who had answered until then.
        self._in_doubt = False
        self._doubt = ""
        self._before: frozenset[str] = frozenset()
        self._refusals = 0  # of the claim
        self._tries = 0  # in a row, of whatever is said
        self._wrong = 0  # answers among them
        self._to_say: list[Frame] = []
        self._has_news = False
        self._waiting: trio.CancelScope | None = None

    def news(self) -> None:
        """Tell the endpoint at once of what has come into the inbox."""
        self._has_news = True
        if self._waiting is not None:
            self._waiting.cancel()

    def report_nothing(self) -> None:
        """Let another be the probe, if this run was to be and sent nothing."""
        if not self._is_told:
            self._breaker.given_up(probe=self._admission.probe)

    async def run(self) -> None:
        """Converse until the endpoint does not hold the run any more."""
        claims = await self.holding.describe([self._claim])
        try:
            if claims:
                self._claims = (Claims(claims),)
                await self._converse()
        except EndpointFailed as error:
            await self._give_up(error)
            await self._client.aclose()
        except ProtocolError as error:
            log.error("endpoint %s: %s", self.endpoint.url, error)
            await self._give_up(_Lost(str(error)))
            await self._client.aclose()
        else:
            self.endpoint.free.append(self._client)

    async def _converse(self) -> None:
        while self.run_id in self.holding.runs or self._to_say:
            if self._tries:
                await self._admitted()
            reply = await self._say()
            if reply is not None:
                await self._answered(reply)

    # --- POSTs ------------------------------------------------------------------------------

    async def _say(self) -> Reply | Described | None:
        """Say what there is to say, and return the answer.

        None: begin again, because news came or it failed and may be tried again.
        """
        if self._has_news:
            self._has_news = False
            self._to_say.append(News((self.run_id,)))
        said = len(self._to_say)
        gives = not (self._process or self._in_doubt)
        post = self._post(gives=gives)
        if gives:
            self._in_doubt, self._doubt = True, ""
            self._before = self.endpoint.processes
        reply: Reply | Described | None = None
        failure: EndpointFailed | None = None
        with trio.CancelScope() as self._waiting:
            try:
                reply = await self._posts.send(self._client, self.endpoint.url, post)
            except EndpointFailed as error:
                failure = error
        self._waiting = None
        if failure is not None:
            await self._failed(failure, gives=gives)
        if reply is not None:
            del self._to_say[:said]
            self._in_doubt = self._in_doubt and not gives
        return reply

    def _post(self, *, gives: bool) -> Post:
        frames = [*self._claims, *self._to_say] if gives else self._to_say
        return Post(
            self._posts.environment,
            self._posts.now(),
            self.run_id,
            self._claim.epoch,
            self._process,
            packed(frames),
        )

    async def _failed(self, error: EndpointFailed, *, gives: bool) -> None:
        """Wait before the next try; what is said is taken once, however often it comes.

        Raises:
            EndpointFailed: there is none.
        """
        # Of a probe one call says it all; what this run's next calls say is no news.
        probe = self._admission.probe and not self._is_told
        self._is_told = True
        self._breaker.failed(self._posts.now(), probe=probe, error=str(error))
        self._tries += 1
        self._wrong += isinstance(error, WrongAnswer)
        if gives:
            self._in_doubt = not isinstance(error, NotSent)
            self._refusals += self._in_doubt
        self._doubt = self._doubt or str(error)
        self._check_hope(error)
        if isinstance(error, ForeignAnswer):
            await self._reconnect()
        await trio.sleep(_RETRY_S * 2 ** min(self._tries, limits.PUSH_TRIES_MAX - 1))

    def _check_hope(self, error: EndpointFailed) -> None:
        """Go on only where that may lead somewhere.

        Raises:
            EndpointFailed: it does not.
        """
        if self._claim.function_id not in self.endpoint.functions:
            raise _Left(f"{error}; and its function is elsewhere now") from error
        if self._process:
            if self._wrong >= limits.PUSH_TRIES_MAX:
                raise _Lost(str(error)) from error
        elif not self._in_doubt and (
            self._tries >= limits.PUSH_TRIES_MAX or self._breaker.circuit.is_open
        ):
            raise error

    async def _admitted(self) -> None:
        """Wait until the circuit lets a call through."""
        while True:
            admission = self._breaker.admit(self._posts.now())
            if admission.wait_us == 0:
                self._admission, self._is_told = admission, False
                return
            news, wait_us = self._breaker.news, admission.wait_us
            # Of a probe that is under way nobody knows how long it takes.
            seconds = wait_us / _SECOND_US if wait_us > 0 else math.inf
            with trio.move_on_after(seconds):
                await news.wait()

    async def _reconnect(self) -> None:
        """Leave a connection: what comes over it next would be taken for an answer, too."""
        left, self._client = self._client, self._posts.client()
        await left.aclose()

    # --- answers ----------------------------------------------------------------------------

    async def _answered(self, reply: Reply | Described) -> None:
        self._breaker.succeeded()
        self._is_told = True
        if not isinstance(reply, Reply):
            raise _Lost("it does not speak of the run that it was sent")
        self._tries = self._wrong = 0
        try:
            if reply.state == "unknown":
                await self._unknown(reply.process)
                return
        finally:
            self.endpoint.heard(reply.process)
        self._process = self._process or reply.process
        if reply.process != self._process:
            raise _Lost(_ENDED)
        for frame in worker_frames(reply):
            await self._hear(frame)
        if reply.state == "over":
            await self.holding.let_go()

    async def _unknown(self, process: str) -> None:
        """A process has not got the run: find out what that says of the one that had it."""
        if process == self._process:
            raise _Left("nobody spoke of the run for so long that it was forgotten")
        if self._process:
            raise _Lost(_ENDED)
        if not self._in_doubt:
            raise _Lost("it was given the run and says that it has not got it")
        self._in_doubt = False  # it is to be given the run again
        if self._refusals >= limits.PUSH_TRIES_MAX:
            raise _Lost(f"{self._doubt}; as often as it was given the run")
        if self._doubt and process not in self._before:
            await self.holding.count_lost(self._doubt[: limits.REASON_CHARS_MAX])
        if self.run_id not in self.holding.runs:  # it is paused
            self._to_say.clear()

    async def _hear(self, frame: WorkerFrame) -> None:
        match frame:
            case ReceivedCommit():
                self._to_say.append(await self.holding.commit(frame))
            case HistoryRequest():
                self._to_say.append(await self.holding.history(frame))
            case GiveBack():
                await self.holding.give_back(frame.claims)
            case _:
                raise ProtocolError(f"{type(frame).__name__} is not for a POST")

    # --- ends -------------------------------------------------------------------------------

    async def _give_up(self, error: EndpointFailed) -> None:
        """Take the run away: it is ready for whoever answers."""
        why = str(error)
        log.warning("run %s is taken from %s: %s", self.run_id, self.endpoint.url, why)
        if isinstance(error, _Lost):  # the process may have died of it
            await self.holding.lose(why[: limits.REASON_CHARS_MAX])
        elif isinstance(error, _Left):
            await self.holding.set_aside(why[: limits.REASON_CHARS_MAX])
        else:
            await self.holding.let_go()
