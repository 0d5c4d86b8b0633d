"""A server with workers of published SDKs, in memory and in virtual time."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from ironflow.transport import rest
from ironflow.transport.rpc import routes as rpc
from ironflow.transport.segment_part import Segments
from tests.transport.conftest import Answered, Server, open_server

HELLO = {
    "id": "hello",
    "triggers": [{"event": "order.created"}],
    "preferredMode": "EXECUTION_MODE_PULL",
    "retry": {"maxAttempts": 3, "initialDelayMs": 1000, "onExhausted": "pause"},
}
PYTHON = {"sdk": "0.53.0", "runtime": "python-3.11.7"}


@asynccontextmanager
async def open_scene() -> AsyncGenerator["Scene"]:
    """Open a server that takes published workers."""
    parts = (rest.routes, rpc.routes, Segments().routes)
    async with open_server(parts=parts) as server:
        yield Scene(server)


@dataclass
class Scene:
    """A server, and what is done to it."""

    server: Server

    async def function(self, **changes: Any) -> None:
        await self.server.post("/api/v1/functions", HELLO | changes)

    async def worker(self, name: str = "w1", **changes: Any) -> "Worker":
        body = {"function_ids": ["hello"], "max_concurrent_jobs": 10, "version": PYTHON}
        found = await self.server.post(
            f"/api/v1/workers/{name}/register", {"worker_id": name, **body, **changes}
        )
        assert found == {"status": "registered"}
        await self.settle()
        return Worker(self, name)

    async def started(self, **changes: Any) -> "Worker":
        """A function and a worker of it."""
        await self.function(**changes)
        return await self.worker()

    async def emit(self, data: Any = None, name: str = "order.created") -> str:
        return await self.server.emit(name, data)

    async def run(self, run_id: str) -> Any:
        return await self.server.get(f"/api/v1/runs/{run_id}")

    async def status(self, run_id: str) -> str:
        return str((await self.run(run_id))["status"])

    async def settle(self) -> None:
        await self.server.harness.clock.settle()

    async def advance(self, duration: str) -> None:
        await self.server.harness.clock.advance(duration)


@dataclass
class Worker:
    """A worker that polls, moved by hand."""

    scene: Scene
    name: str

    @property
    def _path(self) -> str:
        return f"/api/v1/workers/{self.name}"

    async def call(self, method: str, path: str, body: Any = None) -> Answered:
        found = await self.scene.server.request(method, self._path + path, body)
        await self.scene.settle()
        return found

    async def poll(self, query: str = "available=10") -> list[Any]:
        found = await self.call("GET", f"/jobs?{query}")
        return list(found.document["jobs"]) if found.status == 200 else []

    async def job(self) -> Any:
        """Take the one job there is, and begin it."""
        [job] = await self.poll()
        assert (await self.ack(job)).status == 200
        return job

    async def ack(self, job: Any) -> Answered:
        return await self.call("PUT", f"/jobs/{job['job_id']}/ack", fence(job))

    async def tell(self, job: Any, status: str, **fields: Any) -> Answered:
        body = {"status": status, **fence(job), **fields}
        return await self.call("PUT", f"/jobs/{job['job_id']}", body)

    async def heartbeat(self, *jobs: Any) -> Answered:
        listed = [{"job_id": job["job_id"], "started_at": "x"} for job in jobs]
        body = {"worker_id": self.name, "active_jobs": len(jobs), "jobs": listed}
        return await self.call("POST", "/heartbeat", body)


def fence(job: Any) -> dict[str, Any]:
    return {
        "run_id": job["run_id"],
        "execution_seq": job["execution_seq"],
        "lease_token": job["lease_token"],
    }


def step(job: Any, id_: str, output: Any = None, **changes: Any) -> dict[str, Any]:
    """A row of a step that a worker reports."""
    return {
        "id": f"{job['run_id']}:{id_}",
        "name": id_.rsplit(":", 2)[-2],
        "type": "invoke",
        "status": "completed",
        "started_at": "2030-01-01T00:00:00.000Z",
        "ended_at": "2030-01-01T00:00:00.001Z",
        "duration_ms": 1,
        "output": output,
        **changes,
    }


async def forever(worker: Worker, found: list[Any], query: str) -> None:
    """Poll once, as long as the server holds it."""
    with trio.CancelScope():
        answer = await worker.scene.server.request(
            "GET", f"/api/v1/workers/{worker.name}/jobs?{query}"
        )
        found.append(answer)
