"""Four processes on one database: no wait never wakes, no event is skipped."""

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

import pytest
import trio

from ironflow import codec
from ironflow.journal.base import RunQuery
from ironflow.journal.postgres.store import PostgresJournal, open_postgres
from ironflow.records import Entry
from tests.journal.postgres.race_node import LEASE_SECONDS

NODES = 4
ROUNDS = 30

pytestmark = pytest.mark.e2e


class Race:
    """Processes that share a journal."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.nodes = [self._started(node) for node in range(NODES)]

    def _started(self, node: int) -> "subprocess.Popen[str]":
        module = "tests.journal.postgres.race_node"
        arguments = [self.url, str(node), str(NODES), str(ROUNDS)]
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self, node: int) -> str:
        """Return the next line that a node says."""
        output = self.nodes[node].stdout
        assert output is not None
        return output.readline().strip()

    def end(self) -> list[dict[str, object]]:
        """Let every node stop; return what they report."""
        reports: list[dict[str, object]] = []
        for process in self.nodes:
            out, _ = process.communicate()
            assert process.returncode == 0
            reports.append(json.loads(out.splitlines()[-1]))
        return reports

    def kill(self) -> None:
        for process in self.nodes:
            process.kill()
            process.communicate()


@pytest.fixture
def race(url: str) -> Iterator[Race]:
    started = Race(url)
    try:
        yield started
    finally:
        started.kill()


async def all_ended(journal: PostgresJournal) -> None:
    """Wait until every run has ended: a wait that nothing wakes would hang here."""
    with trio.fail_after(60):
        for _ in range(10_000):
            found = await journal.find(RunQuery(status="completed", limit=1_000))
            if len(found) == NODES * ROUNDS:
                return
            await trio.sleep(0.1)


def check_history(entries: Sequence[Entry], *, start: bytes) -> None:
    """Whole, in order, and each epoch's records in one piece."""
    names = [type(entry.record).__name__ for entry in entries]
    wanted = {"RunStarted": 1, "WaitStarted": 1, "EventReceived": 1, "RunEnded": 1}
    assert Counter(names) == wanted | {"StepCompleted": 5}
    previous = start
    for entry in entries:
        again, _ = codec.chain(entry.record, entry.payload, previous=previous)
        assert again.digest == entry.digest
        previous = entry.digest
    epochs = [epoch for epoch, _ in groupby(e.record.source for e in entries[1:])]
    assert len(set(epochs)) == len(epochs), f"an ended epoch wrote again: {epochs}"


async def check_everything(url: str, reports: list[dict[str, object]]) -> None:
    journal = await open_postgres(url)
    try:
        runs = await journal.find(RunQuery(limit=1_000))
        assert {run.status for run in runs} == {"completed"}
        for run in runs:
            entries = await journal.history(run.row.run_id)
            start = codec.chain_start("default", run.row.run_id)
            check_history(entries, start=start)
        log = await journal.events(limit=1_000)
        assert [each.position for each in log] == list(range(1, len(log) + 1))
        assert len(log) == 2 * NODES * ROUNDS
    finally:
        await journal.close()
    assert [report["gaps"] for report in reports] == [[]] * NODES


async def test_four_nodes_share_the_work(race: Race) -> None:
    """Waits against events, cursors against commits, claims against claims."""
    journal = await open_postgres(race.url)
    for node in range(NODES):
        assert await trio.to_thread.run_sync(race.line, node) == "ready"
    await all_ended(journal)
    await journal.close()

    await check_everything(race.url, await trio.to_thread.run_sync(race.end))


async def test_nodes_that_are_stopped_past_their_leases_harm_nothing(
    race: Race,
) -> None:
    """Invariant 7: their runs go on elsewhere, and what they still write is refused."""
    journal = await open_postgres(race.url)
    for node in range(NODES):
        assert await trio.to_thread.run_sync(race.line, node) == "ready"
    chance = random.Random(7)

    async with trio.open_nursery() as nursery:

        async def stop_and_go() -> None:
            for _ in range(8):
                process = chance.choice(race.nodes)
                process.send_signal(signal.SIGSTOP)
                await trio.sleep(LEASE_SECONDS * chance.choice([0.3, 1.5, 3.0]))
                process.send_signal(signal.SIGCONT)

        nursery.start_soon(stop_and_go)
        await all_ended(journal)
    await journal.close()

    await check_everything(race.url, await trio.to_thread.run_sync(race.end))


async def test_nodes_that_are_killed_lose_nothing(race: Race) -> None:
    """What they had acknowledged is there; the others carry their runs on."""
    journal = await open_postgres(race.url)
    for node in range(NODES):
        assert await trio.to_thread.run_sync(race.line, node) == "ready"
    for node in range(NODES):
        assert await trio.to_thread.run_sync(race.line, node) == "emitted"
    for process in race.nodes[:2]:
        process.kill()
        process.communicate()

    await all_ended(journal)
    await journal.close()

    race.nodes = race.nodes[2:]
    reports = await trio.to_thread.run_sync(race.end)
    await check_everything(race.url, [*reports, *reports])
