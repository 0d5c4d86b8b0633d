"""A host of runs that does what it is told, one small thing at a time.

No event loop, no threads, no clock: whoever drives a `World` chooses what happens
next among its `choices()`. All that could interrupt a real engine is a choice
between two others. A reference model lives beside every run and is told the same.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ironflow.interpreter.session import Session
from ironflow.journal.base import (
    Answer,
    Claim,
    JournalCommand,
)
from ironflow.journal.memory import MemoryJournal, Snapshot
from ironflow.journal.memory_durable import Run
from tests.model.compiled import ROOT
from tests.model.facts import fact_of
from tests.model.host import Host, SavedHost
from tests.model.model import Model
from tests.model.setting import ENVIRONMENT, NOW, Setting, copied

SETTLED: Final = frozenset({"StepCompleted", "StepFailed", "StepInDoubt"})

# What may happen: a verb, the run, and what else it is about.
Choice = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Saved:
    """A world without code; it can be restored as often as one likes."""

    journal: Snapshot
    models: dict[str, Model]
    effects: Counter[tuple[str, str, int]]
    hosts: dict[str, SavedHost]
    crashes: int
    cancels: int
    sent: int
    fired: set[tuple[str, str, str]]
    cut: set[str]
    key: object
    corrected: bool


class World:
    """A journal with a run of a program in it, and whoever carries it on."""

    def __init__(self, setting: Setting, snapshot: Snapshot | None = None) -> None:
        self.setting = setting
        self.stage = setting.stage
        self.root = setting.root
        self.journal = MemoryJournal.restored(snapshot or setting.start)
        self.hosts: dict[str, Host] = {}
        self.resting: dict[str, Host] = {}  # parked, with their code in memory
        self.cut: set[str] = set()  # runs of which a part of a move is to come
        self.models = {self.root: copied(setting.model)}
        self.effects: Counter[tuple[str, str, int]] = Counter()
        self.crashes = 0
        self.cancels = setting.rules.cancels
        self.sent = 0
        self.fired: set[tuple[str, str, str]] = set()  # timers
        self.corrected = False  # the bugs of its code

    def saved(self) -> "Saved":
        """Return all that is needed to be here again."""
        return Saved(
            journal=self.journal.snapshot(),
            models={run_id: copied(model) for run_id, model in self.models.items()},
            effects=self.effects.copy(),
            hosts={run_id: host.saved() for run_id, host in self.hosts.items()},
            crashes=self.crashes,
            cancels=self.cancels,
            sent=self.sent,
            fired=self.fired.copy(),
            cut=self.cut.copy(),
            key=self.durable_key(),
            corrected=self.corrected,
        )

    @classmethod
    def restored(cls, setting: Setting, saved: "Saved") -> "World":
        """Return a world where that one was, with code that is loaded anew."""
        world = cls(setting, saved.journal)
        world.models = {run_id: copied(model) for run_id, model in saved.models.items()}
        world.effects = saved.effects.copy()
        world.crashes, world.cancels = saved.crashes, saved.cancels
        world.sent, world.cut = saved.sent, saved.cut.copy()
        world.fired = saved.fired.copy()
        world.corrected = saved.corrected
        for run_id, before in saved.hosts.items():
            # What was begun goes on: only the code is another.
            host = world.host_of(run_id, world.claimed(run_id))
            host.load = partial(world.replayed, run_id, before.loaded)
            host.loaded = before.loaded
            host.performing = {step.id: step for step in before.performing}
            host.stopping, host.unbegun = before.stopping.copy(), set(before.unbegun)
            host.left = before.left
            world.hosts[run_id] = host
        return world

    def close(self) -> None:
        """Drop all code quietly, as a host does."""
        for host in (*self.hosts.values(), *self.resting.values()):
            assert host.close(), "code does not let itself be closed"
        self.hosts.clear()
        self.resting.clear()

    # --- what there is ---

    def run(self, run_id: str) -> Run:
        """Return the rows of a run."""
        return self.journal._durable.runs[run_id]

    def name(self, run_id: str) -> str:
        """Return what a run is called in choices: a child by the id of its step."""
        return self.run(run_id).row.parent_step or ROOT

    def named(self, name: str) -> str:
        """Return the id of the run that is called so."""
        return next(run_id for run_id in self.runs() if self.name(run_id) == name)

    def fired_of(self, run_id: str) -> set[tuple[str, str]]:
        """Return the timers of a run that have fired."""
        return {(step, kind) for of, step, kind in self.fired if of == run_id}

    def runs(self) -> Iterable[str]:
        """Return the ids of all runs, the oldest first."""
        return self.journal._durable.runs

    def key(self) -> object:
        """Return what the future depends on."""
        held = tuple(map(self._held_key, self.runs())) if self.hosts else ()
        return self.durable_key(), held

    def durable_key(self) -> object:
        """Return what the future depends on after a crash."""
        runs = tuple(map(self._run_key, self.runs()))
        return runs, self.sent, self.cancels, tuple(self.cut), self.corrected

    def _run_key(self, run_id: str) -> object:
        run = self.run(run_id)
        inbox = tuple(map(inbox_fact, run.inbox.values()))
        rows = tuple(run.waits), tuple(sorted(run.consumed)), tuple(sorted(run.timers))
        ready = run_id in self.journal._durable.ready
        stands = run.row.status, ready, self.models[run_id].state
        return stands, run.entries[-1].digest, inbox, rows

    def _held_key(self, run_id: str) -> object:
        host = self.hosts.get(run_id)
        return host and (
            len(host.left),
            *(
                (
                    step.id,
                    step.attempt,
                    host.stopping.get(step.id),
                    host.is_lost(step),
                    step.id in host.unbegun,
                )
                for step in host.performing.values()
            ),
        )

    # --- the journal ---

    def claimed(self, run_id: str) -> Claim:
        """Take hold of a run that is ready."""
        function_id = self.run(run_id).row.function_id
        claims = self.journal.claim_now(frozenset({function_id}), limit=1000)
        [claim] = [claim for claim in claims if claim.run_id == run_id]
        self.journal.release_now([other for other in claims if other is not claim])
        return claim

    def session_of(self, run_id: str) -> Session:
        """Return a new session with the run's history loaded."""
        setting, row = self.setting, self.run(run_id).row
        found = setting.corrected_functions if self.corrected else setting.functions
        session = Session(found[row.function_id].program, run_id, ENVIRONMENT)
        session.load(self.journal.history_now(run_id))
        return session

    def replayed(self, run_id: str, loaded: int) -> Session:
        """Return a session that has said once more what there is to be done."""
        session = self.session_of(run_id)
        session.absorb((), NOW)
        session.loaded = loaded
        return session

    def host_of(self, run_id: str, claim: Claim) -> Host:
        """Return a new host of a run."""
        load = partial(self.session_of, run_id)
        return Host(claim, load, len(self.run(run_id).entries))

    def commit(self, *commands: JournalCommand) -> list[Answer]:
        """Commit what nothing speaks against."""
        answers = self.journal.commit_now(commands) if commands else []
        for answer in answers:
            assert not hasattr(answer, "error"), answer
        return answers


def inbox_fact(row: Any) -> tuple[Any, ...]:
    """Return a row of an inbox in the words of the model."""
    return fact_of(row.draft.record, row.draft.payload)
