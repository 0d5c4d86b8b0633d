"""The laws of the interpreter, for random programs with random lives."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow import codec
from ironflow.interpreter.effective import retryable
from ironflow.interpreter.fold import fold
from ironflow.interpreter.machine import Interpreter
from ironflow.interpreter.program import Program
from ironflow.interpreter.session import Session
from ironflow.interpreter.turn import Turn
from ironflow.records import (
    COMMANDS,
    CodeChanged,
    Draft,
    Entry,
    RunEnded,
    RunRetried,
    StepCompleted,
)
from tests.interpreter.driving import Life, live
from tests.interpreter.printing import perform_line
from tests.interpreter.programs import BODIES, STEPS, Node, Trace, compiled
from tests.interpreter.world import ENVIRONMENT, RUN_ID, sealed, settles, shown

pytestmark = pytest.mark.slow

CHOICES = st.lists(st.integers(0, 10_000), min_size=20, max_size=60)
Body = tuple[Node, ...]


@dataclass
class Seen:
    """All that a caller of an interpreter gets to see over several turns."""

    asks: tuple[Draft, ...] = ()
    performs: dict[str, str] = field(default_factory=dict)
    stops: dict[str, Any] = field(default_factory=dict)
    abandoned: list[str] = field(default_factory=list)
    logs: list[tuple[int, Any]] = field(default_factory=list)
    state: str = ""
    bug: str = ""

    def add(self, turn: Turn, batch: Iterable[Entry]) -> None:
        for entry in batch:
            if settles(entry.record):
                self.performs.pop(entry.record.id, None)
                self.stops.pop(entry.record.id, None)
        self.asks, self.state, self.bug = turn.asks, turn.state, repr(turn.bug)
        self.performs.update({each.id: perform_line(each) for each in turn.perform})
        self.stops.update({each.id: each for each in turn.stops})
        self.abandoned += turn.abandoned
        self.logs += [(line.record, line.args) for line in turn.logs]
        if self.state == "ended":
            self.performs, self.stops = {}, {}


def replayed(program: Program, batches: Iterable[Sequence[Entry]]) -> Seen:
    """Feed batch by batch; return what was seen."""
    interpreter, seen = Interpreter(program, RUN_ID), Seen()
    for batch in batches:
        interpreter.feed(batch)
        seen.add(interpreter.advance(), batch)
    assert interpreter.close()
    return seen


def cut(history: Sequence[Entry], places: Iterable[int]) -> list[Sequence[Entry]]:
    at = sorted({place % (len(history) + 1) for place in places} | {len(history)})
    return [history[a:b] for a, b in zip([0, *at], at, strict=False)]


@given(BODIES, CHOICES, st.lists(st.integers(0, 10_000), max_size=10))
def test_batches_do_not_matter(
    body: Body, choices: list[int], places: list[int]
) -> None:
    """Invariant 1: cutting a history into any batches changes nothing visible.

    The trace holds results, errors, times and random numbers.
    """
    first, second, third = Trace(), Trace(), Trace()
    history = live(compiled(body, Trace()), choices).history

    whole = replayed(compiled(body, first), [history])
    single = replayed(compiled(body, second), [[entry] for entry in history])
    pieces = replayed(compiled(body, third), cut(history, places))

    assert first == second == third
    assert whole == single == pieces


@given(BODIES, CHOICES)
def test_a_crash_at_any_record_is_made_good(body: Body, choices: list[int]) -> None:
    """Invariant 2: from every prefix of a history the same commands follow.

    A prefix that ends before the commands that its last outcome caused is what a
    crash would leave if a commit could be cut. They are sealed again, byte for byte.
    """
    life = live(compiled(body, Trace()), choices)
    history = life.history

    for length in range(1, len(history)):
        session = loaded(compiled(body, Trace()), history[:length])
        now = history[length].record.recorded_at
        following = session.absorb((), now).entries
        session.close()

        expected = commands_after(history, length)
        assert [codec.encode(each) for each in following] == expected


def commands_after(history: Sequence[Entry], length: int) -> list[bytes]:
    commands = []
    for entry in history[length:]:
        if type(entry.record) not in COMMANDS:
            break
        commands.append(codec.encode(entry))
    return commands


def loaded(program: Program, history: Sequence[Entry]) -> Session:
    session = Session(program, RUN_ID, ENVIRONMENT)
    session.load(history)
    return session


@given(BODIES, CHOICES)
def test_a_crash_after_any_move_leaves_the_same_to_do(
    body: Body, choices: list[int]
) -> None:
    """Invariant 2: a replay of what is durable asks for nothing, and performs the same.

    Also what is to be stopped and what was abandoned is the same (`World.check_replay`).
    """
    life = live(compiled(body, Trace()), choices, checked=True)

    assert life.state != "broken"


@given(BODIES, CHOICES)
def test_newer_code_that_asks_the_same_takes_over(
    body: Body, choices: list[int]
) -> None:
    """After any move it adds its name to the history and goes on where the other was.

    A second start of the newer code adds nothing; an ended run is left as it is.
    """
    life = live(compiled(body, Trace()), choices)
    for length in life.lengths:
        history = life.history[:length]
        ended = isinstance(history[-1].record, RunEnded)
        newer = loaded(compiled(body, Trace(), version="2"), history)
        first = newer.absorb((), 10**12)
        newer.close()
        again = loaded(compiled(body, Trace(), version="2"), [*history, *first.entries])
        second = again.absorb((), 10**12)
        again.close()

        kinds = [type(entry.record) for entry in first.entries]
        assert kinds == ([] if ended else [CodeChanged])
        assert (second.entries, second.state) == ((), first.state)
        assert shown(second.perform) == shown(first.perform)


@given(STEPS, CHOICES)
def test_a_retried_run_goes_on(body: Body, choices: list[int]) -> None:
    """What failed it is asked again; nothing that succeeded is (Invariant 3)."""
    life = live(compiled(body, Trace()), choices)
    records = [entry.record for entry in life.history]
    if not retryable(records):
        return

    retried = sealed([Draft(RunRetried(attempt=2))], after=life.history)
    session = loaded(compiled(body, Trace()), retried)
    move = session.absorb((), retried[-1].record.recorded_at)
    session.close()

    done = {each.id for each in records if isinstance(each, StepCompleted)}
    assert move.state == "working"
    assert records[-2].id in {perform.id for perform in move.perform}
    assert not done.intersection(perform.id for perform in move.perform)


@given(BODIES, CHOICES, st.integers(1, 5))
def test_a_session_repeats_itself(body: Body, choices: list[int], size: int) -> None:
    """Invariant 2: the same things at the same times make the same history.

    Also when several of them are absorbed at once, at the time of the last.
    """
    life = live(compiled(body, Trace()), choices)

    again = relived(compiled(body, Trace()), life, size=1)
    pieces = relived(compiled(body, Trace()), life, size=size)

    assert again == life.history
    assert untimed(pieces) == untimed(life.history)


def relived(program: Program, life: Life, *, size: int) -> list[Entry]:
    """Give a new session what was given before, so many at once."""
    history = life.history[:1]
    session = loaded(program, history)
    history += session.absorb((), history[0].record.recorded_at + 1_000_000).entries
    given_before = life.given
    for start in range(0, len(given_before), size):
        part = given_before[start : start + size]
        move = session.absorb([draft for draft, _ in part], part[-1][1])
        history += move.entries
    session.close()
    return history


def untimed(history: Iterable[Entry]) -> list[tuple[int, str, str, int]]:
    return [
        (
            entry.record.sequence,
            type(entry.record).__name__,
            entry.record.id,
            entry.record.attempt,
        )
        for entry in history
    ]


@given(BODIES, CHOICES, st.lists(st.integers(-5_000_000, 5_000_000)))
def test_a_history_is_sealed_in_order(
    body: Body, choices: list[int], jumps: list[int]
) -> None:
    """The chain holds, numbers have no gap, and time never goes back.

    Whatever the clock does: it may go backwards between two moves.
    """
    life = live(compiled(body, Trace()), choices)
    session = loaded(compiled(body, Trace()), life.history[:1])
    history, now = life.history[:1], 5_000_000
    for index, (draft, _) in enumerate(life.given):
        now += jumps[index % len(jumps)] if jumps else 0
        history += session.absorb([draft], max(1, now)).entries
    session.close()

    start = codec.chain_start(ENVIRONMENT, RUN_ID)
    stored = [(codec.encode(entry), entry) for entry in history]
    times = [entry.record.recorded_at for entry in history]
    assert len(list(codec.verify_chain(stored, start=start))) == len(history)
    assert times == sorted(times)


@given(BODIES, CHOICES)
def test_every_prefix_has_a_visible_state(body: Body, choices: list[int]) -> None:
    """Invariant 3 and 9: no arrow leads out of a settled step or undo.

    So a second result of either would be an error of the fold, of any prefix.
    """
    life = live(compiled(body, Trace()), choices)

    folded = [fold(life.history[:n]) for n in range(len(life.history) + 1)]

    assert [run.records for run in folded] == list(range(len(folded)))
    last = life.history[-1].record
    assert (life.state == "ended") == isinstance(last, RunEnded)
    if isinstance(last, RunEnded):
        assert folded[-1].status == last.status


@given(BODIES, CHOICES, BODIES, st.data())
def test_nothing_that_is_fed_raises(
    body: Body, choices: list[int], other: Body, data: st.DataObject
) -> None:
    """Invariant 10: a history of other code, or one that is out of order, is a turn.

    Whatever the code does wrong is in the turn; feeding and advancing never raise.
    """
    history = live(compiled(body, Trace()), choices).history
    mixed = data.draw(st.lists(st.sampled_from(history), max_size=10))

    for entries in (history, [*history[:1], *mixed], mixed):
        seen = replayed(compiled(other, Trace()), [entries])

        assert seen.state in {"working", "waiting", "ended", "broken"}
