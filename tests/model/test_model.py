"""Scars: what other engines got wrong, as named cases over the real core.

Most are single ways through programs that the explorer walks anyway; each is here so
that the day it breaks, its name says what broke.
"""

from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest

from ironflow import values
from ironflow.authoring.context import Context
from ironflow.authoring.function import function
from ironflow.interpreter import outcomes
from ironflow.interpreter.program import Program
from ironflow.interpreter.session import Session
from ironflow.journal.base import EmitEvents, Emitted
from ironflow.journal.memory import MemoryJournal
from ironflow.records import Entry, StepCompleted
from tests.model import grammar as g
from tests.model.checks import check_rows
from tests.model.compiled import TRIGGER
from tests.model.explorer import CRASH, Path, follow, wander
from tests.model.happenings import do
from tests.model.model import Model
from tests.model.setting import (
    ENVIRONMENT,
    NOW,
    Setting,
    event,
)
from tests.model.world import World

CLAIM = ("claim", "root")


def settle(step: str) -> tuple[str, ...]:
    return "settle", "root", step, "ends"


def seen_by(world: World) -> list[str]:
    """Return what the program has seen, in order, without attempts and arguments."""
    kind, _, status, output = world.models[world.root].history[-1]
    assert (kind, status) == ("RunEnded", "completed")
    return [seen.split("#")[0] for seen in output.split()]


def test_branches_go_on_in_the_order_in_which_they_finished() -> None:
    program = g.Parallel((g.Seq((g.Step(), g.Step())), g.Step(), g.Step()))
    path: Path = (
        CLAIM,
        *map(settle, ("s:2:s:0", "s:0:s:0", "s:1:s:0")),
        ("crash",),
        CLAIM,
        settle("s:0:s:1"),
    )
    world = follow(program, g.RULES, path)

    order = ["start", "s:2:s:0", "s:0:s:0", "s:1:s:0", "s:0:s:1", "[ok,ok,ok]"]
    assert seen_by(world) == order


@pytest.mark.parametrize("body", [g.Sleep(), g.Wait(), g.Step()], ids=["s", "w", "r"])
def test_a_finally_does_nothing_when_its_run_is_dropped(body: g.Program) -> None:
    cleanup = g.Seq((g.Step(), g.Publish(), g.Sleep(), g.Invoke("good")))
    world = follow(g.Finally(body, cleanup), g.RULES, (CLAIM,))
    before = world.journal.snapshot()

    world.close()

    assert not world.effects
    assert world.journal.snapshot() == before


def test_code_that_swallows_everything_lets_itself_be_dropped() -> None:
    program = g.Seq((g.Swallow(g.Sleep()), g.Swallow(g.Step()), g.Swallow(g.Wait())))
    world = follow(program, g.Rules(cancels=0), (CLAIM,))

    world.close()  # asserts that it can be

    assert not world.effects


class TwoRoots(World):
    """A world with a second run of the same function."""

    def name(self, run_id: str) -> str:
        return "root" if run_id == self.root else "other"

    def begin_other(self) -> None:
        second = EmitEvents((event(TRIGGER, "other"),), NOW)
        [answer] = self.journal.commit_now([second])
        assert isinstance(answer, Emitted)
        [run_id] = answer.receipts[0].run_ids
        self.models[run_id] = Model(self.setting.program, "other", g.RULES)


def test_an_interrupted_clean_up_goes_on_with_results_of_its_own_run() -> None:
    """Two runs of one function crash again and again, also within their clean-up."""
    world = TwoRoots(Setting(g.Finally(g.Step(), g.Seq((g.Step(), g.Step())))))
    world.begin_other()

    for step, name in product(("s:0", "s:1", "s:2"), ("root", "other")):
        do(world, ("claim", name))
        do(world, ("settle", name, step, "ends"))
        check_rows(world)
        for choice in (CRASH,) if world.hosts else ():
            do(world, choice)

    outputs = [model.history[-1][3].split()[0] for model in world.models.values()]
    assert outputs == ["start", "other"]


