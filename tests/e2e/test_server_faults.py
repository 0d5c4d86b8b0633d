"""A server and its workers, killed in turn while 500 runs are in flight."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from ironflow import values
from ironflow.journal.base import Journal
from ironflow.journal.lmdb.store import open_reader
from ironflow.records import StepCompleted
from tests.e2e.cluster import Cluster, check_once_recorded, open_cluster, repeated

RUNS = 500
STEPS = 5  # of each run
# What can happen while a half, and while a quarter of the runs are not paid for: however
# quick the machine is, those that wait are still under way.
HALF = RUNS + RUNS // 2 * (STEPS - 1)
MOST = RUNS + RUNS * 3 // 4 * (STEPS - 1)

pytestmark = pytest.mark.e2e


async def test_workers_and_the_server_are_killed_in_turn(tmp_path: Path) -> None:
    """No recorded step runs again, nothing is lost, all runs end."""
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    with open_cluster(tmp_path) as cluster:
        cluster.work("first")
        cluster.work("second")
        runs = cluster.emit("counted.asked", numbers())
        cluster.emit("counted.paid", numbers()[::2])

        cluster.wait_for_effects(chosen.randrange(20, RUNS))
        cluster.kill("first")
        cluster.wait_for_effects(chosen.randrange(RUNS, HALF - 100))
        cluster.kill("server")
        cluster.serve()
        cluster.emit("counted.paid", numbers()[1::4])
        cluster.work("first")
        cluster.wait_for_effects(chosen.randrange(HALF, MOST))
        cluster.kill("second")
        cluster.work("second")
        cluster.emit("counted.paid", numbers()[3::4])
        cluster.wait_for_ends("counted", RUNS)

        check_moves(cluster, "first")
        cluster.stop("server")

    assert len(set(runs)) == RUNS
    await check(cluster, runs)


async def test_an_endpoint_and_the_server_are_killed_in_turn(tmp_path: Path) -> None:
    """The same, where the server sends runs to an endpoint of ours."""
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    with open_cluster(tmp_path, program="tests.e2e.hasty") as cluster:
        url = cluster.endpoint("own_endpoint")
        port = str(httpx.URL(url).port)
        breaker = {"openDurationMs": 100, "maxOpenDurationMs": 200}
        cluster.post("/api/v2/endpoints", {"url": url, "circuitBreaker": breaker})
        runs = cluster.emit("counted.asked", numbers())
        cluster.emit("counted.paid", numbers()[::2])

        cluster.wait_for_effects(chosen.randrange(20, RUNS))
        cluster.kill("endpoint")
        cluster.endpoint("own_endpoint", port)
        cluster.wait_for_effects(chosen.randrange(RUNS, HALF - 100))
        cluster.kill("server")
        cluster.serve()
        cluster.emit("counted.paid", numbers()[1::4])
        cluster.wait_for_effects(chosen.randrange(HALF, MOST))
        cluster.kill("endpoint")
        cluster.kill("server")
        cluster.serve()
        cluster.emit("counted.paid", numbers()[3::4])
        cluster.endpoint("own_endpoint", port)
        cluster.wait_for_ends("counted", RUNS)

        check_moves(cluster, url, is_certain=False)
        cluster.stop("server")

    assert len(set(runs)) == RUNS
    await check(cluster, runs)


def numbers() -> list[dict[str, Any]]:
    """Return the data of all events of a name."""
    return [{"number": number} for number in range(RUNS)]


def check_moves(cluster: Cluster, worker: str, *, is_certain: bool = True) -> None:
    """The reason why a run has moved can be seen.

    An endpoint that is killed between two POSTs and is back at once has lost nothing that
    anybody noticed: there it is not certain that a run has moved.
    """
    listed = cluster.get(f"/api/v1/runs?limit={RUNS}")["runs"]
    moved = [each for each in listed if each.get("lost", {}).get("worker") == worker]
    assert moved or not is_certain, "the worker that was killed held nothing"
    if not moved:
        return
    shown = cluster.command("runs", "show", moved[0]["id"], "--server", cluster.url)
    assert shown.returncode == 0, shown.stderr
    assert f"worker {worker} was lost" in shown.stdout
    assert "carried on" in shown.stdout


async def check(cluster: Cluster, runs: Sequence[str]) -> None:
    """The journal is whole, all runs are complete, and no recorded step ran again."""
    verified = cluster.command("verify", "--data-dir", str(cluster.data))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    effects = cluster.effects()
    print(f"{len(effects)} effects, {repeated(effects)} repeated")
    journal = await open_reader(cluster.data)
    try:
        recorded = await results(journal, runs)
    finally:
        await journal.close()
    assert len(recorded) == RUNS * STEPS
    check_once_recorded(effects, recorded)


async def results(journal: Journal, runs: Sequence[str]) -> dict[tuple[str, str], str]:
    """Return what each step of complete runs has returned."""
    found: dict[tuple[str, str], str] = {}
    for run_id in runs:
        summary = await journal.run(run_id)
        assert summary is not None
        assert summary.status == "completed"
        for entry in await journal.history(run_id):
            if isinstance(entry.record, StepCompleted):
                assert (run_id, entry.record.id) not in found
                found[run_id, entry.record.id] = str(values.decode(entry.payload, str))
    return found
