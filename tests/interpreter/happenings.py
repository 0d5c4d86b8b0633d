"""What may happen to an operation, in the words of the case files: drafts of records."""

import json
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ironflow.errors import NonRetryableError
from ironflow.interpreter import failures, outcomes
from ironflow.interpreter.turn import PerformStep
from ironflow.policy.retry import NO_RETRY
from ironflow.records import (
    CancelRequested,
    ChildEnded,
    ChildStarted,
    DeadlinePassed,
    Draft,
    ErrorInfo,
    EventReceived,
    SleepFired,
    WaitTimedOut,
)
from tests.interpreter.language import act
from tests.interpreter.world import EVENT_ID, World, event_payload

_WORDS: Final = re.compile(r"(\S+)(?: +(\S+))?(?: +(.*))?")
_ENCODE: Final = msgspec.msgpack.encode


def split(line: str) -> tuple[str, str, str]:
    """Take a line apart: what happens, to what, and the rest."""
    found = _WORDS.fullmatch(line.strip())
    assert found is not None, f"{line!r} is not a line of a script"
    verb, subject, rest = found.groups(default="")
    return verb, subject, rest.strip()


def value_of(text: str, default: object) -> Any:
    """Read JSON, if there is any."""
    return json.loads(text) if text else default


def draft_of(world: World, line: str) -> Draft:
    """Return what a line such as `completed charge:0 {"id": 1}` says has happened."""
    verb, subject, rest = split(line)
    return _MAKERS[verb](world, subject, rest)


def perform_of(world: World, step: str) -> PerformStep:
    """Return what was asked of the host, or an attempt that nobody asked for."""
    return world.outstanding.get(step) or PerformStep(
        id=step,
        name=step,
        fn=act,
        args=(),
        attempt=1,
        retry=NO_RETRY,
        timeout_us=0,
        not_before=0,
        asked_at=0,
        source="",
    )


def _completed(world: World, subject: str, rest: str) -> Draft:
    return outcomes.completed(perform_of(world, subject), _ENCODE(value_of(rest, None)))


def _failed(world: World, subject: str, rest: str) -> Draft:
    """`failed charge:0 no money [for good] [stopped] [in doubt]`."""
    text, flags = _flags(rest, "for good", "stopped", "in doubt")
    error = NonRetryableError(text) if "for good" in flags else ValueError(text)
    return outcomes.failed(
        perform_of(world, subject),
        error,
        now=world.now,
        draw=0.0,
        stopped="stopped" in flags,
        in_doubt="in doubt" in flags,
    )


def _began(world: World, subject: str, rest: str) -> Draft:
    return outcomes.started(perform_of(world, subject))


def _gave_up(world: World, subject: str, rest: str) -> Draft:
    return outcomes.given_up(perform_of(world, subject))


def _in_doubt(world: World, subject: str, rest: str) -> Draft:
    return outcomes.in_doubt(perform_of(world, subject), rest or "its process died")


def _fired(world: World, subject: str, rest: str) -> Draft:
    return Draft(SleepFired(id=subject))


def _received(world: World, subject: str, rest: str) -> Draft:
    record = EventReceived(id=subject, event_id=EVENT_ID)
    return Draft(record, event_payload(value_of(rest, {}), name="reply"))


def _timed_out(world: World, subject: str, rest: str) -> Draft:
    return Draft(WaitTimedOut(id=subject))


def _child(world: World, subject: str, rest: str) -> Draft:
    """`child shop.pack:0 completed 42` or `... failed out of boxes`."""
    status, _, value = rest.partition(" ")
    started = (entry.record for entry in world.history)
    runs = [
        record.child_run
        for record in started
        if isinstance(record, ChildStarted) and record.id == subject
    ]
    payload = b""
    if status == "completed":
        payload = _ENCODE(value_of(value, None))
    elif value:
        payload = failures.encode(ErrorInfo(type="ValueError", message=value))
    return Draft(
        ChildEnded(id=subject, child_run="".join(runs), status=status), payload
    )


def _cancel(world: World, subject: str, rest: str) -> Draft:
    return Draft(CancelRequested(actor="ops", reason=f"{subject} {rest}".strip()))


def _deadline(world: World, subject: str, rest: str) -> Draft:
    """`deadline`, `deadline [start]` or `deadline shop.pack:0`."""
    if subject == "[start]":
        return Draft(DeadlinePassed(timer="start"))
    return Draft(DeadlinePassed(id=subject, timer="invoke" if subject else "run"))


def _flags(text: str, *known: str) -> tuple[str, set[str]]:
    found = set()
    for flag in known:
        if f"[{flag}]" in text:
            found.add(flag)
            text = text.replace(f"[{flag}]", "")
    return text.strip(), found


_MAKERS: Final[dict[str, Callable[[World, str, str], Draft]]] = {
    "completed": _completed,
    "failed": _failed,
    "began": _began,
    "gave_up": _gave_up,
    "in_doubt": _in_doubt,
    "fired": _fired,
    "received": _received,
    "timed_out": _timed_out,
    "child": _child,
    "cancel": _cancel,
    "deadline": _deadline,
}
