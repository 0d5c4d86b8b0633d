"""Every schedule of every small program, and some ways through larger ones.

What holds after each choice is invariant 1 (how news is cut into batches is a choice,
and ends in the same state), 2 and 5 (a run loaded anew, and after every crash, is
where the model is), 3, 6, 7 (one attempt at a time), 8 and 9.

The programs are the same every time, those drawn at random too. `IRONFLOW_EXPLORE=2000`
draws others, leaves nothing out of the programs of two operations, and takes 2,000 of
the 14,720 of size three, spread evenly. `pytest -s` shows how much there was.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironflow import limits
from ironflow.journal.base import Answer, JournalCommand
from tests.model import grammar as g
from tests.model.explorer import Explored, explore, wander
from tests.model.setting import Setting
from tests.model.world import World

LARGER: Final = int(os.environ.get("IRONFLOW_EXPLORE", "0"))
# Whether the same programs are drawn every time: in all but the rounds that seek more.
SAME: Final = not (LARGER or "HYPOTHESIS_PROFILE" in os.environ)
PARTS: Final = 6

TIMED: Final = g.Invoke("slow", limit=True)
UNDONE: Final = g.Step(undo="ok")
FAILS: Final = g.Step("fails")

# Programs in which something was, or nearly was, wrong once.
DIFFICULT: Final[tuple[g.Program, ...]] = (
    # A cancelled wait gives its event back, and an older wait must get it.
    g.Parallel((g.Parallel((g.Wait(), g.Step("refuses"))), g.Wait()), collect=True),
    # A saga's undo runs while its sibling fails.
    g.Parallel((g.Saga(g.Seq((UNDONE, g.Raise()))), FAILS)),
    # A queued branch never starts; the one that runs registers its undo first.
    g.Parallel((UNDONE, g.Step("refuses"), g.Compensate()), concurrency=2),
    # An undo is newest first over all branches, and passes out of a saga.
    g.Seq((g.Saga(g.Parallel((UNDONE, UNDONE))), g.Raise())),
    # Clean-up that asks again, in a cancelled scope and after it.
    g.Seq((g.Catch(g.Parallel((g.Finally(g.Sleep(), UNDONE), FAILS))), UNDONE)),
    # A child is started, and at once its branch is cancelled by another.
    g.Catch(g.Parallel((g.Seq((g.Spawn("slow"), g.Sleep())), g.Raise()))),
    g.Catch(g.Parallel((g.Seq((g.Publish(), UNDONE)), g.Raise()))),
    g.Catch(g.Parallel((g.Invoke("slow"), g.Raise()))),
    # A cancelled parallel of which all that began completed is cancelled all the same.
    g.Seq((g.Parallel((UNDONE, g.Step()), concurrency=1), g.Compensate())),
    # A bug, with all that a run can have open.
    g.Parallel(
        (g.Beside("slow", g.Wait()), UNDONE, g.Seq((g.Sleep(), g.Raise(bug=True))))
    ),
    # A bug beside a step that backs off, in clean-up, in a saga, among results.
    g.Parallel((g.Step("flaky"), g.Seq((UNDONE, g.Raise(bug=True))))),
    g.Parallel((g.Finally(g.Sleep(), g.Raise(bug=True)), g.Step("refuses"))),
    g.Parallel((g.Saga(g.Finally(g.Wait(), g.Raise(bug=True))), UNDONE)),
    g.Parallel((g.Seq((UNDONE, g.Raise(bug=True))), g.Step("late")), collect=True),
    g.Catch(g.Parallel((g.Invoke("slow"), g.Step("refuses")))),
    # A child is late, while its parent waits for nothing else or is cancelled.
    g.Parallel((TIMED, UNDONE)),
    # The same name again and again, over all kinds of operation.
    g.Seq((g.Parallel((g.Step(),)), g.Step(), g.Parallel((g.Step(), g.Sleep())))),
    # A step that must not run twice is stopped, by a sibling and by a cancel.
    g.Parallel((g.Step(once=True, undo="ok"), g.Step("refuses"))),
    g.Seq(
        (
            g.Catch(g.Parallel((g.Catch(g.Step(once=True)), g.Step("refuses")))),
            g.Publish(),
        )
    ),
)


def explored(
    programs: Iterable[g.Program], rules: g.Rules = g.RULES
) -> tuple[int, int]:
    """Explore programs; return how many there were, and how many schedules."""
    found = [explore(program, rules) for program in programs]
    total = Explored(
        states=sum(each.states for each in found),
        moves=sum(each.moves for each in found),
        schedules=sum(each.schedules for each in found),
    )
    print(f"\n{len(found)} programs: {total}")
    return len(found), total.schedules


def is_costly(program: g.Program) -> bool:
    """Say whether it has two child runs, or one with a timeout: a third of all work."""
    return len(g.children_of(program)) > 1 or TIMED in g.leaves_of(program)


def test_every_schedule_of_one_operation() -> None:
    programs, schedules = explored(g.programs(1))

    assert programs == 20
    assert schedules > 400_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "rules",
    [
        g.Rules(run_timeout=True),
        g.Rules(cancels=2),
        g.Rules(undo_on_cancel=False),
        g.Rules(bugs_fail=True),
    ],
    ids=["deadline", "two-cancels", "no-undo-on-cancel", "bugs-fail"],
)
def test_every_schedule_with_another_option(rules: g.Rules) -> None:
    programs, schedules = explored(g.programs(1), rules)

    assert programs == 20
    assert schedules > 400_000


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_schedule_of_two_operations(part: int) -> None:
    """The costly ones are left to a larger run."""
    mine = g.programs(2)[part::PARTS]
    programs, schedules = explored(
        program for program in mine if LARGER or not is_costly(program)
    )

    assert programs > 60
    assert schedules > 1_000_000


@pytest.mark.slow
def test_every_schedule_where_moves_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each turn is committed by itself, and a crash may come between two."""
    monkeypatch.setattr(limits, "ASKS_PER_TURN_MAX", 1)

    small, _ = explored(g.programs(1))
    difficult, _ = explored(DIFFICULT[:9])

    assert small > 0
    assert difficult == len(DIFFICULT[:9])


