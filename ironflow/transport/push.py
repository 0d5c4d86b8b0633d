"""Endpoints of ours: runs are carried on by POSTs that the server sends.

Each run that an endpoint has is a conversation: a POST says what the server knows (the claim
with its history, answers, news), its answer what the endpoint has recorded. For the journal the
server is the holder, as with workers that connect (`holding`). An endpoint that fails again and
again is left alone for a while (`policy.breaker`).
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, final

import httpx
import msgspec
import trio
from msgspec.structs import replace

from ironflow import limits
from ironflow.engine.log import log
from ironflow.errors import JournalError, ProtocolError
from ironflow.journal.base import Claim, FunctionRow, Hint, Journal, RegisterFunctions
from ironflow.policy.breaker import Admission, BreakerPolicy
from ironflow.records import RULES
from ironflow.transport.admitted import function_row
from ironflow.transport.circuits import Breaker, Circuits
from ironflow.transport.holding import Holding
from ironflow.transport.moved import Moved
from ironflow.transport.push_client import Answered, CallFailed, Patience, exchange
from ironflow.transport.push_dial import NewClient
from ironflow.transport.registry import config_of
from ironflow.wire.frames import (
    Claims,
    Frame,
    GiveBack,
    HistoryRequest,
    News,
    ReceivedCommit,
    WorkerFrame,
)
from ironflow.wire.functions import BreakerConfig, FunctionConfig
from ironflow.wire.posts import (
    CONTENT_TYPE,
    SIGNATURE,
    Describe,
    Described,
    Post,
    Reply,
    check_signature,
    packed,
    read_reply,
    signed,
    worker_frames,
)

_SECOND_US: Final = 1_000_000
SILENCE_S: Final = limits.PUSH_POLL_US_DEFAULT / _SECOND_US + 10
_PATIENCE: Final = Patience(
    seconds=limits.PUSH_EXCHANGE_US_MAX / _SECOND_US,
    answer_bytes_max=limits.WIRE_MESSAGE_BYTES_MAX,
)
_NONCE_BYTES: Final = 12
_BREAKER: Final = BreakerConfig()
_RETRY_S: Final = 0.5
_OK: Final = 200


class EndpointFailed(Exception):
    """A POST came to nothing: nobody answered, or not as an endpoint of ours."""


class ForeignAnswer(EndpointFailed):
    """What came is not the answer to this POST: the connection is not to be used again."""


@final
@dataclass(eq=False)
class _Endpoint:
    """An endpoint, its functions, and who speaks with it."""

    url: str
    breaker: Breaker
    functions: frozenset[str] = frozenset()
    talks: "dict[str, _Talk]" = field(default_factory=dict[str, "_Talk"])
    wakes_at: int = 0  # when its circuit lets a call through
    free: list[httpx.AsyncClient] = field(default_factory=list[httpx.AsyncClient])


@final
class PushHost:
    """Gives ready runs to endpoints. `run` is its task; `signing_key` signs every POST.

    Each of the clients that `client` makes keeps to one connection.
    """

    def __init__(
        self,
        journal: Journal,
        now: Callable[[], int],
        *,
        signing_key: str,
        client: NewClient,
        circuits: Circuits,
    ) -> None:
        self.journal: Final = journal
        self.now: Final = now
        self.key: Final = signing_key
        self.client: Final = client
        self.moved: Final = Moved()
        self.circuits: Final = circuits
        self._endpoints: Final[dict[str, _Endpoint]] = {}
        self._look = trio.Event()
        self._is_stale = True  # the registry may have changed

    def urls(self) -> list[str]:
        """Return the endpoints that have functions."""
        return [url for url, each in self._endpoints.items() if each.functions]

    def holder_of(self, run_id: str) -> str:
        """Return the endpoint that carries a run on, as people read it; or nothing."""
        for url, endpoint in self._endpoints.items():
            if run_id in endpoint.talks:
                return f"endpoint {url}"
        return ""

    async def register(self, url: str, breaker: BreakerConfig = _BREAKER) -> list[str]:
        """Ask an endpoint for its functions, and register them; return their ids.

        Raises:
            EndpointFailed: nobody answers there, or it has another key.
            ProtocolError: a function of it is refused.
        """
        client = self.client()
        try:
            found = await self.post(client, url, Describe(self.now()))
        finally:
            await client.aclose()
        if not isinstance(found, Described):
            raise EndpointFailed(f"{url} does not say which functions it has")
        rows = [function_row(bytes(row)) for row in found.functions]
        rows = [_pushed(row, url, breaker) for row in rows]
        await self.journal.commit([RegisterFunctions(tuple(rows), self.now())])
        return [row.id for row in rows]

    async def run(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Give out what is ready, until it is cancelled."""
        stop = self.journal.watch(self._hint)
        task_status.started()
        self._look.set()
        try:
            async with trio.open_nursery() as nursery:
                await self._give_out_for_ever(nursery)
        finally:
            stop()

    async def _give_out_for_ever(self, nursery: trio.Nursery) -> None:
        while True:
            await self._look.wait()
            self._look = trio.Event()
            if self._is_stale:
                await self._read_registry()
            for endpoint in tuple(self._endpoints.values()):
                await self._give_out(endpoint, nursery)

    def _hint(self, hint: Hint) -> None:
        if hint.room or hint.everything:
            self._is_stale = True
        if hint.ready or hint.room or hint.everything:
            self._look.set()
        for endpoint in self._endpoints.values():
            news = set(endpoint.talks) if hint.everything else hint.inbox
            for run_id in news & endpoint.talks.keys():
                endpoint.talks[run_id].news()

    async def _read_registry(self) -> None:
        self._is_stale = False
        found: dict[str, set[str]] = {}
        policies: dict[str, BreakerPolicy] = {}
        for row in await self.journal.functions():
            config = config_of(row)
            if row.host != "push" or row.rules != RULES or config is None:
                continue
            found.setdefault(config.endpoint_url, set()).add(row.id)
            # One registration gives all functions of an endpoint the same.
            policies[config.endpoint_url] = config.circuit_breaker.policy
        for url in self._endpoints.keys() - found.keys():
            self._endpoints[url].functions = frozenset()
            self.circuits.remove(url)
        for url, functions in found.items():
            self._know(url, frozenset(functions), policies[url])

    def _know(self, url: str, functions: frozenset[str], policy: BreakerPolicy) -> None:
        breaker = self.circuits.add(Breaker(url, url, policy, functions, self._wake))
        known = self._endpoints.setdefault(url, _Endpoint(url, breaker))
        known.breaker, known.functions = breaker, functions

    def _wake(self) -> None:
        self._look.set()

    async def _give_out(self, endpoint: _Endpoint, nursery: trio.Nursery) -> None:
        """Claim runs for an endpoint that may be called; one, if it is to be tried."""
        room = limits.PUSH_RUNS_MAX - len(endpoint.talks)
        while room > 0 and endpoint.functions:
            admission = endpoint.breaker.admit(self.now())
            if admission.wait_us:
                if admission.wait_us > 0:
                    self._wake_later(endpoint, nursery)
                return
            limit = 1 if admission.probe else room
            claims = await self.journal.claim(endpoint.functions, limit=limit)
            if not claims:
                endpoint.breaker.given_up(probe=admission.probe)
            for claim in claims:
                talk = _Talk(self, endpoint, claim, admission)
                endpoint.talks[claim.run_id] = talk
                nursery.start_soon(self._carry_on, talk)
            if len(claims) < limit or admission.probe:
                return
            room -= len(claims)

    def _wake_later(self, endpoint: _Endpoint, nursery: trio.Nursery) -> None:
        """Look again when a call may go through; one task waits, however often."""
        opens_at = endpoint.breaker.circuit.open_until
        if endpoint.wakes_at != opens_at:
            endpoint.wakes_at = opens_at
            nursery.start_soon(self._look_after, opens_at - self.now(), endpoint)

    async def _look_after(self, wait_us: int, endpoint: _Endpoint) -> None:
        await trio.sleep(wait_us / _SECOND_US)
        endpoint.wakes_at = 0  # the wall clock may be behind: then this is done again
        self._look.set()

    async def _carry_on(self, talk: "_Talk") -> None:
        """Converse about one run until the endpoint does not have it any more."""
        endpoint = talk.endpoint
        try:
            await talk.run()
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await talk.holding.let_go()
            raise
        except JournalError as error:  # the journal has ended, and every hold with it
            log.error("run %s is not carried on: %s", talk.run_id, error)
        except Exception:  # noqa: BLE001  what an endpoint says ends its own conversation at most
            log.exception("a conversation with %s failed", endpoint.url)
            await talk.holding.lose("what it said could not be carried out")
        finally:
            talk.report_nothing()
            endpoint.talks.pop(talk.run_id, None)
            self._look.set()

    # --- POSTs ------------------------------------------------------------------------------

    async def post(
        self, client: httpx.AsyncClient, url: str, said: Post | Describe
    ) -> Reply | Described:
        """Send a POST, under a nonce of its own, and return what is the answer to it.

        Raises:
            EndpointFailed: it failed; it may be tried again.
        """
        nonce = secrets.token_hex(_NONCE_BYTES)
        body = msgspec.msgpack.encode(replace(said, nonce=nonce))
        headers = {
            SIGNATURE: signed(self.key, body, now_s=self._now_s()),
            "content-type": CONTENT_TYPE,
        }
        try:
            answer = await exchange(client, url, body, headers, patience=_PATIENCE)
        except CallFailed as error:
            raise EndpointFailed(f"{url}: {error}") from error
        if answer.status != _OK:
            text = answer.body.decode(errors="replace")[: limits.REASON_CHARS_MAX]
            raise EndpointFailed(f"{url} answers {answer.status}: {text}")
        return self._reply(url, answer, nonce)

    def _reply(self, url: str, answer: Answered, nonce: str) -> Reply | Described:
        try:
            signature = answer.headers.get(SIGNATURE, "")
            check_signature(self.key, signature, answer.body, now_s=self._now_s())
            reply = read_reply(answer.body)
        except ProtocolError as error:
            raise ForeignAnswer(f"{url}: {error}") from error
        if not reply.answers:
            raise EndpointFailed(
                f"{url} does not say which POST it answers, as older versions of ironflow"
                " do not; upgrade ironflow there"
            )
        if reply.answers != nonce:
            raise ForeignAnswer(f"{url}: what came is the answer to another POST")
        return reply

    def _now_s(self) -> int:
        return self.now() // _SECOND_US


