"""What a host records of an attempt: pure decisions about results and failures."""

from typing import Any

from ironflow import values
from ironflow.errors import ConfigurationError, RetryAfterError
from ironflow.interpreter import failures
from ironflow.interpreter.turn import PerformStep
from ironflow.policy.duration import parse_duration
from ironflow.policy.retry import next_delay_us
from ironflow.records import (
    Draft,
    ErrorInfo,
    StepCompleted,
    StepFailed,
    StepInDoubt,
    StepStarted,
)


def completed(perform: PerformStep, payload: bytes) -> Draft:
    """Return the record of a result; `payload` is from `values.round_trip`."""
    record = StepCompleted(
        id=perform.id,
        attempt=perform.attempt,
        asked_at=perform.asked_at,
        source=perform.source,
        input_digest=values.input_digest(perform.args),
    )
    return Draft(record, payload)


def failed(
    perform: PerformStep,
    error: BaseException,
    *,
    now: int,
    draw: float,
    stopped: bool = False,
    in_doubt: bool = False,
) -> Draft:
    """Return the record of a failed attempt: another follows, or the step is given up.

    `stopped`: its scope is cancelled, so no other follows. `in_doubt`: the attempt
    was stopped from outside (a timeout); a last attempt in doubt leaves the whole
    step in doubt. `draw` is a random number in [0, 1) for the jitter.
    """
    error, retry_after_us = _retry_after(error)
    info = failures.describe(error)
    delay = None
    if not stopped and failures.may_retry(error):
        delay = next_delay_us(
            perform.retry,
            attempt=perform.attempt,
            draw=draw,
            retry_after_us=retry_after_us,
        )
    if delay is None and in_doubt:
        return _in_doubt(perform, info)
    # An exhausted step that pauses its run is tried again when the run is resumed.
    final = delay is None and (stopped or not pauses(perform, error))
    retry_at = now + delay if delay is not None else 0
    return _failed(perform, info, final=final, retry_at=retry_at, in_doubt=in_doubt)


def pauses(perform: PerformStep, error: BaseException) -> bool:
    """Say whether this last failure holds the run instead of being raised."""
    return (
        perform.retry.on_exhausted == "pause"
        and failures.may_retry(error)
        and perform.attempt >= perform.retry.max_attempts
    )


def given_up(perform: PerformStep) -> Draft:
    """Return the record of a step that is stopped while it waits for its turn."""
    if not perform.last_error:
        info = ErrorInfo(
            type="Cancelled",
            message=f"step {perform.name!r} was stopped before it began",
            code=failures.NEVER_BEGUN,
        )
        return _failed(perform, info, final=True)
    info = failures.decode(perform.last_error)
    if perform.in_doubt:
        return _in_doubt(perform, info)
    return _failed(perform, info, final=True)


def started(perform: PerformStep) -> Draft:
    """Return the record of a later attempt that is about to be made at most once."""
    record = StepStarted(
        id=perform.id,
        attempt=perform.attempt,
        asked_at=perform.asked_at,
        source=perform.source,
    )
    return Draft(record)


def in_doubt(perform: PerformStep, why: str) -> Draft:
    """Return the record of a step of which nobody knows the effect."""
    return _in_doubt(perform, ErrorInfo(type="InDoubt", message=why, code="IN_DOUBT"))


def _retry_after(error: BaseException) -> tuple[BaseException, int | None]:
    """Return when the step wants to come back; where that makes no sense, the mistake."""
    if not isinstance(error, RetryAfterError):
        return error, None
    after: Any = error.after
    try:
        return error, parse_duration(after, option="RetryAfterError(after=)")
    except ConfigurationError as mistake:
        mistake.__cause__ = error
        return mistake, None


def _failed(
    perform: PerformStep,
    info: ErrorInfo,
    *,
    final: bool,
    retry_at: int = 0,
    in_doubt: bool = False,
) -> Draft:
    record = StepFailed(
        id=perform.id,
        attempt=perform.attempt,
        asked_at=perform.asked_at,
        source=perform.source,
        final=final,
        retry_at=retry_at,
        in_doubt=in_doubt,
    )
    return Draft(record, failures.encode(info))


def _in_doubt(perform: PerformStep, info: ErrorInfo) -> Draft:
    record = StepInDoubt(
        id=perform.id,
        attempt=perform.attempt,
        asked_at=perform.asked_at,
        source=perform.source,
    )
    return Draft(record, failures.encode(info))
