"""What a segment asks for, as the record that a run of ours would have written."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from ironflow import ids
from ironflow.errors import ConfigurationError, MatchPathMissing, MisusedOperation
from ironflow.interpreter import failures
from ironflow.interpreter.segments_fold import SEGMENT, SegmentState
from ironflow.interpreter.segments_news import (
    ChildAsked,
    Finished,
    SleepAsked,
    StepDone,
    Then,
    WaitAsked,
)
from ironflow.policy import match
from ironflow.policy.envelope import envelope_of
from ironflow.policy.names import check_awaited_name, check_text
from ironflow.records import (
    COMPLETED,
    ChildStarted,
    Draft,
    RunEnded,
    SleepStarted,
    StepCompleted,
    StepFailed,
    WaitStarted,
)

# The one expression that the published SDKs write as a match.
_EQUALS: Final = re.compile(
    r"""\s*(?:event\.)?([^\s"'=]+)\s*==\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')\s*""",
    re.DOTALL,
)


_LAST_US: Final = 253_402_300_799_999_999  # the end of the year 9999


def asked(state: SegmentState, then: Then, *, now: int) -> list[Draft]:
    """Return the records of what a segment ends with; `now` is in microseconds.

    Raises:
        MisusedOperation: it asks again for something that it has asked for before.
        MatchPathMissing: a path has no value in the run's own event.
        ConfigurationError: a name or a path is wrong.
    """
    match then:
        case Finished():
            return _finished(state, then, now)
        case SleepAsked():
            until = min(max(then.until, 1), _LAST_US)
            record = SleepStarted(id=_fresh(state, then.id), until=until, asked_at=now)
            return [Draft(record)]
        case WaitAsked():
            return [Draft(_wait(state, then, now))]
        case ChildAsked():
            return [Draft(_child(state, then, now), then.payload)]
        case _:
            assert_never(then)


def _finished(state: SegmentState, then: Finished, now: int) -> list[Draft]:
    ended = Draft(RunEnded(status=COMPLETED, asked_at=now), then.payload)
    if state.attempt == 1:
        return [ended]
    # It has failed before: that it went well at last is part of the story.
    done = StepCompleted(id=SEGMENT, attempt=state.attempt, asked_at=now)
    return [Draft(done), ended]


def _wait(state: SegmentState, then: WaitAsked, now: int) -> WaitStarted:
    event = check_awaited_name(then.event.strip(), option="event_filter.event")
    path, literal = then.match.strip(), then.literal
    if "==" in path:
        path, literal = _compared(path)
    return WaitStarted(
        id=_fresh(state, then.id),
        event=event,
        path=path,
        match_key=_match_key(state, then.id, path, literal) if path else b"",
        timeout_at=_timeout_at(now, then.timeout_us),
        asked_at=now,
    )


def _compared(expression: str) -> tuple[str, str]:
    found = _EQUALS.fullmatch(expression)
    if found is None:
        raise ConfigurationError(
            f"event_filter.match={expression!r} is an expression that is not understood;"
            ' write a path, such as "data.orderId", or \'data.orderId == "o-1"\''
        )
    quoted = found[2] or found[3] or ""
    return found[1], re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)


def _match_key(state: SegmentState, id_: str, path: str, literal: str | None) -> bytes:
    steps = match.parse_path(path, option="event_filter.match")
    if literal is not None:
        key = match.match_key(literal)
        assert key is not None
        return key
    event = state.event
    assert event is not None
    value = match.value_at(envelope_of(event), steps)
    key = None if value is match.MISSING else match.match_key(value)
    if key is None:
        found = "has no value" if value is match.MISSING else "is null"
        raise MatchPathMissing(
            f"step {ids.name_of(id_)!r} waits with match={path!r}: the path {found} in"
            f" the event {event.name!r} that started this run, so no event could ever"
            " match; correct the path or the event"
        )
    return key


def _child(state: SegmentState, then: ChildAsked, now: int) -> ChildStarted:
    return ChildStarted(
        id=_fresh(state, then.id),
        function_id=check_text(then.function_id, option="function_id"),
        child_run="",
        attached=then.awaited,
        awaited=then.awaited,
        timeout_at=_timeout_at(now, then.timeout_us),
        asked_at=now,
    )


def _timeout_at(now: int, timeout_us: int) -> int:
    return min(now + timeout_us, _LAST_US) if timeout_us > 0 else 0


def _fresh(state: SegmentState, id_: str) -> str:
    """Return an id under which nothing has been asked.

    An SDK that asks again for what it was told is settled would do so for ever.
    """
    if not id_ or id_ == SEGMENT:
        raise ConfigurationError(f"{id_!r} is not the id of a step")
    if id_ in state.rows or id_ in state.failures or id_ in state.children:
        raise MisusedOperation(
            f"step {id_!r} was asked for again although its result is known; give each"
            " step, parallel and map of a function a name of its own"
        )
    return id_


@dataclass(frozen=True, slots=True)
class Executed:
    """Records of steps, and the ids that were reported with two different results."""

    drafts: list[Draft]
    contradicted: list[str]


def executed(
    state: SegmentState,
    steps: Sequence[StepDone],
    *,
    since: int,
    now: int,
    retry_at: int,
) -> Executed:
    """Return the records of steps that are new.

    `since` is when the segment was asked. A step that failed is tried again with its
    segment, at `retry_at`.
    """
    drafts: list[Draft] = []
    contradicted: list[str] = []
    known = {id_: bytes(row.payload) for id_, row in state.rows.items()}
    failed = dict(state.failures)
    for step in steps:
        attempt = failed.get(step.id, 0) + 1
        began_at = min(step.began_at or since, now)
        if step.id in known:
            if step.error is None and known[step.id] != bytes(step.payload):
                contradicted.append(step.id)
        elif step.error is None:
            done = StepCompleted(id=step.id, attempt=attempt, asked_at=began_at)
            drafts.append(Draft(done, step.payload))
            known[step.id] = bytes(step.payload)
        else:
            failure = StepFailed(
                id=step.id,
                attempt=attempt,
                asked_at=began_at,
                # Never final: the published SDKs execute a failed step again.
                final=False,
                retry_at=retry_at,
            )
            drafts.append(Draft(failure, failures.encode(step.error)))
            failed[step.id] = attempt
    return Executed(drafts, contradicted)
