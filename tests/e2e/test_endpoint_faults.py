"""An endpoint of the published protocol that goes wrong in every way, or is killed."""

import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e import published_endpoint
from tests.e2e.cluster import Cluster, check_once_recorded, open_cluster, repeated
from tests.e2e.published_endpoint import STEPS, TIMEOUT_S

PROGRAM = "published_endpoint"
RUNS = 500  # while processes are killed
RUNS_OF_FAULTS = 60
# Those that do not take their time, and one that executes nothing.
FAULTS = sorted({*published_endpoint.FAULTS, "unavailable"} - {"", "slow"})
FAULTS_MAX = 4  # of one run

pytestmark = pytest.mark.e2e


def register(cluster: Cluster, url: str, **changes: Any) -> None:
    """Register the function of the endpoint, to be tried again at once."""
    document = {
        "id": "pushed",
        "triggers": [{"event": "pushed.asked"}],
        "preferredMode": "EXECUTION_MODE_PUSH",
        "endpointUrl": url,
        "retry": {"maxAttempts": 25, "initialDelayMs": 10, "maxDelayMs": 50},
        # Most answers are wrong, and all of them are to be seen.
        "circuitBreaker": {"failureThreshold": 10_000},
    }
    cluster.post("/api/v1/functions", document | changes)


def check(cluster: Cluster, runs: list[str]) -> None:
    """Each run has its own result, and no reported step was executed again."""
    listed = cluster.get(f"/api/v1/runs?limit={RUNS}&details=true")["runs"]
    assert sorted(each["id"] for each in listed) == sorted(set(runs))
    wrong = [each for each in listed if each["output"] != each["id"]]
    assert wrong == []
    effects = cluster.effects()
    print(f"{len(effects)} effects, {repeated(effects)} repeated")
    recorded = {
        (run_id, row["id"]): row["value"]
        for run_id in runs
        for row in cluster.get(f"/api/v1/runs/{run_id}/steps")["steps"]
        if row["id"] in STEPS
    }
    assert len(recorded) == len(runs) * len(STEPS)
    check_once_recorded(effects, recorded)
    cluster.stop("server")
    verified = cluster.command("verify", "--data-dir", str(cluster.data))
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_answers_of_every_wrong_kind(tmp_path: Path) -> None:
    """Runs end as they would without, and a reported step is not executed again."""
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    plans = [
        {
            "faults": chosen.sample(FAULTS, chosen.randrange(FAULTS_MAX + 1)),
            "again": chosen.random() < 0.5,
        }
        for _ in range(RUNS_OF_FAULTS)
    ]
    with open_cluster(tmp_path) as cluster:
        register(cluster, cluster.endpoint(PROGRAM))
        runs = cluster.emit("pushed.asked", plans)
        cluster.wait_for_ends("pushed", len(plans))

        check(cluster, runs)


def test_an_endpoint_that_answers_too_late(tmp_path: Path) -> None:
    """What it says then is not taken: the steps were executed again meanwhile."""
    plans = [{"faults": ["slow"]}, {"faults": ["500", "slow"]}]
    with open_cluster(tmp_path) as cluster:
        timeout_ms = int(TIMEOUT_S * 1_000)
        register(cluster, cluster.endpoint(PROGRAM), timeoutMs=timeout_ms)
        runs = cluster.emit("pushed.asked", plans)
        cluster.wait_for_ends("pushed", len(plans))

        assert repeated(cluster.effects()) >= 5
        steps = cluster.command("runs", "show", runs[0], "--server", cluster.url)
        assert f"it did not answer within {TIMEOUT_S:g} s" in steps.stdout, steps
        check(cluster, runs)


def test_the_endpoint_and_the_server_are_killed_in_turn(tmp_path: Path) -> None:
    """No reported step runs again, nothing is lost, all runs end."""
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    with open_cluster(tmp_path) as cluster:
        url = cluster.endpoint(PROGRAM)
        port = str(httpx.URL(url).port)
        breaker = {
            "failureThreshold": 5,
            "openDurationMs": 50,
            "maxOpenDurationMs": 200,
        }
        register(cluster, url, circuitBreaker=breaker)
        runs = cluster.emit("pushed.asked", [{"faults": []}] * RUNS)

        cluster.wait_for_effects(chosen.randrange(50, RUNS))
        cluster.kill("endpoint")
        cluster.endpoint(PROGRAM, port)
        cluster.wait_for_effects(chosen.randrange(RUNS, 2 * RUNS))
        cluster.kill("server")
        cluster.serve()
        cluster.wait_for_effects(chosen.randrange(2 * RUNS, 3 * RUNS - 100))
        cluster.kill("endpoint")
        cluster.kill("server")
        cluster.serve()
        cluster.endpoint(PROGRAM, port)
        cluster.wait_for_ends("pushed", RUNS)

        check(cluster, runs)
