"""What a line of a case file can do: one method per word."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from ironflow import records
from ironflow.errors import NonRetryableError
from ironflow.interpreter import failures, outcomes
from ironflow.interpreter.fold import RunState, fold
from ironflow.interpreter.program import Program
from ironflow.interpreter.session import Move
from ironflow.interpreter.turn import PerformStep
from ironflow.policy.retry import NO_RETRY
from ironflow.records import (
    CancelRequested,
    ChildEnded,
    ChildStarted,
    DeadlinePassed,
    Draft,
    Entry,
    ErrorInfo,
    EventReceived,
    Rewound,
    RunRetried,
    SleepFired,
    StepCompleted,
    StepPatched,
    WaitTimedOut,
)
from tests.interpreter.language import SECOND, act
from tests.interpreter.printing import entry_line, fields_text, move_lines, seconds
from tests.interpreter.world import EVENT_ID, World, event_payload

_WORDS: Final = re.compile(r"(\S+)(?: +(\S+))?(?: +(.*))?")
_OF_OPERATION: Final = frozenset({"id", "kind", "source", "attempts", "sequence"})
_ENCODE: Final = msgspec.msgpack.encode


class Commands:
    """One run of a case, told line by line what happens to it."""

    def __init__(self, programs: dict[str, Program]) -> None:
        self._programs = programs
        self._world = World(programs["workflow"])

    def execute(self, line: str) -> list[str]:
        """Do what a line says; return what is printed."""
        verb, subject, rest = _split(line)
        special: Callable[[str, str], Iterator[str]] | None
        special = getattr(self, f"_do_{verb}", None)
        if special is not None:
            return list(special(subject, rest))
        drafts = [self._draft(*_split(part)) for part in line.split(" & ")]
        return list(move_lines(self._world.absorb(*drafts)))

    def finish(self) -> tuple[Entry, ...]:
        """Close the run; return its history."""
        self._world.close()
        return tuple(self._world.history)

    # --- things that happen to the whole run --------------------------------------

    def _do_start(self, subject: str, rest: str) -> Iterator[str]:
        """`start {"id": 1}`, or `start {} | {"actor": "me"}` for the record."""
        data, _, options = f"{subject} {rest}".partition(" | ")
        move = self._world.start(_value(data.strip(), {}), **_value(options, {}))
        return self._shown(move)

    def _do_use(self, subject: str, rest: str) -> Iterator[str]:
        """Run another program of the file than `workflow`."""
        self._world = World(self._programs[subject])
        return iter(())

    def _do_crash(self, subject: str, rest: str) -> Iterator[str]:
        """`crash`, or `crash with changed`: another program goes on."""
        program = self._programs[rest] if subject == "with" else None
        return self._shown(self._world.reload(program))

    def _do_at(self, subject: str, rest: str) -> Iterator[str]:
        """What comes next is recorded at this second."""
        self._world.now = (int(subject) - 1) * SECOND
        return iter(())

    def _do_close(self, subject: str, rest: str) -> Iterator[str]:
        closed = self._world.close()
        yield "closed" if closed else "does not let itself be closed"

    def _do_history(self, subject: str, rest: str) -> Iterator[str]:
        for entry in self._world.history:
            yield f"{seconds(entry.record.recorded_at)} {entry_line(entry)}"

    def _do_fold(self, subject: str, rest: str) -> Iterator[str]:
        return fold_lines(fold(self._world.history))

    def _do_forge(self, subject: str, rest: str) -> Iterator[str]:
        """Append a record that no code asked for; `crash` reads it."""
        fields = _value(rest, {})
        payload = _ENCODE(fields.pop("payload")) if "payload" in fields else b""
        record = getattr(records, subject)(**fields)
        self._world.append(Draft(record, payload))
        return iter(())

    def _do_end_broken(self, subject: str, rest: str) -> Iterator[str]:
        """Cancel a run whose code is broken: `end_broken with changed`."""
        program = self._programs[rest] if subject == "with" else None
        return self._shown(self._world.end_broken(program))

    def _do_retried(self, subject: str, rest: str) -> Iterator[str]:
        return self._amended(Draft(RunRetried(attempt=int(subject), actor="ops")))

    def _do_patched(self, subject: str, rest: str) -> Iterator[str]:
        record = StepPatched(id=subject, actor="ops")
        return self._amended(Draft(record, _ENCODE(json.loads(rest))))

    def _do_rewound(self, subject: str, rest: str) -> Iterator[str]:
        record = Rewound(to=int(subject), actor="ops")
        return self._amended(Draft(record, _ENCODE(json.loads(rest)) if rest else b""))

    def _do_reusable(self, subject: str, rest: str) -> Iterator[str]:
        """Show what a rewound history holds for a step that is asked again."""
        perform, session = self._perform(subject), self._world.session
        assert session is not None
        draft = session.reusable(perform)
        if draft is None:
            yield "nothing"
        else:
            yield from move_lines(self._world.absorb(draft))

    def _amended(self, draft: Draft) -> Iterator[str]:
        self._world.append(draft)
        return self._shown(self._world.reload())

    def _shown(self, move: Move) -> Iterator[str]:
        return move_lines(move)

    # --- outcomes --------------------------------------------------------------------

    def _draft(self, verb: str, subject: str, rest: str) -> Draft:
        make: Callable[[str, str], Draft] = getattr(self, f"_draft_{verb}")
        return make(subject, rest)

    def _perform(self, step: str) -> PerformStep:
        """Return what was asked of the host, or an attempt that nobody asked for."""
        return self._world.outstanding.get(step) or PerformStep(
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

    def _draft_completed(self, subject: str, rest: str) -> Draft:
        return outcomes.completed(self._perform(subject), _ENCODE(_value(rest, None)))

    def _draft_failed(self, subject: str, rest: str) -> Draft:
        """`failed charge:0 no money [for good] [stopped] [in doubt]`."""
        text, flags = _flags(rest, "for good", "stopped", "in doubt")
        error = NonRetryableError(text) if "for good" in flags else ValueError(text)
        return outcomes.failed(
            self._perform(subject),
            error,
            now=self._world.now,
            draw=0.0,
            stopped="stopped" in flags,
            in_doubt="in doubt" in flags,
        )

    def _draft_gave_up(self, subject: str, rest: str) -> Draft:
        return outcomes.given_up(self._perform(subject))

    def _draft_in_doubt(self, subject: str, rest: str) -> Draft:
        return outcomes.in_doubt(self._perform(subject), rest or "its process died")

    def _draft_fired(self, subject: str, rest: str) -> Draft:
        return Draft(SleepFired(id=subject))

    def _draft_received(self, subject: str, rest: str) -> Draft:
        record = EventReceived(id=subject, event_id=EVENT_ID)
        return Draft(record, event_payload(_value(rest, {}), name="reply"))

    def _draft_timed_out(self, subject: str, rest: str) -> Draft:
        return Draft(WaitTimedOut(id=subject))

    def _draft_child(self, subject: str, rest: str) -> Draft:
        """`child shop.pack:0 completed 42` or `... failed out of boxes`."""
        status, _, value = rest.partition(" ")
        started = (entry.record for entry in self._world.history)
        runs = [
            record.child_run
            for record in started
            if isinstance(record, ChildStarted) and record.id == subject
        ]
        payload = b""
        if status == "completed":
            payload = _ENCODE(_value(value, None))
        elif value:
            payload = failures.encode(ErrorInfo(type="ValueError", message=value))
        record = ChildEnded(id=subject, child_run="".join(runs), status=status)
        return Draft(record, payload)

    def _draft_cancel(self, subject: str, rest: str) -> Draft:
        reason = f"{subject} {rest}".strip()
        return Draft(CancelRequested(actor="ops", reason=reason))

    def _draft_deadline(self, subject: str, rest: str) -> Draft:
        return Draft(DeadlinePassed(id=subject))

    def _draft_reuse(self, subject: str, rest: str) -> Draft:
        return Draft(StepCompleted(id=subject, attempt=1, reused=int(rest)))


def fold_lines(run: RunState) -> Iterator[str]:
    """Show a folded run: its own line, its undos and its operations."""
    apart = frozenset({"operations", "undo", "event", "cancel", "event_id", "rules"})
    yield fields_text(run, skip=apart)
    if run.cancel is not None:
        yield f"cancel: {fields_text(run.cancel)}"
    for undo in run.undo:
        yield f"undo: {fields_text(undo)}"
    for each in run.operations:
        yield f"{each.kind} {each.id}: {fields_text(each, skip=_OF_OPERATION)}"
        for attempt in each.attempts:
            yield f"  attempt {fields_text(attempt)}"


def _split(line: str) -> tuple[str, str, str]:
    found = _WORDS.fullmatch(line.strip())
    assert found is not None, f"{line!r} is not a line of a script"
    verb, subject, rest = found.groups(default="")
    return verb, subject, rest.strip()


def _value(text: str, default: object) -> Any:
    return json.loads(text) if text else default


def _flags(text: str, *known: str) -> tuple[str, set[str]]:
    found = set()
    for flag in known:
        if f"[{flag}]" in text:
            found.add(flag)
            text = text.replace(f"[{flag}]", "")
    return text.strip(), found