@final
class _Talk:
    """One run in the hand of an endpoint."""

    def __init__(
        self, host: PushHost, endpoint: _Endpoint, claim: Claim, admission: Admission
    ) -> None:
        self._host: Final = host
        self.endpoint: Final = endpoint
        self._claim: Final = claim
        self._admission: Final = admission
        self._breaker: Final = endpoint.breaker
        self._is_told = False  # whether the circuit knows what came of a call
        self.run_id: Final = claim.run_id
        self.holding: Final = Holding(
            host.journal,
            host.now,
            host.moved,
            worker=endpoint.url,
            process=str(claim.epoch),  # which one it is, is not known yet
        )
        self.holding.take([claim])
        free = endpoint.free
        self._client = free.pop() if free else host.client()
        self._process = ""
        self._to_say: list[Frame] = []
        self._has_news = False
        self._waiting: trio.CancelScope | None = None

    def news(self) -> None:
        """Tell the endpoint at once of what has come into the inbox."""
        self._has_news = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def run(self) -> None:
        """Converse until the endpoint does not hold the run any more."""
        claims = await self.holding.describe([self._claim])
        try:
            if claims:
                self._to_say = [Claims(claims)]
                await self._converse()
        except EndpointFailed as error:
            await self._give_up(str(error))
            await self._client.aclose()
        except ProtocolError as error:
            log.error("endpoint %s: %s", self.endpoint.url, error)
            await self._give_up(str(error))
            await self._client.aclose()
        else:
            self.endpoint.free.append(self._client)

    async def _converse(self) -> None:
        while self.run_id in self.holding.runs or self._to_say:
            reply = await self._say()
            if reply is None:
                continue  # news came meanwhile
            if reply.state == "unknown":
                raise EndpointFailed("its process ended, or another one answered")
            self._process = self._process or reply.process
            if reply.process != self._process:
                raise EndpointFailed("another process answered")
            for frame in worker_frames(reply):
                await self._hear(frame)
            if reply.state == "over":
                await self.holding.let_go()

    async def _say(self) -> Reply | None:
        """Say what there is to say, and wait for the answer; None: begin again."""
        if self._has_news:
            self._has_news = False
            self._to_say.append(News((self.run_id,)))
        frames, said = packed(self._to_say), len(self._to_say)
        post = Post(
            self._host.journal.environment,
            self._host.now(),
            self.run_id,
            self._claim.epoch,
            self._process,
            frames,
        )
        reply: Reply | None = None
        with trio.CancelScope() as self._waiting:
            reply = await self._tried(post)
        self._waiting = None
        if reply is not None:
            del self._to_say[:said]
        return reply

    async def _tried(self, post: Post) -> Reply:
        """Try a POST some times: what it says is taken once, however often it comes."""
        host, endpoint = self._host, self.endpoint
        tries = 0
        while True:
            try:
                reply = await host.post(self._client, endpoint.url, post)
            except EndpointFailed as error:
                tries += 1
                self._failed(error)
                if isinstance(error, ForeignAnswer):
                    await self._reconnect()
                if tries >= limits.PUSH_TRIES_MAX or self._breaker.circuit.is_open:
                    raise
                await trio.sleep(_RETRY_S * 2**tries)
                continue
            self._breaker.succeeded()
            self._is_told = True
            if not isinstance(reply, Reply):
                raise EndpointFailed("it does not speak of the run that it was sent")
            return reply

    async def _reconnect(self) -> None:
        """Leave a connection: what comes over it next would be taken for an answer, too."""
        left, self._client = self._client, self._host.client()
        await left.aclose()

    def _failed(self, error: EndpointFailed) -> None:
        # Of a probe one call says it all; what this run's next calls say is no news.
        probe = self._admission.probe and not self._is_told
        self._is_told = True
        self._breaker.failed(self._host.now(), probe=probe, error=str(error))

    def report_nothing(self) -> None:
        """Let another be the probe, if this run was to be and sent nothing."""
        if not self._is_told:
            self._breaker.given_up(probe=self._admission.probe)

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

    async def _give_up(self, why: str) -> None:
        """Take the run away: it is ready for whoever answers."""
        log.warning("run %s is taken from %s: %s", self.run_id, self.endpoint.url, why)
        if self._process:  # it had begun: the process may have died of it
            await self.holding.lose(why[: limits.REASON_CHARS_MAX])
        else:
            await self.holding.let_go()


def _pushed(row: FunctionRow, url: str, breaker: BreakerConfig) -> FunctionRow:
    config = FunctionConfig(
        id=row.id, mode="push", endpoint_url=url, circuit_breaker=breaker
    )
    return replace(row, host="push", config=config.to_bytes())
