"""A run's place in its journal: what is sealed, bounded, shown and reused."""

import pytest

from ironflow import codec, limits
from ironflow.interpreter import outcomes
from ironflow.interpreter.player import Player
from ironflow.interpreter.program import Program
from ironflow.interpreter.session import Session, player_of
from ironflow.records import (
    CancelRequested,
    Draft,
    Rewound,
    RunEnded,
    SleepFired,
    SleepStarted,
    StepCompleted,
)
from tests.interpreter.language import Step
from tests.interpreter.world import ENVIRONMENT, RUN_ID, World, program_of

NIL = b"\xc0"


async def two_steps(step: Step) -> None:
    await step.run("a")
    await step.run("b")


async def many_sleeps(step: Step) -> None:
    names = range(limits.ASKS_PER_TURN_MAX + 10)
    await step.map("all", names, lambda number: step.sleep("nap", 5))


async def many_messages(step: Step) -> None:
    for number in range(limits.ASKS_PER_TURN_MAX + 10):
        await step.publish("number", number)


@pytest.mark.parametrize("workflow", [many_sleeps, many_messages])
def test_a_move_has_no_more_records_than_one_append_may(workflow: object) -> None:
    """What does not fit is asked again; the host absorbs nothing to go on."""
    world = World(program_of(workflow), checked=False)  # type: ignore[arg-type]  # one of the two above

    first = world.start({})
    second = world.absorb()

    assert (len(first.entries), first.more) == (limits.ASKS_PER_TURN_MAX, True)
    assert (len(second.entries) in {10, 11}, second.more) == (True, False)


def test_what_a_full_move_does_not_take_is_left_to_the_host() -> None:
    """`taken` says how many drafts were looked at; the rest come again."""
    world = World(program_of(many_sleeps), checked=False)
    world.start({})

    move = world.absorb(Draft(SleepFired(id="all:0:nap:0")))
    size = limits.ASKS_PER_TURN_MAX
    fired = [Draft(SleepFired(id=f"all:{n}:nap:0")) for n in range(1, size + 5)]
    full = world.absorb(*fired)
    rest = world.absorb(*fired[full.taken :])

    assert move.taken == 1
    assert (len(full.entries), full.taken) == (size, size)
    assert [entry.record.id for entry in rest.entries] == [
        f"all:{n}:nap:0" for n in range(size + 1, size + 5)
    ]


def test_time_stands_still_where_the_clock_goes_back() -> None:
    """A record is never older than the one before it."""
    world = World(program_of(two_steps))
    move = world.start({})
    world.now = -5_000_000

    later = world.absorb(outcomes.completed(move.perform[0], NIL))

    assert later.entries[0].record.recorded_at == 2_000_000


def test_only_a_rewound_history_has_results_to_use_again() -> None:
    """Without a rewind no step is looked up."""
    world = World(program_of(two_steps))
    move = world.start({})
    assert world.session is not None

    assert not world.session.is_rewound
    assert world.session.reusable(move.perform[0]) is None


def test_it_knows_which_steps_an_earlier_host_may_have_begun() -> None:
    """Until their outcome is there; what it asks for later is its own."""
    world = World(program_of(two_steps))
    world.start({})
    world.reload()
    session = world.session
    assert session is not None

    first = session.may_have_begun("a:0")
    world.absorb(outcomes.completed(world.outstanding["a:0"], NIL))

    assert first
    assert not session.may_have_begun("a:0")
    assert not session.may_have_begun("b:0")


def test_a_broken_run_is_cancelled_without_its_code() -> None:
    """The error says that nothing was undone, and the chain goes on."""

    async def broken(step: Step) -> None:
        raise KeyError("price")

    world = World(program_of(two_steps))
    world.start({})
    move = world.end_broken(program_of(broken))

    assert [type(each.record) for each in move.entries] == [CancelRequested, RunEnded]
    assert b"nothing was undone" in bytes(move.entries[1].payload)
    stored = [(codec.encode(each), each) for each in world.history]
    start = codec.chain_start(ENVIRONMENT, RUN_ID)
    assert len(list(codec.verify_chain(stored, start=start))) == 3


