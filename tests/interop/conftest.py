"""A server and programs of a published SDK, each a process of its own.

`scripts/interop-environment` makes the environment of the SDK; without it the tests are
skipped.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import httpx
import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".interop/bin/python"
PROGRAM = ROOT / "tests/interop/published.py"
SIGNING_KEY = "sk_test"
PATIENCE_S = 60
TRIGGERS = {
    "everything": "all.asked",
    "flaky": "flaky.asked",
    "undone": "undone.asked",
    "fragile": "fragile.asked",
    "bad-child": "child.asked",
    "slow": "slow.asked",
}


@final
@dataclass
class Stage:
    """The processes of a test; all are gone when it ends."""

    directory: Path
    processes: ExitStack
    url: str = ""
    server: "subprocess.Popen[str] | None" = None
    logs: list[Path] = field(default_factory=list[Path])

    def serve(self) -> None:
        """Start the server, at the port it had before."""
        port = self.url.rpartition(":")[2] or "0"
        command = [sys.executable, "-m", "ironflow", "serve", "--dev", "--port", port]
        data = ["--data-dir", str(self.directory / "data")]
        self.server = self._start(
            [*command, *data], {"IRONFLOW_SIGNING_KEY": SIGNING_KEY}
        )
        assert self.server.stdout is not None
        first = self.server.stdout.readline()
        self.url = next(word for word in first.split() if "://" in word).rstrip(",")

    def kill_server(self) -> None:
        """End the server as a power cut would."""
        assert self.server is not None
        self.server.kill()
        self.server.wait()

    def declare(self) -> None:
        """Register the functions, so that events start them before a worker is there."""
        for function_id, event in TRIGGERS.items():
            body = {"id": function_id, "triggers": [{"event": event}]}
            assert self._client().post("/api/v1/functions", json=body).is_success

    def program(
        self, how: str, *rest: str, **variables: str
    ) -> "subprocess.Popen[str]":
        """Start a worker of the published SDK."""
        return self._start([str(PYTHON), str(PROGRAM), how, self.url, *rest], variables)

    def endpoint(self) -> str:
        """Start an endpoint under uvicorn, register its functions, return its URL."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        where = f"http://127.0.0.1:{port}/ironflow"
        server = self._start(
            [str(PYTHON), "-m", "uvicorn", "published:app", "--port", str(port)],
            {"SIGNING_KEY": SIGNING_KEY, "SERVER_URL": self.url},
            cwd=PROGRAM.parent,
        )
        assert server.stdout is not None
        while "running on" not in server.stdout.readline():
            assert server.poll() is None
        registered = self.program("register", where)
        assert registered.wait(PATIENCE_S) == 0
        return where

    def emit(self, name: str, data: Any = None) -> str:
        """Emit an event; return the id of the run that it started, if one."""
        found = self._client().post(
            "/api/v1/events", json={"name": name, "data": data or {}}
        )
        assert found.status_code == 200, found.text
        return "".join(found.json()["run_ids"])

    def cancel(self, run_id: str) -> None:
        """Ask a run to cancel."""
        found = self._client().post(f"/api/v1/runs/{run_id}/cancel")
        assert found.status_code == 200, found.text

    def result(self, run_id: str) -> Any:
        """Return a run when it has ended or is paused."""
        found = self._client().get(f"/api/v1/runs/{run_id}?wait={PATIENCE_S}s")
        assert found.status_code == 200, found.text
        assert found.json()["ended_at"] or found.json()["pause"], self.told()
        return found.json()

    def get(self, path: str) -> Any:
        """Return the document at a path."""
        return self._client().get(path).json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Send a document; return the one that it gives."""
        found = self._client().post(path, json=body)
        assert found.status_code == 200, found.text
        return found.json()

    def effects(self) -> list[str]:
        """Return what the steps of the programs have done."""
        return (self.directory / "effects").read_text(encoding="utf-8").splitlines()

    def cleared(self) -> "Stage":
        """Forget what was done, for another test with the same processes."""
        (self.directory / "effects").write_text("")
        return self

    def told(self) -> str:
        """Return what the programs have logged."""
        return "\n".join(log.read_text(encoding="utf-8") for log in self.logs)

    def _client(self) -> httpx.Client:
        return self.processes.enter_context(
            httpx.Client(base_url=self.url, timeout=PATIENCE_S + 10)
        )

    def _start(
        self, command: list[str], variables: dict[str, str], cwd: Path = ROOT
    ) -> "subprocess.Popen[str]":
        log = self.directory / f"log-{len(self.logs)}"
        self.logs.append(log)
        errors = self.processes.enter_context(log.open("w"))
        process = self.processes.enter_context(
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if "uvicorn" in command else errors,
                text=True,
                cwd=cwd,
                env=os.environ
                | {"EFFECTS": str(self.directory / "effects"), "PYTHONUNBUFFERED": "1"}
                | ({"PYTHONPATH": ""} if str(PYTHON) in command else {})
                | variables,
            )
        )
        self.processes.callback(process.kill)
        return process


@contextmanager
def open_stage(directory: Path) -> Iterator[Stage]:
    """Open a server with the functions of the programs; skip where there is no SDK."""
    if not PYTHON.exists():
        pytest.skip("there is no .interop; scripts/interop-environment makes it")
    (directory / "effects").touch()
    with ExitStack() as processes:
        stage = Stage(directory, processes)
        stage.serve()
        stage.declare()
        yield stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Return a server that is ready."""
    with open_stage(tmp_path) as stage:
        yield stage
