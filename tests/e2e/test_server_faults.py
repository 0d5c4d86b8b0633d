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
from tests.e2e.cluster import (
    Cluster,
    check_once_recorded,
    open_cluster,
    repeated,
    wait_for_loss,
)

RUNS = 500
STEPS = 5  # of each run
HELD = 10  # of them, at steps whose gates are shut: they are there when a process is killed
# What happens for certain while a half, and while a quarter of the runs are not paid for, and
# held runs are at their first, second or last step.
START = RUNS
HALF = RUNS + (RUNS // 2 - HELD) * (STEPS - 1)
MOST = RUNS + RUNS * 3 // 4 * (STEPS - 1)

pytestmark = pytest.mark.e2e


async def test_workers_and_the_server_are_killed_in_turn(tmp_path: Path) -> None:
    """No recorded step runs again, nothing is lost, all runs end."""
    chosen = seeded()
    with open_cluster(tmp_path) as cluster:
        cluster.shut("reserve", "charge", "close")
        cluster.work("first")
        runs = cluster.emit("counted.asked", numbers())
        held = cluster.wait_for_step(runs[::50], "reserve:0")
        cluster.work("second")
        cluster.emit("counted.paid", numbers()[::2])

        cluster.wait_for_effects(chosen.randrange(START))
        cluster.kill("first")
        lost = wait_for_loss(cluster, held.run, "first")
        assert lost["by"] == "second"
        check_told(cluster, held.run, "first")
        kill_server(cluster, runs, chosen.randrange(START, HALF))
        cluster.work("first")
        cluster.wait_for_effects(chosen.randrange(HALF, MOST))
        held = cluster.wait_for_step(runs[::50], "close:0")
        name = cluster.name_of(held.process)
        cluster.kill(name)
        wait_for_loss(cluster, held.run, name, since=lost)
        check_told(cluster, held.run, name)
        cluster.open("close")
        cluster.work(name)
        cluster.emit("counted.paid", numbers()[3::4])
        cluster.wait_for_ends("counted", RUNS)

        cluster.stop("server")

    assert len(set(runs)) == RUNS
    await check(cluster, runs)


async def test_an_endpoint_and_the_server_are_killed_in_turn(tmp_path: Path) -> None:
    """The same, where the server sends runs to an endpoint of ours."""
    chosen = seeded()
    with open_cluster(tmp_path) as cluster:
        cluster.shut("reserve", "charge", "close")
        url = cluster.endpoint("own_endpoint")
        port = str(httpx.URL(url).port)
        breaker = {"openDurationMs": 100, "maxOpenDurationMs": 200}
        cluster.post("/api/v2/endpoints", {"url": url, "circuitBreaker": breaker})
        runs = cluster.emit("counted.asked", numbers())
        cluster.emit("counted.paid", numbers()[::2])

        cluster.wait_for_effects(chosen.randrange(START))
        held = cluster.wait_for_step(runs[::50], "reserve:0")
        cluster.kill("endpoint")  # its first answer about this run was still to come
        cluster.endpoint("own_endpoint", port)
        lost = wait_for_loss(cluster, held.run, url)
        check_told(cluster, held.run, url)
        kill_server(cluster, runs, chosen.randrange(START, HALF))
        cluster.wait_for_effects(chosen.randrange(HALF, MOST))
        cluster.wait_for_step([held.run], "close:0")
        cluster.kill("endpoint")
        cluster.endpoint("own_endpoint", port)
        wait_for_loss(cluster, held.run, url, since=lost)
        kill_both(cluster, held.run, port)
        cluster.wait_for_ends("counted", RUNS)

        cluster.stop("server")

    assert len(set(runs)) == RUNS
    await check(cluster, runs)


def kill_server(cluster: Cluster, runs: Sequence[str], count: int) -> None:
    """Kill the server after so many effects; runs are at their second step."""
    cluster.open("reserve")
    cluster.wait_for_effects(count)
    cluster.wait_for_step(runs[::50], "charge:0")
    cluster.kill("server")
    cluster.serve()
    cluster.open("charge")
    cluster.emit("counted.paid", numbers()[1::4])


def kill_both(cluster: Cluster, run: str, port: str) -> None:
    """Kill the endpoint and the server; a run is at its last step."""
    cluster.wait_for_step([run], "close:0")
    cluster.kill("endpoint")
    cluster.kill("server")
    cluster.serve()
    cluster.open("close")
    cluster.emit("counted.paid", numbers()[3::4])
    cluster.endpoint("own_endpoint", port)


def seeded() -> random.Random:
    """Return what chooses; its seed is told."""
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    return random.Random(seed)


def numbers() -> list[dict[str, Any]]:
    """Return the data of all events of a name."""
    every = RUNS // HELD
    return [{"number": number, "held": number % every == 0} for number in range(RUNS)]


def check_told(cluster: Cluster, run: str, worker: str) -> None:
    """The reason why a run has moved can be seen."""
    shown = cluster.command("runs", "show", run, "--server", cluster.url)
    assert shown.returncode == 0, shown.stderr
    assert f"worker {worker} was lost" in shown.stdout
    assert "carried on" in shown.stdout


async def check(cluster: Cluster, runs: Sequence[str]) -> None:
    """The journal is whole, all runs are complete, and no recorded step ran again."""
    verified = cluster.command("verify", "--data-dir", str(cluster.data))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    effects = cluster.effects()
    print(f"{len(effects)} effects, {repeated(effects)} repeated")
    assert repeated(effects) >= 3, "who was killed was at nothing"
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
