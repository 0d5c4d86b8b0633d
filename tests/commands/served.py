"""A server in a process of its own, as its users have it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import httpx

from tests.commands.conftest import APP

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith("IRONFLOW_")
} | {"PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Served:
    """A server that is ready."""

    url: str
    process: subprocess.Popen[str]

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=10)

    def post(self, path: str, body: object) -> Any:
        answer = httpx.post(self.url + path, json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def line(self) -> str:
        """Return the next line that its steps or its log have written."""
        return cast("IO[str]", self.process.stderr).readline()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for its end; return the status and what it logged since it was read."""
        _, stderr = self.process.communicate(timeout=30)
        return self.process.returncode, stderr


def start(*args: str, **env: str) -> subprocess.Popen[str]:
    """Start `ironflow serve` on any free port."""
    return subprocess.Popen(
        [sys.executable, "-m", "ironflow", "serve", "--port", "0", *args],
        env=ENVIRONMENT | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def serving(
    directory: Path, *args: str, app: str = APP, **env: str
) -> Iterator[Served]:
    """Serve an app from a data directory until the block ends."""
    process = start(
        "--app", app, "--data-dir", str(directory), "--dev", "--json", *args, **env
    )
    try:
        line = cast("IO[str]", process.stdout).readline()
        if not line:
            raise RuntimeError(process.communicate()[1])
        yield Served(json.loads(line)["url"], process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


@contextmanager
def serving_endpoint(directory: Path, code: str, *, key: str) -> Iterator[str]:
    """Serve functions at an endpoint, in a process of its own; give its URL."""
    (directory / "at_endpoint.py").write_text(code)
    process = subprocess.Popen(
        [sys.executable, "-c", _ENDPOINT, key],
        cwd=directory,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield cast("IO[str]", process.stdout).readline().strip()
    finally:
        process.kill()
        process.communicate()


_ENDPOINT = """
import sys, trio, at_endpoint
from ironflow.authoring.load import load_app
from ironflow.transport.http.messages import Response
from ironflow.transport.http.server import HttpServer, serve_http
from ironflow.wire.posts import SIGNATURE
from ironflow.worker.endpoint import open_endpoint

async def main():
    app = load_app("at_endpoint.py:elsewhere")
    async with open_endpoint(app, signing_key=sys.argv[1]) as endpoint:
        async def handle(request):
            given = request.headers.get(SIGNATURE.lower(), "")
            body, signature = await endpoint.answer(given, await request.read())
            return Response(200, [(SIGNATURE.lower(), signature)], body)
        async with trio.open_nursery() as nursery:
            async def serve(task_status=trio.TASK_STATUS_IGNORED):
                await serve_http(handle, port=0, task_status=task_status)
            server = await nursery.start(serve)
            print("http://%s:%d/" % server.addresses[0], flush=True)

trio.run(main)
"""
