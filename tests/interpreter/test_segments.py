"""Runs of the published SDKs: news become records, records become rows."""

import logging

import pytest

from ironflow import limits
from ironflow.errors import CodeError
from ironflow.interpreter import failures
from ironflow.interpreter.segments_news import (
    Finished,
    News,
)
from ironflow.interpreter.turn import StopStep
from ironflow.policy.retry import Retry
from ironflow.records import (
    CancelRequested,
    DeadlinePassed,
    Draft,
    ErrorInfo,
    RunEnded,
    StepCompleted,
    StepFailed,
    StepInDoubt,
    UndoStarted,
)
from tests.interpreter.segments_world import (
    ENVIRONMENT,
    RUN_ID,
    SECOND,
    SegmentWorld,
    a_program,
    broke,
    done,
    kinds,
    pack,
)

CANCEL = Draft(CancelRequested(actor="me", reason="enough"))


def begun(data: object = None, **options: object) -> SegmentWorld:
    world = SegmentWorld(data, **options)
    world.begin()
    return world


# --- a segment ----------------------------------------------------------------------------


def test_a_new_run_asks_for_its_first_segment() -> None:
    world = SegmentWorld({"orderId": "o1"})

    move = world.begin()

    [perform] = move.perform
    assert move.state == "working"
    assert (perform.id, perform.args, perform.attempt) == ("segment", (RUN_ID,), 1)
    assert perform.retry == world.program.retry
    segment = world.segment
    assert (segment.run_id, segment.function_id) == (RUN_ID, "hello")
    assert (segment.attempt, segment.max_attempts, segment.on_exhausted) == (
        1,
        3,
        "pause",
    )
    assert segment.event.name == "order.created"
    assert segment.rows == ()
    assert segment.stored == 0


def test_steps_and_the_end_are_one_move() -> None:
    world = begun()

    move = world.tell(done("greet:0", {"msg": "hi"}), then=Finished(pack([1])))

    assert move.state == "ended"
    assert world.player.is_over
    assert kinds(move.entries) == ["StepCompleted", "RunEnded"]
    assert world.state.status == "completed"
    assert world.state.payload == pack([1])
    [step] = world.state.operations
    assert (step.id, step.name, step.state) == ("greet:0", "greet", "completed")


def test_a_checkpoint_is_recorded_and_the_segment_goes_on() -> None:
    world = begun()

    move = world.tell(done("a:0", 1), done("b:0", 2))

    assert move.state == "working"
    assert move.perform[0].attempt == 1
    assert world.rows() == {"a:0": 1, "b:0": 2}
    assert world.segment.stored == 2
    assert world.player.is_settled


def test_what_is_offered_is_settled_by_its_move() -> None:
    world = begun()
    player = world.player

    before = player.is_settled
    world.tell(done("a:0"))

    assert (before, player.is_settled) == (True, True)


def test_rows_that_come_again_change_nothing() -> None:
    """The answer to a checkpoint may get lost on its way."""
    world = begun()
    world.tell(done("a:0", 1))

    move = world.tell(done("a:0", 1), done("b:0", 2))

    assert [entry.record.id for entry in move.entries] == ["b:0"]
    assert move.logs == ()


def test_one_id_with_two_results_keeps_the_first_and_says_so() -> None:
    """The SDKs give the second of two parallels of one name the ids of the first."""
    world = begun()

    move = world.tell(done("fan:0:w:0", 1), done("fan:0:w:0", 2))

    assert world.rows() == {"fan:0:w:0": 1}
    [line] = move.logs
    assert line.level == logging.WARNING
    assert "fan:0:w:0" in line.message % line.args


def test_a_step_says_when_it_began_but_not_in_the_future() -> None:
    world = begun()

    world.tell(done("a:0", began_at=1_500_000), done("b:0", began_at=9 * SECOND))

    assert [each.asked_at for each in world.records[-2:]] == [1_500_000, 3 * SECOND]


# --- failures -----------------------------------------------------------------------------


def test_a_failed_step_is_on_record_and_not_sent_back() -> None:
    world = begun()

    world.fail(done("a:0", 1), broke("b:0"), retry_at=9 * SECOND)

    assert world.rows() == {"a:0": 1}
    assert world.segment.stored == 2
    assert world.segment.attempt == 2
    step = world.state.operations[1]
    assert (step.id, step.state, step.retry_at) == ("b:0", "backing_off", 9 * SECOND)


