"""A server and its workers and endpoints, each a process that can be killed."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, final

import httpx

from tests.e2e.counted import EFFECTS, Effect, gate, read

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60
SIGNING_KEY = "sk_faults"
LOOK_S = 0.03
ENDED = frozenset({"completed", "failed", "cancelled"})

EFFECTS_FILE = "effects"

Process = subprocess.Popen[str]
Found = TypeVar("Found")


@final
@dataclass
class Cluster:
    """The processes of a test, on one data directory and one port.

    `program` is what the server is started by; tests may give it another one.
    """

    directory: Path
    processes: ExitStack
    program: str = "ironflow"
    url: str = ""
    running: dict[str, Process] = field(default_factory=dict[str, Process])
    _client: httpx.Client | None = None

    @property
    def data(self) -> Path:
        """The data directory of the server."""
        return self.directory / "data"

    def serve(self) -> None:
        """Start the server, at the port that it had before; return when it listens."""
        port = self.url.rpartition(":")[2] or "0"
        where = ["--port", port, "--data-dir", str(self.data)]
        said = self._start(
            "server", self._command(self.program, "serve", "--dev", *where)
        )
        self.url = next(word for word in said.split() if "://" in word).rstrip(",")

    def work(self, name: str) -> None:
        """Start a worker of protocol 2; return when it is connected."""
        app = ["--app", "tests.e2e.counted:APP", "--name", name]
        self._start(
            name, self._command("ironflow", "worker", *app, "--server", self.url)
        )

    def endpoint(self, program: str, port: str = "0") -> str:
        """Start an endpoint; return its URL when it listens."""
        return self._start("endpoint", self._command(f"tests.e2e.{program}", port))

    def kill(self, name: str) -> None:
        """End a process as a power cut would."""
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str) -> None:
        """Ask a process to end; it must do so in order."""
        process = self.running.pop(name)
        process.terminate()
        assert process.wait(PATIENCE_S) == 0, self.told()

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            self._command("ironflow", *arguments),
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=os.environ | {"COLUMNS": "400"},
            timeout=PATIENCE_S,
            check=False,
        )

    def request(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Send a request to the server; return its answer, whatever it is."""
        if self._client is None:
            self._client = self.processes.enter_context(
                httpx.Client(timeout=PATIENCE_S)
            )
        return self._client.request(method, self.url + path, json=body)

    def get(self, path: str) -> Any:
        """Return the document at a path."""
        found = self.request("GET", path)
        assert found.status_code == 200, found.text
        return found.json()

    def post(self, path: str, body: Any) -> Any:
        """Return the document that a post gives."""
        found = self.request("POST", path, body)
        assert found.status_code == 200, found.text
        return found.json()

    def emit(self, name: str, documents: Sequence[Any]) -> list[str]:
        """Emit an event for each document; return the runs that they started."""
        events = [{"name": name, "data": each} for each in documents]
        found = self.post("/api/v1/events/batch", {"events": events})
        return [run for each in found["events"] for run in each["run_ids"]]

    def effects(self) -> list[Effect]:
        """Return what the steps have done so far, in its order."""
        return read(self.directory / EFFECTS_FILE)

    def shut(self, *steps: str) -> None:
        """Let held runs wait when they come to these steps."""
        for step in steps:
            gate(self.directory / EFFECTS_FILE, step).touch()

    def open(self, step: str) -> None:
        """Let held runs go on behind a step."""
        gate(self.directory / EFFECTS_FILE, step).unlink()

    def wait_for_step(self, runs: Collection[str], step: str) -> Effect:
        """Return one of these runs that is at a step in a process that runs now."""
        return self.wait_for(lambda: at_step(self, runs, step))

    def name_of(self, process: int) -> str:
        """Return the name of a process that runs; empty if it does not."""
        found = [name for name, each in self.running.items() if each.pid == process]
        return found[0] if found else ""

    def wait_for_effects(self, count: int) -> None:
        """Return when so many effects have happened."""
        self.wait(lambda: len(self.effects()) >= count)

    def wait_for_ends(self, function_id: str, count: int) -> None:
        """Return when so many runs of a function have ended, and no run is under way."""
        self.wait(lambda: self.standing(function_id, ENDED) == count)
        assert self.standing(function_id) == count

    def standing(self, function_id: str, among: frozenset[str] | None = None) -> int:
        """Return how many runs of a function there are, of some statuses or of all."""
        rows = self.get("/api/v1/runs/counts")["counts"]
        return sum(
            row["runs"]
            for row in rows
            if row["function_id"] == function_id
            and (among is None or row["status"] in among)
        )

    def wait(self, is_so: Callable[[], bool]) -> None:
        """Return when something is so."""
        self.wait_for(lambda: is_so() or None)

    def wait_for(self, look: Callable[[], Found | None]) -> Found:
        """Return what is found when there is something."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := look()) is None:
            assert time.monotonic() < deadline, self.told()
            threading.Event().wait(LOOK_S)
        return found

    def told(self) -> str:
        """Return what the processes have logged."""
        logs = sorted(self.directory.glob("log-*"))
        return "\n".join(f"{log.name}\n{log.read_text()[-4000:]}" for log in logs)

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", program, *arguments]

    def _start(self, name: str, command: list[str]) -> str:
        """Start a process; return the first line that it says, when it is ready."""
        number = len(list(self.directory.glob("log-*")))
        log = (self.directory / f"log-{number:02}-{name}").open("w")
        process = self.processes.enter_context(
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=self.processes.enter_context(log),
                text=True,
                cwd=ROOT,
                env=os.environ
                | {EFFECTS: str(self.directory / EFFECTS_FILE), "PYTHONUNBUFFERED": "1"}
                | {"IRONFLOW_SIGNING_KEY": SIGNING_KEY},
            )
        )
        self.processes.callback(process.kill)
        self.running[name] = process
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        assert said, self.told()
        return said


@contextmanager
def open_cluster(directory: Path, *, program: str = "ironflow") -> Iterator[Cluster]:
    """Open a cluster with a server; all its processes are gone when the block is left."""
    with ExitStack() as processes:
        cluster = Cluster(directory, processes, program)
        cluster.serve()
        yield cluster


def at_step(cluster: Cluster, runs: Collection[str], step: str) -> Effect | None:
    """Return one of these runs that is at a step in a process that runs now."""
    last = {each.run: each for each in cluster.effects() if each.step == step}
    found = [last[run] for run in runs if run in last]
    return next((each for each in found if cluster.name_of(each.process)), None)


def wait_for_loss(cluster: Cluster, run: str, worker: str, *, since: Any = None) -> Any:
    """Return what a run says of the worker that it lost, when it was carried on."""

    def look() -> Any:
        lost = cluster.get(f"/api/v1/runs/{run}").get("lost")
        return lost if lost and lost != since and lost["went_on"] else None

    lost = cluster.wait_for(look)
    assert lost["worker"] == worker
    return lost


def repeated(effects: Sequence[Effect]) -> int:
    """Return how many effects were not the first of their step."""
    return len(effects) - len({(each.run, each.step) for each in effects})


def check_once_recorded(
    effects: Sequence[Effect], recorded: dict[tuple[str, str], str]
) -> None:
    """After the execution whose result is recorded there is no other of that step.

    `recorded` has the token that a step returned, by run and step: each execution has
    another one. Nothing is recorded that did not happen.
    """
    tokens: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in effects:
        tokens[each.run, each.step].append(each.token)
    assert recorded.keys() <= tokens.keys(), "a result without its effect"
    late = {
        step: (token, tokens[step])
        for step, token in recorded.items()
        if tokens[step][-1] != token
    }
    assert not late, "a step whose result was recorded ran again"
    assert max(Counter(each.token for each in effects).values()) == 1
