"""What a line of a case file can do: one method per word."""

import json
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from ironflow import records
from ironflow.interpreter.fold import RunState, fold
from ironflow.interpreter.player import Move
from ironflow.interpreter.program import Program
from ironflow.records import (
    DeadlinePassed,
    Draft,
    Entry,
    Rewound,
    RunRetried,
    StepPatched,
)
from tests.interpreter.happenings import draft_of, perform_of, split, value_of
from tests.interpreter.language import SECOND
from tests.interpreter.printing import entry_line, fields_text, move_lines, seconds
from tests.interpreter.world import World

_OF_OPERATION: Final = frozenset({"id", "kind", "source", "attempts", "sequence"})
_ENCODE: Final = msgspec.msgpack.encode


class Commands:
    """One run of a case, told line by line what happens to it."""

    def __init__(self, programs: dict[str, Program]) -> None:
        self._programs = programs
        self._world = World(programs["workflow"])

    def execute(self, line: str) -> list[str]:
        """Do what a line says; return what is printed."""
        verb, subject, rest = split(line)
        special: Callable[[str, str], Iterator[str]] | None
        special = getattr(self, f"_do_{verb}", None)
        if special is not None:
            return list(special(subject, rest))
        drafts = [draft_of(self._world, part) for part in line.split(" & ")]
        return list(move_lines(self._world.absorb(*drafts)))

    def finish(self) -> tuple[Entry, ...]:
        """Close the run; return its history."""
        self._world.close()
        return tuple(self._world.history)

    # --- things that happen to the whole run --------------------------------------

    def _do_start(self, subject: str, rest: str) -> Iterator[str]:
        """`start {"id": 1}`, or `start {} | {"actor": "me"}` for the record."""
        data, _, options = f"{subject} {rest}".partition(" | ")
        move = self._world.start(value_of(data.strip(), {}), **value_of(options, {}))
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
        fields = value_of(rest, {})
        payload = _ENCODE(fields.pop("payload")) if "payload" in fields else b""
        record = getattr(records, subject)(**fields)
        self._world.append(Draft(record, payload))
        return iter(())

    def _do_end_broken(self, subject: str, rest: str) -> Iterator[str]:
        """End a run with broken code: `end_broken with changed`, `... at its deadline`."""
        name = rest if subject == "with" else subject
        late = Draft(DeadlinePassed()) if rest == "at its deadline" else None
        return self._shown(self._world.end_broken(self._programs[name], late))

    def _do_retried(self, subject: str, rest: str) -> Iterator[str]:
        return self._amended(Draft(RunRetried(attempt=int(subject), actor="ops")))

    def _do_patched(self, subject: str, rest: str) -> Iterator[str]:
        record = StepPatched(id=subject, actor="ops")
        return self._amended(Draft(record, _ENCODE(json.loads(rest))))

    def _do_rewound(self, subject: str, rest: str) -> Iterator[str]:
        record = Rewound(to=int(subject), actor="ops")
        return self._amended(Draft(record, _ENCODE(json.loads(rest)) if rest else b""))

    def _do_afresh(self, subject: str, rest: str) -> Iterator[str]:
        """Rewind, and use no result again: `afresh 4`."""
        record = Rewound(to=int(subject), actor="ops", afresh=True)
        return self._amended(Draft(record, _ENCODE(json.loads(rest)) if rest else b""))

    def _do_reusable(self, subject: str, rest: str) -> Iterator[str]:
        """Show what a rewound history holds for a step that is asked again."""
        perform, session = perform_of(self._world, subject), self._world.session
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
