"""Endpoints of ours that fail: how long they are left alone, and which run finds out."""

from itertools import pairwise

import trio
from trio.testing import MockClock

from ironflow.journal.base import FunctionRow, RegisterFunctions
from ironflow.wire.functions import BreakerConfig
from tests.engine.bench import settle
from tests.transport.test_push import URL, Steps, World, world

SHORT = BreakerConfig(
    failure_threshold=2, open_duration_ms=10_000, max_open_duration_ms=30_000
)


async def test_an_endpoint_that_fails_is_left_alone_for_a_while(
    mock_clock: MockClock,
) -> None:
    steps = Steps()
    steps.gate.set()
    async with world() as own:
        async with own.endpoint(steps.flow()):
            await own.host.register(URL)
        run_id = await own.emit()
        for _ in range(30):
            mock_clock.jump(1)
            await settle()
        state, posts = own.state(), own.posts
        mock_clock.jump(20)
        await settle()
        async with own.endpoint(steps.flow()):
            quiet = own.posts - posts
            await own.clock.advance(120)
            mock_clock.jump(60)
            await settle()
            result = await own.result(run_id)

        assert state == "open"
        assert quiet == 0
        assert result == "first second 7"
        assert own.state() == "closed"


async def broken(own: World, mock_clock: MockClock, steps: Steps) -> str:
    """Let the circuit open for a run that nobody takes; return the run."""
    async with own.endpoint(steps.flow()):
        await own.host.register(URL, SHORT)
    run_id = await own.emit()
    for _ in range(30):
        mock_clock.jump(1)
        await settle()
    assert own.state() == "open"
    return run_id


async def passed(own: World, mock_clock: MockClock, seconds: float) -> None:
    await own.clock.advance(seconds)
    mock_clock.jump(seconds)
    await settle()


async def test_a_circuit_goes_by_what_the_endpoint_was_registered_with(
    mock_clock: MockClock,
) -> None:
    """Two failures open it for 10 s, each failed probe for twice as long, up to 30 s."""
    async with world() as own:
        await broken(own, mock_clock, Steps())
        posts = [own.posts]
        for seconds in (9, 1, 19, 1, 29, 1, 29, 1):
            await passed(own, mock_clock, seconds)
            posts.append(own.posts)

    assert [after - before for before, after in pairwise(posts)] == [0, 1] * 4


async def test_the_next_runs_go_when_the_probe_was_answered_though_it_goes_on(
    mock_clock: MockClock,
) -> None:
    steps = Steps()  # its second step waits
    async with world() as own:
        first = await broken(own, mock_clock, steps)
        second = await own.emit()
        async with own.endpoint(steps.flow()):
            await passed(own, mock_clock, 10)
            await settle()

            assert own.state() == "closed"
            assert steps.second == 2
            steps.gate.set()
            assert await own.result(first) == "first second 7"
            assert await own.result(second) == "first second 7"


async def test_a_probe_that_had_nothing_to_send_leaves_another_try(
    mock_clock: MockClock,
) -> None:
    steps = Steps()
    steps.gate.set()
    async with world() as own:
        run_id = await broken(own, mock_clock, steps)
        assert own.engine is not None
        await own.engine.cancel(run_id, reason="enough")
        await passed(own, mock_clock, 10)
        idle = own.state()
        async with own.endpoint(steps.flow()):
            again = await own.emit()
            while own.state() != "closed":  # the run that is cancelled may go first
                await passed(own, mock_clock, 30)
            result = await own.result(again)

    assert idle != "closed"
    assert result == "first second 7"


async def test_one_task_waits_for_a_circuit_however_often_somebody_looks(
    mock_clock: MockClock,
) -> None:
    async with world() as own:
        await broken(own, mock_clock, Steps())
        before = trio.lowlevel.current_statistics().tasks_living
        for _ in range(20):
            await own.emit()
        after = trio.lowlevel.current_statistics().tasks_living

    assert after == before


async def test_an_endpoint_without_functions_is_forgotten(
    mock_clock: MockClock,
) -> None:
    async with world() as own:
        await broken(own, mock_clock, Steps())
        [row] = [each for each in await own.journal.functions() if each.id == "flow"]
        moved = FunctionRow(row.id, row.version, row.triggers)
        await own.journal.commit([RegisterFunctions((moved,), own.clock.now())])
        await settle()

        assert own.circuits.states(own.clock.now()) == {}
        assert own.host.urls() == []