def test_an_event_finds_its_wait_before_and_after_it_is_asked() -> None:
    program = g.Seq((g.Step(), g.Wait(), g.Wait()))
    path: Path = (CLAIM, ("emit",), settle("s:0"), ("absorb", "root"), ("crash",))
    world = follow(program, g.RULES, (*path, ("emit",), CLAIM, ("absorb", "root")))

    assert seen_by(world)[1:] == ["s:0", "event", "1", "event", "2"]


def test_an_event_that_a_cancelled_wait_had_taken_goes_to_another() -> None:
    failing = g.Parallel((g.Wait(), g.Step("refuses")))
    program = g.Parallel((failing, g.Wait()), collect=True)
    path: Path = (CLAIM, ("emit",), settle("s:0:s:1:s:0"), ("absorb", "root"))
    world = follow(program, g.RULES, path)

    assert seen_by(world)[1:] == ["event", "1", "[!StepError,ok]"]


def test_a_bug_does_not_repeat_the_step_before_it() -> None:
    world = follow(g.Seq((g.Step(), g.Raise(bug=True))), g.RULES, (CLAIM,))
    do(world, settle("s:0"))

    recorded = [entry.record for entry in world.run(world.root).entries]
    assert world.run(world.root).row.status == "paused"
    assert isinstance(recorded[-1], StepCompleted)


# --- values -----------------------------------------------------------------------


def output_of(program: Program, results: dict[str, object]) -> object:
    """Run a function with these results of its steps; return its output.

    After each record a session that is loaded anew must ask for the very same steps.
    """
    world = World(Setting(g.Sleep()))
    start = world.run(world.root).entries[0]
    live = Session(program, world.root, ENVIRONMENT)
    live.load([start])
    entries: list[Entry] = [start]
    steps = {step.id: step for step in live.absorb((), NOW).perform}
    while steps:
        again = Session(program, world.root, ENVIRONMENT)
        again.load(entries)
        assert {step.id for step in again.absorb((), NOW).perform} == set(steps)
        _, step = steps.popitem()
        draft = outcomes.completed(step, values.encode(results[step.name]))
        move = live.absorb([draft], NOW)
        assert move.bug is None
        entries += move.entries
        steps |= {each.id: each for each in move.perform}
    return values.decode(entries[-1].payload)


@pytest.mark.parametrize("empty", [None, "", b"", 0, False, [], {}], ids=repr)
def test_an_empty_result_is_a_result(empty: object) -> None:
    @function(id="root", version="1")
    async def program(ctx: Context[Any]) -> Any:
        first = await ctx.step.run("empty", lambda: empty)
        second = await ctx.step.run("after", lambda: 1)
        return [first, second]

    assert output_of(program.program, {"empty": empty, "after": 1}) == [empty, 1]


def test_results_of_all_branches_are_read_by_their_annotation() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)

    def pair() -> tuple[int, datetime]:
        return 1, moment

    @function(id="root", version="1")
    async def program(ctx: Context[Any]) -> list[str]:
        found = await ctx.step.parallel(
            "both",
            [
                lambda step: step.run("left", pair),
                lambda step: step.run("right", pair),
            ],
        )
        return [f"{type(each).__name__} {type(each[1]).__name__}" for each in found]

    output = output_of(program.program, {"left": pair(), "right": pair()})

    assert output == ["tuple datetime"] * 2


def test_a_history_longer_than_a_page_is_read_back() -> None:
    pages = 3
    world = World(Setting(g.Seq((g.Publish(),) * pages)))
    wander(world, ())
    journal: MemoryJournal = world.journal

    entries: list[Entry] = []
    while page := journal.history_now(world.root, after=len(entries), limit=2):
        entries += page

    assert entries == world.run(world.root).entries
    assert len(entries) == pages + 2
