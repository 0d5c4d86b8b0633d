"""The visible state of a run; most of it is shown by the `> fold` lines of the cases."""

import pytest

from ironflow.errors import JournalDamaged
from ironflow.interpreter import outcomes, states
from ironflow.interpreter.fold import RunState, fold
from ironflow.policy.retry import Retry
from ironflow.records import (
    FAILED,
    Draft,
    RunEnded,
    RunStarted,
    SleepFired,
    StepCompleted,
    StepFailed,
)
from tests.interpreter.language import Step
from tests.interpreter.world import EVENT_ID, World, program_of, sealed

STARTED = Draft(RunStarted(function_id="f", event_id=EVENT_ID))
SLOW = Retry(max_attempts=3, initial_delay="1h", max_delay="1h")


async def charges(step: Step) -> None:
    await step.run("charge", retry=SLOW)


def test_a_history_without_records_is_of_a_run_that_is_absent() -> None:
    """Also the state after no record at all is a state."""
    assert fold(()) == RunState(status=states.ABSENT)


def test_a_run_whose_event_was_taken_away_has_none() -> None:
    """A payload may have been redacted; the rest is still shown."""
    run = fold(sealed([STARTED]))

    assert (run.status, run.event, run.event_id) == (states.RUNNING, None, EVENT_ID)


@pytest.mark.parametrize(
    "drafts",
    [
        [Draft(RunStarted(function_id="f", event_id=EVENT_ID), b"\x01")],
        [STARTED, Draft(StepFailed(id="a:0", attempt=1, final=True), b"\x81\x01\x01")],
    ],
)
def test_a_record_that_holds_something_else_is_damage(drafts: list[Draft]) -> None:
    with pytest.raises(JournalDamaged, match=f"record {len(drafts)} .* cannot be read"):
        fold(sealed(drafts))


@pytest.mark.parametrize(
    ("drafts", "message"),
    [
        (
            [Draft(SleepFired(id="nap:0"))],
            "record 1 .* SleepFired of 'nap:0', .* 'absent'",
        ),
        ([STARTED, STARTED], "record 2 .* RunStarted, cannot come .* 'running'"),
        (
            [STARTED, Draft(SleepFired(id="nap:0"))],
            "SleepFired of 'nap:0', .* 'absent'",
        ),
        (
            [STARTED, *[Draft(StepCompleted(id="a:0", attempt=1), b"\xc0")] * 2],
            "record 3 .* StepCompleted of 'a:0', .* 'completed'",
        ),
        ([STARTED, *[Draft(RunEnded(status="completed"))] * 2], "RunEnded, cannot"),
    ],
)
def test_an_arrow_that_is_not_drawn_is_damage(
    drafts: list[Draft], message: str
) -> None:
    """No run writes such a history, so what is stored is not what was written."""
    with pytest.raises(JournalDamaged, match=message):
        fold(sealed(drafts))


def test_a_step_that_is_stopped_between_attempts_made_no_other() -> None:
    """Its last record settles it, but the attempt that was due never began."""
    world = World(program_of(charges))
    move = world.start({})
    failed = outcomes.failed(move.perform[0], OSError("x"), now=world.now, draw=0.0)
    world.absorb(failed)

    world.absorb(outcomes.given_up(world.outstanding["charge:0"]))

    (operation,) = fold(world.history).operations
    assert (operation.state, len(operation.attempts)) == (FAILED, 1)
    assert operation.error is not None
    assert operation.error.message == "x"


def test_an_error_that_was_taken_away_is_none() -> None:
    """An end may have lost its payload."""
    run = fold(sealed([STARTED, Draft(RunEnded(status="failed"))]))

    assert (run.status, run.error) == ("failed", None)


def test_an_attempt_begins_when_it_was_due() -> None:
    """The first when the step was asked, a later one at the end of the backoff."""
    world = World(program_of(charges))
    move = world.start({})
    failed = outcomes.failed(move.perform[0], OSError("x"), now=world.now, draw=0.0)
    retry_at = failed.record.retry_at if isinstance(failed.record, StepFailed) else 0
    world.absorb(failed)
    world.now = retry_at + 5_000_000

    world.absorb(outcomes.completed(world.outstanding["charge:0"], b"\xc0"))

    (operation,) = fold(world.history).operations
    assert [each.started_at for each in operation.attempts] == [1_000_000, retry_at]
