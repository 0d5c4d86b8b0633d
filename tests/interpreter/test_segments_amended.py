"""Runs of the published SDKs that are retried, corrected or resumed from a step."""

from ironflow import codec
from ironflow.interpreter.segments_news import Finished
from ironflow.records import (
    NO_PAYLOAD,
    Draft,
    Entry,
    Rewound,
    RunRetried,
    StepCompleted,
    StepPatched,
)
from tests.interpreter.segments_world import SegmentWorld, broke, done, kinds, pack


def begun(data: object = None, **options: object) -> SegmentWorld:
    world = SegmentWorld(data, **options)
    world.begin()
    return world


def amended(
    world: SegmentWorld,
    record: RunRetried | Rewound | StepPatched,
    payload: bytes = NO_PAYLOAD,
) -> list[Entry]:
    entry, _ = codec.seal(
        Draft(record, payload),
        sequence=len(world.history) + 1,
        recorded_at=world.now,
        previous=world.history[-1].digest,
    )
    return [*world.history, entry]


def test_a_failed_run_can_be_retried_in_place() -> None:
    world = begun()
    world.tell(done("a:0", 1))
    world.fail(broke("b:0"), final=True)

    world.history = amended(world, RunRetried(attempt=2))
    move = world.restart()

    assert (move.state, move.perform[0].attempt) == ("working", 1)
    assert world.rows() == {"a:0": 1}
    world.tell(done("b:0", 2), then=Finished())
    assert world.state.status == "completed"


def test_an_amended_history_has_to_come_whole() -> None:
    world = begun()
    world.fail(final=True)
    entries = amended(world, RunRetried(attempt=2))

    player = world.loaded()

    assert not player.load(entries[-1:])
    assert not player.load(entries, more=True)


def test_a_run_that_is_resumed_from_a_step_has_the_rows_before_it() -> None:
    """Its attempts count from there, and the worker performs the rest again."""
    world = begun()
    world.tell(done("a:0", 1), done("b:0", 2), done("c:0", 3))
    world.fail(broke("d:0"), final=True)

    world.history = amended(world, Rewound(to=2, afresh=True))
    move = world.restart()

    assert (move.state, move.perform[0].attempt) == ("working", 1)
    assert world.rows() == {"a:0": 1}
    assert world.segment.stored == 1
    world.tell(done("b:0", 4), then=Finished())
    assert world.state.status == "completed"


def test_a_step_that_failed_is_given_a_result_by_a_patch() -> None:
    """The segment failed with it; a retry sends the result as a row."""
    world = begun()
    world.fail(broke("b:0"), final=True)

    world.history = amended(world, StepPatched(id="b:0"), pack(5))
    world.history = amended(world, RunRetried(attempt=2))
    world.restart()

    assert world.rows() == {"b:0": 5}


def test_a_result_that_is_given_is_a_row() -> None:
    """Once: what a worker has told before is not news, nor is anything after an end."""
    world = begun()
    world.tell(done("a:0", 1))
    world.fail(broke("b:0"), final=True)
    given = [
        Draft(StepCompleted(id="b:0", attempt=1), pack(5)),
        Draft(StepCompleted(id="a:0", attempt=1), pack(6)),
    ]

    world.history = amended(world, Rewound(to=2, afresh=True))
    world.restart()
    move = world.absorb(*given)

    assert kinds(move.entries) == ["StepCompleted"]
    assert world.rows() == {"a:0": 1, "b:0": 5}
    world.tell(then=Finished())
    assert kinds(world.absorb(given[0]).entries) == []
