"""Processes of an endpoint that end with a run, or only seem to: what its row says then."""

from contextlib import AsyncExitStack

import httpx
import pytest
import trio
from trio.testing import MockClock

from ironflow import limits
from ironflow.journal.base import FunctionRow, RegisterFunctions
from ironflow.journal.rows import Lost
from ironflow.wire.functions import BreakerConfig
from tests.engine.bench import settle
from tests.transport.test_push import URL, Steps, World, world

PATIENT = BreakerConfig(failure_threshold=1_000)
HASTY = BreakerConfig(failure_threshold=2, open_duration_ms=10_000)


def standing(own: World, run_id: str) -> tuple[Lost | None, int]:
    """Return who has lost a run, and how often that was counted since its last record."""
    found = own.journal.run_now(run_id)
    assert found is not None
    fruitful = found.row.claimed_at != found.length
    return found.row.lost, 0 if fruitful else found.row.claims


async def later(mock_clock: MockClock, seconds: float = 5) -> None:
    """Let time pass, in which calls are tried again."""
    mock_clock.jump(seconds)
    await settle()


async def begun(own: World, steps: Steps, processes: AsyncExitStack) -> str:
    """Return a run whose first POST is not answered: its first step is under way."""
    steps.hold_first = trio.Event()
    await processes.enter_async_context(own.endpoint(steps.flow()))
    await own.host.register(URL, PATIENT)
    run_id = await own.emit()
    assert steps.first == 1
    return run_id


async def test_a_process_killed_in_its_first_post_is_noted(
    mock_clock: MockClock,
) -> None:
    """Another one may be there before anybody asks: it knows nothing of the run."""
    steps, theirs = Steps(), Steps()
    theirs.gate.set()
    async with world() as own, AsyncExitStack() as processes:
        run_id = await begun(own, steps, processes)
        own.kill()
        await settle()
        await processes.enter_async_context(own.endpoint(theirs.flow()))
        await later(mock_clock)
        lost, _ = standing(own, run_id)
        result = await own.result(run_id)

        assert lost is not None
        assert (lost.worker, lost.by, lost.length) == (URL, URL, 1)
        assert "the connection was reset" in lost.why
        assert result == "first second 7"
        assert (steps.first, theirs.first) == (1, 1)


async def test_an_answer_that_is_lost_on_its_way_moves_no_run(
    mock_clock: MockClock,
) -> None:
    """The process that has the run is asked, and goes on with it."""
    steps = Steps()
    steps.gate.set()
    async with world() as own, AsyncExitStack() as processes:
        run_id = await begun(own, steps, processes)
        own.cut()
        await settle()
        await later(mock_clock)
        steps.hold_first.set()
        result = await own.result(run_id)

        assert result == "first second 7"
        assert (steps.first, steps.second) == (1, 1)
        assert standing(own, run_id) == (None, 0)


async def test_a_first_post_that_nobody_took_moves_no_run(
    mock_clock: MockClock,
) -> None:
    """A connection that was idle may be closed just then; the process is still there."""
    steps = Steps()
    steps.gate.set()
    async with world() as own, own.endpoint(steps.flow()):
        await own.host.register(URL, PATIENT)
        await own.emit()  # so that it is known who is there

        def close() -> None:
            own.before = lambda: None
            raise httpx.RemoteProtocolError("disconnected without sending a response")

        own.before = close
        run_id = await own.emit()
        await later(mock_clock)
        result = await own.result(run_id)

        assert result == "first second 7"
        assert standing(own, run_id) == (None, 0)


async def test_a_first_post_given_up_for_news_moves_no_run() -> None:
    steps = Steps()
    async with world() as own, AsyncExitStack() as processes:
        run_id = await begun(own, steps, processes)
        assert own.engine is not None
        await own.engine.cancel(run_id, reason="enough")
        run = await own.engine.result(run_id)

        assert run.status == "cancelled"
        assert steps.first == 1
        assert standing(own, run_id)[0] is None


async def test_a_run_that_ends_processes_before_they_answer_is_paused(
    mock_clock: MockClock,
) -> None:
    steps = Steps()
    async with world() as own, AsyncExitStack() as processes:
        run_id = await begun(own, steps, processes)
        for _ in range(limits.POISON_CLAIMS_MAX + 1):
            own.kill()
            await settle()
            for _ in range(4):  # it is some time until it is there again
                await later(mock_clock)
            await processes.enter_async_context(own.endpoint(steps.flow()))
            await later(mock_clock)
        found = own.journal.run_now(run_id)

        assert found is not None
        assert found.row.pause is not None
        assert found.row.pause.reason == "poison"
        assert steps.first == 1 + limits.POISON_CLAIMS_MAX