def test_a_failed_segment_is_tried_again_when_its_time_has_come() -> None:
    world = begun()

    move = world.fail(retry_at=9 * SECOND)

    [perform] = move.perform
    assert (perform.attempt, perform.not_before) == (2, 9 * SECOND)
    assert failures.decode(perform.last_error).code == "STEP_FAILED"
    again = world.restart().perform[0]
    assert (again.attempt, again.not_before) == (2, 9 * SECOND)


def test_a_step_that_failed_and_then_went_well_has_two_attempts() -> None:
    world = begun()
    world.fail(broke("a:0"), retry_at=3 * SECOND)

    world.tell(done("a:0", 7), then=Finished())

    step = next(each for each in world.state.operations if each.id == "a:0")
    assert [each.number for each in step.attempts] == [1, 2]
    assert step.state == "completed"
    segment = next(each for each in world.state.operations if each.id == "segment")
    assert segment.state == "completed"
    assert [each.number for each in segment.attempts] == [1, 2]


def test_a_step_that_fails_twice_in_one_report_has_two_attempts() -> None:
    world = begun()

    world.tell(broke("a:0"), broke("a:0"))

    assert [each.attempt for each in world.records[1:]] == [1, 2]


def test_the_last_failure_ends_the_run() -> None:
    world = begun()

    move = world.fail(broke("a:0"), final=True)

    assert move.state == "ended"
    assert kinds(move.entries) == ["StepFailed", "StepFailed", "RunEnded"]
    assert (world.state.status, world.error().code) == ("failed", "STEP_FAILED")


def test_a_failure_is_recorded_in_the_words_of_the_worker() -> None:
    world = begun()
    error = ErrorInfo(type="ValueError", message="no price", code="STEP_FAILED")
    world.player.offer(News(error=error))

    world.fail(final=True)

    assert world.error() == error


def test_a_run_whose_attempts_are_used_up_asks_for_one_more_when_it_is_resumed() -> (
    None
):
    """The engine holds it because no next attempt has a time."""
    world = begun(retry=Retry(max_attempts=1, on_exhausted="pause"))

    move = world.fail()

    assert (move.state, move.perform[0].attempt) == ("working", 2)
    assert world.state.operations[0].state == "held"


def test_a_history_may_come_in_pages() -> None:
    world = begun()
    world.tell(done("a:0", 1), done("b:0", 2))
    player = SegmentWorld().player

    whole = world.loaded().segment()
    player = type(player)(world.program, RUN_ID, ENVIRONMENT, call=player._call)
    assert player.load(world.history[:2], more=True)
    assert player.load(world.history[2:])
    assert player.load([])

    assert player.segment() == whole
    assert player.loaded == player.length == 3


def test_a_run_that_was_compensated_says_that_it_was_undone() -> None:
    """So it can be tried again as a new run only."""
    world = begun()
    world.tell(done("charge:0", 1))

    move = world.fail(broke("ship:0"), done("compensate:charge:0"), final=True)

    assert kinds(move.entries) == [
        "StepFailed",
        "StepCompleted",
        "UndoStarted",
        "StepFailed",
        "RunEnded",
    ]
    undo = next(each for each in world.state.operations if each.kind == "undo")
    assert undo.id == "compensate:charge:0"


def test_compensations_of_an_earlier_checkpoint_count_as_undo() -> None:
    world = begun()
    world.tell(done("compensate:charge:0"))

    move = world.fail(final=True)

    assert kinds(move.entries) == ["UndoStarted", "StepFailed", "RunEnded"]
    assert isinstance(move.entries[0].record, UndoStarted)


def test_a_segment_in_doubt_ends_the_run() -> None:
    world = begun()
    info = ErrorInfo(type="TimeoutError", message="late")

    draft = Draft(StepInDoubt(id="segment", attempt=1), failures.encode(info))
    move = world.absorb(draft)

    assert kinds(move.entries) == ["StepInDoubt", "RunEnded"]
    assert world.error().message == "late"


# --- ends from outside ------------------------------------------------------------------------


def test_a_cancel_ends_the_run_and_stops_its_segment() -> None:
    world = begun()

    move = world.absorb(CANCEL)

    assert kinds(move.entries) == ["CancelRequested", "RunEnded"]
    assert move.stops == (StopStep("segment", interrupt=True),)
    assert (move.state, world.state.status) == ("ended", "cancelled")
    assert (world.error().code, world.error().message) == (
        "RUN_CANCELLED",
        "the run was cancelled: enough",
    )


def test_a_deadline_fails_the_run() -> None:
    world = begun()

    world.absorb(Draft(DeadlinePassed(timer="run")))

    assert (world.state.status, world.error().code) == ("failed", "RUN_TIMEOUT")


