"""Laws that hold after any commands in any order, with crashes between them.

A machine drives a journal in memory and the naive oracle alike. After each step
the tables must agree with each other; in the end, with the oracle.
"""

from itertools import product
from typing import ClassVar, cast

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from ironflow import codec, ids, limits
from ironflow.journal.base import (
    CLOSED,
    Answer,
    Appended,
    AppendRecords,
    DeliverEvents,
    Done,
    EmitEvents,
    Emitted,
    FireTimer,
    FunctionRow,
    JournalCommand,
    Pause,
    PauseRun,
    RegisterFunctions,
    RequestCancel,
    ResumeRun,
)
from ironflow.journal.matching import keys_at
from ironflow.journal.memory import MemoryJournal
from ironflow.journal.memory_durable import Run
from ironflow.journal.memory_tables import MemoryView
from ironflow.records import Draft, EventData, EventReceived, WaitTimedOut
from ironflow.testing.checks_asks import ended, sleep, wait
from tests.journal.oracle import Oracle

NAMES = st.sampled_from(["a", "b"])
VALUES = st.sampled_from([1, 2])
START_US = 1_700_000_000_000_000


class Driver(RuleBasedStateMachine):
    """A journal, the oracle beside it, and who holds what: no rule and no law."""

    bounds: ClassVar[dict[str, int]] = {}  # of `limits`, made small

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for name, value in self.bounds.items():
            self.patch.setattr(limits, name, value)
        self.journal = MemoryJournal()
        self.oracle = Oracle()
        self.now = START_US
        self.epochs: dict[str, int] = {}
        self.steps = 0

    @property
    def runs(self) -> dict[str, Run]:
        return self.journal._durable.runs

    def open_runs(self) -> list[str]:
        return [run_id for run_id, run in self.runs.items() if run.row.status == "open"]

    def commit(self, command: JournalCommand) -> Answer:
        """Commit a command, after a commit of it that fails and must leave nothing."""
        self.now += 1_000
        before = self.journal.snapshot().durable
        with pytest.raises(AssertionError):
            self.journal.commit_now([command, cast("JournalCommand", "boom")])
        after = self.journal.snapshot().durable
        after.counter = before.counter
        assert after == before
        assert list(after.ready) == list(before.ready)
        [answer] = self.journal.commit_now([command])
        return answer

    def hold(self, run_id: str) -> bool:
        """Claim what can be claimed; say whether the run is held now."""
        for claim in self.journal.claim_now(frozenset({"f"}), limit=99):
            self.epochs[claim.run_id] = claim.epoch
        return run_id in self.epochs

    def append(
        self,
        run_id: str,
        *drafts: Draft,
        park: bool = False,
        move: bool = True,
        abandoned: tuple[str, ...] = (),
    ) -> Appended:
        """Append to a run that is held, moving its inbox first if asked."""
        run = self.runs[run_id]
        inbox = list(run.inbox.values()) if move else []
        kept = [row.draft for row in inbox if row.draft.record.id not in abandoned]
        digest, length = run.entries[-1].digest, len(run.entries)
        sealed = []
        for sequence, draft in enumerate((*kept, *drafts), length + 1):
            sealed.append(
                codec.seal(
                    draft, sequence=sequence, recorded_at=self.now, previous=digest
                )
            )
            digest = sealed[-1][0].digest
        answer = self.commit(
            AppendRecords(
                run_id=run_id,
                epoch=self.epochs[run_id],
                expected_length=length,
                entries=tuple(entry for entry, _ in sealed),
                headers=tuple(header for _, header in sealed),
                inbox_through=inbox[-1].number if inbox else 0,
                park=park,
                abandoned=abandoned,
            )
        )
        assert isinstance(answer, Appended)
        if answer.parked:
            del self.epochs[run_id]
        return answer

    def pick(self, data: st.DataObject) -> str | None:
        """A run that is held."""
        held = [run_id for run_id in self.open_runs() if self.hold(run_id)]
        return data.draw(st.sampled_from(held)) if held else None

    def event(self, name: str, value: int) -> EventData:
        self.now += 1_000
        return EventData(
            id=ids.event_id(ids.derived(self.now, name)),
            name=name,
            data=msgspec.Raw(msgspec.msgpack.encode({"v": value})),
        )

    def received(self, run_id: str, step: str) -> list[str]:
        """The ids of the events that a step received, in history or inbox."""
        run = self.runs[run_id]
        records = [entry.record for entry in run.entries]
        records += [row.draft.record for row in run.inbox.values()]
        return [
            record.event_id
            for record in records
            if isinstance(record, EventReceived) and record.id == step
        ]


