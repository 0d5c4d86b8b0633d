"""Killed at any moment, a journal holds what it acknowledged, and nothing by half."""

import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from ironflow.journal.base import Journal
from ironflow.journal.lmdb.store import open_lmdb
from ironflow.journal.lmdb.verify import Finding, verify

ROOT = Path(__file__).parents[3]
KILLS = int(os.environ.get("IRONFLOW_KILLS", "15"))
LINES_MAX = 400
OPENING_S = (0.15, 0.6)


def killed(directory: Path, round_number: int, chosen: random.Random) -> list[str]:
    """Let the program commit, kill it, return what it said was acknowledged."""
    held = chosen.choice(["0", "1"])  # commit in the loop, or in the thread
    checkpoint = chosen.choice([2_000, 50_000, 1_000_000])
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.journal.lmdb.committing",
            str(directory),
            str(round_number),
            held,
            str(checkpoint),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout
        lines: list[str] = []
        if round_number % 3 == 2:  # while it opens, and brings in what the log has
            with suppress(subprocess.TimeoutExpired):
                process.wait(chosen.uniform(*OPENING_S))
        else:
            wanted = chosen.randrange(1, LINES_MAX)
            lines += [process.stdout.readline() for _ in range(wanted)]
        process.kill()
        lines += process.stdout.readlines()
    # The pipe is whole lines: each is written by one call of a few bytes.
    return [line.strip() for line in lines if line.endswith("\n")]


async def read_back(directory: Path) -> tuple[set[str], dict[str, int]]:
    """Return the event ids and the lengths of all histories, checked in order."""
    journal = await open_lmdb(directory)
    events = await all_events(journal)
    runs = {run_id for stored in events.values() for run_id in stored}
    lengths = {run_id: await checked_length(journal, run_id) for run_id in runs}
    await journal.close()
    return set(events), lengths


async def all_events(journal: Journal) -> dict[str, tuple[str, ...]]:
    events: dict[str, tuple[str, ...]] = {}
    after = 0
    while page := await journal.events(after=after, limit=1_000):
        assert [stored.position for stored in page] == list(
            range(after + 1, after + 1 + len(page))
        )
        events |= {stored.event.id: stored.run_ids for stored in page}
        after = page[-1].position
    return events


async def checked_length(journal: Journal, run_id: str) -> int:
    length = 0
    while page := await journal.history(run_id, after=length):
        sequences = [entry.record.sequence for entry in page]
        assert sequences == list(range(length + 1, length + 1 + len(page)))
        length += len(page)
    return length


@pytest.mark.e2e
def test_what_was_acknowledged_is_there_after_every_kill(directory: Path) -> None:
    chosen = random.Random()
    seed = chosen.randrange(2**32)
    print(f"seed {seed}")
    chosen.seed(seed)
    acknowledged: set[str] = set()
    lengths: dict[str, int] = {}
    for round_number in range(KILLS):
        for line in killed(directory, round_number, chosen):
            name, _, length = line.partition(" ")
            if length:
                lengths[name] = int(length)
            else:
                acknowledged.add(name)

        if round_number % 3 == 1:  # the next one brings it in, and is killed
            continue
        events, found = trio.run(read_back, directory)

        assert acknowledged <= events
        assert all(found[run_id] >= length for run_id, length in lengths.items())
    assert not [found for found in verify(directory) if isinstance(found, Finding)]
    assert len(acknowledged) > KILLS
    assert len(lengths) > KILLS
