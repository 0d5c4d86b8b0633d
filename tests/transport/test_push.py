"""Runs that endpoints carry on: conversations in POSTs, and what interrupts them."""

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

import ironflow
from ironflow import App, Context, Engine, limits
from ironflow.authoring.definition import Function
from ironflow.engine.open import run_engine
from ironflow.errors import ProtocolError
from ironflow.journal.base import AppendRecords
from ironflow.journal.memory import MemoryJournal
from ironflow.transport.circuits import Circuits
from ironflow.transport.push import PushHost
from ironflow.transport.push_posts import EndpointFailed
from ironflow.wire import posts
from ironflow.wire.posts import SIGNATURE, check_signature, signed
from ironflow.worker import endpoint
from ironflow.worker.endpoint import Endpoint, open_endpoint
from tests.engine.bench import HandClock, settle

URL = "http://endpoint.test/ironflow"
KEY = "secret"


class Steps:
    """A quick step and one that waits for its gate; both count their calls."""

    def __init__(self) -> None:
        self.first = 0
        self.second = 0
        self.gate = trio.Event()
        self.hold_first = trio.Event()
        self.hold_first.set()

    async def quick(self) -> str:
        self.first += 1
        await self.hold_first.wait()
        return "first"

    async def slow(self) -> str:
        self.second += 1
        await self.gate.wait()
        return "second"

    def flow(self) -> Function[Any, Any]:
        @ironflow.function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> str:
            first = await ctx.step.run("quick", self.quick)
            second = await ctx.step.run("slow", self.slow)
            await ctx.step.sleep("nap", "1h")
            paid = await ctx.step.wait_for_event("paid", "paid")
            return f"{first} {second} {paid.data}"

        return flow