class Lawful(Driver):
    """What must hold after every step, and in the end."""

    @invariant()
    def histories_are_chained(self) -> None:
        """Invariant 6: no record is missing, doubled or out of place."""
        for run_id, run in self.runs.items():
            digest = codec.chain_start("default", run_id)
            for sequence, entry in enumerate(run.entries, 1):
                assert entry.record.sequence == sequence
                again, _ = codec.chain(entry.record, entry.payload, previous=digest)
                digest = again.digest
                assert entry.digest == digest

    @invariant()
    def a_wait_is_settled_once(self) -> None:
        """A wait row and its timer stand and fall together, without an answer."""
        for run_id, run in self.runs.items():
            timed = {step for step, kind in run.timers if kind == "wait"}
            assert timed == set(run.waits)
            settled = [
                record.id
                for record in (
                    *(entry.record for entry in run.entries),
                    *(row.draft.record for row in run.inbox.values()),
                )
                if isinstance(record, EventReceived | WaitTimedOut)
            ]
            assert len(settled) == len(set(settled))
            assert not set(settled) & set(run.waits), run_id

    @invariant()
    def an_event_is_taken_once_by_a_run(self) -> None:
        """Invariant 4: whatever the deliveries, crashes and timeouts."""
        for run_id, run in self.runs.items():
            taken = [
                event_id
                for ask in self.oracle.runs[run_id].asks
                for event_id in self.received(run_id, ask.step)
            ]
            assert len(taken) == len(set(taken))
            if run.row.status not in CLOSED:
                assert len(taken) == len(run.consumed)

    @invariant()
    def what_is_indexed_is_all_there_is(self) -> None:
        """Where an index reaches, it answers as a look at every event does."""
        durable = self.journal._durable
        known = [
            row for paths in durable.match_paths.values() for row in paths.values()
        ]
        for row, stored in product(known, durable.events):
            after = stored.position > row.after
            filled = row.start < stored.position <= row.through
            if stored.event.name == row.event and (after or filled):
                [key] = keys_at(stored.event, [row.path]).values()
                assert stored.position in durable.matches[row.event, row.path, key]

    @invariant()
    def who_has_something_to_read_is_ready(self) -> None:
        """No wake-up is lost: an open run with an inbox can be claimed."""
        for run_id, run in self.runs.items():
            is_ready = run_id in self.journal._durable.ready
            if run.row.status == "open":
                assert is_ready or not run.inbox
            else:
                assert not is_ready
            if run.row.status in CLOSED:
                assert not (run.inbox)
                assert not (run.timers)
                assert not (run.waits)
                assert not (run.consumed)

    @invariant()
    def what_is_built_is_what_a_restart_builds(self) -> None:
        """The indexes of a running journal are those of one just opened."""
        running, opened = self.journal._view, MemoryView(self.journal._durable.copy())
        assert running.due == opened.due
        assert running._names.items() >= opened._names.items()
        assert running._waits._groups == opened._waits._groups
        assert running._waits.seeking == opened._waits.seeking

    def check_who_got_what(self) -> None:
        """Invariant 8: no event is missed, none is taken by the wrong wait."""
        while self.commit(DeliverEvents(self.now)) == Done(changed=True):
            pass
        positions = {s.event.id: s.position for s in self.journal._durable.events}
        for run_id, naive in self.oracle.runs.items():
            found = {
                ask.step: positions[event_id]
                for ask in naive.asks
                for event_id in self.received(run_id, ask.step)
            }
            assert found == self.oracle.taken(run_id)

    def teardown(self) -> None:
        try:
            self.check_who_got_what()
        finally:
            self.patch.undo()