def test_it_knows_what_a_loaded_run_waits_for() -> None:
    """Not what is settled, nor what it asked itself, nor what broken code would want."""

    async def naps(step: Step) -> None:
        await step.parallel(
            "all", *(lambda name=name: step.sleep(name, 5) for name in "abc")
        )
        await step.sleep("last", 5)

    async def broken(step: Step) -> None:
        step.log("it reads the news first")
        raise KeyError("price")

    world = World(program_of(naps))
    world.start({})
    assert world.session is not None
    before = world.session.awaited()
    world.reload()
    world.absorb(Draft(SleepFired(id="all:0:a:0")))
    loaded = [record.id for record in world.session.awaited()]
    rest = [
        Draft(SleepFired(id=f"all:{n}:{name}:0")) for n, name in ((1, "b"), (2, "c"))
    ]
    world.absorb(*rest)
    later = world.session.awaited()
    session = Session(program_of(broken), RUN_ID, ENVIRONMENT)
    session.load(world.history[:3])
    session.absorb((), 1)

    assert before == ()
    assert loaded == ["all:1:b:0", "all:2:c:0"]
    assert later == ()
    assert session.awaited() == ()


def test_a_session_that_took_nothing_over_holds_nothing() -> None:
    """Without a history there is nothing to carry on."""
    session = Session(program_of(two_steps), RUN_ID, ENVIRONMENT)
    session.load([])

    move = session.absorb([], 1)

    assert (move.entries, move.state) == ((), "waiting")
    assert session.close()


def test_a_step_whose_outcome_came_with_the_first_move_is_not_performed() -> None:
    """Who held the run before has kept it in the inbox."""
    world = World(program_of(two_steps))
    move = world.start({})
    session = Session(world.program, RUN_ID, ENVIRONMENT)
    session.load(world.history)

    first = session.absorb([outcomes.completed(move.perform[0], NIL)], world.now)

    assert [each.id for each in first.perform] == ["b:0"]


def test_a_history_may_come_in_pages() -> None:
    """The code runs over each page but the last, which `absorb` does."""
    world = World(program_of(two_steps))
    world.start({})
    world.absorb(outcomes.completed(world.outstanding["a:0"], NIL))
    session = Session(world.program, RUN_ID, ENVIRONMENT)

    taken = [
        session.load(world.history[:1], more=True),
        session.load(world.history[1:]),
    ]
    move = session.absorb((), world.now)

    assert taken == [True, True]
    assert [each.id for each in move.perform] == ["b:0"]
    assert session.length == len(world.history)


@pytest.mark.parametrize("more", [True, False])
def test_an_amended_history_does_not_come_in_pages(*, more: bool) -> None:
    """What was played may be what was dropped; so nothing of the page is taken."""
    world = World(program_of(two_steps))
    world.start({})
    world.append(Draft(Rewound(to=1)))
    session = Session(world.program, RUN_ID, ENVIRONMENT)

    assert session.load(world.history[:1], more=True)
    assert not session.load(world.history[1:], more=more)
    assert session.length == 1
    assert not Session(world.program, RUN_ID, ENVIRONMENT).load(
        world.history, more=True
    )
    assert Session(world.program, RUN_ID, ENVIRONMENT).load(world.history)


def test_no_code_runs_in_a_closed_session() -> None:
    """A run that is dropped while its history is read."""
    called = []

    async def noted(step: Step) -> None:
        called.append("begun")

    world = World(program_of(noted))
    session = Session(world.program, RUN_ID, ENVIRONMENT)
    world.start({})
    called.clear()

    assert session.close()
    session.load(world.history[:1], more=True)

    assert not called


def test_asks_are_placed_behind_what_they_follow() -> None:
    """Records of one move stand in the order in which they were fed and asked."""

    async def naps(step: Step) -> None:
        await step.run("a")
        await step.sleep("nap", 5)

    world = World(program_of(naps))
    move = world.start({})

    later = world.absorb(outcomes.completed(move.perform[0], NIL))

    first, second = later.entries
    assert isinstance(first.record, StepCompleted)
    assert isinstance(second.record, SleepStarted)
    assert [entry.record.sequence for entry in later.entries] == [2, 3]
    assert later.length_before == 1


def test_a_program_may_bring_a_player_of_its_own() -> None:
    made: list[tuple[str, str]] = []

    def player(program: Program, run_id: str, environment: str) -> Player:
        made.append((run_id, environment))
        return Session(program, run_id, environment)

    own = player_of(program_of(two_steps, player=player), RUN_ID, ENVIRONMENT)
    plain = player_of(program_of(two_steps), RUN_ID, ENVIRONMENT)

    assert made == [(RUN_ID, ENVIRONMENT)]
    assert own.run_id == plain.run_id == RUN_ID
    assert isinstance(plain, Session)
