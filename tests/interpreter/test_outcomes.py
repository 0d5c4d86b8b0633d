"""What is recorded of an attempt: results, failures, doubt."""

import pytest

from ironflow import values
from ironflow.errors import NonRetryableError, RetryAfterError
from ironflow.interpreter import failures, outcomes
from ironflow.interpreter.turn import PerformStep
from ironflow.policy.retry import Retry
from ironflow.records import StepCompleted, StepFailed, StepInDoubt

POLICY = Retry(max_attempts=2, initial_delay="10s", max_delay="60s", jitter=0)
SECOND = 1_000_000


def perform(
    *, attempt: int = 1, retry: Retry = POLICY, **options: object
) -> PerformStep:
    fields: dict[str, object] = {
        "id": "charge:0",
        "name": "charge",
        "fn": print,
        "args": (1, "x"),
        "attempt": attempt,
        "retry": retry,
        "timeout_us": 0,
        "not_before": 0,
        "asked_at": 7,
        "source": "shop.py:3",
    }
    return PerformStep(**(fields | options))  # type: ignore[arg-type]  # as above


def test_a_result_is_recorded_with_its_place_and_input() -> None:
    """The input's digest says later whether a result may be used again."""
    draft = outcomes.completed(perform(), b"\x01")

    record = draft.record
    assert isinstance(record, StepCompleted)
    assert (record.id, record.attempt, record.asked_at) == ("charge:0", 1, 7)
    assert record.source == "shop.py:3"
    assert record.input_digest == values.input_digest((1, "x"))
    assert draft.payload == b"\x01"


def test_a_failure_is_followed_by_an_attempt_when_it_is_due() -> None:
    """The policy says when, the record keeps it."""
    draft = outcomes.failed(perform(), OSError("x"), now=SECOND, draw=0.0)

    record = draft.record
    assert isinstance(record, StepFailed)
    assert (record.final, record.retry_at, record.in_doubt) == (
        False,
        11 * SECOND,
        False,
    )
    assert failures.decode(draft.payload).message == "x"


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (NonRetryableError("x"), {}),
        (OSError("x"), {"attempt": 2}),
        (NonRetryableError("x"), {"retry": Retry(on_exhausted="pause")}),
    ],
)
def test_a_last_failure_is_final(error: Exception, options: dict[str, object]) -> None:
    """No attempt is left, or none can help."""
    step = perform(**options)  # type: ignore[arg-type]  # as above

    record = outcomes.failed(step, error, now=SECOND, draw=0.0).record

    assert isinstance(record, StepFailed)
    assert (record.final, record.retry_at) == (True, 0)


def test_a_failure_of_a_stopped_step_is_final() -> None:
    """Its scope is cancelled, so no attempt follows, whatever the policy."""
    step = perform(retry=Retry(on_exhausted="pause"))

    record = outcomes.failed(
        step, OSError("x"), now=SECOND, draw=0.0, stopped=True
    ).record

    assert isinstance(record, StepFailed)
    assert record.final


def test_a_last_failure_may_hold_the_run() -> None:
    """Neither final nor due: somebody resumes the run, and the step goes on."""
    step = perform(attempt=2, retry=Retry(max_attempts=2, on_exhausted="pause"))

    record = outcomes.failed(step, OSError("x"), now=SECOND, draw=0.0).record

    assert isinstance(record, StepFailed)
    assert (record.final, record.retry_at) == (False, 0)


def test_a_step_says_when_to_come_back() -> None:
    """Its word is taken, up to the policy's longest delay."""
    soon = RetryAfterError("busy", after="20s")
    late = RetryAfterError("busy", after="2h")

    records = [
        outcomes.failed(perform(), error, now=0, draw=0.0).record
        for error in (soon, late)
    ]

    assert [each.retry_at for each in records if isinstance(each, StepFailed)] == [
        20 * SECOND,
        60 * SECOND,
    ]


def test_an_attempt_in_doubt_leaves_the_step_in_doubt_only_at_the_end() -> None:
    """As long as another attempt follows, the doubt is a flag of the failure."""
    first = outcomes.failed(perform(), OSError(), now=0, draw=0.0, in_doubt=True)
    last = outcomes.failed(
        perform(attempt=2), OSError(), now=0, draw=0.0, in_doubt=True
    )

    assert isinstance(first.record, StepFailed)
    assert first.record.in_doubt
    assert isinstance(last.record, StepInDoubt)


@pytest.mark.parametrize(
    ("in_doubt", "kind"), [(False, StepFailed), (True, StepInDoubt)]
)
def test_a_step_stopped_between_attempts_is_given_up_by_its_last_error(
    *, in_doubt: bool, kind: type
) -> None:
    """It is in doubt if an attempt before was."""
    error = failures.encode(failures.describe(OSError("gone")))
    step = perform(attempt=2, last_error=error, in_doubt=in_doubt)

    draft = outcomes.given_up(step)

    assert isinstance(draft.record, kind)
    assert failures.decode(draft.payload).message == "gone"


def test_a_step_stopped_before_it_began_has_done_nothing() -> None:
    """There is no error to give it up by."""
    draft = outcomes.given_up(perform())

    assert isinstance(draft.record, StepFailed)
    assert draft.record.final
    info = failures.decode(draft.payload)
    assert info.code == failures.NEVER_BEGUN
    assert info.message == "step 'charge' was stopped before it began"


def test_a_time_to_come_back_that_makes_no_sense_is_the_failure() -> None:
    """The mistake is recorded with what the step meant as its cause."""
    error = RetryAfterError("busy", after="soon")

    draft = outcomes.failed(perform(), error, now=0, draw=0.0)

    info = failures.decode(draft.payload)
    assert info.code == "NOT_CONFIGURED"
    assert "RetryAfterError(after=)" in info.message
    assert [cause.message for cause in info.causes] == ["busy"]
    assert isinstance(draft.record, StepFailed)
    assert draft.record.final


def test_a_step_of_which_nobody_knows_says_why() -> None:
    """The sentence is what the function gets."""
    draft = outcomes.in_doubt(perform(), "its process died")

    info = failures.decode(draft.payload)
    assert isinstance(draft.record, StepInDoubt)
    assert (info.code, info.message) == ("IN_DOUBT", "its process died")
