"""Polling workers that stall, and come back when their run has gone on elsewhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.cluster import Cluster, open_cluster
from tests.e2e.polling import PollingWorker, row

pytestmark = pytest.mark.e2e


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Return a server that soon gives workers up, with a function for those that poll."""
    with open_cluster(tmp_path, program="tests.e2e.hasty") as cluster:
        function = {"id": "pulled", "triggers": [{"event": "pulled.asked"}]}
        cluster.post("/api/v1/functions", function)
        yield cluster


def started(cluster: Cluster) -> tuple[PollingWorker, Any]:
    """Return a worker at the only job; its first step is recorded."""
    worker = PollingWorker(cluster, "stalls")
    worker.register()
    cluster.emit("pulled.asked", [{"number": 1}])
    job = worker.take()
    told = worker.tell(job, "progress", steps=[row(job, "reserve:0", "first")])
    assert told.status_code == 200
    return worker, job


def refused(worker: PollingWorker, job: Any) -> None:
    """Whatever a worker says of a job that it has lost is refused."""
    late = [row(job, "charge:0", "late")]
    answers: list[httpx.Response] = [
        worker.ack(job),
        worker.tell(job, "progress", steps=late),
        worker.tell(job, "failed", error={"message": "late"}, steps=late),
        worker.tell(job, "completed", output="late", steps=late),
    ]
    assert [each.status_code for each in answers] == [409] * len(answers)
    assert {each.json()["error"] for each in answers} == {"STALE_EXECUTION"}


def finish(cluster: Cluster, worker: PollingWorker, job: Any, first: Any) -> None:
    """End a run in another worker, which is given what is recorded, and nothing else."""
    assert job["run_id"] == first["run_id"]
    assert job["execution_seq"] > first["execution_seq"]
    assert job["attempt"] == 1
    rows = {each["step_id"]: each["output"] for each in job["completed_steps"]}
    assert rows == {f"{job['run_id']}:reserve:0": "first"}
    steps = [row(job, "charge:0", "second")]
    assert worker.tell(job, "completed", output="done", steps=steps).status_code == 200
    run = cluster.get(f"/api/v1/runs/{job['run_id']}")
    assert (run["status"], run["output"]) == ("completed", "done")
    found = cluster.get(f"/api/v1/runs/{job['run_id']}/steps")["steps"]
    values = {each["id"]: each["value"] for each in found}
    assert values == {"reserve:0": "first", "charge:0": "second"}


def test_a_worker_that_stalls_past_its_lease(cluster: Cluster) -> None:
    """It comes back while another one is at the run, and when that has ended it."""
    stalled, lost = started(cluster)
    other = PollingWorker(cluster, "goes-on")
    other.register()
    job = other.take()

    refused(stalled, lost)
    finish(cluster, other, job, lost)
    refused(stalled, lost)


def test_a_worker_that_outlives_the_server(cluster: Cluster) -> None:
    """A server that was killed knows nothing of leases, and refuses all it did not give."""
    stalled, lost = started(cluster)
    cluster.kill("server")
    cluster.serve()

    refused(stalled, lost)
    assert stalled.call("GET", "/jobs?available=1").status_code == 404
    stalled.register()
    job = stalled.take()
    refused(stalled, lost)
    finish(cluster, stalled, job, lost)


def test_a_worker_that_never_begins(cluster: Cluster) -> None:
    """A job that was given and not acknowledged goes to another, soon."""
    stalled = PollingWorker(cluster, "stalls")
    stalled.register()
    cluster.emit("pulled.asked", [{"number": 1}])
    lost = stalled.wait_for_job()
    other = PollingWorker(cluster, "goes-on")
    other.register()
    job = other.take()

    refused(stalled, lost)
    assert other.tell(job, "completed", output="done").status_code == 200
