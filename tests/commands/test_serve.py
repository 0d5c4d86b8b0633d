"""`ironflow serve` as a process: its start, its work, its end."""

import json
import signal
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.commands.conftest import APP, ironflow
from tests.commands.served import Served, serving, start

pytestmark = pytest.mark.e2e

SLOW = """
import logging, pathlib, sys, threading
import ironflow

HERE = pathlib.Path(__file__).parent

def wait() -> str:
    print("begun", file=sys.stderr, flush=True)
    while not (HERE / "go").exists():
        threading.Event().wait(0.01)
    return "done"

@ironflow.function(id="slow", triggers=["slow"])
async def slow(ctx):
    ctx.logger.info("hello %s", ctx.event.data)
    return await ctx.step.run("wait", wait)
"""


@pytest.fixture
def slow(tmp_path: Path) -> str:
    """Return an app whose step waits until there is a file `go`."""
    (tmp_path / "slow.py").write_text(SLOW)
    return f"{tmp_path / 'slow.py'}:slow"


def until_begun(server: Served) -> list[str]:
    """Read what is logged until a step of the slow app has begun."""
    lines: list[str] = []
    while not lines or lines[-1] != "begun\n":
        lines.append(server.line())
        assert lines[-1]
    return lines


def refused(*args: str) -> tuple[int, str]:
    process = start(*args)
    _, stderr = process.communicate(timeout=30)
    return process.returncode, stderr


def test_it_serves_what_its_app_has(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        emitted = server.post(
            "/api/v1/events?wait=20",
            {
                "name": "order.placed",
                "data": {"id": "o1", "total": 3, "items": ["pen"]},
            },
        )
        health = server.get("/health").json()
        server.signal(signal.SIGTERM)
        status, _ = server.end()

    assert health["status"] == "ok"
    assert emitted["runs"][0]["output"]["paid"] == {"paid": 3}
    assert status == 0
    assert ironflow("runs", "list", "--data-dir", str(tmp_path / "data")).exit_code == 0


def test_people_get_one_line_that_says_where_it_is(tmp_path: Path) -> None:
    process = start("--app", APP, "--data-dir", str(tmp_path / "data"), "--dev")
    assert process.stdout is not None
    line = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)

    assert line.startswith("ironflow serves ")
    assert "functions on http://127.0.0.1:" in line
    assert str(tmp_path / "data") in line
    assert rest == ""
    assert process.returncode == 0


def test_a_step_that_is_under_way_ends_before_the_server(
    tmp_path: Path, slow: str
) -> None:
    with serving(tmp_path / "data", app=slow) as server:
        [run_id] = server.post("/api/v1/events", {"name": "slow"})["run_ids"]
        until_begun(server)
        server.signal(signal.SIGTERM)
        assert "stopping" in server.line()
        (tmp_path / "go").touch()
        status, _ = server.end()

    assert status == 0
    shown = ironflow(
        "runs", "show", run_id, "--data-dir", str(tmp_path / "data"), "--json"
    )
    assert json.loads(shown.stdout)["operations"][0]["value"] == "done"


def test_a_second_signal_stops_it_at_once(tmp_path: Path, slow: str) -> None:
    with serving(tmp_path / "data", app=slow) as server:
        server.post("/api/v1/events", {"name": "slow"})
        until_begun(server)
        server.signal(signal.SIGTERM)
        assert "stopping" in server.line()
        server.signal(signal.SIGTERM)
        status, stderr = server.end()

    assert status == 128 + signal.SIGTERM
    assert "second signal" in stderr


def test_runs_of_a_server_that_was_killed_go_on_with_the_next(
    tmp_path: Path, slow: str
) -> None:
    with serving(tmp_path / "data", app=slow) as server:
        [run_id] = server.post("/api/v1/events", {"name": "slow"})["run_ids"]
        until_begun(server)
        server.signal(signal.SIGKILL)
        server.process.wait()
    (tmp_path / "go").touch()

    with serving(tmp_path / "data", app=slow) as server:
        found = server.get(f"/api/v1/runs/{run_id}?wait=20").json()

    assert (found["status"], found["output"]) == ("completed", "done")


def test_lines_are_json_and_those_of_functions_among_them(
    tmp_path: Path, slow: str
) -> None:
    with serving(tmp_path / "data", "--log-level", "debug", app=slow) as server:
        [run_id] = server.post("/api/v1/events", {"name": "slow", "data": 5})["run_ids"]
        lines = until_begun(server)
        (tmp_path / "go").touch()
        server.get(f"/api/v1/runs/{run_id}?wait=20")
        server.signal(signal.SIGTERM)
        _, stderr = server.end()

    found = [json.loads(line) for line in lines[:-1] + stderr.splitlines()]
    [hello] = [each for each in found if each["logger"] == "ironflow.run"]
    assert hello["event"] == "hello 5"
    assert hello["level"] == "info"
    assert hello["run_id"] == run_id
    assert hello["timestamp"].endswith("Z")
    requests = [each["event"] for each in found if each["logger"] == "ironflow.http"]
    assert any(each.startswith("POST /api/v1/events 200 in") for each in requests)


def test_lines_are_text_for_people(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--log-format", "text") as server:
        server.signal(signal.SIGTERM)
        _, stderr = server.end()

    assert "stopping; a second signal stops at once" in stderr
    assert "{" not in stderr


def test_it_serves_https(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )

    tls = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with serving(tmp_path / "data", *tls) as server:
        assert server.url.startswith("https://")
        result = ironflow("functions", "list", "--server", server.url)

    # It is nobody's certificate, and the client says so.
    assert result.exit_code == 1
    assert "certificate" in result.stderr.lower()


def test_it_sends_traces(tmp_path: Path) -> None:
    sent: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            sent.append((self.path, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        where = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}"
        }
        with serving(tmp_path / "data", "--trace", **where) as server:
            order = {"id": "o1", "total": 3, "items": []}
            event = {"name": "order.placed", "data": order}
            server.post("/api/v1/events?wait=20", event)
            server.signal(signal.SIGTERM)
            status, _ = server.end()
        collector.shutdown()
        thread.join()

    assert status == 0
    assert {path for path, _ in sent} == {"/v1/traces"}
    spans = b"".join(body for _, body in sent)
    assert b"POST /api/v1/events" in spans
    assert b"charge" in spans


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, stderr = refused("--port", port, "--data-dir", str(tmp_path), "--dev")

    assert status == 1
    assert f"port {port} of 127.0.0.1 is in use" in stderr
    assert "--port" in stderr


def test_a_directory_of_another_server_is_said(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        status, stderr = refused("--data-dir", str(tmp_path / "data"), "--dev")

    assert status == 1
    assert str(server.process.pid) in stderr


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    status, stderr = refused("--data-dir", str(tmp_path / "file" / "data"), "--dev")

    assert status == 1
    assert "Not a directory" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--dev", "--host", "0.0.0.0"], "this machine only"),
        (["--tls-cert", __file__], "--tls-key together"),
        (["--port", "65536"], "65535"),
        (["--environment", "a b"], "environment="),
        (["--app", "shop"], "names no app"),
    ],
)
def test_a_wrong_command_line_is_said(args: list[str], says: str) -> None:
    result = ironflow("serve", *args)

    assert result.exit_code == 2
    assert says in result.stderr


def test_an_address_of_another_machine_is_said(tmp_path: Path) -> None:
    status, stderr = refused(
        "--host", "192.0.2.1", "--data-dir", str(tmp_path / "data")
    )

    assert status == 1
    assert "192.0.2.1" in stderr
    assert "--host" in stderr