async def test_a_run_stays_while_others_open_the_circuit(
    mock_clock: MockClock,
) -> None:
    """It waits, is asked for when the circuit lets a call through, and has lost nothing."""
    steps = Steps()
    async with world() as own, AsyncExitStack() as processes:
        run_id = await begun(own, steps, processes)
        await own.host.register(URL, HASTY)
        process, own.process = own.process, None
        await own.emit()
        await later(mock_clock)
        state, posts = own.state(), own.posts
        own.cut()
        for _ in range(3):
            await later(mock_clock, 2)
        quiet = own.posts - posts
        own.process = process
        steps.hold_first.set()
        steps.gate.set()
        await own.clock.advance(20)
        await later(mock_clock, 20)
        result = await own.result(run_id)

        assert (state, quiet, own.state()) == ("open", 0, "closed")
        assert result == "first second 7"
        assert steps.first == 2  # the other run's, too
        assert standing(own, run_id) == (None, 0)


async def test_an_outage_is_not_counted_however_long(mock_clock: MockClock) -> None:
    """A proxy that answers for an endpoint which is not there kills no run."""
    steps = Steps()
    steps.gate.set()
    async with world() as own, own.endpoint(steps.flow()) as process:
        await own.host.register(URL, PATIENT)
        await own.emit()

        def close() -> None:
            raise httpx.RemoteProtocolError("disconnected without sending a response")

        own.before = close
        run_id = await own.emit()
        for _ in range(100):
            await later(mock_clock)
        lost = standing(own, run_id)
        own.before = lambda: None
        await later(mock_clock)
        result = await own.result(run_id)

        assert process is own.process
        assert lost == (None, 0)
        assert result == "first second 7"


async def test_who_ends_whenever_it_is_given_the_run_gets_it_no_more(
    mock_clock: MockClock,
) -> None:
    """The endpoint is there, and answers whatever is not this run."""
    steps = Steps()
    async with world() as own, own.endpoint(steps.flow()):
        await own.host.register(URL, PATIENT)
        steps.gate.set()
        await own.emit()
        calls = 0

        def close() -> None:
            nonlocal calls
            calls += 1
            if calls % 2:
                raise httpx.ReadError("too long a claim")

        own.before = close
        run_id = await own.emit()
        for _ in range(10):
            await later(mock_clock)
        lost, counted = standing(own, run_id)

        assert lost is not None
        assert "too long a claim; as often as it was given the run" in lost.why
        assert counted >= 1


async def test_answers_that_stay_wrong_take_a_run_away(mock_clock: MockClock) -> None:
    steps = Steps()
    async with world() as own, AsyncExitStack() as processes:
        await processes.enter_async_context(own.endpoint(steps.flow()))
        await own.host.register(URL, PATIENT)
        run_id = await own.emit()
        assert steps.second == 1
        other = own.endpoint(Steps().flow(), key="another")
        await processes.enter_async_context(other)
        own.cut()
        for _ in range(2 * limits.PUSH_TRIES_MAX):
            await later(mock_clock)
        lost, _ = standing(own, run_id)

        assert lost is not None
        assert "answers 401" in lost.why


async def test_a_run_that_was_forgotten_is_given_again_uncounted(
    mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process lives, so the run has not ended it."""
    monkeypatch.setattr(limits, "PUSH_IDLE_US_MAX", 60 * 1_000_000)
    steps = Steps()
    async with world() as own, own.endpoint(steps.flow()):
        await own.host.register(URL, PATIENT)
        run_id = await own.emit()
        process, own.process = own.process, None
        own.cut()
        for _ in range(8):  # it looks now and then
            await later(mock_clock, limits.PUSH_IDLE_US_MAX / 4_000_000)
        own.process = process
        steps.gate.set()
        await later(mock_clock)
        lost = standing(own, run_id)
        result = await own.result(run_id)

        assert lost[0] is not None
        assert "forgotten" in lost[0].why
        assert lost[1] == 0
        assert result == "first second 7"
        assert steps.second == 2


async def test_a_run_whose_function_has_moved_is_let_go(
    mock_clock: MockClock,
) -> None:
    """The endpoint is gone for good, and its functions are somewhere else."""
    steps = Steps()
    async with world() as own, AsyncExitStack() as processes:
        run_id = await begun(own, steps, processes)
        [row] = [each for each in await own.journal.functions() if each.id == "flow"]
        moved = FunctionRow(row.id, row.version, row.triggers)
        await own.journal.commit([RegisterFunctions((moved,), own.clock.now())])
        own.kill()
        for _ in range(3):
            await later(mock_clock)

        assert own.host.holder_of(run_id) == ""
        lost, counted = standing(own, run_id)
        assert lost is not None
        assert "its function is elsewhere now" in lost.why
        assert counted == 0
