"""Today's code run over a recorded history: no effects, only a verdict.

Pages of a history go in, in order. Between two commands of a history no record is
looked at alone: the interpreter's own work is all there is.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Final, final

from ironflow import values
from ironflow.debug import asked, verdict
from ironflow.debug.asked import Note
from ironflow.debug.difference import Difference
from ironflow.debug.verdict import Verdict
from ironflow.errors import NondeterminismError
from ironflow.interpreter import mismatch
from ironflow.interpreter.effective import effective
from ironflow.interpreter.machine import Interpreter
from ironflow.interpreter.program import Program
from ironflow.interpreter.turn import PerformStep, Turn
from ironflow.records import (
    COMMANDS,
    CodeChanged,
    Draft,
    Entry,
    Record,
    Rewound,
    RunEnded,
    RunRetried,
    RunStarted,
    StepCompleted,
    StepPatched,
)

NOTES_MAX: Final = 50
_OPEN_MAX: Final = 1_000

_record_of: Final[Callable[[Entry], Record]] = attrgetter("record")
_AMENDMENTS: Final = frozenset[type[Record]]({Rewound, StepPatched, RunRetried})
# No code asks for these two.
_ASKED: Final = COMMANDS - frozenset[type[Record]]({RunStarted, CodeChanged})


@final
class Replay:
    """One history under today's code.

    Give it pages with `take`, then ask for the `verdict`. If that is None, the
    history must be given once more, from its beginning, to what `closer` returns: it
    has amendments, which can only be folded when all of it is here (`whole`), or
    the code raised and the record must be found at which (`locate`).

    `inputs`: look at each step, and note where its arguments have changed.
    User code runs in `take` and `verdict`, so no Trio task may be current.
    """

    def __init__(
        self,
        program: Program,
        run_id: str,
        *,
        inputs: bool = False,
        whole: bool = False,
        locate: bool = False,
    ) -> None:
        self._program = program
        self._run_id = run_id
        self._inputs = inputs
        self._whole = whole
        self._locate = locate
        self._machine = Interpreter(program, run_id)
        self._kept: list[Entry] = []
        self._amended = False
        self._records = 0
        self._turn = Turn("working")
        self._asks: deque[Draft] = deque()  # asked when the turn was last looked at
        self._open: dict[str, PerformStep] = {}  # and some that were settled since
        self._open_max = _OPEN_MAX
        self._notes: list[Note] = []
        self._outcome: tuple[Entry, tuple[Difference, ...]] | None = None
        self._wrong: Entry | None = None  # the record at which the turn broke
        self._next: Entry | None = None  # what the history holds after it
        self._last_command = 0  # the sequence of the last record of one
        self._redacted: Entry | None = None  # the first
        self._unasked: Entry | None = None  # the end that broken code did not ask for

    def take(self, page: Sequence[Entry]) -> None:
        """Take the next records."""
        self._records += len(page)
        if self._redacted is None:
            self._redacted = next((each for each in page if each.redaction), None)
        if self._redacted is not None:
            return
        if self._whole:
            self._kept.extend(page)
            return
        kinds = _kinds_of(page)
        self._amended = self._amended or not _AMENDMENTS.isdisjoint(kinds)
        if not self._amended:
            self._play(page, kinds)

    def verdict(self) -> Verdict | None:
        """Return the verdict now that all was taken; None: go on with `closer`."""
        if self._redacted is not None:
            self._machine.close()
            return verdict.redacted(self._redacted, records=self._records)
        if self._whole:
            history = effective(self._kept).entries
            self._play(history, _kinds_of(history))
        self._machine.close()
        bug = self._turn.bug
        if self._amended or (bug is not None and not (self._locate or _is_plain(bug))):
            return None
        return self._held() if bug is None else self._broken(bug)

    def closer(self) -> "Replay":
        """Return a replay that looks closer; it takes the history once more."""
        return Replay(
            self._program,
            self._run_id,
            inputs=self._inputs,
            whole=self._whole or self._amended,
            locate=self._turn.bug is not None,
        )

    # --- playing --------------------------------------------------------------------

    def _play(self, page: Sequence[Entry], kinds: frozenset[type[Record]]) -> None:
        """Feed a page; before a record of a command, look at what is asked."""
        start = 0
        for at in self._stops(page, kinds):
            kind = type(page[at].record)
            if self._locate or not self._asks or kind not in _ASKED:
                self._feed(page[start:at], page[at])
                start = at
            self._look_at(page[at])
        self._feed(page[start:], None)

    def _stops(
        self, page: Sequence[Entry], kinds: frozenset[type[Record]]
    ) -> Iterable[int]:
        """The places in a page where the turn is looked at."""
        if self._locate:
            return range(len(page))
        looked_at = _ASKED | {StepCompleted} if self._inputs else _ASKED
        if looked_at.isdisjoint(kinds):
            return ()
        return [at for at, entry in enumerate(page) if type(entry.record) in looked_at]

    def _feed(self, entries: Sequence[Entry], following: Entry | None) -> None:
        if self._turn.state == "broken":
            first = entries[0] if entries else following
            self._next = self._next or first
            return
        if not entries:
            return
        self._machine.feed(entries)
        turn = self._turn = self._machine.advance()
        if turn.bug is not None:
            self._wrong, self._next = _wrong(entries, turn.bug), following
            return  # what was asked before the record is kept
        self._asks = deque(turn.asks)
        for perform in turn.perform:
            self._open[perform.id] = perform
        if len(self._open) > self._open_max:
            self._forget_settled()

    def _forget_settled(self) -> None:
        """Keep the steps that are still open.

        The machine is asked now and then, not each record looked at.
        """
        expects = self._machine.expects
        self._open = {
            perform.id: perform
            for perform in self._open.values()
            if expects(StepCompleted(id=perform.id))
        }
        self._open_max = max(_OPEN_MAX, 2 * len(self._open))

    def _look_at(self, entry: Entry) -> None:
        record = entry.record
        if isinstance(record, RunEnded) and record.broken:
            self._unasked = entry
            return
        if type(record) in _ASKED:
            self._last_command = record.sequence
        if self._turn.state == "broken" or len(self._notes) >= NOTES_MAX:
            return
        if isinstance(record, StepCompleted):
            self._look_at_input(record)
        elif type(record) in _ASKED and self._asks:
            ask = self._asks[0]
            if not mismatch.agrees(ask.record, record):
                return  # it is kept: it may say why
            self._asks.popleft()
            self._notes.extend(asked.notes(ask, entry))
            if asked.is_outcome(record) and (found := asked.outcome(ask, entry)):
                self._outcome = entry, found

    def _look_at_input(self, record: StepCompleted) -> None:
        perform = self._open.get(record.id)
        if not self._inputs or perform is None or not record.input_digest:
            return
        today = values.input_digest(perform.args)
        if today != record.input_digest:
            what = mismatch.shown(record)
            self._notes.append(
                Note(record.sequence, what, "arguments", None, repr(perform.args))
            )

    # --- the verdict ----------------------------------------------------------------

    def _broken(self, bug: Exception) -> Verdict:
        assert self._wrong is not None
        wrong = self._wrong.record
        differs = isinstance(bug, NondeterminismError)
        if self._unasked is not None and self._last_command <= wrong.sequence - differs:
            return self._ended_unasked(bug)
        return verdict.broken(
            bug,
            wrong=self._wrong.record,
            following=None if self._next is None else self._next.record,
            records=self._records,
            notes=tuple(self._notes),
            asks=self._asks,
        )

    def _ended_unasked(self, bug: Exception | None) -> Verdict:
        assert self._unasked is not None
        return verdict.ended_unasked(
            self._unasked.record, bug, records=self._records, notes=tuple(self._notes)
        )

    def _held(self) -> Verdict:
        if self._unasked is not None:
            return self._ended_unasked(None)
        notes = tuple(self._notes)
        if self._outcome is not None:
            entry, found = self._outcome
            return verdict.other_outcome(
                entry.record, found, records=self._records, notes=notes
            )
        self._forget_settled()
        steps = [
            f"step {perform.id!r}" + (f" ({perform.source})" if perform.source else "")
            for perform in self._open.values()
        ]
        commands = [mismatch.shown(draft.record) for draft in self._turn.asks]
        return Verdict(
            kind="extends" if steps or commands else "same",
            records=self._records,
            asks_next=(*commands, *steps)[: verdict.ASKS_NEXT_MAX],
            notes=notes,
        )


def _is_plain(bug: Exception) -> bool:
    """Say whether a bug names its record, and says all that there is to say.

    Of code that ends where the history goes on, the reason is in what it asked.
    """
    return isinstance(bug, NondeterminismError) and not bug.asked.startswith(
        verdict.ENDING
    )


def _wrong(entries: Sequence[Entry], bug: Exception) -> Entry:
    """The record at which the code broke; exact if it was fed alone."""
    last = entries[-1]
    wanted = bug.sequence if isinstance(bug, NondeterminismError) else 0
    return next((each for each in entries if each.record.sequence == wanted), last)


def _kinds_of(entries: Iterable[Entry]) -> frozenset[type[Record]]:
    return frozenset(map(type, map(_record_of, entries)))
