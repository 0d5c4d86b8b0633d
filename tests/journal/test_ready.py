"""The ready queue: lanes, their limits, and who is claimed next."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ironflow.journal.ready import CLAIMS_PER_OWNER, ReadyQueue


def test_the_first_ready_is_the_first_claimed() -> None:
    queue = ReadyQueue(3)
    for run_id, function_id in [("r1", "a"), ("r2", "b"), ("r3", "a"), ("r4", "c")]:
        queue.add(run_id, function_id)
    queue.add("r1", "a")

    assert queue.claim({"a", "b"}, limit=2) == ["r1", "r2"]
    assert queue.claim({"a", "b", "none"}, limit=9) == ["r3"]
    assert not queue.claim({"a", "b"}, limit=9)
    assert queue.holds["r1"] == 3 * CLAIMS_PER_OWNER + 1
    assert len(queue) == 4
    assert queue.function_of("r2") == "b"


def test_a_hold_is_ended_by_its_own_epoch_only() -> None:
    queue = ReadyQueue(1)
    queue.add("r1", "a")
    queue.claim({"a"}, limit=1)
    first = queue.holds["r1"]

    assert not queue.release("r1", epoch=first + 1)
    assert queue.release("r1", epoch=first)
    assert not queue.release("r1", epoch=first)

    assert queue.claim({"a"}, limit=1) == ["r1"]
    assert queue.holds["r1"] > first
    queue.drop("r1")
    queue.drop("r1")
    assert "r1" not in queue
    assert not queue.holds


def test_a_full_lane_waits_and_the_others_go_on() -> None:
    queue = ReadyQueue(1)
    queue.set_limit("a", 1)
    for run_id, lane in [("r1", b"x"), ("r2", b"x"), ("r3", b"y"), ("r4", b"x")]:
        queue.add(run_id, "a", lane)

    assert queue.claim({"a"}, limit=9) == ["r1", "r3"]
    assert not queue.claim({"a"}, limit=9)
    queue.drop("r1")
    assert queue.claim({"a"}, limit=9) == ["r2"]
    queue.set_limit("a", 2)
    assert queue.claim({"a"}, limit=9) == ["r4"]


def test_a_limit_that_falls_takes_no_run_away() -> None:
    queue = ReadyQueue(1)
    for run_id in ("r1", "r2", "r3"):
        queue.add(run_id, "a")
    queue.claim({"a"}, limit=2)

    queue.set_limit("a", 1)

    assert not queue.claim({"a"}, limit=9)
    queue.drop("r1")
    assert not queue.claim({"a"}, limit=9), "one is held, and one may be"
    queue.drop("r2")
    assert queue.claim({"a"}, limit=9) == ["r3"]


@pytest.mark.parametrize("waiting", [100, 10_000])
def test_a_claim_looks_at_no_run_that_waits_in_a_full_lane(waiting: int) -> None:
    """It looks at the heads of lanes with room, and a full lane has none."""
    queue = ReadyQueue(1)
    queue.set_limit("a", 1)
    for n in range(waiting):
        queue.add(f"full{n}", "a", b"full")
    queue.claim({"a"}, limit=1)
    for n in range(3):
        queue.add(f"free{n}", "a", b"%d" % n)
    heads = len(queue._functions["a"].heads)

    taken = queue.claim({"a"}, limit=9)

    assert taken == ["free0", "free1", "free2"]
    assert heads == len(taken)


class QueueMachine(RuleBasedStateMachine):
    """Whatever happens, a claim answers as one that looks at every run would."""

    runs = st.sampled_from([f"r{n}" for n in range(12)])

    def __init__(self) -> None:
        super().__init__()
        self.queue = ReadyQueue(1)
        self.ready: dict[str, tuple[str, bytes]] = {}  # in their order
        self.held: set[str] = set()
        self.limits = {"a": 0, "b": 0}

    def taken(self, functions: set[str], limit: int) -> list[str]:
        found: list[str] = []
        for run_id, lane in self.ready.items():
            others = [each for each in self.held if self.ready[each] == lane]
            most = self.limits[lane[0]]
            has_room = not most or len(others) < most
            if run_id not in self.held and lane[0] in functions and has_room:
                self.held.add(run_id)
                found.append(run_id)
            if len(found) == limit:
                break
        return found

    @rule(
        run_id=runs,
        function_id=st.sampled_from("ab"),
        lane=st.sampled_from([b"", b"x", b"y"]),
    )
    def add(self, run_id: str, function_id: str, lane: bytes) -> None:
        self.queue.add(run_id, function_id, lane)
        self.ready.setdefault(run_id, (function_id, lane))

    @rule(run_id=runs)
    def drop(self, run_id: str) -> None:
        self.queue.drop(run_id)
        self.ready.pop(run_id, None)
        self.held.discard(run_id)

    @rule(run_id=runs)
    def release(self, run_id: str) -> None:
        if self.queue.release(run_id, epoch=self.queue.holds.get(run_id, -1)):
            self.ready[run_id] = self.ready.pop(run_id)
            self.held.discard(run_id)

    @rule(function_id=st.sampled_from("ab"), limit=st.integers(0, 3))
    def set_limit(self, function_id: str, limit: int) -> None:
        self.queue.set_limit(function_id, limit)
        self.limits[function_id] = limit

    @rule(functions=st.sets(st.sampled_from("abc")), limit=st.integers(1, 5))
    def claim(self, functions: set[str], limit: int) -> None:
        assert self.queue.claim(functions, limit=limit) == self.taken(functions, limit)

    @invariant()
    def holds_and_lanes_are_those_of_the_ready(self) -> None:
        """Nothing of a lane stays when its last run is gone."""
        assert set(self.queue.holds) == self.held
        assert len(self.queue) == len(self.ready)
        kept = {
            (function.id, key)
            for function in self.queue._functions.values()
            for key in function.lanes
        }
        assert kept == set(self.ready.values())


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(stateful_step_count=60)


def test_a_suspect_is_one_until_it_is_claimed_or_gone() -> None:
    queue = ReadyQueue(1)
    queue.add("r1", "a")
    queue.add("r2", "a")
    queue.suspect_all()
    queue.add("r3", "a")
    queue.drop("r2")
    queue.add("r2", "a")

    assert [queue.was_suspect(run_id) for run_id in ("r1", "r1", "r2", "r3")] == [
        True,
        False,
        False,
        False,
    ]
