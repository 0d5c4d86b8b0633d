"""The clock of tests: it moves when it is told to, and past nothing that works."""

import threading
from datetime import UTC, datetime

import pytest
import trio

import ironflow
from ironflow.engine.activity import Activity
from ironflow.testing import VirtualClock

SECOND = 1_000_000


async def test_it_stands_still_while_nobody_moves_it() -> None:
    clock = VirtualClock()
    before = clock.now()

    await clock.settle()

    assert clock.now() == before


async def test_it_wakes_tasks_in_the_order_of_their_times(
    nursery: trio.Nursery,
) -> None:
    clock = VirtualClock()
    start = clock.now()
    woken: list[tuple[str, int]] = []

    async def sleeper(name: str, seconds: int) -> None:
        await clock.sleep(seconds)
        woken.append((name, (clock.now() - start) // SECOND))

    nursery.start_soon(sleeper, "late", 30)
    nursery.start_soon(sleeper, "early", 10)
    nursery.start_soon(sleeper, "later", 90)
    await clock.advance("1m")

    assert woken == [("early", 10), ("late", 30)]
    assert clock.now() - start == 60 * SECOND


async def test_a_wake_up_set_by_a_wake_up_is_met_at_its_own_time(
    nursery: trio.Nursery,
) -> None:
    clock = VirtualClock()
    start = clock.now()
    times: list[int] = []

    async def every_ten_seconds() -> None:
        while True:
            await clock.sleep(10)
            times.append((clock.now() - start) // SECOND)

    nursery.start_soon(every_ten_seconds)
    await clock.advance(35)
    nursery.cancel_scope.cancel()

    assert times == [10, 20, 30]


async def test_a_past_time_is_reached_at_once() -> None:
    clock = VirtualClock()

    await clock.wait_until(clock.now() - SECOND)


async def test_a_cancelled_sleeper_is_forgotten(nursery: trio.Nursery) -> None:
    clock = VirtualClock()
    with trio.CancelScope() as scope:
        nursery.start_soon(clock.settle)
        scope.cancel()
        await clock.sleep("1h")

    await clock.advance("2h")

    assert scope.cancelled_caught


async def test_it_does_not_move_while_a_thread_works(nursery: trio.Nursery) -> None:
    clock = VirtualClock()
    activity = Activity()
    clock.attach(activity)
    release = threading.Event()
    happened: list[str] = []

    async def work() -> None:
        activity.begin()
        await trio.to_thread.run_sync(release.wait)
        happened.append("the thread ended")
        activity.end()

    async def time_out() -> None:
        await clock.sleep("30s")
        happened.append("the time was over")

    nursery.start_soon(work)
    nursery.start_soon(time_out)
    # A real thread of 50 ms, as Trio's own test clock would jump over it.
    timer = threading.Timer(0.05, release.set)
    timer.start()
    await clock.advance("1m")

    assert happened == ["the thread ended", "the time was over"]


def test_it_begins_at_a_date_that_is_the_same_in_every_test() -> None:
    clock = VirtualClock()

    assert clock.now() == datetime(2030, 1, 1, tzinfo=UTC).timestamp() * SECOND


def test_it_can_begin_at_another_time() -> None:
    clock = VirtualClock(start=datetime(2000, 2, 29, tzinfo=UTC))

    assert clock.now() == datetime(2000, 2, 29, tzinfo=UTC).timestamp() * SECOND


def test_a_start_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ironflow.ConfigurationError, match="time zone"):
        VirtualClock(start=datetime(2000, 1, 1))  # noqa: DTZ001  the mistake


async def test_a_mistaken_duration_is_refused() -> None:
    with pytest.raises(ironflow.ConfigurationError, match="duration"):
        await VirtualClock().advance("tomorrow")
