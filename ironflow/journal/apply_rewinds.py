"""What a rewind comes to: rows of what is dropped go, what was kept is awaited again.

Sleeps and waits that are open at the cut get their rows from whoever loads the run
(`AppendRecords.awaited`). Everything else that a run may wait for is put back here: an
attempt's time, a child's answer, what a step that was begun before the cut came to.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from ironflow import limits
from ironflow.interpreter import rewinds
from ironflow.interpreter.effective import effective
from ironflow.journal import apply_runs as runs
from ironflow.journal.base import CLOSED, RunRow, TimerKind, TimerRow
from ironflow.journal.view import View
from ironflow.records import (
    FAILED,
    NO_CODEC,
    ChildEnded,
    ChildStarted,
    DeadlinePassed,
    Draft,
    Entry,
    ErrorInfo,
    EventReceived,
    Payload,
    Record,
    Rewound,
    RunContinued,
    RunEnded,
    RunRetried,
    StepCompleted,
    StepPatched,
    WaitStarted,
)

_OF_CHILD: Final = (ChildEnded, DeadlinePassed)
_KINDS: Final[tuple[TimerKind, ...]] = ("sleep", "wait", "retry", "invoke")

changes_of: Final = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode


def rewind(view: View, row: RunRow, entry: Entry) -> RunRow:
    """Take back what is behind a cut, and put back what is open at it.

    Returns the row as it is by what is left.
    """
    record = entry.record
    assert isinstance(record, Rewound)
    history = view.history(row.run_id)[: record.sequence - 1]
    cut = _Cut(view, row, record, history)
    results = changes_of(entry.payload) if entry.payload else {}
    cut.forget(results)
    cut.answer_again(results)
    cut.part_with_children()
    if row.status in CLOSED:
        cut.hear_from_children()
    return replace(row, attempt=cut.attempt)


class _Cut:
    """A run's effective history, cut behind record `to` of a rewind."""

    def __init__(
        self, view: View, row: RunRow, rewound: Rewound, history: Sequence[Entry]
    ) -> None:
        self._view, self._row, self._rewound = view, row, rewound
        kept = effective(history).entries
        self._left = [each for each in kept if each.record.sequence <= rewound.to]
        self._dropped = kept[len(self._left) :]
        self._opened = rewinds.open_at(each.record for each in self._left)
        self._begun = rewinds.begun_at(each.record for each in self._left)
        records = (each.record for each in history)
        self._patches = {
            each.id: each.sequence for each in records if isinstance(each, StepPatched)
        }

    @property
    def attempt(self) -> int:
        """Return which attempt of the run is left."""
        retries = [e.record for e in self._left if isinstance(e.record, RunRetried)]
        return retries[-1].attempt if retries else 1

    def forget(self, results: Iterable[str]) -> None:
        """Drop the rows of what is dropped, and let its events be had again."""
        view, run_id = self._view, self._row.run_id
        wanted = (self._opened.keys() | self._begun).difference(results)
        unwanted = [
            each
            for each in view.inbox(run_id)
            if each.draft.record.id and each.draft.record.id not in wanted
        ]
        view.drop_inbox(run_id, [each.number for each in unwanted])
        for each in unwanted:
            if each.position:
                view.drop_consumed(run_id, each.position)
        if self._row.status not in CLOSED:  # the end has forgotten what was taken
            names = wait_names([*self._left, *self._dropped])
            for position in taken(view, self._row, names, self._dropped):
                view.drop_consumed(run_id, position)
        for step in {each.record.id for each in self._dropped} - self._opened.keys():
            view.drop_wait(run_id, step)
            for kind in _KINDS:
                view.drop_timer(run_id, step, kind)

    def answer_again(self, results: dict[str, msgspec.Raw]) -> None:
        """Put back the time of each next attempt, and the answers to what was open.

        A child that has ended stays so; of a step that was begun at most once before the
        cut, what is on record behind it still holds. A result that the rewind brings is
        found like one of a step that ends.
        """
        view, run_id = self._view, self._row.run_id
        left = [each.record for each in self._left]
        for step, due in rewinds.backing_off_at(left).items():
            view.drop_timer(run_id, step, "retry")
            runs.put_timer(view, TimerRow(run_id, step, "retry", due))
        begun = self._begun.difference(results)
        for entry in self._dropped:
            record = entry.record
            if isinstance(record, rewinds.ATTEMPTED) and record.id in begun:
                begun.discard(record.id)
                self._put(entry)
            elif isinstance(record, _OF_CHILD) and record.id in self._opened:
                self._put(entry)
        completed = {each.id for each in left if isinstance(each, StepCompleted)}
        now = self._rewound.recorded_at
        for step in results.keys() - completed:
            given = StepCompleted(id=step, attempt=1, asked_at=now)
            view.put_inbox(run_id, Draft(given, bytes(results[step])))

    def part_with_children(self) -> None:
        """Let children that nobody started any more end, and answer nobody.

        One that is detached goes on: it was let go.
        """
        view = self._view
        for entry in self._dropped:
            record = entry.record
            child = _child(view, record) if isinstance(record, ChildStarted) else None
            if child is None or child.status in CLOSED:
                continue
            child = replace(child, parent_step="")
            view.put_run(child)
            if child.attached:
                now, parent = self._rewound.recorded_at, self._row.run_id
                reason = "its parent went back to before it was started"
                runs.cancel(view, child, actor=f"run {parent}", reason=reason, now=now)

    def hear_from_children(self) -> None:
        """Ask children of a run that had ended: they may have ended since, untold."""
        inbox = [each.draft.record for each in self._view.inbox(self._row.run_id)]
        heard = {each.id for each in inbox if isinstance(each, ChildEnded)}
        late = {each.id for each in inbox if isinstance(each, DeadlinePassed)}
        for step, record in self._opened.items():
            if isinstance(record, ChildStarted) and step not in heard:
                self._ask_child(record, is_late=step in late)

    def _ask_child(self, record: ChildStarted, *, is_late: bool) -> None:
        view, row = self._view, self._row
        child = _child(view, record)
        if child is not None and child.status not in CLOSED:
            if record.timeout_at and not is_late:
                due = record.timeout_at
                runs.put_timer(view, TimerRow(row.run_id, record.id, "invoke", due))
            return
        is_known = child is not None and not child.redacted_at
        end = _end_of(view, child) if child is not None and is_known else None
        status, payload = end or (FAILED, runs.encode(_gone(record)))
        ended = ChildEnded(id=record.id, child_run=record.child_run, status=status)
        view.put_inbox(row.run_id, Draft(ended, payload))

    def _put(self, entry: Entry) -> None:
        """Put what was recorded behind the cut into the inbox, to be recorded again."""
        view, run_id, record = self._view, self._row.run_id, entry.record
        payload = entry.payload
        if not payload:  # it may lie apart, also that of a correction
            sequence = self._patches.get(record.id, record.sequence)
            payload = view.record(run_id, sequence).payload
        record = replace(
            record, sequence=0, recorded_at=0, payload_digest=b"", codec=NO_CODEC
        )
        view.put_inbox(run_id, Draft(record, payload))