class JournalMachine(Lawful):
    """Any commands to a journal, in any order."""

    @initialize()
    def register(self) -> None:
        self.commit(RegisterFunctions((FunctionRow("f", "v1", ("go",)),), self.now))

    @rule()
    @precondition(lambda self: len(self.runs) < 6)
    def start(self) -> None:
        answer = self.commit(EmitEvents((self.event("go", 0),), self.now))
        assert isinstance(answer, Emitted)
        self.oracle.emit("go", 0)
        self.oracle.start(answer.receipts[0].run_ids[0])

    @rule(events=st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=3))
    def emit(self, events: list[tuple[str, int]]) -> None:
        self.commit(EmitEvents(tuple(self.event(*event) for event in events), self.now))
        for event in events:
            self.oracle.emit(*event)

    @rule(
        data=st.data(),
        name=NAMES,
        value=st.none() | VALUES,
        path=st.sampled_from(["data.v", "v"]),
        look_back=st.booleans(),
        park=st.booleans(),
    )
    def wait(
        self,
        data: st.DataObject,
        *,
        name: str,
        value: int | None,
        path: str,
        look_back: bool,
        park: bool,
    ) -> None:
        if run_id := self.pick(data):
            self.steps += 1
            step = f"w:{self.steps}"
            ask = wait(
                step,
                name,
                path="" if value is None else path,
                value=value,
                timeout_at=self.now + 10_000_000,
                look_back=look_back,
            )
            self.append(run_id, ask, park=park, move=data.draw(st.booleans()))
            self.oracle.wait(run_id, step, name, value=value, look_back=look_back)

    @rule(data=st.data(), park=st.booleans())
    def sleep(self, data: st.DataObject, *, park: bool) -> None:
        if run_id := self.pick(data):
            self.steps += 1
            due = self.now + data.draw(st.integers(0, 5)) * 1_000
            self.append(run_id, sleep(f"s:{self.steps}", until=due), park=park)

    @rule(data=st.data())
    def fire(self, data: st.DataObject) -> None:
        timers, _ = self.journal.due_now(self.now + 99_000_000, limit=99)
        if not timers:
            return
        timer = data.draw(st.sampled_from(timers))
        answer = self.commit(FireTimer(timer, timer.due))
        assert isinstance(answer, Done)
        inbox = self.runs[timer.run_id].inbox.values()
        if WaitTimedOut(id=timer.step) in [row.draft.record for row in inbox]:
            self.oracle.time_out(timer.run_id, timer.step)

    @rule()
    def deliver(self) -> None:
        self.commit(DeliverEvents(self.now))

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        if run_id := self.pick(data):
            self.append(run_id, ended())
            run = self.oracle.runs[run_id]
            run.is_open = False
            for ask in run.asks:  # what was not read by then was never used
                ask.took *= bool(self.received(run_id, ask.step))

    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        if run_id := self.pick(data):
            pause = Pause("step", "", "v1", self.now)
            command = PauseRun(
                run_id, self.epochs[run_id], pause, inbox_through=1 << 40
            )
            assert self.commit(command) == Done()
            del self.epochs[run_id]

    @rule(data=st.data(), cancel=st.booleans())
    def resume(self, data: st.DataObject, *, cancel: bool) -> None:
        if self.runs:
            run_id = data.draw(st.sampled_from(sorted(self.runs)))
            asked = RequestCancel(run_id, "", "", self.now)
            self.commit(asked if cancel else ResumeRun(run_id))

    @rule()
    def crash(self) -> None:
        self.journal = MemoryJournal.restored(self.journal.snapshot())
        self.epochs.clear()


class LateMachine(JournalMachine):
    """Events reach one wait in their own commit, the others later."""

    bounds: ClassVar[dict[str, int]] = {"DELIVERIES_PER_COMMIT_MAX": 1}


class SeekingMachine(JournalMachine):
    """Waits look back by an index that is filled one event in a commit, and forgotten."""

    bounds: ClassVar[dict[str, int]] = {
        "LOOK_BACK_EVENTS_PER_COMMIT_MAX": 1,
        "LOOK_BACK_SCAN_EVENTS_MAX": 0,
        "MATCH_PATHS_MAX": 1,
    }


class SeekingLateMachine(JournalMachine):
    """The same, and events reach two waits in their own commit."""

    bounds: ClassVar[dict[str, int]] = {
        "DELIVERIES_PER_COMMIT_MAX": 2,
        "LOOK_BACK_EVENTS_PER_COMMIT_MAX": 2,
        "LOOK_BACK_SCAN_EVENTS_MAX": 1,
    }


class AbandoningMachine(JournalMachine):
    """Waits and sleeps are abandoned, and their events given back.

    Not with late deliveries: there a wait may be abandoned before it gets what the
    oracle gave it at once, and another wait gets that. Both are right.
    """

    @rule(data=st.data(), move=st.booleans())
    def abandon(self, data: st.DataObject, *, move: bool) -> None:
        run_id = self.pick(data)
        if run_id is None:
            return
        run = self.runs[run_id]
        answers = {row.draft.record.id: row.draft.record for row in run.inbox.values()}
        asked = {*answers, *run.waits, *(step for step, _ in run.timers)} - {""}
        if not asked:
            return
        steps = data.draw(st.lists(st.sampled_from(sorted(asked)), max_size=2))
        for step in {*steps} & {*run.waits}:
            self.oracle.time_out(run_id, step)
        self.append(run_id, move=move, abandoned=tuple(steps))
        for step, record in answers.items():
            if step in steps and isinstance(record, EventReceived):
                self.oracle.give_back(run_id, step)


LAWS = settings(stateful_step_count=40)

TestJournal = JournalMachine.TestCase
TestJournal.settings = LAWS
TestLateDeliveries = LateMachine.TestCase
TestLateDeliveries.settings = LAWS
TestSeeks = SeekingMachine.TestCase
TestSeeks.settings = LAWS
TestLateSeeks = SeekingLateMachine.TestCase
TestLateSeeks.settings = LAWS
TestAbandoned = AbandoningMachine.TestCase
TestAbandoned.settings = LAWS
