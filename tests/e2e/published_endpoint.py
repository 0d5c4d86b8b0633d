"""An endpoint of the published protocol that misbehaves: `python -m ... PORT`.

Whatever goes wrong is in the event: `faults` has one for each attempt of the run, and
when they are over the endpoint is as it should be. It remembers nothing.
"""

import json
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, final

from tests.e2e.counted import LOOK_S, is_shut, write

STEPS = ("reserve:0", "charge:0", "ship:0")
SLEEP = "settle:0"
PAUSE_S = 0.02  # of a run
TIMEOUT_S = 1.0  # that the server is told; `slow` is slower
GARBAGE = b'\x00\xff{"status": "comp'


@final
class Endpoint(BaseHTTPRequestHandler):
    """Executes two steps, sleeps, and executes the third; two of them in one call."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Execute a segment, and go wrong as the event wants it."""
        length = int(self.headers["content-length"])
        job = json.loads(self.rfile.read(length))
        faults = job["event"]["data"]["faults"]
        attempt = job["attempt"]
        fault = faults[attempt - 1] if attempt <= len(faults) else ""
        if fault == "unavailable":  # nothing is executed
            self.send(503, b'{"error": {"code": "BUSY", "message": "later"}}')
            return
        FAULTS[fault](self, executed(job))

    def send(self, status: int, body: bytes, *, length: int | None = None) -> None:
        """Send an answer; `length` is what it says of itself."""
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body) if length is None else length))
        try:
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # the server has given up
            self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def _half(endpoint: Endpoint, answer: dict[str, Any]) -> None:
    body = encoded(answer)
    endpoint.send(200, body[: len(body) // 2], length=len(body))
    endpoint.close_connection = True


def _gone(endpoint: Endpoint, answer: dict[str, Any]) -> None:
    endpoint.close_connection = True


def _slow(endpoint: Endpoint, answer: dict[str, Any]) -> None:
    threading.Event().wait(2 * TIMEOUT_S)
    endpoint.send(200, encoded(answer))


def _failed(endpoint: Endpoint, answer: dict[str, Any]) -> None:
    """Fail behind the first step, which is reported."""
    error = {"message": "no luck", "code": "ERROR", "retryable": True}
    told = {"status": "failed", "steps": answer["steps"][:1], "error": error}
    endpoint.send(200, encoded(told))


def _twice(endpoint: Endpoint, answer: dict[str, Any]) -> None:
    endpoint.send(200, encoded(answer))
    endpoint.send(200, encoded(answer))


# What becomes of an answer after its steps were executed.
FAULTS: Final[Mapping[str, Callable[[Endpoint, dict[str, Any]], None]]] = {
    "": lambda endpoint, answer: endpoint.send(200, encoded(answer)),
    "500": lambda endpoint, answer: endpoint.send(500, b"Traceback"),
    "garbage": lambda endpoint, answer: endpoint.send(200, GARBAGE),
    "list": lambda endpoint, answer: endpoint.send(200, b"[1, 2]"),
    "half": _half,
    "gone": _gone,
    "slow": _slow,
    "failed": _failed,
    "twice": _twice,
}


def executed(job: dict[str, Any]) -> dict[str, Any]:
    """Execute what has no row yet, up to the sleep; return the answer."""
    run_id, data = job["run_id"], job["event"]["data"]
    rows = {row["id"].removeprefix(f"{run_id}:"): row for row in job["steps"] or []}
    # What was reported is reported again, as something else.
    again = [id_ for id_ in rows if id_ != SLEEP] if data.get("again") else []
    steps = [row_of(run_id, id_, "another") for id_ in again]
    for id_ in STEPS:
        if id_ == STEPS[-1] and SLEEP not in rows:
            until = datetime.now(UTC) + timedelta(seconds=PAUSE_S)
            asked = {"type": "sleep", "step_id": f"{run_id}:{SLEEP}"}
            asked["until"] = until.isoformat().replace("+00:00", "Z")
            return {"status": "yielded", "steps": steps, "yield": asked}
        if id_ not in rows:
            steps.append(row_of(run_id, id_, write(run_id, id_)))
        while data.get("held") and is_shut(id_):
            threading.Event().wait(LOOK_S)
    return {"status": "completed", "steps": steps, "result": run_id}


def row_of(run_id: str, id_: str, token: str) -> dict[str, Any]:
    """Return what is reported of a step."""
    return {
        "id": f"{run_id}:{id_}",
        "name": id_.partition(":")[0],
        "type": "invoke",
        "status": "completed",
        "started_at": "2030-01-01T00:00:00.000Z",
        "ended_at": "2030-01-01T00:00:00.001Z",
        "duration_ms": 1,
        "output": token,
    }


def encoded(answer: dict[str, Any]) -> bytes:
    """Return an answer as it is sent."""
    return json.dumps(answer).encode()


@final
class Server(ThreadingHTTPServer):
    """Holds as many connections as it is sent."""

    daemon_threads = True
    request_queue_size = 1_000

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over what the peer has closed."""


def main(port: int) -> None:
    """Serve until killed; say the URL."""
    server = Server(("127.0.0.1", port), Endpoint)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}/ironflow\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
