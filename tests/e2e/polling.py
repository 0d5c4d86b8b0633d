"""A worker of the published protocol that polls, moved by hand."""

from dataclasses import dataclass
from typing import Any, final

import httpx

from tests.e2e.cluster import Cluster
from tests.e2e.published_endpoint import row_of


@final
@dataclass(frozen=True)
class PollingWorker:
    """Does nothing by itself, so it stalls whenever a test does not move it."""

    cluster: Cluster
    name: str

    def register(self) -> None:
        """Say who it is."""
        body = {
            "worker_id": self.name,
            "function_ids": ["pulled"],
            "max_concurrent_jobs": 10,
            "version": {"sdk": "0.53.0", "runtime": "python-3.11.7"},
        }
        assert self.call("POST", "/register", body).status_code == 200

    def poll(self) -> list[Any]:
        """Ask for jobs, for a second."""
        found = self.call("GET", "/jobs?available=10&wait=1")
        assert found.status_code in {200, 204}, found.text
        return list(found.json()["jobs"]) if found.status_code == 200 else []

    def wait_for_job(self) -> Any:
        """Return the one job that there is, however long it takes to get it."""
        found: list[Any] = []

        def look() -> bool:
            found.extend(self.poll())
            return bool(found)

        self.cluster.wait(look)
        [job] = found
        return job

    def take(self) -> Any:
        """Return the one job that there is, begun."""
        job = self.wait_for_job()
        assert self.ack(job).status_code == 200
        return job

    def ack(self, job: Any) -> httpx.Response:
        """Begin a job."""
        return self.call("PUT", f"/jobs/{job['job_id']}/ack", _fence(job))

    def tell(self, job: Any, status: str, **fields: Any) -> httpx.Response:
        """Report on a job."""
        body = {"status": status, **_fence(job), **fields}
        return self.call("PUT", f"/jobs/{job['job_id']}", body)

    def call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Send a request about this worker."""
        return self.cluster.request(method, f"/api/v1/workers/{self.name}{path}", body)


def row(job: Any, id_: str, output: str) -> dict[str, Any]:
    """Return what is reported of a step of a job."""
    return row_of(job["run_id"], id_, output)


def _fence(job: Any) -> dict[str, Any]:
    return {name: job[name] for name in ("run_id", "execution_seq", "lease_token")}
