"""Endpoints of ours: runs are carried on by POSTs that the server sends.

Each run that an endpoint has is a conversation: a POST says what the server knows (the claim
with its history, answers, news), its answer what the endpoint has recorded. For the journal the
server is the holder, as with workers that connect (`holding`). An endpoint that fails again and
again is left alone for a while (`policy.breaker`). What is said of one run is in `push_talk`.
"""

from collections.abc import Callable
from typing import Final, final

import trio
from msgspec.structs import replace

from ironflow import limits
from ironflow.engine.log import log
from ironflow.errors import JournalError
from ironflow.journal.base import Claim, FunctionRow, Hint, Journal, RegisterFunctions
from ironflow.policy.breaker import Admission, BreakerPolicy
from ironflow.records import RULES
from ironflow.transport.admitted import function_row
from ironflow.transport.circuits import Breaker, Circuits
from ironflow.transport.holding import Holding
from ironflow.transport.moved import Moved
from ironflow.transport.push_dial import NewClient
from ironflow.transport.push_posts import EndpointFailed, Posts
from ironflow.transport.push_talk import Endpoint, Talk
from ironflow.transport.registry import config_of
from ironflow.wire.functions import BreakerConfig, FunctionConfig
from ironflow.wire.posts import Describe, Described

_SECOND_US: Final = 1_000_000
SILENCE_S: Final = limits.PUSH_POLL_US_DEFAULT / _SECOND_US + 10
_BREAKER: Final = BreakerConfig()


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
        self._posts: Final = Posts(journal.environment, now, signing_key, client)
        self._moved: Final = Moved()
        self.circuits: Final = circuits
        self._endpoints: Final[dict[str, Endpoint]] = {}
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
        client = self._posts.client()
        try:
            found = await self._posts.send(client, url, Describe(self.now()))
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
        known = self._endpoints.setdefault(url, Endpoint(url, breaker))
        known.breaker, known.functions = breaker, functions

    def _wake(self) -> None:
        self._look.set()

    async def _give_out(self, endpoint: Endpoint, nursery: trio.Nursery) -> None:
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
                talk = self._talk(endpoint, claim, admission)
                endpoint.talks[claim.run_id] = talk
                nursery.start_soon(self._carry_on, talk)
            if len(claims) < limit or admission.probe:
                return
            room -= len(claims)

    def _talk(self, endpoint: Endpoint, claim: Claim, admission: Admission) -> Talk:
        holding = Holding(
            self.journal,
            self.now,
            self._moved,
            worker=endpoint.url,
            process=str(claim.epoch),  # which one it is, is not known yet
        )
        return Talk(self._posts, endpoint, claim, admission=admission, holding=holding)

    def _wake_later(self, endpoint: Endpoint, nursery: trio.Nursery) -> None:
        """Look again when a call may go through; one task waits, however often."""
        opens_at = endpoint.breaker.circuit.open_until
        if endpoint.wakes_at != opens_at:
            endpoint.wakes_at = opens_at
            nursery.start_soon(self._look_after, opens_at - self.now(), endpoint)

    async def _look_after(self, wait_us: int, endpoint: Endpoint) -> None:
        await trio.sleep(wait_us / _SECOND_US)
        endpoint.wakes_at = 0  # the wall clock may be behind: then this is done again
        self._look.set()

    async def _carry_on(self, talk: Talk) -> None:
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


def _pushed(row: FunctionRow, url: str, breaker: BreakerConfig) -> FunctionRow:
    config = FunctionConfig(
        id=row.id, mode="push", endpoint_url=url, circuit_breaker=breaker
    )
    return replace(row, host="push", config=config.to_bytes())
