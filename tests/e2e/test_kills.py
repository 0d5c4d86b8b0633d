"""A real process on LMDB, killed at random until nobody can say when it was not."""

import multiprocessing
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import pytest

from ironflow.journal.lmdb.store import open_reader
from ironflow.journal.lmdb.verify import Finding, verify
from ironflow.records import Entry, StepCompleted
from tests.e2e import transfers
from tests.e2e.bank import Bank, Call
from tests.e2e.transfers import Acknowledged, is_refused

KILLS = 50
# Loaded before the process forks, so that a life begins in milliseconds.
PRELOAD = [
    transfers.__name__,
    "ironflow.engine.open",
    "ironflow.journal.lmdb.store",
]
OPENING_S_MAX = 0.05
LIFE_S_MAX = 0.2


@dataclass
class Lives:
    """Processes one after the other on one directory, and what they acknowledged."""

    directory: Path
    chosen: random.Random
    acknowledged: list[Acknowledged] = field(default_factory=list)
    lived: int = 0

    def live(
        self, life: Callable[..., None], argument: Any, *, opening: float, alive: float
    ) -> list[Any]:
        """Start a process and kill it; return what it said.

        It has so many seconds to open, and then so many until it ends by itself.
        """
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOAD)
        here, there = context.Pipe(duplex=False)
        self.lived += 1
        process = context.Process(
            target=life, args=(self.directory, there, self.lived, argument)
        )
        process.start()
        there.close()
        if wait([here, process.sentinel], timeout=opening):
            process.join(alive)
        process.kill()
        said = _all_of(here)
        process.join()
        process.close()
        self.acknowledged += [each for each in said if isinstance(each, Acknowledged)]
        return said

    @property
    def next_number(self) -> int:
        """The first transfer of which not both events are acknowledged."""
        events = {(each.number, each.event) for each in self.acknowledged}
        counted = Counter(number for number, _ in events)
        return max((n for n, count in counted.items() if count == 2), default=0) + 1

    @property
    def runs(self) -> dict[str, int]:
        """The runs that were acknowledged, with the number of their transfer."""
        return {run: each.number for each in self.acknowledged for run in each.runs}


def _all_of(pipe: Connection) -> list[Any]:
    """Return what was sent whole before the sender died."""
    said: list[Any] = []
    while wait([pipe], timeout=0):
        try:
            said.append(pipe.recv())
        except EOFError:
            break
    pipe.close()
    return said


@pytest.mark.e2e
async def test_fifty_kills_lose_nothing_and_repeat_only_what_was_in_flight(
    tmp_path: Path,
) -> None:
    """Invariants 3, 4, 5, 6 and 9, on a real disk and with a real SIGKILL."""
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    lives = Lives(tmp_path, random.Random(seed))

    for _ in range(KILLS):
        lives.live(
            transfers.emitting,
            lives.next_number,
            opening=lives.chosen.choice([60, lives.chosen.uniform(0, OPENING_S_MAX)]),
            alive=lives.chosen.uniform(0, LIFE_S_MAX),
        )
    said = lives.live(transfers.finishing, lives.next_number, opening=60, alive=60)

    assert said[-1] == "closed", "the last life did not come to its end"
    assert len(lives.runs) > KILLS / 2, "hardly anything happened"
    bank = Bank(tmp_path / "bank", life=0)
    check_calls(bank.calls(), lives)
    assert bank.balance() == 0
    bank.close()
    await check_journal(tmp_path / "data", lives)


def check_calls(calls: list[Call], lives: Lives) -> None:
    """Every effect happened, in order, and once in a life; no undo is missing."""
    assert max(Counter(calls).values()) == 1, "a step was called twice in one life"
    steps: dict[str, list[str]] = defaultdict(list)
    for call in calls:
        steps[call.run].append(call.step)
    for run, number in lives.runs.items():
        expected = ["debit", "credit", "mail", "text"]
        if is_refused(number):
            expected += ["undo credit", "undo debit"]
        else:
            expected += ["close"]
        assert set(steps[run]) == set(expected)
        check_order(steps[run])


def check_order(steps: list[str]) -> None:
    """After its result was recorded no step is called again: the next one shows it."""
    line = [step for step in steps if step not in {"mail", "text"}]
    expected = sorted(set(line), key=line.index)
    assert line == sorted(line, key=expected.index), "a step ran after its successor"


async def check_journal(directory: Path, lives: Lives) -> None:
    """The journal is whole, holds all that was acknowledged, and nothing twice."""
    findings = [each for each in verify(directory) if isinstance(each, Finding)]
    assert findings == []
    journal = await open_reader(directory)
    try:
        stored = await journal.events(limit=100_000)
        by_id = {each.event.id: each for each in stored}
        for each in lives.acknowledged:
            assert by_id[each.event].run_ids == each.runs
        keys = Counter((each.event.name, each.event.idempotency_key) for each in stored)
        assert max(keys.values()) == 1
        for run, number in lives.runs.items():
            summary = await journal.run(run)
            assert summary is not None
            assert summary.status == "failed" if is_refused(number) else "completed"
            check_history(await journal.history(run))
    finally:
        await journal.close()


def check_history(entries: Any) -> None:
    """Invariant 3: each step has one result."""
    results = Counter(
        entry.record.id for entry in entries if isinstance(entry.record, StepCompleted)
    )
    assert max(results.values()) == 1
    assert isinstance(entries[0], Entry)