class World:
    """A server, and what answers at the URL of the endpoint."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.journal = MemoryJournal()
        self.process: Endpoint | None = None
        self.posts = 0
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None
        self.circuits = Circuits()
        self.host = PushHost(
            self.journal,
            self.clock.now,
            signing_key=KEY,
            client=self._client,
            circuits=self.circuits,
        )
        self.engine: Engine | None = None
        self.clients = 0
        self.is_doubling = False
        self._under_way: set[trio.CancelScope] = set()

    def kill(self) -> None:
        """End the process: nobody is there, and what is not answered never is."""
        self.process = None
        self.cut()

    def cut(self) -> None:
        """Reset the connections whose answers are under way."""
        for scope in self._under_way:
            scope.cancel()

    def _client(self) -> httpx.AsyncClient:
        """Return a connection; a proxy in it may send every answer twice."""
        self.clients += 1
        answers: deque[httpx.Response] = deque()

        async def passed_on(request: httpx.Request) -> httpx.Response:
            answer = await self._answer(request)
            if not (answers or self.is_doubling):
                return answer
            for _ in range(1 + self.is_doubling):
                answers.append(
                    httpx.Response(200, headers=answer.headers, content=answer.content)
                )
            return answers.popleft()

        return httpx.AsyncClient(transport=httpx.MockTransport(passed_on))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.posts += 1
        self.before()
        if self.process is None:
            raise httpx.ConnectError("nobody is there")
        header = request.headers.get(SIGNATURE, "")
        with trio.CancelScope() as scope:
            self._under_way.add(scope)
            try:
                body, signature = await self.process.answer(header, request.content)
            except ProtocolError as error:
                return httpx.Response(401, text=str(error))
            finally:
                self._under_way.discard(scope)
        if scope.cancelled_caught:
            raise httpx.ReadError("the connection was reset")
        self.after()
        return httpx.Response(200, content=body, headers={SIGNATURE: signature})

    @asynccontextmanager
    async def endpoint(
        self, *functions: Function[Any, Any], key: str = KEY
    ) -> AsyncGenerator[Endpoint]:
        """Run a process of the endpoint for a block; then nobody is there."""
        app = App(functions=functions)
        async with open_endpoint(
            app, signing_key=key, clock=self.clock, shutdown=0
        ) as process:
            self.process = process
            yield process
            self.process = None

    def state(self) -> str:
        return self.circuits.states(self.clock.now())[URL]

    async def emit(self) -> str:
        assert self.engine is not None
        [run_id] = (await self.engine.emit("go")).run_ids
        await settle()
        return run_id

    def kinds(self, run_id: str) -> list[str]:
        found = self.journal.history_now(run_id)
        return [type(entry.record).__name__ for entry in found]

    async def result(self, run_id: str) -> Any:
        assert self.engine is not None
        await settle()
        await self.clock.advance(3600)
        await self.engine.emit("paid", 7)
        return (await self.engine.result(run_id)).unwrap()


@asynccontextmanager
async def world() -> AsyncGenerator[World]:
    own = World()
    with trio.fail_after(1_000):
        async with (
            trio.open_nursery() as nursery,
            run_engine(App(functions=[]), own.journal, clock=own.clock) as own.engine,
        ):
            await nursery.start(own.host.run)
            yield own
            nursery.cancel_scope.cancel()


ALL = [
    "RunStarted",
    "StepCompleted",
    "StepCompleted",
    "SleepStarted",
    "SleepFired",
    "WaitStarted",
    "EventReceived",
    "RunEnded",
]


async def test_an_endpoint_carries_a_run_from_its_event_to_its_end() -> None:
    steps = Steps()
    steps.gate.set()
    async with world() as own, own.endpoint(steps.flow()):
        names = await own.host.register(URL)
        run_id = await own.emit()

        assert names == ["flow"]
        assert await own.result(run_id) == "first second 7"
        assert own.kinds(run_id) == ALL


async def test_a_long_step_is_waited_for_in_several_posts(
    mock_clock: MockClock,
) -> None:
    steps = Steps()
    async with world() as own, own.endpoint(steps.flow()):
        await own.host.register(URL)
        run_id = await own.emit()
        before = own.posts
        assert own.host.holder_of(run_id) == f"endpoint {URL}"
        for _ in range(3):
            mock_clock.jump(limits.PUSH_POLL_US_DEFAULT / 1_000_000)
            await settle()
        waited = own.posts - before
        steps.gate.set()

        assert await own.result(run_id) == "first second 7"
        assert own.host.holder_of(run_id) == ""
        assert waited == 3
        assert (steps.first, steps.second) == (1, 1)


async def test_news_reach_a_step_that_runs() -> None:
    """The POST that waits is given up for one that tells."""
    steps = Steps()
    async with world() as own, own.endpoint(steps.flow()):
        await own.host.register(URL)
        run_id = await own.emit()
        assert own.engine is not None
        await own.engine.cancel(run_id, reason="enough")
        run = await own.engine.result(run_id)

        assert run.status == "cancelled"


async def test_an_answer_that_is_lost_is_given_again(mock_clock: MockClock) -> None:
    """What it says is recorded once, and no step is made again."""
    steps = Steps()
    steps.gate.set()
    lost = 0

    def lose() -> None:
        nonlocal lost
        if own.posts % 2:
            lost += 1
            raise httpx.ReadError("cut off")

    async with world() as own, own.endpoint(steps.flow()):
        await own.host.register(URL)
        own.after = lose
        run_id = await own.emit()
        for _ in range(20):
            mock_clock.jump(5)
            await settle()
        await own.clock.advance(3600)
        for _ in range(20):
            mock_clock.jump(5)
            await settle()
        own.after = lambda: None
        assert own.engine is not None
        await own.engine.emit("paid", 7)
        run = await own.engine.result(run_id)

        assert lost > 2
        assert run.unwrap() == "first second 7"
        assert own.kinds(run_id) == ALL
        assert (steps.first, steps.second) == (1, 1)


async def test_an_answer_that_comes_twice_is_not_taken_for_the_next(
    mock_clock: MockClock,
) -> None:
    """The connection is left for another, and the run stays where it is."""
    steps = Steps()
    async with world() as own, own.endpoint(steps.flow()):
        await own.host.register(URL)
        own.is_doubling = True
        run_id = await own.emit()
        for _ in range(20):
            mock_clock.jump(1)
            await settle()
        own.is_doubling = False
        steps.gate.set()
        result = await own.result(run_id)
        row = own.journal.run_now(run_id)

        assert result == "first second 7"
        assert own.kinds(run_id) == ALL
        assert (steps.first, steps.second) == (1, 1)
        assert own.clients > 2
        assert row is not None
        assert (row.row.lost, row.row.claims) == (None, 0)


async def test_an_endpoint_that_names_no_post_is_told_to_be_upgraded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with world() as own, own.endpoint(Steps().flow()):
        old = posts.read_post

        def read(body: bytes) -> posts.Post | posts.Describe:
            return replace(old(body), nonce="")

        monkeypatch.setattr(endpoint, "read_post", read)

        with pytest.raises(EndpointFailed, match="upgrade ironflow there"):
            await own.host.register(URL)


async def test_another_process_gets_the_history(mock_clock: MockClock) -> None:
    """What is recorded is not done again; the run says that it has moved."""
    steps, theirs = Steps(), Steps()
    theirs.gate.set()
    async with world() as own, own.endpoint(steps.flow()):
        await own.host.register(URL)
        run_id = await own.emit()
        async with own.endpoint(theirs.flow()):
            mock_clock.jump(limits.PUSH_POLL_US_DEFAULT / 1_000_000)
            await settle()
            result = await own.result(run_id)
        row = own.journal.run_now(run_id)

        assert result == "first second 7"
        assert (steps.first, theirs.first) == (1, 0)
        assert row is not None
        assert row.row.lost is not None
        assert row.row.lost.worker == URL


async def test_a_run_that_ends_process_after_process_is_paused(
    mock_clock: MockClock,
) -> None:
    steps = Steps()
    async with world() as own, AsyncExitStack() as processes:
        await processes.enter_async_context(own.endpoint(steps.flow()))
        await own.host.register(URL)
        run_id = await own.emit()
        for _ in range(1 + limits.POISON_CLAIMS_MAX):
            await processes.enter_async_context(own.endpoint(steps.flow()))
            mock_clock.jump(limits.PUSH_POLL_US_DEFAULT / 1_000_000)
            await settle()
        row = own.journal.run_now(run_id)

        assert row is not None
        assert row.status == "paused"
        assert row.row.pause is not None
        assert row.row.pause.reason == "poison"
        assert steps.second == 1 + limits.POISON_CLAIMS_MAX


async def test_a_process_that_ends_in_order_is_not_blamed(
    mock_clock: MockClock,
) -> None:
    steps, theirs = Steps(), Steps()
    theirs.gate.set()
    async with world() as own:
        async with own.endpoint(steps.flow()):
            await own.host.register(URL)
            run_id = await own.emit()
        async with own.endpoint(theirs.flow()):
            mock_clock.jump(1)
            result = await own.result(run_id)
        row = own.journal.run_now(run_id)

        assert result == "first second 7"
        assert (steps.first, theirs.first) == (1, 0)
        assert row is not None
        assert (row.row.lost, row.row.claims) == (None, 0)


async def test_a_long_history_is_read_by_page() -> None:
    """Longer than what travels with a claim."""
    count = limits.CLAIM_HISTORY_RECORDS_MAX + 10
    calls = 0

    async def step() -> None:
        nonlocal calls
        calls += 1

    def flow() -> Function[Any, Any]:
        @ironflow.function(id="flow", triggers=["go"])
        async def flow(ctx: Context[Any]) -> int:
            for _ in range(count):
                await ctx.step.run("step", step)
            await ctx.step.wait_for_event("paid", "paid")
            return count

        return flow

    async with world() as own:
        async with own.endpoint(flow()):
            await own.host.register(URL)
            run_id = await own.emit()
        async with own.endpoint(flow()):
            assert await own.result(run_id) == count
        assert calls == count


async def test_what_cannot_be_decided_ends_one_conversation_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    steps = Steps()
    steps.gate.set()
    async with world() as own, own.endpoint(steps.flow()):
        await own.host.register(URL)
        commit, broken = own.journal.commit_now, 0

        def once(commands: Any) -> Any:
            nonlocal broken
            if isinstance(commands[0], AppendRecords) and not broken:
                broken += 1
                raise AssertionError("no such thing")
            return commit(commands)

        monkeypatch.setattr(own.journal, "commit_now", once)
        run_id = await own.emit()

        assert await own.result(run_id) == "first second 7"
        assert broken == 1
        assert f"a conversation with {URL} failed" in caplog.text


async def test_another_key_is_refused_on_both_sides() -> None:
    steps = Steps()
    async with world() as own, own.endpoint(steps.flow(), key="other"):
        with pytest.raises(EndpointFailed, match="401: the signature is not"):
            await own.host.register(URL)


def test_a_signature_is_of_one_body_and_time() -> None:
    header = signed(KEY, b"body", now_s=1_000)
    check_signature(KEY, header, b"body", now_s=1_300)
    for key, text, body, now_s in (
        ("other", header, b"body", 1_000),
        (KEY, header, b"bodY", 1_000),
        (KEY, header, b"body", 1_301),
        (KEY, header, b"body", 699),
        (KEY, header.replace("1000", "1001"), b"body", 1_000),
        (KEY, "", b"body", 1_000),
        (KEY, "t=x,v1=y", b"body", 1_000),
        (KEY, "t=1000", b"body", 1_000),
        (KEY, "v1=" + "ä" * 10 + ",t=1000", b"body", 1_000),
    ):
        with pytest.raises(ProtocolError):
            check_signature(key, text, body, now_s=now_s)
