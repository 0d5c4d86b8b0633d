"""A host of runs that does what it is told, one small thing at a time.

No event loop, no threads, no clock: whoever drives a `World` chooses what happens
next among its `choices()`. All that could interrupt a real engine is a choice
between two others. A reference model lives beside every run and is told the same.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ironflow.interpreter.session import Session
from ironflow.journal.base import (
    Answer,
    Claim,
    JournalCommand,
)
from ironflow.journal.memory import MemoryJournal, Snapshot
from ironflow.journal.memory_tables import Run
from tests.model.compiled import ROOT
from tests.model.facts import fact_of
from tests.model.host import Host, SavedHost
from tests.model.model import Model
from tests.model.setting import ENVIRONMENT, NOW, Setting

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
    cut: set[str]
    corrected: bool


class World:
    """A journal with a run of a program in it, and whoever carries it on."""

    def __init__(self, setting: Setting) -> None:
        program, rules = setting.program, setting.rules
        self.setting = setting
        self.stage = setting.stage
        self.root = setting.root
        self.journal = MemoryJournal.restored(setting.start)
        self.hosts: dict[str, Host] = {}
        self.resting: dict[str, Host] = {}  # parked, with their code in memory
        self.cut: set[str] = set()  # runs of which a part of a move is to come
        self.models = {self.root: Model(program, "start", rules)}
        self.effects: Counter[tuple[str, str, int]] = Counter()
        self.crashes = 0
        self.cancels = rules.cancels
        self.sent = 0
        self.corrected = False  # the bugs of its code

    def saved(self) -> "Saved":
        """Return all that is needed to be here again."""
        return Saved(
            journal=self.journal.snapshot(),
            models={run_id: model.copy() for run_id, model in self.models.items()},
            effects=self.effects.copy(),
            hosts={run_id: host.saved() for run_id, host in self.hosts.items()},
            crashes=self.crashes,
            cancels=self.cancels,
            sent=self.sent,
            cut=self.cut.copy(),
            corrected=self.corrected,
        )

    @classmethod
    def restored(cls, setting: Setting, saved: "Saved") -> "World":
        """Return a world where that one was, with code that is loaded anew."""
        world = cls(setting)
        world.journal = MemoryJournal.restored(saved.journal)
        world.models = {run_id: model.copy() for run_id, model in saved.models.items()}
        world.effects = saved.effects.copy()
        world.crashes, world.cancels = saved.crashes, saved.cancels
        world.sent, world.cut = saved.sent, saved.cut.copy()
        world.corrected = saved.corrected
        for run_id, host in saved.hosts.items():
            session = world.session_of(run_id)
            move = session.absorb((), NOW)
            steps = {step.id: step for step in move.perform}
            # What was begun goes on: only the code is another.
            session.loaded = host.loaded
            performing = {name: steps[name] for name in host.performing}
            claim, stopping = world.claimed(run_id), host.stopping.copy()
            unbegun = set(host.unbegun)
            again = Host(claim, session, performing, stopping, unbegun, host.left)
            world.hosts[run_id] = again
        return world

    def close(self) -> None:
        """Drop all code quietly, as a host does."""
        for host in (*self.hosts.values(), *self.resting.values()):
            assert host.session.close(), "code does not let itself be closed"
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

    def runs(self) -> Iterable[str]:
        """Return the ids of all runs, the oldest first."""
        return self.journal._durable.runs

    def key(self) -> object:
        """Return what the future depends on."""
        runs = tuple(self._run_key(run_id) for run_id in self.runs())
        return runs, self.sent, self.cancels, tuple(self.cut), self.corrected

    def _run_key(self, run_id: str) -> object:
        run, host = self.run(run_id), self.hosts.get(run_id)
        inbox = tuple(map(inbox_fact, run.inbox.values()))
        rows = tuple(run.waits), tuple(sorted(run.consumed)), tuple(sorted(run.timers))
        ready = run_id in self.journal._durable.ready
        held = host and (
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
        stands = run.row.status, ready, self.models[run_id].state
        return stands, run.entries[-1].digest, inbox, rows, held

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

    def commit(self, *commands: JournalCommand) -> list[Answer]:
        """Commit what nothing speaks against."""
        answers = self.journal.commit_now(commands) if commands else []
        for answer in answers:
            assert not hasattr(answer, "error"), answer
        return answers


def inbox_fact(row: Any) -> tuple[Any, ...]:
    """Return a row of an inbox in the words of the model."""
    return fact_of(row.draft.record, row.draft.payload)
