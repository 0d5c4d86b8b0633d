"""Undo: newest first, one at a time, each a recorded and retried step.

An unwinding is shielded: a cancel does not reach its steps. An undo that fails for
good is recorded and the rest still run.
"""

from collections.abc import Callable
from typing import final

from ironflow.interpreter.core import Core, Kind, Pending, UndoEntry
from ironflow.records import ErrorInfo, Record, UndoStarted


@final
class Unwinding:
    """Undos on their way: `entries` is what is left, the next one last."""

    __slots__ = ("core", "done", "entries")

    def __init__(
        self, core: Core, entries: list[UndoEntry], done: Callable[[], None]
    ) -> None:
        self.core = core
        self.entries = sorted(entries, key=lambda entry: entry.number)
        self.done = done

    def begin(self, core: Core, record: Record, pending: Pending | None) -> None:
        """Go on once the beginning is on record."""
        core.exempt += 1
        self.go_on()

    def go_on(self) -> None:
        """Perform the next undo, or say that all are done."""
        if not self.entries:
            self.done()
            return
        entry = self.entries.pop()
        core = self.core
        undo = Pending(entry.id, Kind.UNDO, None, None, core.time)
        undo.undo = entry
        undo.result = (self, None)
        core.perform(undo)


def start(
    core: Core,
    entries: list[UndoEntry],
    *,
    saga_id: str,
    reason: str,
    done: Callable[[], None],
) -> None:
    """Begin to undo; `done` is called when the last undo is settled."""
    unwinding = Unwinding(core, entries, done)
    record = UndoStarted(id=saga_id, reason=reason, asked_at=core.time)
    core.ask(record, unwinding.begin)


def settled(core: Core, pending: Pending, failure: ErrorInfo | None) -> None:
    """An undo is completed or given up: go on with the one before it."""
    if failure is not None:
        core.undo_failures.append(f"{pending.id}: {failure.type}: {failure.message}")
    assert pending.result is not None
    unwinding = pending.result[0]
    assert isinstance(unwinding, Unwinding)
    unwinding.go_on()