@pytest.mark.slow
@pytest.mark.timeout(290)
@pytest.mark.parametrize("part", range(0, max(1, LARGER), 100))
def test_every_schedule_of_some_larger_programs(part: int) -> None:
    programs = g.programs(3) if LARGER else g.programs(3, g.FEW_LEAVES)
    stride = max(1, len(programs) // LARGER) if LARGER else 32
    mine = programs[7::stride][part : part + 100]
    found, schedules = explored(mine)

    assert found == len(mine) > 0
    assert schedules > 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("program", DIFFICULT, ids=range(len(DIFFICULT)))
def test_every_schedule_of_a_difficult_program(program: g.Program) -> None:
    found, schedules = explored([program])

    assert found == 1
    assert schedules > 1


RULES: Final = st.builds(
    g.Rules,
    cancels=st.integers(0, 2),
    run_timeout=st.booleans(),
    undo_on_cancel=st.booleans(),
    bugs_fail=st.booleans(),
)


@settings(derandomize=SAME)
@given(
    program=g.random_programs(),
    rules=RULES,
    draws=st.lists(st.integers(0, 1 << 16), min_size=10, max_size=60),
)
def test_a_random_way_through_a_random_program(
    program: g.Program, rules: g.Rules, draws: list[int]
) -> None:
    wander(World(Setting(program, rules)), draws)


class Fault(Exception):
    """A store that breaks in the middle of a commit."""


class FaultyView:
    """The tables of a journal that break before one of the next writes."""

    def __init__(self, view: Any, writes: int) -> None:
        self.view = view
        self.writes = writes

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("put_", "drop_", "append", "consume")):
            if self.writes == 0:
                raise Fault
            self.writes -= 1
        return getattr(self.view, name)


class FaultyWorld(World):
    """A world in which every commit breaks before each of its writes, then holds."""

    def commit(self, *commands: JournalCommand) -> list[Answer]:
        view = self.journal._view
        before = self._tables()
        for writes in range(1000):
            vars(self.journal)["_view"] = FaultyView(view, writes)
            try:
                return super().commit(*commands)
            except Fault:
                assert self._tables() == before, "invariant 6"
            finally:
                vars(self.journal)["_view"] = view
        raise AssertionError("a commit without an end")

    def _tables(self) -> object:
        """Return all that a commit may change; numbers may be left out."""
        durable, view = self.journal.snapshot().durable, self.journal._view
        rows = replace(durable, counter=0, openings=0)
        return rows, list(rows.ready), list(view.due), dict(view.queue.holds)


@settings(max_examples=30, derandomize=SAME)
@given(
    program=g.random_programs(),
    draws=st.lists(st.integers(0, 1 << 16), max_size=30),
)
def test_a_commit_is_whole_or_absent(program: g.Program, draws: list[int]) -> None:
    wander(FaultyWorld(Setting(program)), draws)