def test_what_comes_after_the_end_is_left() -> None:
    world = begun()
    world.player.offer(world_news())

    move = world.absorb(CANCEL, Draft(StepCompleted(id="segment", attempt=1)))

    assert move.taken == 1
    assert world.absorb(CANCEL).entries == ()
    assert world.restart().state == "ended"


def world_news() -> News:
    return News((done("a:0"),))


def test_a_crash_between_a_cancel_and_the_end_still_ends_the_run() -> None:
    """A move may be cut at its bound, and only its first part be durable."""
    world = begun()
    world.absorb(CANCEL)
    world.history.pop()

    move = world.restart()

    assert kinds(move.entries) == ["RunEnded"]


def test_newer_code_is_noted_when_it_takes_the_run_over() -> None:
    world = begun()
    world.tell(done("a:0", 1))

    world.program = a_program(version="v2")
    first = world.restart()
    second = world.restart()

    assert kinds(first.entries) == ["CodeChanged"]
    assert second.entries == ()
    assert world.state.version == "v2"


# --- bounds -------------------------------------------------------------------------------------


def test_a_move_has_no_more_records_than_one_append_may() -> None:
    world = begun()
    size = limits.ASKS_PER_TURN_MAX
    steps = [done(f"s:{n}", n) for n in range(size + 5)]

    world.player.offer(News(tuple(steps), Finished()))
    first = world.absorb(Draft(StepCompleted(id="segment", attempt=1)), CANCEL)
    settled = world.player.is_settled
    second = world.absorb(CANCEL)

    assert (len(first.entries), first.more, first.taken) == (size, True, 1)
    assert first.perform == ()
    assert not settled
    assert (len(second.entries), second.more, second.taken) == (6, False, 0)
    assert world.player.is_settled
    assert world.state.status == "completed"


def test_a_full_move_leaves_other_news_to_the_host() -> None:
    world = begun()
    size = limits.ASKS_PER_TURN_MAX
    world.player.offer(News(tuple(done(f"s:{n}") for n in range(size))))

    first = world.absorb(Draft(StepCompleted(id="segment", attempt=1)), CANCEL)
    second = world.absorb(CANCEL)

    assert (first.taken, first.more) == (1, True)
    assert second.state == "ended"


def test_a_run_with_too_many_records_fails() -> None:
    world = begun(history_limit=4)

    move = world.tell(done("a:0"), done("b:0"), done("c:0"))

    assert move.state == "ended"
    assert world.error().code == "HISTORY_LIMIT"


def test_time_stands_still_where_the_clock_goes_back() -> None:
    world = begun()
    world.now = -9 * SECOND

    world.tell(done("a:0"))

    assert world.records[-1].recorded_at == 2 * SECOND


# --- what cannot be carried on --------------------------------------------------------------------


def test_a_run_of_other_rules_is_not_carried_on() -> None:
    world = SegmentWorld()
    world.start(None, rules="records-1")
    player = world.loaded()

    move = player.absorb((CANCEL,), world.now)

    assert (move.state, move.taken, move.entries) == ("broken", 0, ())
    assert isinstance(move.bug, CodeError)
    assert player.awaited() == ()
    assert player.close()


def test_an_event_that_cannot_be_read_breaks_the_run() -> None:
    world = SegmentWorld()
    world.start(None, payload=b"\xc1")
    player = world.loaded()

    assert player.absorb((), world.now).state == "broken"


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (CancelRequested(), "cancelled", "RUN_CANCELLED"),
        (DeadlinePassed(timer="run"), "failed", "RUN_TIMEOUT"),
    ],
)
def test_a_broken_run_can_be_ended(
    request_: CancelRequested | DeadlinePassed, status: str, code: str
) -> None:
    world = SegmentWorld()
    world.start(None, rules="records-1")
    player = world.loaded()
    bug = player.absorb((), world.now).bug

    move = player.end_broken(Draft(request_), bug, world.now)

    assert move.state == "ended"
    [_, entry] = move.entries
    assert isinstance(entry.record, RunEnded)
    assert (entry.record.status, entry.record.broken) == (status, True)
    assert failures.decode(entry.payload).code == code


def test_nothing_of_it_is_used_again_or_left_in_doubt() -> None:
    world = begun()
    player = world.player

    assert not player.is_rewound
    assert player.reusable(world.performed) is None
    assert not player.may_have_begun("segment")


def test_a_failed_step_of_a_complete_run_stays_as_it_is() -> None:
    world = begun()

    world.tell(broke("a:0"), then=Finished())

    assert isinstance(world.records[1], StepFailed)
    assert world.state.status == "completed"
