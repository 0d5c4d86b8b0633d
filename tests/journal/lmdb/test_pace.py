"""Commits stop the loop seldom, and threads that compute leave it its time."""

from collections.abc import Callable

import pytest

from ironflow.journal.lmdb import pace as pace_module
from ironflow.journal.lmdb.pace import (
    HELD_COMMITS_MIN,
    LOOP_SECONDS_MAX,
    REST_SECONDS_MAX,
    WORK_SECONDS,
    Pace,
    Rests,
)


def stalls_in_loop(disk: Callable[[int], float], commits: int) -> int:
    """How many of these commits stop the loop, where each takes as long as it says."""
    pace, stalls = Pace(), 0
    for number in range(commits):
        in_loop = pace.stays_in_loop()
        pace.observe(disk(number), in_loop=in_loop)
        stalls += in_loop and disk(number) >= LOOP_SECONDS_MAX
    return stalls


def test_a_quick_disk_is_written_in_the_loop() -> None:
    pace = Pace()
    for _ in range(1_000):
        assert pace.stays_in_loop()
        pace.observe(LOOP_SECONDS_MAX / 2, in_loop=True)


def test_a_disk_that_is_always_slow_stops_the_loop_less_and_less() -> None:
    assert stalls_in_loop(lambda _: 0.02, 10_000) == 7


def test_a_disk_that_is_slow_at_times_stops_few_commits() -> None:
    for every in (2, 10, 100, 1_000):

        def seconds(number: int, every: int = every) -> float:
            return 0.001 if number % every else 0.02

        assert 0 < stalls_in_loop(seconds, 50_000) < 50_000 / 200


def test_a_stall_is_forgotten_after_many_quick_commits() -> None:
    pace = Pace()
    for _ in range(2):
        pace.observe(0.02, in_loop=True)
        assert pace.held == HELD_COMMITS_MIN
        for _ in range(HELD_COMMITS_MIN):
            assert not pace.stays_in_loop()
            pace.observe(0.001, in_loop=False)
        for _ in range(512):
            assert pace.stays_in_loop()
            pace.observe(0.001, in_loop=True)


class Watched:
    """What a thread rests on, and the processor time that it has used."""

    def __init__(self, rests: Rests, patch: pytest.MonkeyPatch) -> None:
        self.rested: list[float] = []
        self.used = 0.0
        self._wait = rests._hurried.wait
        patch.setattr(rests._hurried, "wait", self._waits)
        patch.setattr(pace_module, "thread_time", lambda: self.used)

    def _waits(self, seconds: float) -> bool:
        self.rested.append(seconds)
        return self._wait(0)


def test_a_thread_rests_as_long_as_it_has_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rests = Rests()
    watched = Watched(rests, monkeypatch)
    for used in (WORK_SECONDS / 2, WORK_SECONDS, WORK_SECONDS * 1.5, 1.0):
        watched.used = used
        rests.take()

    assert watched.rested == [WORK_SECONDS, REST_SECONDS_MAX]


def test_nobody_rests_while_somebody_waits() -> None:
    rests = Rests()
    rests.hurry()
    assert rests._hurried.wait(0)

    rests.begin()

    assert not rests._hurried.wait(0)