def _child(view: View, record: ChildStarted) -> RunRow | None:
    """Return the run that answers for a child: the last of a chain."""
    child = view.run(record.child_run)
    return None if child is None else runs.latest(view, child)


def _end_of(view: View, child: RunRow) -> tuple[str, Payload] | None:
    """Return how a run has ended, and with what; None: it goes on where nobody looks."""
    length = view.hold(child.run_id).length
    entries = (view.record(child.run_id, each) for each in range(length, 0, -1))
    end = next(e for e in entries if isinstance(e.record, RunEnded | RunContinued))
    if isinstance(end.record, RunEnded):
        return end.record.status, end.payload
    return None


def _gone(record: ChildStarted) -> ErrorInfo:
    return ErrorInfo(
        type="ironflow.errors.InvokeError",
        message=(
            f"run {record.child_run} is not in this journal any more, or was redacted:"
            " nobody knows how it ended; resume this run from the invoke"
        ),
        code="RUN_NOT_FOUND",
        retryable=False,
    )


# --- events that a run has taken --------------------------------------------------------


def wait_names(entries: Iterable[Entry]) -> dict[str, str]:
    """Return the names of the events that waits of these records seek, by their ids."""
    records: Iterator[Record] = (each.record for each in entries)
    return {each.id: each.event for each in records if isinstance(each, WaitStarted)}


def taken(
    view: View, row: RunRow, names: dict[str, str], entries: Iterable[Entry]
) -> Iterator[int]:
    """Yield the places of the events that a run has got by these records.

    A record has an event's id, the log its place. A run that had ended may have kept an
    event no longer than its retention: then it has none.
    """
    sought: dict[str, set[str]] = {}
    for entry in entries:
        record = entry.record
        if isinstance(record, EventReceived):
            sought.setdefault(names[record.id], set()).add(record.event_id)
    for name, left in sought.items():
        after = row.trigger_position
        while left:
            page = view.events(name, after=after, limit=limits.PAGE_EVENTS_MAX)
            if not page:
                break
            found = [each for each in page if each.event.id in left]
            left.difference_update(each.event.id for each in found)
            yield from [each.position for each in found]
            after = page[-1].position
